"""One market session, checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.case.cells import Faults, quoted
from gridclear.case.check import check_parts, sorted_issues
from gridclear.case.fingerprint import add_frame
from gridclear.case.grid import Grid, read_grid
from gridclear.case.grid_tables import raw_grid_from_net
from gridclear.case.horizon import MOST_PERIODS, Horizon, make_horizon, parse_resolution, parse_stamp
from gridclear.case.limits import Limits, check_limits
from gridclear.case.prices import Prices, check_prices
from gridclear.case.schema import TABLES
from gridclear.case.settings_schema import SETTINGS
from gridclear.case.settlement_terms import SettlementTerms, check_settlement
from gridclear.case.sheets import RawTable, Sheet, empty_sheet, raw_from_frame, read_sheet
from gridclear.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, eq=False)
class Case:
    """One market session: grid, horizon, limits, prices, terms and tables; it has passed every check.

    Attributes
    ----------
    name : str
    grid : Grid
    horizon : Horizon
    limits : Limits
        Used where the grid states none.
    prices : Prices
        Of what is not bid for.
    settlement : SettlementTerms
        What bids are paid, and what is missed costs.
    forecast, forecast_scenarios, forecast_quantiles, outages, connection_points, tap_changers, \
capacitor_banks, storage, inverters, reaction_curves, capability_curves, active_bids, active_need, \
reactive_bids, reactive_profile, metered : DataFrame
        All columns of the schema (:mod:`gridclear.case.schema`), empty if the case does not have the table;
        ``connection_points`` then holds every ext_grid in service. Texts are str ("" for empty), numbers
        float64 (NaN for empty), stamps UTC; rows in the order of the source. They are not to be changed.
    """

    name: str
    grid: Grid
    horizon: Horizon
    limits: Limits
    prices: Prices
    settlement: SettlementTerms
    forecast: pd.DataFrame
    forecast_scenarios: pd.DataFrame
    forecast_quantiles: pd.DataFrame
    outages: pd.DataFrame
    connection_points: pd.DataFrame
    tap_changers: pd.DataFrame
    capacitor_banks: pd.DataFrame
    storage: pd.DataFrame
    inverters: pd.DataFrame
    reaction_curves: pd.DataFrame
    capability_curves: pd.DataFrame
    active_bids: pd.DataFrame
    active_need: pd.DataFrame
    reactive_bids: pd.DataFrame
    reactive_profile: pd.DataFrame
    metered: pd.DataFrame

    @classmethod
    def from_pandapower(
        cls,
        net: Any,  # noqa: ANN401  pandapower has no types
        *,
        name: str = "case",
        start: datetime | str | None = None,
        resolution: pd.Timedelta | str = "PT15M",
        periods: int | None = None,
        limits: Limits | None = None,
        prices: Prices | None = None,
        settlement: SettlementTerms | None = None,
        forecast: pd.DataFrame | None = None,
        forecast_scenarios: pd.DataFrame | None = None,
        forecast_quantiles: pd.DataFrame | None = None,
        outages: pd.DataFrame | None = None,
        connection_points: pd.DataFrame | None = None,
        tap_changers: pd.DataFrame | None = None,
        capacitor_banks: pd.DataFrame | None = None,
        storage: pd.DataFrame | None = None,
        inverters: pd.DataFrame | None = None,
        reaction_curves: pd.DataFrame | None = None,
        capability_curves: pd.DataFrame | None = None,
        active_bids: pd.DataFrame | None = None,
        active_need: pd.DataFrame | None = None,
        reactive_bids: pd.DataFrame | None = None,
        reactive_profile: pd.DataFrame | None = None,
        metered: pd.DataFrame | None = None,
    ) -> Case:
        """Make a case of a pandapower net and DataFrames.

        Parameters
        ----------
        net : pandapowerNet
            Copied, never changed.
        name : str
        start : datetime or str, optional
            Start of the first period, with its offset from UTC; by default the earliest ``start`` of the
            tables of periods (all but ``outages``).
        resolution : Timedelta or str
            Length of a period, ISO 8601.
        periods : int, optional
            Number of periods; by default up to the latest ``start`` of those tables.
        limits : Limits, optional
        prices : Prices, optional
        settlement : SettlementTerms, optional
        forecast, outages, ... : DataFrame, optional
            Tables with the columns of the schema. Elements by name or ``origin_id``, stamps as ISO 8601
            texts with offset or as time-zone aware stamps.

        Returns
        -------
        Case

        Raises
        ------
        CaseError
            Lists every fault, with the name of the argument and the index label of the row.
        """
        given = {
            "forecast": forecast,
            "forecast_scenarios": forecast_scenarios,
            "forecast_quantiles": forecast_quantiles,
            "outages": outages,
            "connection_points": connection_points,
            "tap_changers": tap_changers,
            "capacitor_banks": capacitor_banks,
            "storage": storage,
            "inverters": inverters,
            "reaction_curves": reaction_curves,
            "capability_curves": capability_curves,
            "active_bids": active_bids,
            "active_need": active_need,
            "reactive_bids": reactive_bids,
            "reactive_profile": reactive_profile,
            "metered": metered,
        }
        faults = Faults()
        raws = {
            table: raw
            for table, frame in given.items()
            if frame is not None and (raw := raw_from_frame(frame, table, faults)) is not None
        }
        raw_grid = raw_grid_from_net(net, "net", faults)
        grid = read_grid(raw_grid, faults) if raw_grid.tables else None
        sheets = read_sheets(raws, faults)
        horizon = _horizon(sheets, start, resolution, periods, faults)
        chosen, priced, terms = limits or Limits(), prices or Prices(), settlement or SettlementTerms()
        faults.issues += check_limits(chosen, "limits") + check_prices(priced, "prices")
        faults.issues += check_settlement(terms, "settlement")
        return build_case(name, grid, "net", horizon, chosen, priced, terms, sheets, faults)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the content in hex; the order of rows and the name of the case do not matter."""
        start, step, number = self.horizon.start.value, self.horizon.resolution.value, self.horizon.periods
        parts = (self.limits, self.prices, self.settlement)
        values = [getattr(part, field.name) for part in parts for field in fields(part)]
        stated = [value if isinstance(value, str) else float(value) for value in values]
        digest = hashlib.sha256(
            f"case 1 {self.grid.content_hash} {start} {step} {number} {stated!r}".encode()
        )
        for table in TABLES:
            add_frame(digest, table, self.table(table))
        return digest.hexdigest()

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables by its name.

        Parameters
        ----------
        name : str
            Such as ``"active_bids"``.

        Returns
        -------
        DataFrame

        Raises
        ------
        KeyError
            No table has that name.
        """
        frame: pd.DataFrame = getattr(self, TABLES[name].name)
        return frame

    def with_tables(self, tables: Mapping[str, pd.DataFrame], *, horizon: Horizon | None = None) -> Case:
        """Take the same case with other tables, as checked as these are.

        Parameters
        ----------
        tables : mapping of table name → DataFrame
        horizon : Horizon, optional
            In place of its own.

        Returns
        -------
        Case
        """
        own = {name: self.table(name) for name in TABLES} | dict(tables)
        stands = self.horizon if horizon is None else horizon
        return Case(self.name, self.grid, stands, self.limits, self.prices, self.settlement, **own)


def read_sheets(raws: Mapping[str, RawTable], faults: Faults) -> dict[str, Sheet]:
    """Read the tables that are there, and stand in empty ones for the others.

    Parameters
    ----------
    raws : mapping of table name → RawTable
    faults : Faults
        Takes what is found.

    Returns
    -------
    dict of table name → Sheet
    """
    return {
        name: read_sheet(raws[name], table, faults) if name in raws else empty_sheet(table, name)
        for name, table in TABLES.items()
    }


def build_case(
    name: str,
    grid: Grid | None,
    grid_file: str,
    horizon: Horizon | None,
    limits: Limits,
    prices: Prices,
    settlement: SettlementTerms,
    sheets: Mapping[str, Sheet],
    faults: Faults,
) -> Case:
    """Check the parts and put them together.

    Parameters
    ----------
    name : str
    grid, horizon
        None if they could not be read; the faults say why.
    grid_file : str
    limits : Limits
    prices : Prices
    settlement : SettlementTerms
    sheets : mapping of table name → Sheet
    faults : Faults
        What has been found so far.

    Returns
    -------
    Case

    Raises
    ------
    CaseError
        There is any fault; lists all of them.
    """
    check_parts(sheets, grid, grid_file, horizon, limits, faults)
    if faults.issues or grid is None or horizon is None:
        raise CaseError(tuple(sorted_issues(faults.issues)))
    frames = {table: sheet.frame for table, sheet in sheets.items()}
    if not sheets["connection_points"].given:
        frames["connection_points"] = _every_ext_grid(grid, sheets["connection_points"])
    return Case(name, grid, horizon, limits, prices, settlement, **frames)


def _every_ext_grid(grid: Grid, sheet: Sheet) -> pd.DataFrame:
    supply = grid.tables["ext_grid"]
    labels = grid.labels("ext_grid")[supply["in_service"].to_numpy(dtype=bool)].tolist()
    blank = {c.name: np.full(len(labels), np.nan) for c in sheet.table.columns if c.kind == "number"}
    names = pd.Series(labels, dtype=object)
    return pd.DataFrame({"connection_point": names, "element": names} | blank)[list(sheet.frame.columns)]


def _horizon(
    sheets: Mapping[str, Sheet],
    start: datetime | str | None,
    resolution: pd.Timedelta | str,
    periods: int | None,
    faults: Faults,
) -> Horizon | None:
    """Make the horizon that was asked for, or the one that the stamps of the tables span."""
    settings = {column.name: column for column in SETTINGS["case"]}
    step = parse_resolution(resolution)
    if step is None:
        faults.add(
            "resolution",
            "",
            "",
            f"{quoted(resolution)} is no length of a period",
            "an ISO 8601 duration such as PT15M",
        )
    stamps = [
        s.frame["start"][s.ok["start"]] for name, s in sheets.items() if "start" in s.ok and name != "outages"
    ]
    every = pd.DatetimeIndex(
        np.concatenate([pd.DatetimeIndex(s).asi8 for s in stamps]).astype("datetime64[ns]")
    ).tz_localize("UTC")
    first = parse_stamp(start) if start is not None else (every.min() if len(every) else None)
    if first is None:
        shown = "no start is given, and no table has one" if start is None else f"{quoted(start)} is no start"
        faults.add("start", "", "", shown, settings["start"].expectation)
    is_count = isinstance(periods, int | np.integer) and not isinstance(periods, bool)
    if periods is not None and not (is_count and 1 <= periods <= MOST_PERIODS):
        expected = f"a whole number from 1 to {MOST_PERIODS}"
        faults.add("periods", "", "", f"{quoted(periods)} is no number of periods", expected)
        return None
    if first is None or step is None:
        return None
    spanned = max(1, int((every.max() - first) // step) + 1) if len(every) else 1
    if periods is None and spanned > MOST_PERIODS:
        faults.add("start", "", "", f"the stamps span {spanned} periods", f"at most {MOST_PERIODS}")
        return None
    horizon = make_horizon(first, step, spanned if periods is None else int(periods))
    if horizon is None:
        faults.add("periods", "", "", "the horizon ends too late", "an end before 2262")
    return horizon
