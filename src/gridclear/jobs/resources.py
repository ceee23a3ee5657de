"""What resources could offer, whether they do or not: rows like those of ``active_bids``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.check_offers import room_of
from gridclear.case.schema import INJECTING
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.network.injections import element_scaling
from gridclear.network.reactions import reacting
from gridclear.network.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridclear.case import Case
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats

#: Element type and label, as in the case's tables.
Resource = tuple[str, str]

DIRECTIONS = ("up", "down")
#: Kinds of what stops a resource besides the grid: its own end; an end that nobody states; no supply.
RESOURCE, NOT_STATED, ISLANDED = "resource", "not-stated", "islanded"


def find_resources(case: Case, resources: Iterable[Resource] | None) -> list[Resource]:
    """Check which resources are asked for, and put them in the order of the grid's tables.

    Parameters
    ----------
    case : Case
    resources : iterable of (element_type, element), optional
        By default every resource with a bid in the case, else every load, sgen, gen and storage. A slack
        generator is none of them: it takes what the others leave.

    Returns
    -------
    list of (element_type, label)
        Each once.

    Raises
    ------
    OptionError
        The grid has no such resource, it is a slack generator, or none is named.
    CaseError
        The grid has no resources at all, or one of them has no name of its own.
    """
    if resources is not None:
        indices = {(table, _index(case, table, element)) for table, element in _pairs(resources)}
    elif (bids := case.active_bids[case.active_bids["element"] != ""]).empty:
        indices = {(table, index) for table in INJECTING for index in case.grid.tables[table].index}
    else:
        kinds, names = bids["element_type"].tolist(), bids["element"].tolist()
        indices = {
            (table, case.grid.lookup(table)[name]) for table, name in set(zip(kinds, names, strict=True))
        }
    machines = case.grid.tables["gen"]
    slack = {("gen", index) for index in machines.index[machines["slack"].to_numpy(dtype=bool)]}
    if resources is not None and (wrong := sorted(indices & slack)):
        label = case.grid.labels("gen").loc[wrong[0][1]]
        raise OptionError(f"gen '{label}' is a slack generator: it takes what the others leave")
    found = [
        (table, str(label))
        for table in INJECTING
        for index, label in case.grid.labels(table).items()
        if (table, index) in indices - slack
    ]
    if resources is not None and not found:
        raise OptionError("resources is empty; it must name at least one")
    if not found:
        what, expected = "the grid has no resources", f"elements in {', '.join(INJECTING)}"
        raise CaseError((Issue("grid", "", "", what, expected),))
    nameless = [pair for pair in found if pair[1] not in case.grid.lookup(pair[0])]
    if nameless:
        what, expected = "several elements of table {} have it", "a name or an origin_id of its own"
        raise CaseError(
            tuple(Issue("grid", label, "name", what.format(t), expected) for t, label in nameless)
        )
    return found


def _pairs(resources: Iterable[Resource]) -> list[Resource]:
    pairs = list(resources)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise OptionError(f"resources holds {pair!r}; each must be a tuple (element_type, element)")
    return pairs


def _index(case: Case, table: str, element: str) -> int:
    if table not in INJECTING:
        raise OptionError(f"resources names a '{table}'; it must be one of {', '.join(INJECTING)}")
    if element not in case.grid.lookup(table):
        raise OptionError(f"resources names {table} '{element}', which the grid does not have")
    return case.grid.lookup(table)[element]


def check_amount(p_max_mw: float | None) -> None:
    """Refuse a largest amount that is no positive number of MW."""
    if p_max_mw is not None and not (math.isfinite(p_max_mw) and p_max_mw > 0.0):
        raise OptionError(f"p_max_mw is {p_max_mw}; it must be a number of MW above 0")


def offers(
    case: Case, resources: Sequence[Resource], directions: Sequence[str], tan_phi: float | None
) -> pd.DataFrame:
    """One row of 1 MW per resource, direction and period, with the columns of ``active_bids``.

    Parameters
    ----------
    case : Case
    resources : sequence of (element_type, label)
    directions : sequence of {"up", "down"}
    tan_phi : float, optional
        Of all; by default that of the resource's own bids, else none.

    Returns
    -------
    DataFrame
        By resource, direction and period.

    Raises
    ------
    CaseError
        The bids of a resource do not agree on its power factor, and ``tan_phi`` is not given.
    OptionError
        ``tan_phi`` is no number, or is not 0 and the inverter of a resource follows a curve.
    """
    if tan_phi is not None and not math.isfinite(tan_phi):
        raise OptionError(f"tan_phi is {tan_phi}; it must be a number")
    periods, ways = case.horizon.periods, len(directions)
    each = ways * periods
    _refuse_power_factor(case, resources, tan_phi)
    factor = _power_factors(case, resources) if tan_phi is None else np.full(len(resources), tan_phi)
    kinds, names = (np.array([pair[k] for pair in resources], dtype=object).repeat(each) for k in (0, 1))
    table = pd.DataFrame(
        {
            "bid": kinds + "/" + names,
            "element_type": kinds,
            "element": names,
            "start": case.horizon.starts[np.tile(np.arange(periods), len(resources) * ways)],
            "direction": np.tile(np.array(directions, dtype=object).repeat(periods), len(resources)),
            "p_mw": 1.0,
            "price_eur_mwh": 0.0,
            "min_p_mw": np.nan,
            "block": "",
            "exclusive": "",
            "tan_phi": factor.repeat(each),
        }
    )
    return table[list(case.active_bids.columns)]


def _refuse_power_factor(case: Case, resources: Sequence[Resource], tan_phi: float | None) -> None:
    """Refuse a power factor of all where an inverter follows a curve of its own."""
    index, place = case.grid.tables["sgen"].index, reacting(case)
    if not tan_phi or not len(place):
        return
    curved = set(index[place].tolist())
    for table, name in resources:
        if table == "sgen" and case.grid.lookup(table)[name] in curved:
            raise OptionError(f"tan_phi is {tan_phi}; the inverter of sgen '{name}' follows a reaction curve")


def _power_factors(case: Case, resources: Sequence[Resource]) -> Floats:
    """Find the tan_phi of every resource's own bids, 0 without."""
    bids = case.active_bids
    stated: dict[tuple[str, int], set[float]] = {}
    for table, name, value in zip(
        bids["element_type"], bids["element"], bids["tan_phi"].fillna(0.0), strict=True
    ):
        if name:
            stated.setdefault((table, case.grid.lookup(table)[name]), set()).add(float(value))
    own = [stated.get((table, case.grid.lookup(table)[name]), {0.0}) for table, name in resources]
    issues = [
        Issue(
            "active_bids",
            name,
            "tan_phi",
            f"the bids of {table} '{name}' state " + " and ".join(f"{value:g}" for value in sorted(values)),
            "the same in all of them, or the option tan_phi",
        )
        for (table, name), values in zip(resources, own, strict=True)
        if len(values) > 1
    ]
    if issues:
        raise CaseError(tuple(issues))
    return np.array([min(values) for values in own])


