"""Build the case folders ``mv-rural``, ``mv-urban`` and ``hv-mixed`` from SimBench.

Run ``python grids/make_grids.py`` (gridclear's extra ``data`` installed) to rebuild them, or name some;
a large one, ``hvmv-mixed``, is built only when named.
The same versions of simbench and pandapower give the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import _market
import _readme
import _tables
import numpy as np
import pandapower as pp
import pandas as pd
from _bids import active_bids
from _recipes import LARGE, RECIPES
from _simbench import (
    KEPT_TABLES,
    horizon,
    load_simbench,
    profile_forecast,
    retire_isolated_buses,
    round_floats,
    slim,
)

if TYPE_CHECKING:
    from _recipe import Recipe

HERE = Path(__file__).resolve().parent


def build(recipe: Recipe, folder: Path) -> None:
    """Write the case folder of one recipe.

    Parameters
    ----------
    recipe
        What to take and what to add.
    folder
        Where to write; created if missing, files of the same name are replaced.
    """
    source, stamps, values = load_simbench(recipe.code)
    net = slim(source, recipe.name)
    starts = horizon(recipe)
    forecast = profile_forecast(net, starts, stamps, values)
    add_assets(net, recipe)
    retired = retire_isolated_buses(net)
    forecast = pd.concat([forecast, consumer_forecast(recipe, starts)], ignore_index=True)
    forecast[["p_mw", "q_mvar"]] = forecast[["p_mw", "q_mvar"]].round(5) + 0.0  # + 0.0 turns -0.0 into 0.0
    print(f"{recipe.name}: {len(net.bus)} buses, {len(retired)} of them isolated and set out of service")

    folder.mkdir(parents=True, exist_ok=True)
    write_grid(net, folder / "grid.json")
    tables = {
        "forecast": forecast,
        "outages": _tables.outages(recipe, starts),
        "connection_points": _tables.connection_points(recipe),
        "tap_changers": _tables.tap_changers(net, recipe),
        "capacitor_banks": _tables.capacitor_banks(recipe),
        "active_bids": active_bids(net, forecast, recipe),
        "active_need": _market.active_need(recipe, starts),
        "reactive_bids": _market.reactive_bids(net, recipe, starts),
        "reactive_profile": _market.reactive_profile(net, forecast, recipe, starts),
        "inverters": _market.inverters(net, recipe),
        "capability_curves": _market.capability_curves(net, recipe),
    }
    if len(net.storage):
        tables["storage"] = _tables.storage(net, forecast)
    for stem, table in tables.items():
        write_csv(table, folder / f"{stem}.csv")
    (folder / "case.toml").write_text(_tables.case_toml(recipe), encoding="utf-8", newline="\n")
    told = _readme.readme(net, tables["active_bids"], retired, recipe)
    (folder / "README.md").write_text(told, encoding="utf-8", newline="\n")
    (folder / "LICENSE-DATA.md").write_text(_readme.LICENCE, encoding="utf-8", newline="\n")


def add_assets(net: pp.pandapowerNet, recipe: Recipe) -> None:
    """Add what SimBench leaves open: type and position of tap changers, banks, batteries, consumers."""
    net.trafo["tap_changer_type"] = "Ratio"
    for tap in recipe.taps:
        net.trafo.loc[net.trafo["name"] == tap.trafo, "tap_pos"] = tap.position
    bus_of = pd.Series(net.bus.index, index=net.bus["name"])
    for bank in recipe.banks:
        pp.create_shunt(
            net,
            bus_of[bank.bus],
            q_mvar=-bank.step_mvar,  # pandapower's shunts consume when positive
            vn_kv=net.bus.loc[bus_of[bank.bus], "vn_kv"],
            step=bank.position,
            max_step=bank.steps,
            name=bank.name,
        )
    for battery in recipe.batteries:
        pp.create_storage(
            net,
            bus_of[battery.bus],
            p_mw=0.0,
            q_mvar=0.0,
            max_e_mwh=battery.e_mwh,
            min_e_mwh=0.0,
            sn_mva=battery.p_mw,
            name=battery.name,
        )
    for consumer in recipe.consumers:
        p_mw = max(consumer.hourly_mw)
        pp.create_load(
            net,
            bus_of[consumer.bus],
            p_mw=p_mw,
            q_mvar=round(consumer.tan_phi * p_mw, 6),
            sn_mva=round(1.1 * p_mw, 6),
            name=consumer.name,
        )


def consumer_forecast(recipe: Recipe, starts: pd.DatetimeIndex) -> pd.DataFrame:
    """Forecast of the added consumers: their hourly values, joined by straight lines."""
    hours = np.asarray((starts - starts[0]) / pd.Timedelta("1h"))
    parts = []
    for consumer in recipe.consumers:
        p_mw = np.interp(hours, np.arange(len(consumer.hourly_mw)), consumer.hourly_mw)
        parts.append(
            pd.DataFrame(
                {
                    "element_type": "load",
                    "element": consumer.name,
                    "start": starts,
                    "p_mw": p_mw,
                    "q_mvar": consumer.tan_phi * p_mw,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def write_grid(net: pp.pandapowerNet, path: Path) -> None:
    """Write the net as pandapower JSON and make sure that it comes back exactly."""
    for table in KEPT_TABLES:
        net[table] = round_floats(net[table])
    pp.to_json(net, str(path))
    back = pp.from_json(str(path))
    for table in (*KEPT_TABLES, "shunt"):
        pd.testing.assert_frame_equal(net[table], back[table], check_exact=True, check_dtype=False)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with UTC stamps that end in Z and Unix line ends."""
    table = table.copy()
    for column in ("start", "end"):
        if column in table:
            table[column] = table[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    table.to_csv(path, index=False, lineterminator="\n")


def main() -> None:
    """Build the named grids, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="grids to build (default: those that are shipped)")
    parser.add_argument("--into", type=Path, default=HERE, help="folder that holds the case folders")
    arguments = parser.parse_args()
    known = {recipe.name: recipe for recipe in (*RECIPES, *LARGE)}
    unknown = sorted(set(arguments.names) - set(known))
    if unknown:
        parser.error(f"unknown grid {', '.join(unknown)}; known are {', '.join(known)}")
    for name in arguments.names or [recipe.name for recipe in RECIPES]:
        build(known[name], arguments.into / name)


if __name__ == "__main__":
    main()
