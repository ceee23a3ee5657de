"""Tables of taps and steps: what pandapower would guess, or compute without sense, is named."""

from __future__ import annotations

import math

import pytest
from bad_grids import issues_of, places
from element_nets import ring, shunts, tabular


def by_tables(*kinds):
    """The ring with transformers and shunts that follow tables."""
    net = ring()
    net.bus.loc[7, "in_service"] = False
    for kind in kinds:
        kind(net)
    net.shunt["max_step"] = 4
    return net


@pytest.mark.parametrize("value", [math.nan, None, math.inf, "x"], ids=str)
@pytest.mark.parametrize("table", ["trafo_characteristic_table", "shunt_characteristic_table"])
@pytest.mark.parametrize("column", ["id_characteristic", "step"])
def test_rows_of_a_table_need_their_number_and_step(table, column, value):
    net = by_tables(tabular, shunts)
    spoil_row(net, table, column, value)
    assert (f"{table} {net[table].index[-1]}", column) in places(net)


def spoil_row(net, table, column, value):
    frame = net[table] = net[table].astype({column: object})
    frame.loc[frame.index[-1], column] = value


@pytest.mark.parametrize(
    ("table", "user", "columns"),
    [("trafo_characteristic_table", "trafo 1", ["voltage_ratio", "angle_deg", "vk_percent", "vkr_percent"]),
     ("shunt_characteristic_table", "shunt 3", ["q_mvar", "p_mw"])],
)  # fmt: skip
def test_cells_of_a_table_are_numbers(table, user, columns):
    for column in columns:
        for value in (math.nan, math.inf, "x"):
            net = by_tables(tabular, shunts)
            spoil_row(net, table, column, value)
            place = (f"{table} {net[table].index[-1]}", column)
            expected = [(user, "id_characteristic_table")]
            assert places(net) == expected + [place] * (value in (math.inf, "x")), (column, value)


@pytest.mark.parametrize(
    ("column", "value"), [("voltage_ratio", 0.0), ("voltage_ratio", -1.0), ("vk_percent", 0.0),
                          ("vkr_percent", 50.0), ("vk_hv_percent", -4.0), ("vkr_lv_percent", 50.0)]
)  # fmt: skip
def test_cells_of_a_table_that_no_transformer_has(column, value):
    net = by_tables(tabular)
    net.trafo_characteristic_table.loc[3, column] = value
    assert places(net) == [("trafo_characteristic_table 3", column)]


def test_step_twice_in_a_table():
    net = by_tables(tabular)
    net.trafo_characteristic_table.loc[3, "step"] = net.trafo_characteristic_table["step"][2]
    (issue, other) = issues_of(net)
    assert (other.row, other.column) == ("trafo_characteristic_table 3", "step")
    assert (issue.row, issue.column) == ("trafo 0", "id_characteristic_table")
