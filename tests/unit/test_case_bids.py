"""Bids against their resources, and the conditions that tie bids together: what passes and what does not."""

from __future__ import annotations

import case_support as support
import numpy as np
import pandas as pd
import pytest

from gridclear.case import Case
from gridclear.errors import CaseError

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")


def bid(name, element, direction, p_mw, period=0, block="", exclusive=""):
    """One row; elements of the tiny net by name, "" for transmission."""
    table = {"": "", "L1": "load", "L2": "load", "G1": "gen", "S1": "storage"}.get(element, "sgen")
    return {
        "bid": name,
        "element_type": table,
        "element": element,
        "start": STARTS[period],
        "direction": direction,
        "p_mw": p_mw,
        "price_eur_mwh": 40.0,
        "block": block,
        "exclusive": exclusive,
    }


def forecast(table, element, p_mw):
    return pd.DataFrame({"element_type": table, "element": element, "start": STARTS, "p_mw": p_mw})


def faults(*bids, net=None, **tables):
    """Row, column and expectation of every issue."""
    net = support.tiny_net() if net is None else net
    try:
        Case.from_pandapower(net, start=STARTS[0], periods=4, active_bids=pd.DataFrame(bids), **tables)
    except CaseError as error:
        return [(issue.row, issue.column, issue.expected) for issue in error.issues]
    return []


def stating(**cells):
    """The tiny net with cells such as ``L1_min_p_mw``."""
    net = support.tiny_net()
    for place, value in cells.items():
        element, column = place.split("_", 1)
        (table,) = (t for t in ("load", "sgen", "gen", "storage") if element in net[t]["name"].tolist())
        if column not in net[table]:
            net[table][column] = np.nan
        net[table].loc[net[table]["name"] == element, column] = value
    return net


@pytest.mark.parametrize(
    ("cells", "element", "direction", "room_mw"),
    [
        # tiny net: L1 2 MW, L2 1.5 MW scaled by 0.6, PV1 3 MW, G1 0.5 MW, S1 charges with 0.2 MW
        ({}, "L1", "up", 2.0),
        ({}, "L2", "up", 0.9),
        ({}, "PV1", "down", 3.0),
        ({}, "G1", "down", 0.5),
        ({}, "L1", "down", None),
        ({}, "PV1", "up", None),
        ({}, "G1", "up", None),
        ({}, "S1", "up", None),
        ({}, "S1", "down", None),
        ({"L1_sn_mva": 2.5}, "L1", "down", 0.5),
        ({"L2_sn_mva": 2.5}, "L2", "down", 1.6),
        ({"L1_max_p_mw": 3.5, "L1_sn_mva": 2.5}, "L1", "down", 1.5),
        ({"L1_max_p_mw": np.inf, "L1_sn_mva": 2.5}, "L1", "down", 0.5),
        ({"L1_sn_mva": 0.0}, "L1", "down", None),
        ({"L1_sn_mva": 1.0}, "L1", "down", 0.0),
        ({"L1_min_p_mw": 0.5}, "L1", "up", 1.5),
        ({"L1_min_p_mw": -1.0}, "L1", "up", 3.0),
        ({"L1_min_p_mw": 5.0, "L1_max_p_mw": 4.0}, "L1", "up", None),
        ({"L1_p_mw": -1.0}, "L1", "up", None),
        ({"L1_p_mw": -1.0, "L1_sn_mva": 3.0}, "L1", "up", 2.0),
        ({"PV1_sn_mva": 3.4}, "PV1", "up", 0.4),
        ({"PV1_min_p_mw": 1.0}, "PV1", "down", 2.0),
        ({"G1_max_p_mw": 2.0, "G1_sn_mva": 100.0}, "G1", "up", 1.5),
        ({"S1_sn_mva": 1.0}, "S1", "up", 1.2),
        ({"S1_sn_mva": 1.0}, "S1", "down", 0.8),
        ({"S1_min_p_mw": 0.0, "S1_sn_mva": 1.0}, "S1", "up", 0.2),
        ({"S1_max_p_mw": 0.5}, "S1", "down", 0.3),
        # in service or not: such a bid is red, not wrong
        ({"PV1_in_service": False}, "PV1", "down", 3.0),
    ],
)
def test_a_bid_is_as_large_as_what_its_resource_can_change(cells, element, direction, room_mw):
    net = stating(**cells)
    if room_mw is None:
        assert faults(bid("A", element, direction, 1e4), net=net) == []
        return
    assert faults(bid("A", element, direction, room_mw + 0.9e-6), net=net) == []
    ((row, column, expected),) = faults(bid("A", element, direction, room_mw + 1.2e-6), net=net)
    assert (row, column) == ("0", "p_mw")
    assert expected.startswith(f"p_mw <= {room_mw:.12g}: it ")


def test_what_a_slack_generator_gives_is_not_known_before_the_power_flow():
    found = faults(bid("A", "G1", "down", 5.0), net=stating(G1_slack=True))
    assert "p_mw" not in [column for _, column, _ in found]


