"""The small tables of a case folder, and its ``case.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from _simbench import PERIODS, RESOLUTION

if TYPE_CHECKING:
    import pandapower as pp
    from _recipe import Recipe


def outages(recipe: Recipe, starts: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of ``outages.csv``: half-open intervals."""
    return pd.DataFrame(
        [
            {
                "element_type": outage.element_type,
                "element": outage.element,
                "start": starts[outage.first],
                "end": starts[outage.last] + RESOLUTION,
                "state": outage.state,
            }
            for outage in recipe.outages
        ]
    )


def tap_changers(net: pp.pandapowerNet, recipe: Recipe) -> pd.DataFrame:
    """Rows of ``tap_changers.csv``; the range is that of the grid."""
    rows = []
    for tap in recipe.taps:
        trafo = net.trafo[net.trafo["name"] == tap.trafo].iloc[0]
        rows.append(
            {
                "element_type": "trafo",
                "element": tap.trafo,
                "mode": tap.mode,
                "position": tap.position,
                "tap_min": int(trafo["tap_min"]),
                "tap_max": int(trafo["tap_max"]),
                "vm_set_pu": tap.vm_set_pu,
                "deadband_pu": tap.deadband_pu,
                "group": tap.group,
                "max_moves": 4,
                "cost_per_move_eur": 5.0,
            }
        )
    return pd.DataFrame(rows)


def capacitor_banks(recipe: Recipe) -> pd.DataFrame:
    """Rows of ``capacitor_banks.csv``."""
    return pd.DataFrame(
        [
            {
                "element": bank.name,
                "mode": bank.mode,
                "position": bank.position,
                "max_step": bank.steps,
                "max_moves": 4,
                "cost_per_move_eur": 3.0,
            }
            for bank in recipe.banks
        ]
    )


def connection_points(recipe: Recipe) -> pd.DataFrame:
    """Rows of ``connection_points.csv``."""
    return pd.DataFrame(
        [
            {
                "connection_point": point.name,
                "element": point.ext_grid,
                "p_min_mw": -point.p_mw,
                "p_max_mw": point.p_mw,
                "q_min_mvar": -point.q_mvar,
                "q_max_mvar": point.q_mvar,
                "s_max_mva": point.s_mva,
            }
            for point in recipe.connection_points
        ]
    )


def storage(net: pp.pandapowerNet, forecast: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``storage.csv``: half full at the start, and again at the end; p > 0 charges.

    Energies of a storage with a profile are left open: SimBench's take out more than any start holds.
    """
    profiled = set(forecast.loc[forecast["element_type"] == "storage", "element"])
    half = {row.name: round(0.5 * row.max_e_mwh, 3) for row in net.storage.itertuples()}
    return pd.DataFrame(
        [
            {
                "element": row.name,
                "p_min_mw": -row.sn_mva,
                "p_max_mw": row.sn_mva,
                "s_max_mva": row.sn_mva,
                "e_min_mwh": 0.0,
                "e_max_mwh": row.max_e_mwh,
                "e_start_mwh": None if row.name in profiled else half[row.name],
                "e_end_min_mwh": None if row.name in profiled else half[row.name],
                "efficiency_charge": 0.95,
                "efficiency_discharge": 0.95,
                "p_mode": "scheduled",
            }
            for row in net.storage.itertuples()
        ]
    )


def case_toml(recipe: Recipe) -> str:
    """Text of ``case.toml``."""
    return (
        "[case]\n"
        f'name = "{recipe.name}"\n'
        'grid = "grid.json"\n'
        f"start = {recipe.start_utc}\n"
        'resolution = "PT15M"\n'
        f"periods = {PERIODS}\n"
        "\n"
        "[limits]  # used where grid.json states none; SimBench states all\n"
        "vm_min_pu = 0.95\n"
        "vm_max_pu = 1.05\n"
        "loading_percent = 100.0\n"
        "\n"
        "[prices]  # made, like those of the bids\n"
        "losses_eur_mwh = 60.0\n"
    )
