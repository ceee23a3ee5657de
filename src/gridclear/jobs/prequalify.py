"""Grid prequalification: the largest product that each resource may register."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import OptionError
from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.each import judge_each
from gridclear.jobs.lights import accepted_shares, constraint_witness
from gridclear.jobs.probable import repeated, samples_at_once
from gridclear.jobs.resources import (
    DIRECTIONS,
    ISLANDED,
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
from gridclear.jobs.uncertainty import CORRELATION, forecast_samples
from gridclear.network.compiled import compile_case
from gridclear.network.limits import TOLERANCE
from gridclear.network.samples import Samples, sampled_case
from gridclear.powerflow.base import base_state
from gridclear.powerflow.rays import LEAST
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gridclear.case import Case
    from gridclear.jobs.resources import Resource
    from gridclear.jobs.verdict import Verdict
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints

#: Parts of a product that are taken off, one after the other, until a power flow confirms it in every state.
_LESS = (0.0, 1e-4, 1e-3, 1e-2)
_WITNESS = {
    "kind": "kind",
    "element_type": "limit_element_type",
    "element": "limit_element",
    "value": "value",
    "limit": "limit",
    "reason": "reason",
}


@dataclass(frozen=True, eq=False)
class Prequalification(Result):
    """Largest products.

    ``status`` is ``qualified``, ``partial`` (some states have no base solution: nothing is safe in them, and
    ``provenance["unsolved"]`` counts them) or ``no-solution`` (none has one).

    Attributes
    ----------
    products : DataFrame
        element_type, element, direction, largest_mw, cap_mw, start, kind, limit_element_type, limit_element,
        value, limit, reason; one row per resource and direction, and one with direction ``both`` where both
        were asked for. ``start`` is the period that stops the product or comes nearest to a limit; the
        columns after it are the witness there, as in the lights. ``largest_mw`` is NaN, and ``kind``
        ``not-stated``, where nobody says how far the resource can go.
    """

    products: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"products": self.products}


def prequalify(
    case: Case,
    *,
    resources: Iterable[Resource] | None = None,
    p_max_mw: float | None = None,
    directions: Sequence[str] = DIRECTIONS,
    tan_phi: float | None = None,
    every_sample: bool = False,
    samples: int | None = None,
    seed: int = 0,
    correlation: float = CORRELATION,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prequalification:
    """Say of every resource how large a product it may register: safe alone in every state of the case.

    Parameters
    ----------
    case : Case
        Its periods are the states, with their forecasts and outages. Not changed.
    resources : iterable of (element_type, element), optional
        By default every resource with a bid in the case, else every load, sgen, gen and storage.
    p_max_mw : float, optional
        What every resource is taken to be able to do in every state, in MW; by default what it can do there
        by its forecast and the powers that the grid and table ``storage`` state for it.
    directions : sequence of {"up", "down"}
        With both, a third row per resource has the smaller of the two: the largest symmetric product.
    tan_phi : float, optional
        Reactive power that moves with the active power, for all; by default that of the resource's own bids.
    every_sample : bool
        The states are all periods in all samples of the forecast error, not those of the forecast.
    samples, seed, correlation
        See ``forecast_samples``.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    Prequalification

    Raises
    ------
    CaseError
        The bids of a resource contradict each other, the case states no forecast error, or it holds what
        gridclear does not represent.
    OptionError
        Unknown resource or direction, an amount that is not positive, or an option out of range.

    Notes
    -----
    A product of L MW is safe if in every state each amount from nothing to the smaller of L and what the
    resource can do there is safe, the others idle: the guarantee ``each``. States in which the resource has
    no supply are passed over; a product below a thousandth of what the resource can do is none.
    """
    watch = Stopwatch()
    ways = _checked(directions)
    check_amount(p_max_mw)
    with watch.phase("compile"):
        named = find_resources(case, resources)
        table = offers(case, named, ways, tan_phi)
        drawn = Samples(1, ())
        if every_sample:
            drawn = forecast_samples(case, samples=samples, seed=seed, correlation=correlation)
        most = most_mw(case, table, p_max_mw, drawn)
        compiled = compile_case(case)
    with watch.phase("products"):
        found, unsolved = _products(compiled, table, most, drawn, threads, progress)
    with watch.phase("tables"):
        options: dict[str, object] = {
            "p_max_mw": p_max_mw,
            "directions": ways,
            "tan_phi": tan_phi,
            "samples": drawn.count if every_sample else None,
            "seed": seed,
            "correlation": correlation,
        }
        states = drawn.count * case.horizon.periods
        return Prequalification(
            status="qualified" if not unsolved else "partial" if unsolved < states else "no-solution",
            provenance=provenance("prequalify", case, options, watch) | {"unsolved": unsolved},
            products=_with_both(found) if len(ways) == 2 else found,
        )


def _checked(directions: Sequence[str]) -> list[str]:
    wrong = [way for way in directions if way not in DIRECTIONS]
    if wrong or isinstance(directions, str) or not directions:
        raise OptionError(f"directions is {directions!r}; it must be a sequence of up and down")
    return [way for way in DIRECTIONS if way in directions]


def _products(
    compiled: CompiledCase,
    table: pd.DataFrame,
    most: Floats,
    drawn: Samples,
    threads: int | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[pd.DataFrame, int]:
    """Rows of ``products``, and how many states have no base solution."""
    periods = compiled.case.horizon.periods
    cap = most.reshape(drawn.count, -1, periods).max(axis=(0, 2))
    asked = np.flatnonzero(cap > 0.0)
    rows = (asked[:, None] * periods + np.arange(periods)).ravel()
    product = np.arange(len(asked)).repeat(periods)
    found = _unasked(table.iloc[::periods].reset_index(drop=True), cap)
    best, unsolved = None, 0
    bids = resolve_bids(with_bids(compiled, table.iloc[rows])) if len(asked) else None
    at_once = samples_at_once(compiled, len(rows))
    for first in range(0, drawn.count, at_once):
        part = drawn.part(first, first + at_once)
        single = progress if drawn.count == 1 else None
        scenarios = Scenarios(sampled_case(compiled, part), threads)
        base = base_state(scenarios)
        search = Search(scenarios, base, base.setting, reacts=False)
        unsolved += int((~search.base.solved).sum())
        if bids is not None:
            own = _of_size(repeated(bids, part.count, periods), most[first : first + at_once, rows].ravel())
            new = _judge(search, own, np.tile(product, part.count), cap[asked], single)
            best = new if best is None else _worse(best, new)
        if progress is not None and single is None:
            progress(first + part.count, drawn.count)
    if best is not None:
        best["start"] = compiled.case.horizon.starts[best.pop("state").to_numpy() % periods]
        lost = best.pop("lost").to_numpy()
        states = drawn.count * periods
        passed = "; {} of {} states without supply are passed over"
        best["reason"] += [passed.format(count, states) if count else "" for count in lost.tolist()]
        dark = np.isinf(best["largest_mw"].to_numpy())
        best.loc[dark, "largest_mw"] = 0.0
        best.loc[dark, ["kind", "reason"]] = [ISLANDED, "it has no supply in any state in which it could act"]
        for name in best.columns.drop("over"):
            found[name] = found[name].astype(best[name].dtype)
            found.loc[asked, name] = best[name].to_numpy()
    return found, unsolved


def _unasked(rows: pd.DataFrame, cap: Floats) -> pd.DataFrame:
    """Fill the table for resources that can do nothing, or of which nobody says what they can do."""
    unknown = np.isnan(cap)
    reasons = [
        f"neither the grid nor table storage states how far it can go {way}: state it, or give p_max_mw"
        if missing
        else f"it cannot go {way} from its forecast in any state"
        for way, missing in zip(rows["direction"], unknown.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "element_type": rows["element_type"],
            "element": rows["element"],
            "direction": rows["direction"],
            "largest_mw": np.where(unknown, np.nan, 0.0),
            "cap_mw": cap,
            "start": pd.Series([pd.NaT] * len(rows)).dt.tz_localize("UTC").astype(rows["start"].dtype),
            "kind": np.where(unknown, NOT_STATED, RESOURCE).astype(object),
            "limit_element_type": pd.Series([""] * len(rows), dtype=object),
            "limit_element": pd.Series([""] * len(rows), dtype=object),
            "value": np.nan,
            "limit": np.nan,
            "reason": pd.Series(reasons, dtype=object),
        }
    )


def _of_size(bids: Bids, mw: Floats) -> Bids:
    """Give bids, each a unit of 1 MW until now, their sizes (row,)."""
    unit = np.arange(len(bids.item))
    size = np.empty(len(mw))
    size[bids.unit] = mw
    return replace(bids, offered=mw, activations=bids.activations.part(unit, size))


def _judge(
    search: Search,
    bids: Bids,
    product: Ints,
    cap: Floats,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Largest products over some states, each with its worst state and the witness there.

    Parameters
    ----------
    search : Search
    bids : Bids
        One row per product and state, each a unit of its own: all that the resource can do there.
    product : (row,) of int
    cap : (product,)
    progress : callable or None
    """
    verdict = judge_each(search, bids, progress)
    share = accepted_shares(bids, verdict)[bids.unit]
    judged = bids.connected & (bids.offered > 0.0)
    stops = judged & (share < 1.0)
    safe = np.where(stops, share * bids.offered, np.inf)
    largest = cap.copy()
    np.minimum.at(largest, product, safe)
    largest[largest < LEAST * cap] = 0.0

    # Every state is solved once more at the product itself, or at what the resource can do of it. Where two
    # states stop it at almost the same amount, rounding of the power flow may take a little off.
    wanted, failed = largest.copy(), np.ones(len(cap), dtype=bool)
    for less in _LESS:
        largest[failed] = wanted[failed] * (1.0 - less)
        part = np.minimum(1.0, largest[product] / np.where(judged, bids.offered, np.inf))
        over = _confirm(search, bids, verdict, part, judged)
        failed = np.bincount(product[over > TOLERANCE], minlength=len(cap)) > 0
        if not failed.any():
            break
    safe = np.where(failed[product], -over, safe)
    largest[failed] = 0.0

    order = np.lexsort((np.arange(len(product)), -over, safe, product))
    worst = order[np.flatnonzero(np.diff(product[order], prepend=-1))]
    shown = np.zeros(len(bids.item), dtype=bool)
    shown[bids.unit[worst]] = judged[worst]
    own = replace(verdict, searched=verdict.searched & shown)
    compiled = search.scenarios.compiled
    witness = constraint_witness(compiled, search.base, bids, own, part)
    found = pd.DataFrame({column: witness[name][worst] for name, column in _WITNESS.items()})
    state = bids.activations.period[bids.unit[worst]]
    dark = ~search.base.solved[state]
    found.loc[dark, ["kind", "limit_element_type", "limit_element"]] = [
        "no-solution",
        "grid",
        compiled.case.name,
    ]
    found.loc[dark, "reason"] = "no power-flow solution before any activation"
    found["largest_mw"], found["cap_mw"] = largest, cap
    found["state"], found["over"] = state, over[worst]
    found["lost"] = np.bincount(product[~bids.connected], minlength=len(cap))
    # Where it could act in none of these states, they say nothing of the product.
    found.loc[np.bincount(product[judged], minlength=len(cap)) == 0, "largest_mw"] = np.inf
    return found