def most_mw(case: Case, table: pd.DataFrame, p_max_mw: float | None, drawn: Samples | None = None) -> Floats:
    """MW that each row of ``offers`` could reach, (sample, row); NaN where nobody states how far it can go.

    Parameters
    ----------
    case : Case
    table : DataFrame
        See ``offers``.
    p_max_mw : float, optional
        What every resource can do in every period; by default what it can do from its forecast, by the rule
        that a bid must keep too (``room_of``).
    drawn : Samples, optional
        Stand in for the forecast; without, there is one sample: the forecast.
    """
    drawn = Samples(1, ()) if drawn is None else drawn
    if p_max_mw is not None:
        return np.full((drawn.count, len(table)), float(p_max_mw))
    room = room_of(case, table)
    planned = np.tile(room.planned, (drawn.count, 1))
    period = case.horizon.position(table["start"])
    for own in drawn.elements:
        frame, rows = case.grid.tables[own.table], np.flatnonzero(table["element_type"] == own.table)
        index = table["element"].iloc[rows].map(case.grid.lookup(own.table))
        place = frame.index.get_indexer(pd.Index(index.to_numpy(dtype=np.int64)))
        column = pd.Index(own.element).get_indexer(pd.Index(place))
        rows, place, column = rows[column >= 0], place[column >= 0], column[column >= 0]
        scaling = element_scaling(case, own.table)[place]
        planned[:, rows] = own.p_mw[:, period[rows], column] * scaling
    return room.mw(planned)


def with_bids(compiled: CompiledCase, table: pd.DataFrame) -> CompiledCase:
    """Take the same case with other bids: no network hangs on them."""
    return replace(compiled, case=replace(compiled.case, active_bids=table.reset_index(drop=True)))