def test_the_forecast_of_the_period_counts():
    sun = forecast("sgen", "PV1", [0.0, 1.0, 2.0, 3.0])
    rows = [bid("A", "PV1", "down", 2.0, period) for period in range(4)]
    found = faults(*rows, forecast=sun)
    assert [row for row, _, _ in found] == ["0", "1"]
    assert found[1][2] == "p_mw <= 1: it generates 1 MW and ends at 0 MW"


def test_an_element_that_once_turns_round_can_work_both_ways():
    home = forecast("load", "L1", [1.0, 1.0, -0.2, 1.0])
    assert faults(bid("A", "L1", "up", 5.0), forecast=home) == []
    found = faults(bid("A", "L1", "up", 5.0), net=stating(L1_sn_mva=2.0), forecast=home)
    assert found == [("0", "p_mw", "p_mw <= 3: it consumes 1 MW and ends at -2 MW (sn_mva of the grid)")]


def test_table_storage_comes_before_the_grid():
    table = pd.DataFrame({"element": ["S1"], "p_min_mw": [-0.4], "p_max_mw": [np.nan], "s_max_mva": [0.6]})
    net = stating(S1_min_p_mw=-9.0, S1_max_p_mw=9.0)
    up, down = (bid("A", "S1", direction, 5.0) for direction in ("up", "down"))
    assert [e for _, _, e in faults(up, down, net=net, storage=table)] == [
        "p_mw <= 0.6: it consumes 0.2 MW and ends at -0.4 MW (p_min_mw of table storage)",
        "p_mw <= 0.4: it consumes 0.2 MW and ends at 0.6 MW (s_max_mva of table storage)",
    ]


def test_only_single_bids_are_judged_and_transmission_is_not():
    assert faults(bid("A", "L1", "up", 1.5), bid("B", "L1", "up", 1.5), bid("T", "", "up", 900.0)) == []


def test_bids_of_a_block_may_keep_to_periods_of_their_own():
    rows = [
        bid("A", "L1", "up", 0.5, 0, "shift"),
        bid("A", "L1", "down", 0.5, 3, "shift"),
        bid("B", "PV1", "down", 0.5, 3, "shift"),
        bid("B", "PV1", "down", 0.5, 2, "shift"),
        bid("B", "PV1", "down", 0.5, 0, "early"),
        bid("C", "PV1", "down", 0.5, 0),
        bid("C", "PV1", "down", 0.5, 3),
        bid("T", "", "down", 5.0, 1, "far"),
        bid("T", "", "down", 5.0, 2, "far"),
    ]
    assert faults(*rows) == []


def test_every_hole_of_every_block_is_named():
    rows = [bid("A", "PV1", "down", 0.5, period, "one") for period in (0, 2, 3)]
    rows += [bid("B", "PV1", "down", 0.5, period, "two") for period in (3, 0)]
    rows += [bid("A", "PV1", "up", 0.5, period, "one") for period in (1, 3)]
    found = faults(*rows)
    assert [(row, column) for row, column, _ in found] == [("1", "start"), ("3", "start"), ("6", "start")]


def test_every_row_across_the_border_is_named():
    rows = [bid(f"T{n}", "", "up", 1.0, 0, "tied") for n in range(2)]
    rows += [bid(f"A{n}", "L1", "up", 1.0, 0, "tied") for n in range(2)]
    assert [(row, column) for row, column, _ in faults(*rows)] == [("2", "block"), ("3", "block")]


def test_bids_of_a_group_stand_in_different_blocks_or_periods():
    rows = [
        # one bid both ways over two periods is one member
        *(bid("A", "L1", way, 0.5, period, "one", "g") for way in ("up", "down") for period in (0, 1)),
        *(bid("B", "PV1", "down", 0.5, period, "two", "g") for period in (0, 1)),
        bid("C", "PV1", "down", 0.5, 2, "one", "g"),
        bid("D", "W1", "down", 0.5, 0, "one", "other"),
        bid("E", "W1", "down", 0.5, 0, "", "g"),
    ]
    assert faults(*rows) == []
    found = faults(*rows, bid("F", "W1", "down", 0.5, 1, "one", "g"))
    assert [(row, column) for row, column, _ in found] == [("9", "exclusive")]


def test_the_group_is_read_and_empty_without_the_column():
    rows = pd.DataFrame([bid("A", "L1", "up", 0.5, exclusive="g"), bid("B", "PV1", "down", 0.5)])
    case = Case.from_pandapower(support.tiny_net(), active_bids=rows)
    assert case.active_bids["exclusive"].tolist() == ["g", ""]
    case = Case.from_pandapower(support.tiny_net(), active_bids=rows.drop(columns="exclusive"))
    assert case.active_bids["exclusive"].tolist() == ["", ""]


def test_faults_of_blocks_are_found_without_a_grid():
    rows = [bid("A", "PV1", "down", 0.5, period, "one") for period in (0, 2)]
    with pytest.raises(CaseError) as caught:
        Case.from_pandapower("no net", active_bids=pd.DataFrame(rows))
    assert [(issue.file, issue.column) for issue in caught.value.issues] == [
        ("active_bids", "start"),
        ("net", ""),
    ]
