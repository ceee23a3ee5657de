"""The choices behind the three shipped grids, and a large one that is built on demand.

Names of elements are SimBench's. Everything else was chosen by the makers of gridclear, and each folder's
README says so.
"""

from __future__ import annotations

from _recipe import Bank, Battery, BidPlan, ConnectionPoint, Consumer, Outage, Recipe, Tap

MV_RURAL = Recipe(
    name="mv-rural",
    code="1-MV-rural--0-sw",
    start_utc="2016-05-02T06:00:00Z",
    seed=20160502,
    banks=(
        Bank("Bank busbar1.1", "MV1.101 busbar1.1", 1.2, 4, 1),
        Bank("Bank Bus 64", "MV1.101 Bus 64", 0.3, 3, 1),
    ),
    batteries=(
        Battery("Battery Bus 12", "MV1.101 Bus 12", 2.0, 4.0),
        Battery("Battery Bus 24", "MV1.101 Bus 24", 4.0, 8.0),
        Battery("Battery Bus 47", "MV1.101 Bus 47", 3.0, 6.0),
        Battery("Battery Bus 77", "MV1.101 Bus 77", 4.0, 8.0),
        Battery("Battery Bus 82", "MV1.101 Bus 82", 8.0, 16.0),
    ),
    taps=(
        Tap("HV1-MV1.101-Trafo1", "automatic", 0, 1.025, 0.02, "HV1-MV1.101"),
        Tap("HV1-MV1.101-Trafo2", "automatic", 0, 1.025, 0.02, "HV1-MV1.101"),
    ),
    outages=(
        Outage("line", "MV1.101 Line 22", "out", 4, 11, "works on the head of feeder 3"),
        Outage("switch", "MV1.101 loop_line_switch 3.2", "closed", 4, 11, "feeds it from feeder 7"),
        Outage("line", "MV1.101 Line 66", "out", 20, 25, "works on a spur that has no second feed"),
    ),
    connection_points=(ConnectionPoint("HV1 at MV1.101", "HV1 grid at MV1.101", 25.0, 12.5, 25.0),),
    bids=BidPlan(
        loads=22,
        small_sgens=12,
        large_sgens=13,
        storages=5,
        large_mw=0.25,
        step_mw=0.01,
        smallest_mw=0.05,
        buses=("MV1.101 Bus 69",),
        need_mw=(2.0, 6.0),
        reactive_sgens=6,
    ),
)

MV_URBAN = Recipe(
    name="mv-urban",
    code="1-MV-urban--0-sw",
    start_utc="2016-01-22T06:00:00Z",
    seed=20160122,
    banks=(
        Bank("Bank busbar1A", "MV3.101 busbar1A", 1.5, 4, 0),
        Bank("Bank busbar2B", "MV3.101 busbar2B", 1.5, 4, 0),
        Bank("Bank Bus 70", "MV3.101 Bus 70", 0.5, 3, 1),
    ),
    batteries=(
        Battery("Battery Bus 143", "MV3.101 Bus 143", 4.0, 8.0),
        Battery("Battery Bus 93", "MV3.101 Bus 93", 6.0, 12.0),
        Battery("Battery Bus 76", "MV3.101 Bus 76", 8.0, 16.0),
        Battery("Battery Bus 18", "MV3.101 Bus 18", 5.0, 10.0),
    ),
    consumers=(
        Consumer("E-bus depot Bus 70", "MV3.101 Bus 70", (0.6, 0.8, 2.0, 4.2, 5.2, 5.2, 3.6, 1.2), 0.2),
        Consumer("Data centre Bus 137", "MV3.101 Bus 137", (2.2, 2.3, 2.5, 2.6, 2.6, 2.6, 2.5, 2.5), 0.33),
    ),
    taps=(
        Tap("HV1-MV3.101-Trafo1", "automatic", -1, 1.025, 0.025),
        Tap("HV1-MV3.101-Trafo2", "automatic", -1, 1.025, 0.025),
    ),
    outages=(
        Outage("line", "MV3.101 Line 49", "out", 12, 23, "works on the head of feeder 7"),
        Outage("switch", "MV3.101 loop_line_switch 3.2", "closed", 12, 23, "feeds it from feeder 9"),
        Outage(
            "line", "MV3.101 Line 8", "out", 5, 10, "works on a joint; the loop behind bus 18 is not ready"
        ),
    ),
    connection_points=(ConnectionPoint("HV1 at MV3.101", "HV1 grid at MV3.101", 63.0, 20.0, 63.0),),
    bids=BidPlan(
        loads=22,
        small_sgens=8,
        large_sgens=1,
        storages=4,
        large_mw=0.25,
        step_mw=0.01,
        smallest_mw=0.05,
        buses=("MV3.101 Bus 18", "MV3.101 Bus 70", "MV3.101 Bus 137"),
        need_mw=(2.0, 5.0),
        reactive_sgens=4,
    ),
)

