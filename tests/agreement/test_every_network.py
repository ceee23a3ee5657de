"""Every network that pandapower publishes, and two dozen of SimBench, against runpp: see networks.csv."""

from __future__ import annotations

import pytest
from catalogue import NO_NETWORKS, catalogue, functions
from measure import Row, measure, read_table

MAKERS = catalogue()
ROWS = read_table()
#: Larger ones, SimBench's, and other than default arguments are for the long run.
_SMALL = 300


def _case(name: str) -> object:
    quick = ROWS[name].buses <= _SMALL and not name.startswith("simbench:") and "(" not in name
    return pytest.param(name, marks=() if quick else pytest.mark.study)


def test_the_table_lists_every_network() -> None:
    assert list(ROWS) == list(MAKERS)
    assert {
        name.split("(")[0] for name in MAKERS if ":" not in name
    } == functions().keys() - NO_NETWORKS.keys()
    assert sum(name.startswith("simbench:") for name in ROWS) >= 20


def test_only_what_runpp_does_not_solve_is_refused() -> None:
    refused = {row.network: row.note for row in ROWS.values() if row.outcome == "refused"}
    assert set(refused) == {row.network for row in ROWS.values() if row.runpp != "solved"}
    assert all(refused.values())


@pytest.mark.parametrize("name", [_case(name) for name in ROWS])
def test_network_agrees_with_runpp_as_the_table_says(name: str) -> None:
    stated, found = ROWS[name], measure(name, MAKERS[name]())
    assert (found.buses, found.runpp, found.outcome, found.note) == (
        stated.buses, stated.runpp, stated.outcome, stated.note,
    )  # fmt: skip
    for row in (stated, found):
        assert_within_bounds(row)


def assert_within_bounds(row: Row) -> None:
    for quantity, most in (("admittance", 1e-12), ("mismatch_mva", 1e-6)):
        measured = getattr(row, quantity)
        assert (float(measured) <= most) if measured else (row.runpp != "solved")
    for quantity, most in (("vm_pu", 1e-8), ("va_degree", 1e-6)):
        measured = getattr(row, quantity)
        assert (float(measured) <= most) if measured else (row.outcome != "agrees")
