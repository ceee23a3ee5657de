"""SimBench grid and profiles → a slim pandapower net and its forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandapower as pp
import pandas as pd
import simbench

if TYPE_CHECKING:
    from _recipe import Recipe

PERIODS = 28
RESOLUTION = pd.Timedelta("15min")
DECIMALS = 12  # of the values written to grid.json: what is rounded here is read back bit for bit
KEPT_TABLES = ("bus", "load", "sgen", "storage", "switch", "ext_grid", "line", "trafo")
KEPT_EXTRAS = frozenset({"min_vm_pu", "max_vm_pu", "max_loading_percent", "subnet", "voltLvl"})


def load_simbench(
    code: str,
) -> tuple[pp.pandapowerNet, pd.DatetimeIndex, dict[tuple[str, str], pd.DataFrame]]:
    """Fetch a SimBench grid with its year of profiles.

    Parameters
    ----------
    code
        SimBench code, such as ``1-MV-rural--0-sw``.

    Returns
    -------
    tuple
        The net, the UTC starts of its 35,136 quarter-hours, and absolute values in MW and Mvar by table and
        column (rows: quarter-hours, columns: element index).
    """
    net = simbench.get_simbench_net(code)
    values = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    local = pd.DatetimeIndex(pd.to_datetime(net.profiles["load"]["time"], format="%d.%m.%Y %H:%M"))
    # SimBench writes German wall-clock time: one hour is missing in March and one is doubled in October.
    stamps = local.tz_localize("Europe/Berlin", ambiguous="infer").tz_convert("UTC")
    return net, stamps, values


def slim(source: pp.pandapowerNet, name: str) -> pp.pandapowerNet:
    """Copy what a power flow needs into a fresh net: no profiles, no results, no empty columns."""
    net = pp.create_empty_network(name=name, f_hz=source.f_hz, sn_mva=source.sn_mva)
    for table in KEPT_TABLES:
        frame = source[table].copy()
        if frame.empty:
            continue
        standard = [column for column in net[table].columns if column in frame]
        extras = sorted(c for c in KEPT_EXTRAS if c in frame and c not in standard and frame[c].notna().any())
        frame = frame[[*standard, *extras]]
        if "voltLvl" in frame:
            frame["voltLvl"] = frame["voltLvl"].astype(int)
        if frame["name"].isna().any() or frame["name"].duplicated().any():
            frame["name"] = [f"{net.name} {table} {index}" for index in frame.index]
        net[table] = round_floats(frame)
    for table in ("load", "sgen"):
        # SimBench keeps placeholders without rating for its other scenarios: they never carry anything.
        net[table] = net[table][net[table]["sn_mva"] > 0.0]
    net.std_types = {kind: {} for kind in net.std_types}
    return net


def round_floats(frame: pd.DataFrame) -> pd.DataFrame:
    """Round the float columns to what JSON will carry."""
    floats = frame.select_dtypes("float").columns
    frame[floats] = frame[floats].round(DECIMALS)
    return frame


def retire_isolated_buses(net: pp.pandapowerNet) -> list[str]:
    """Set buses without supply out of service and return their names."""
    isolated = sorted(pp.topology.unsupplied_buses(net))
    net.bus.loc[isolated, "in_service"] = False
    return [str(name) for name in net.bus.loc[isolated, "name"]]


def horizon(recipe: Recipe) -> pd.DatetimeIndex:
    """UTC starts of the periods of a recipe."""
    return pd.date_range(recipe.start_utc, periods=PERIODS, freq=RESOLUTION)


def profile_forecast(
    net: pp.pandapowerNet,
    starts: pd.DatetimeIndex,
    stamps: pd.DatetimeIndex,
    values: dict[tuple[str, str], pd.DataFrame],
) -> pd.DataFrame:
    """Cut the window out of the profiles: one row per element and period, MW and Mvar with 10 W steps."""
    rows = stamps.get_indexer(starts)
    if (rows < 0).any():
        raise ValueError(f"{starts[0]} is not inside the SimBench year")
    parts = []
    for table in ("load", "sgen", "storage"):
        p_mw = values.get((table, "p_mw"))
        if p_mw is None or p_mw.empty:
            continue
        q_mvar = values.get((table, "q_mvar"))
        for index, label in net[table]["name"].items():
            if index not in p_mw:
                continue
            q = q_mvar[index].to_numpy()[rows] if q_mvar is not None else net[table].loc[index, "q_mvar"]
            parts.append(
                pd.DataFrame(
                    {
                        "element_type": table,
                        "element": label,
                        "start": starts,
                        "p_mw": p_mw[index].to_numpy()[rows],
                        "q_mvar": q,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