HV_MIXED = Recipe(
    name="hv-mixed",
    code="1-HV-mixed--2-sw",
    start_utc="2016-08-11T09:00:00Z",
    seed=20160811,
    banks=(
        Bank("Bank Bus 55", "HV1 Bus 55", 20.0, 4, 1),
        Bank("Bank Bus 25", "HV1 Bus 25", 20.0, 3, 0),
    ),
    taps=(
        Tap("HV1 Trafo 1", "fixed", 3, group="EHV_HV 2"),
        Tap("HV1 Trafo 2", "fixed", 3, group="EHV_HV 2"),
        Tap("HV1 Trafo 3", "automatic", 1, 1.045, 0.02, "EHV_HV 3"),
        Tap("HV1 Trafo 4", "automatic", 1, 1.045, 0.02, "EHV_HV 3"),
        Tap("HV1 Trafo 5", "fixed", 4, group="EHV_HV 1"),
        Tap("HV1 Trafo 6", "fixed", 4, group="EHV_HV 1"),
    ),
    outages=(
        Outage("line", "HV1 Line 71", "out", 4, 14, "works on one circuit of a double line"),
        Outage("line", "HV1 Line 122", "out", 16, 25, "works on the only line to a group of wind parks"),
    ),
    connection_points=(
        ConnectionPoint("EHV 8", "EHV Ext_grid 8", 700.0, 230.0, 700.0),
        ConnectionPoint("EHV 9", "EHV Ext_grid 9", 600.0, 200.0, 600.0),
        ConnectionPoint("EHV 10", "EHV Ext_grid 10", 700.0, 230.0, 700.0),
    ),
    bids=BidPlan(
        loads=12,
        small_sgens=4,
        large_sgens=18,
        storages=6,
        large_mw=10.0,
        step_mw=0.5,
        smallest_mw=1.0,
        buses=("HV1 Bus 321", "HV1 Bus 330", "HV1 Bus 19", "HV1 Bus 21", "HV1 Bus 47", "HV1 Bus 49"),
        need_mw=(40.0, 120.0),
        reactive_sgens=12,
    ),
)

#: Medium-voltage grids under the 110 kV grid, and whether their two transformers work in parallel.
_UNDER_HV = (
    *((f"MV1.10{k}", True) for k in range(1, 9)),
    *((f"MV2.10{k}", True) for k in range(1, 4)),
    *((f"MV3.10{k}", False) for k in range(1, 4)),
    ("MV4.101", True),
)

HVMV_MIXED = Recipe(
    name="hvmv-mixed",
    code="1-HVMV-mixed-all-1-sw",
    start_utc="2016-08-11T09:00:00Z",
    seed=20160812,
    banks=(
        Bank("Bank Bus 55", "HV1 Bus 55", 20.0, 4, 1),
        Bank("Bank Bus 25", "HV1 Bus 25", 20.0, 3, 0),
        Bank("Bank MV1.101 busbar1.1", "MV1.101 busbar1.1", 1.2, 4, 1),
        Bank("Bank MV1.105 busbar1.1", "MV1.105 busbar1.1", 1.2, 4, 1),
    ),
    taps=(
        *(Tap(f"HV1 Trafo {k}", "fixed", 3, group="EHV_HV 2") for k in (1, 2)),
        *(Tap(f"HV1 Trafo {k}", "fixed", 1, group="EHV_HV 3") for k in (3, 4)),
        *(Tap(f"HV1 Trafo {k}", "fixed", 4, group="EHV_HV 1") for k in (5, 6)),
        *(
            Tap(f"HV1-{net}-Trafo{k}", "automatic", 4, 1.025, 0.025, f"HV1-{net}" if parallel else "")
            for net, parallel in _UNDER_HV
            for k in (1, 2)
        ),
    ),
    outages=(
        Outage("line", "HV1 Line 71", "out", 4, 14, "works on one circuit of a double line"),
        Outage("line", "MV1.101 Line 66", "out", 20, 25, "works on a spur that has no second feed"),
    ),
    connection_points=(
        ConnectionPoint("EHV 8", "EHV Ext_grid 8", 700.0, 230.0, 700.0),
        ConnectionPoint("EHV 9", "EHV Ext_grid 9", 600.0, 200.0, 600.0),
        ConnectionPoint("EHV 10", "EHV Ext_grid 10", 700.0, 230.0, 700.0),
    ),
    bids=BidPlan(
        loads=40,
        small_sgens=20,
        large_sgens=40,
        storages=10,
        large_mw=1.0,
        step_mw=0.05,
        smallest_mw=0.1,
        buses=(),
        need_mw=(40.0, 120.0),
        reactive_sgens=30,
        reactive_storages=10,
    ),
)

RECIPES = (MV_RURAL, MV_URBAN, HV_MIXED)
#: Too large to be shipped: built when named.
LARGE = (HVMV_MIXED,)
