"""The attribute tables, and the page made of them."""

from __future__ import annotations

import re

import pytest

from gridclear.case.schema import TABLES
from gridclear.case.schema_page import schema_markdown
from gridclear.case.settings_schema import SETTINGS

CONTRACT = {
    "forecast": "element_type* element* start* p_mw* q_mvar",
    "forecast_scenarios": "scenario* element_type* element* start* p_mw* q_mvar",
    "forecast_quantiles": "element_type* element* start* probability* p_mw*",
    "outages": "element_type* element* start* end* state*",
    "connection_points": "connection_point* element* p_min_mw p_max_mw q_min_mvar q_max_mvar s_max_mva",
    "tap_changers": "element_type element* mode* position tap_min tap_max vm_set_pu deadband_pu group"
    " max_moves max_moves_day moves_today cost_per_move_eur",
    "capacitor_banks": "element* mode* position max_step max_moves max_moves_day moves_today"
    " cost_per_move_eur",
    "storage": "element* p_min_mw p_max_mw s_max_mva e_min_mwh e_max_mwh e_start_mwh e_end_min_mwh"
    " efficiency_charge efficiency_discharge p_mode",
    "inverters": "element* s_max_mva min_power_factor curve reaction",
    "reaction_curves": "curve* vm_pu p_pu q_pu*",
    "capability_curves": "curve* p_mw* q_min_mvar* q_max_mvar*",
    "active_bids": "bid* element_type element start* direction* p_mw* price_eur_mwh* min_p_mw block tan_phi"
    " exclusive",
    "active_need": "start* direction* p_mw*",
    "reactive_bids": "bid* element_type* element* start* direction* q_mvar* price_eur_mvarh* min_q_mvar"
    " block",
    "reactive_profile": "connection_point* start* q_mvar* tolerance_mvar",
    "metered": "bid* start* p_mw q_mvar",
}


def test_tables_are_those_of_the_contract():
    found = {
        name: " ".join(column.name + "*" * column.required for column in table.columns)
        for name, table in TABLES.items()
    }
    assert found == CONTRACT


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_attributes_are_complete(table):
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert set(table.key) <= set(names)
    for column in table.columns:
        assert column.meaning
        assert column.required or column.default or column.name in ("element", "vm_set_pu", "deadband_pu")
        suffix = re.search(r"_(mw|mvar|mva|mwh|eur|pu)$", column.name)
        if suffix and not column.name.startswith("price_"):
            assert column.unit.replace(".", "").lower() == suffix.group(1)


def test_page_says_everything_once():
    page = schema_markdown()
    for name, table in TABLES.items():
        section = page.split(f"### `{name}`\n")[1].split("\n### ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == [column.name for column in table.columns]
        assert [row.split("|")[1].endswith("* ") for row in rows] == [
            column.required for column in table.columns
        ]
        assert all(row.count("|") == 7 for row in rows)
    for section, keys in SETTINGS.items():
        assert f"### `[{section}]`" in page
        assert all(f"`{key.name}`" in page for key in keys)
