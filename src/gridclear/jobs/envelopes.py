"""Operating envelopes: ranges of injection within which all resources may move at once, however they like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.jobs.any_subset import judge_any_subset
from gridclear.jobs.bids import resolve_bids
from gridclear.jobs.each import judge_each
from gridclear.jobs.flow import restless_periods, status_of
from gridclear.jobs.lights import light_table
from gridclear.jobs.resources import (
    DIRECTIONS,
    NOT_STATED,
    RESOURCE,
    check_amount,
    find_resources,
    most_mw,
    offers,
    with_bids,
)
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.network.compiled import compile_case
from gridclear.network.injections import INJECTION_SIGN, element_powers
from gridclear.optimise.allotment import ALLOTMENTS, PRO_RATA
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from gridclear.case import Case
    from gridclear.jobs.resources import Resource
    from gridclear.network.network import Floats

#: Columns of a side's witness ← columns of the lights.
_WITNESS = {
    "kind": "kind",
    "limit_element_type": "element_type",
    "limit_element": "element",
    "value": "value",
    "limit": "limit",
    "reason": "reason",
}


@dataclass(frozen=True, eq=False)
class Envelopes(Result):
    """Operating envelopes.

    ``status`` is ``solved``, ``partial`` (some periods have no base solution: no envelope there) or
    ``no-solution`` (none has one).

    Attributes
    ----------
    envelopes : DataFrame
        start, element_type, element, p_mw (net injection foreseen, generation positive), low_mw, high_mw (the
        range of net injection; NaN without base solution); for each of the sides low and high what stops
        it: low_kind, low_limit_element_type, low_limit_element, low_value, low_limit, low_reason and the same
        with high. Kind ``resource``: the resource itself ends there; ``not-stated``: nobody says how far it
        can go that way, and the side is held at the forecast. One row per resource and period.
    """

    envelopes: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"envelopes": self.envelopes}


def operating_envelopes(
    case: Case,
    *,
    resources: Iterable[Resource] | None = None,
    p_max_mw: float | None = None,
    allotment: str = PRO_RATA,
    tan_phi: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Envelopes:
    """Say within which range each resource may move in each period, whatever the others do within theirs.

    Parameters
    ----------
    case : Case
        Not changed.
    resources : iterable of (element_type, element), optional
        Who is to have an envelope; all others keep to their forecast. By default every resource with a bid
        in the case, else every load, sgen, gen and storage.
    p_max_mw : float, optional
        How far every resource is taken to be able to go either way from its forecast, in MW; by default what
        it can do by the powers that the grid and table ``storage`` state for it.
    allotment : {"pro-rata", "merit-order", "most-mw"}
        How the room of the grid is shared out: the same part of what each could do, as far as the grid lets;
        first come in the order of the names; the largest sum of MW.
    tan_phi : float, optional
        Reactive power that moves with the active power, for all; by default that of the resource's own bids.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    progress : callable, optional
        Called with (rounds done, most).

    Returns
    -------
    Envelopes
        Every combination of injections within the ranges of a period is safe: the guarantee ``any-subset``
        of an ``up`` and a ``down`` offer of every resource.

    Raises
    ------
    CaseError
        The bids of a resource contradict each other, or the case holds what gridclear does not represent.
    OptionError
        Unknown resource or allotment, or an amount that is not positive.

    Notes
    -----
    A resource that goes up and down at once is somewhere between, in its own range. So the two offers of a
    resource need not exclude each other: it would be the same set of injections.
    """
    if allotment not in ALLOTMENTS:
        raise OptionError(f"allotment is '{allotment}'; it must be one of {', '.join(ALLOTMENTS)}")
    watch = Stopwatch()
    check_amount(p_max_mw)
    with watch.phase("compile"):
        named = find_resources(case, resources)
        table = offers(case, named, DIRECTIONS, tan_phi)
        most = most_mw(case, table, p_max_mw)[0]
        compiled = with_bids(compile_case(case), table.assign(p_mw=np.nan_to_num(most)))
        bids = resolve_bids(compiled)
    with watch.phase("base"):
        scenarios = Scenarios(compiled, threads)
        base = base_state(scenarios)
    with watch.phase("envelopes"):
        search = Search(scenarios, base, base.setting, reacts=False)
        verdict = judge_any_subset(search, bids, judge_each(search, bids), allotment, progress)
    with watch.phase("tables"):
        options = {"p_max_mw": p_max_mw, "allotment": allotment, "tan_phi": tan_phi}
        lights = _said_by_the_resource(light_table(compiled, base, bids, verdict), most)
        solved = np.tile(base.solved, len(named))
        return Envelopes(
            status=status_of(base),
            provenance=provenance("envelopes", case, options, watch) | restless_periods(case, base),
            envelopes=_envelopes(case, named, table, lights, bids.connected, solved),
        )


def _said_by_the_resource(lights: pd.DataFrame, most: Floats) -> pd.DataFrame:
    """Where not the grid but the resource ends a side, say that."""
    lights = lights.copy()
    judged = ~lights["kind"].isin(["islanded", "no-solution"]).to_numpy()
    whole, silent = judged & (lights["light"] == "green").to_numpy(), judged & np.isnan(most)
    unknown = "neither the grid nor table storage states how far it can go: held at its forecast"
    for rows, kind, reason in (
        (whole, RESOURCE, "all that the resource can do"),
        (silent, NOT_STATED, unknown),
    ):
        lights.loc[rows, ["kind", "element_type", "element"]] = [kind, "", ""]
        lights.loc[rows, ["value", "limit"]] = np.nan
        lights.loc[rows, "reason"] = reason
    return lights


def _envelopes(
    case: Case,
    named: list[Resource],
    table: pd.DataFrame,
    lights: pd.DataFrame,
    connected: NDArray[np.bool_],
    solved: NDArray[np.bool_],
) -> pd.DataFrame:
    """Two rows of lights, up and down, → one row of envelopes; by period, then by resource."""
    up = (table["direction"] == "up").to_numpy()
    planned = np.where(connected[up], _injections(case, named), 0.0)
    accepted = lights["accepted_mw"].to_numpy()
    found = table.loc[up, ["start", "element_type", "element"]].reset_index(drop=True)
    found["p_mw"] = planned
    found["low_mw"] = np.where(solved, planned - accepted[~up], np.nan)
    found["high_mw"] = np.where(solved, planned + accepted[up], np.nan)
    for side, rows in (("low", ~up), ("high", up)):
        for column, source in _WITNESS.items():
            found[f"{side}_{column}"] = lights.loc[rows, source].to_numpy()
    by_period = np.arange(len(found)).reshape(len(named), -1).T.ravel()
    return found.iloc[by_period].reset_index(drop=True)


def _injections(case: Case, named: list[Resource]) -> Floats:
    """Net injection foreseen of every resource in every period, MW, resource by resource."""
    powers: dict[Resource, Floats] = {}
    for table in {pair[0] for pair in named}:
        p_mw = INJECTION_SIGN[table] * element_powers(case, table)[0]
        powers |= {(table, str(label)): p_mw[:, k] for k, label in enumerate(case.grid.labels(table))}
    return np.concatenate([powers[pair] for pair in named])
