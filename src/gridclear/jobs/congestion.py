"""Congestion forecast: which limits the forecast breaks, and how much of which resource would cure each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.bids import resolve_bids
from gridclear.jobs.flow import status_of
from gridclear.jobs.resources import DIRECTIONS, find_resources, most_mw, offers, with_bids
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.jobs.slopes import slopes_of_one
from gridclear.jobs.violations import base_violations, broken_limits
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.network.limits import TOLERANCE, describe
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.violations import Broken
    from gridclear.network.network import Floats, Ints

#: Resources that are looked at for every broken limit: those of which least is needed.
_BEST = 5
#: Rounds of the search for the least amount, how near it comes, and how far beyond the linear one it looks.
_ROUNDS, _NEAR, _FARTHEST = 25, 1e-4, 8.0


@dataclass(frozen=True, eq=False)
class Congestion(Result):
    """What the forecast breaks and what would cure it.

    ``status`` is that of the base state: ``solved``, ``partial`` or ``no-solution``.

    Attributes
    ----------
    limits : DataFrame
        start, kind, element_type, element, value, limit: as ``violations`` of ``Flow``.
    cures : DataFrame
        start, kind, element_type, element, resource_type, resource, direction, needed_mw, most_mw, safe: for
        each broken limit the resources of which least is needed, alone, with devices where the base state has
        them. ``needed_mw`` has been confirmed by an AC power flow; ``most_mw`` is what the resource can do
        (NaN: not stated); ``safe``: no other limit is broken or worsened by it.
    """

    limits: pd.DataFrame
    cures: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"limits": self.limits, "cures": self.cures}


@dataclass(frozen=True, eq=False)
class _Pairs:
    """A broken limit and a resource, each pair; amounts in MW."""

    broken: Ints
    unit: Ints
    first_guess: Floats


def congestion_forecast(
    case: Case, *, threads: int | None = None, compiled: CompiledCase | None = None
) -> Congestion:
    """Find the limits that the forecast breaks, and how much of which resource would cure each.

    Parameters
    ----------
    case : Case
        Not changed. Resources are those with active bids, else all.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Congestion

    Raises
    ------
    CaseError
        The case has no resources, or holds what gridclear does not represent.

    Notes
    -----
    The sensitivities of a limit to the injections choose the resources; the amounts are searched with AC
    power flows, from the linear guess on. What resources could do together is the clearing's question.
    """
    watch = Stopwatch()
    with watch.phase("compile"):
        network = compile_case(case) if compiled is None else compiled
        named = find_resources(case, None)
        table = offers(case, named, DIRECTIONS, None)
        network = with_bids(network, table)
        bids = resolve_bids(network)
    with watch.phase("base"):
        scenarios = Scenarios(network, threads)
        base = base_state(scenarios)
    with watch.phase("cures"):
        search = Search(scenarios, base, base.setting, reacts=False)
        broken = broken_limits(network, base)
        pairs = _promising(search, bids, broken)
        needed, safe = _least_amounts(search, bids, broken, pairs)
    with watch.phase("tables"):
        cures = _cures(network, bids, broken, pairs, needed, safe)
        return Congestion(
            status=status_of(base),
            provenance=provenance("congestion", case, {}, watch),
            limits=base_violations(network, base),
            cures=cures,
        )


def _promising(search: Search, bids: Bids, broken: Broken) -> _Pairs:
    """Choose for every broken limit the units of which least is needed, by its slopes at the base state."""
    own = bids.activations
    cells = np.unique(own.cell)
    found = slopes_of_one(
        search, Activations.none(broken.period), search.setting[broken.period], cells, broken.constraint
    )
    rows, units, guesses = [], [], []
    for row, period in enumerate(broken.period.tolist()):
        mine = np.flatnonzero((own.period == period) & bids.supplied)
        part = own.part(mine)
        moved = found.slope[row][np.searchsorted(cells, part.cell)] * part.value
        slope = np.bincount(np.repeat(np.arange(len(mine)), np.diff(part.first)), moved, len(mine))
        helps = np.flatnonzero(slope < 0.0)
        best = helps[np.argsort(slope[helps], kind="stable")][:_BEST]
        rows += [row] * len(best)
        units += mine[best].tolist()
        guesses += (-broken.over[row] / slope[best]).tolist()
    return _Pairs(np.array(rows, dtype=np.int64), np.array(units, dtype=np.int64), np.array(guesses))


def _least_amounts(search: Search, bids: Bids, broken: Broken, pairs: _Pairs) -> tuple[Floats, Floats]:
    """Find the least MW of every pair that cure its limit, NaN where none do; worst violations with them."""
    period, constraint = broken.period[pairs.broken], broken.constraint[pairs.broken]

    def over(amount: Floats) -> tuple[Floats, Floats]:
        lanes = bids.activations.part(pairs.unit, amount)
        scan = search.scenarios.scan(lanes, search.setting[period], search.base.limits, constraint)
        beyond = broken.sign[pairs.broken] * (scan.probed - broken.limit[pairs.broken])
        return np.where(scan.solved, beyond / broken.unit[pairs.broken], np.inf), np.where(
            scan.solved, scan.high, np.inf
        )

    base, guess = broken.over[pairs.broken], pairs.first_guess
    low, at_low = np.zeros(len(guess)), base.copy()
    high, at_high = np.full(len(guess), np.inf), np.full(len(guess), np.nan)
    worst, trial = np.full(len(guess), np.inf), guess.copy()
    for _ in range(_ROUNDS):
        at, others = over(trial)
        cured = at <= TOLERANCE
        high, at_high = np.where(cured, trial, high), np.where(cured, at, at_high)
        low, at_low = np.where(cured, low, trial), np.where(cured, at_low, at)
        worst = np.where(cured, others, worst)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Beyond what was tried: where the chord from nothing says; between: where the chord says.
            further = trial * np.clip(np.nan_to_num(base / (base - at), nan=2.0), 1.1, 2.0)
            chord = low + (high - low) * np.clip(at_low / (at_low - at_high), 0.05, 0.95)
        hopeless = np.isinf(high) & ((further > _FARTHEST * guess) | np.isinf(at_low))
        trial = np.where(np.isinf(high), further, np.where(high - low > _NEAR * high, chord, high))
        trial = np.where(hopeless, low, trial)
    return np.where(np.isfinite(high), high, np.nan), worst


def _cures(
    compiled: CompiledCase, bids: Bids, broken: Broken, pairs: _Pairs, needed: Floats, worst: Floats
) -> pd.DataFrame:
    """Rows as in ``Congestion.cures``; pairs that cannot cure are left out."""
    case = compiled.case
    row_of_unit = np.zeros(len(bids.item), dtype=np.int64)
    row_of_unit[bids.unit] = np.arange(len(bids.unit))
    offered = case.active_bids.iloc[row_of_unit[pairs.unit]]
    period = broken.period[pairs.broken]
    names = [
        describe(compiled.networks[topology], compiled.limits[topology], constraint, case)
        for topology, constraint in zip(
            compiled.topology[period].tolist(), broken.constraint[pairs.broken].tolist(), strict=True
        )
    ]
    table = pd.DataFrame(
        {
            "start": case.horizon.starts[period],
            **{
                column: np.array([getattr(name, column) for name in names], dtype=object)
                for column in ("kind", "element_type", "element")
            },
            "resource_type": offered["element_type"].to_numpy(dtype=object),
            "resource": offered["element"].to_numpy(dtype=object),
            "direction": offered["direction"].to_numpy(dtype=object),
            "needed_mw": needed,
            "most_mw": most_mw(case, case.active_bids, None)[0][row_of_unit[pairs.unit]],
            "safe": worst <= TOLERANCE,
        }
    )
    return table[np.isfinite(needed)].sort_values("start", kind="stable").reset_index(drop=True)