def _confirm(
    search: Search, bids: Bids, verdict: Verdict, share: Floats, judged: NDArray[np.bool_]
) -> Floats:
    """Solve all rows at these shares, into the verdict; gives their worst violation, -inf if not judged."""
    verdict.share[bids.unit] = verdict.free[bids.unit] = share
    units = np.flatnonzero(verdict.searched)
    over = np.full(len(bids.item), -np.inf)
    own = bids.activations.part(units)
    over[units] = verdict.confirm(search, units, own, search.setting[own.period])
    return np.where(judged, over[bids.unit], -np.inf)


def _worse(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Join two sets of states: of each product the smaller, or the one that comes nearer to a limit."""
    tie = (other["largest_mw"] == one["largest_mw"]) & (one["largest_mw"] >= one["cap_mw"])
    chosen = (other["largest_mw"] < one["largest_mw"]) | (tie & (other["over"] > one["over"]))
    joined = one.where(~chosen, other)
    joined["lost"] = one["lost"] + other["lost"]
    return joined


def _with_both(products: pd.DataFrame) -> pd.DataFrame:
    """Add the symmetric product behind every pair of rows: the smaller of the two."""
    up, down = products.iloc[::2].reset_index(drop=True), products.iloc[1::2].reset_index(drop=True)
    smaller = (down["largest_mw"] < up["largest_mw"]) | down["largest_mw"].isna()
    both = up.where(~smaller, down).assign(direction="both")
    both["cap_mw"] = np.minimum(up["cap_mw"], down["cap_mw"])
    order = np.arange(3 * len(up)).reshape(3, -1).T.ravel()
    return pd.concat([up, down, both], ignore_index=True).iloc[order].reset_index(drop=True)
