"""The random grids hold what they promise, and the comparer sees what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest

import gridclear as gc

from .against_runpp import agreement, gaps, injections, reference_grid, solve_reference, worst
from .net_tables import renumbered
from .random_grids import Builder, Kinds, random_grid

ALL = Kinds(zip_loads=True)


def test_the_same_seed_gives_the_same_grid() -> None:
    assert pp.toolbox.nets_equal(random_grid(7), random_grid(7))
    assert not pp.toolbox.nets_equal(random_grid(7), random_grid(8))


def test_everything_occurs() -> None:
    seen: set[str] = set()
    sizes = []
    for seed in range(150):
        builder = Builder(np.random.default_rng(seed), ALL)
        builder.build()
        rows = builder.rows
        sizes.append(len(rows["bus"]))
        seen |= {
            f"{table} {row['in_service']}" for table in rows for row in rows[table] if "in_service" in row
        }
        seen |= {f"switch {row['et']} {row['closed']} {row['z_ohm'] > 0}" for row in rows.get("switch", [])}
        for table in ("trafo", "trafo3w"):
            seen |= {
                f"{table} {row.get('tap_changer_type')} {row.get('tap_side')}" for row in rows.get(table, [])
            }
        taps: dict[tuple[int, int], set[float]] = {}
        for row in rows.get("trafo", []):
            taps.setdefault((row["hv_bus"], row["lv_bus"]), set()).add(row.get("tap_pos", 0.0))
        seen |= {f"{len(positions)} positions side by side" for positions in taps.values()}
        seen |= {f"{len({row['vm_pu'] for row in rows['ext_grid']})} voltages of slacks"}
    tables = (
        "line",
        "trafo",
        "trafo3w",
        "impedance",
        "load",
        "sgen",
        "gen",
        "shunt",
        "ward",
        "xward",
        "ext_grid",
    )
    expected = {f"{table} {on}" for table in (*tables, "bus") for on in (True, False)}
    expected |= {f"{table} True" for table in ("storage", "motor", "asymmetric_load", "asymmetric_sgen")}
    expected |= {f"switch {et} {closed} False" for et in ("l", "t", "t3", "b") for closed in (True, False)}
    kinds = ("Ratio", "Symmetrical", "Ideal")
    expected |= {f"trafo {kind} {side}" for kind in (*kinds, "Tabular") for side in ("hv", "lv")}
    expected |= {f"trafo3w {kind} {side}" for kind in kinds for side in ("hv", "mv", "lv")}
    expected |= {"switch b True True", "2 positions side by side", "2 voltages of slacks"}
    assert not expected - seen, expected - seen
    assert min(sizes) <= 6
    assert max(sizes) >= 50


def test_numbers_are_neither_contiguous_nor_sorted() -> None:
    buses = random_grid(0).bus.index
    assert buses.max() > 2 * len(buses)
    assert not buses.is_monotonic_increasing


@pytest.mark.parametrize("seed", [4, 20])
def test_renumbering_changes_nothing_for_runpp(seed: int) -> None:
    net = reference_grid(seed)
    other = renumbered(net, np.random.default_rng(seed))
    solve_reference(other)
    expected = net.res_bus.loc[[other.original["bus"][bus] for bus in other.bus.index]]
    np.testing.assert_allclose(other.res_bus["vm_pu"], expected["vm_pu"], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("field", "change", "quantity"),
    [("vm_pu", 2e-8, "vm_pu"), ("va_degree", 2e-6, "va_degree"), ("i_to_ka", 2e-7, "i_ka"),
     ("slack_q_mvar", 2e-5, "slack_mva"), ("slack_p_mw", 2e-5, "slack_mva"), ("vm_pu", np.nan, "vm_pu")],
)  # fmt: skip
def test_the_comparer_sees_a_small_difference(field: str, change: complex, quantity: str) -> None:
    net = reference_grid(0)
    network = gc.compile_network(net)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], threads=1)
    assert worst(gaps(net, network, states)) == []
    wrong = getattr(states, field).copy()
    live = int(np.flatnonzero(~np.isnan(wrong[0]))[0])
    wrong[0, live] += change
    found = worst(gaps(net, network, replace(states, **{field: wrong})))
    assert [gap.quantity for gap in found] == [quantity]
    assert "actual" in str(found[0])
    assert "expected" in str(found[0])


def test_a_grid_that_is_not_the_solved_one_is_seen() -> None:
    net = reference_grid(0)
    net.line["length_km"] *= 1.0001
    assert agreement(net)
