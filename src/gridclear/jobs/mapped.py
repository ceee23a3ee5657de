"""Maps: their proof by power flows of their own, and their tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.cleared import proof_of
from gridclear.jobs.flow import device_names
from gridclear.network.limits import TOLERANCE
from gridclear.optimise.maps import EMPTY, PARTIAL, base_costs, base_exchange
from gridclear.optimise.problem import Requests
from gridclear.powerflow.lanes import PROVED_MVA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.curves import Mark, Trace
    from gridclear.optimise.maps import Found
    from gridclear.optimise.singles import Single, Singles


@dataclass(frozen=True, eq=False)
class Mapped:
    """Maps as they are published.

    Attributes
    ----------
    wanted : tuple of (period, point)
    state : tuple of str
        How each ended.
    gaps : tuple of tuple of (low, high)
        Of each, in p.u.
    marks : tuple of Mark
        Confirmed points of all maps.
    number, run : (mark,) of int
        Which map a mark belongs to, and which run of it.
    exchange : (mark,) complex
        At its connection point, in p.u.
    mismatch_mva : float
        Largest of all states.
    dropped : int
        Points that were traced and not confirmed; their maps are ``partial``.
    """

    wanted: tuple[tuple[int, int], ...]
    state: tuple[str, ...]
    gaps: tuple[tuple[tuple[float, float], ...], ...]
    marks: tuple[Mark, ...]
    number: Ints
    run: Ints
    exchange: Complexes
    mismatch_mva: float
    dropped: int


def confirm(
    singles: Singles,
    wanted: Sequence[tuple[int, int]],
    found: Sequence[tuple[str, Trace | None]],
    threads: int | None,
) -> Mapped:
    """Solve every point of every map anew, from nothing, and keep those that keep every limit.

    Parameters
    ----------
    singles : Singles
    wanted : sequence of (period, point)
    found : sequence of (str, Trace or None)
        Of each.
    threads : int or None

    Returns
    -------
    Mapped
    """
    state = [word for word, _ in found]
    every = [
        (number, run, mark)
        for number, (_, trace) in enumerate(found)
        if trace is not None
        for run, marks in enumerate(trace.runs)
        for mark in marks
    ]
    gaps = tuple(() if trace is None else trace.gaps for _, trace in found)
    none = np.zeros(0, dtype=np.int64)
    if not every:
        return Mapped(
            tuple(wanted), tuple(state), gaps, (), none, none, np.zeros(0, dtype=np.complex128), 0.0, 0
        )
    number = np.array([own for own, _, _ in every], dtype=np.int64)
    period, point = (np.array([wanted[own][part] for own in number.tolist()]) for part in (0, 1))
    proof = prove(singles, period, [mark.single for _, _, mark in every], threads)
    kept = proof.kept
    mark_dropped(state, number, kept)
    return Mapped(
        wanted=tuple(wanted),
        state=tuple(state),
        gaps=gaps,
        marks=tuple(mark for (_, _, mark), good in zip(every, kept, strict=True) if good),
        number=number[kept],
        run=np.array([run for _, run, _ in every], dtype=np.int64)[kept],
        exchange=proof.exchange[np.arange(len(every)), point][kept],
        mismatch_mva=proof.mismatch_mva,
        dropped=int((~kept).sum()),
    )


@dataclass(frozen=True, eq=False)
class Proved:
    """What decisions are when they are solved anew.

    Attributes
    ----------
    kept : (decision,) of bool
        Every limit and every rule is kept.
    exchange : (decision, point) complex
        In p.u.
    mismatch_mva : float
        Largest of all states.
    """

    kept: NDArray[np.bool_]
    exchange: Complexes
    mismatch_mva: float


def prove(singles: Singles, period: Ints, decided: Sequence[Single], threads: int | None) -> Proved:
    """Solve decisions anew, one at least, from nothing, each in its period."""
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    problem = singles.lanes(period, Requests(none, none, nothing, nothing))
    proof = proof_of(problem, singles.plan(problem, decided), threads)
    kept = (proof.over <= TOLERANCE) & (proof.mismatch_mva <= PROVED_MVA) & (not proof.rules)
    return Proved(kept, proof.exchange, proof.mismatch_mva)


def mark_dropped(state: list[str], number: Ints, kept: NDArray[np.bool_]) -> None:
    """Say of maps, whose ``number`` every decision has, that some of theirs, or all, were not confirmed."""
    for own in np.unique(number[~kept]).tolist():
        state[own] = PARTIAL if kept[number == own].any() else EMPTY


def programs_lost(found: Sequence[tuple[str, Found | None]]) -> int:
    """Count the programs on which the solver lost its way, over all maps."""
    return sum(0 if one is None else one.lost for _, one in found)


def range_rows(singles: Singles, mapped: Mapped) -> pd.DataFrame:
    """Rows as in ``PQMap.ranges``."""
    problem = singles.problem
    base, exchange = problem.compiled.s_base_mva, base_exchange(singles)
    period, point = _places(mapped)
    low, high = (np.full(len(period), np.nan) for _ in range(2))
    for number in range(len(period)):
        own = mapped.exchange.imag[mapped.number == number]
        if len(own):
            low[number], high[number] = own.min() * base, own.max() * base
    now = exchange[period, point] * base
    table = _labelled(singles, mapped, np.arange(len(period)))
    table["p_mw"], table["q_min_mvar"], table["q_max_mvar"] = now.real, low, high
    table["q_forecast_mvar"], table["state"] = now.imag, list(mapped.state)
    table["base_violations"] = _broken(singles)[period]
    return table


def cost_rows(singles: Singles, mapped: Mapped) -> pd.DataFrame:
    """Rows as in ``PQMap.costs``."""
    problem = singles.problem
    base, hours = problem.compiled.s_base_mva, problem.compiled.case.horizon.hours
    table = _labelled(singles, mapped, mapped.number)
    table["point"], table["run"] = counted(mapped.number), mapped.run
    table["p_mw"], table["q_mvar"] = mapped.exchange.real * base, mapped.exchange.imag * base
    period = _places(mapped)[0][mapped.number]
    table["cost_eur"] = np.array([mark.cost for mark in mapped.marks]) - base_costs(singles)[period]
    table["price_eur_mvarh"] = np.array([mark.price for mark in mapped.marks]) / hours
    return table


def gap_rows(singles: Singles, mapped: Mapped) -> pd.DataFrame:
    """Rows as in ``PQMap.gaps``."""
    number = np.array([own for own, gaps in enumerate(mapped.gaps) for _ in gaps], dtype=np.int64)
    ends = np.array([gap for gaps in mapped.gaps for gap in gaps]).reshape(-1, 2)
    table = _labelled(singles, mapped, number)
    base = singles.problem.compiled.s_base_mva
    table["q_from_mvar"], table["q_to_mvar"] = ends[:, 0] * base, ends[:, 1] * base
    return table


def dispatch_rows(singles: Singles, mapped: Mapped) -> pd.DataFrame:
    """Rows as in ``PQMap.dispatch``."""
    period = _places(mapped)[0][mapped.number]
    found = decided_rows(singles, period, [mark.single for mark in mapped.marks])
    at = found.pop("place").to_numpy(dtype=np.int64)
    table = _labelled(singles, mapped, mapped.number[at])
    table["point"] = counted(mapped.number)[at]
    return pd.concat([table, found], axis=1)


def decided_rows(singles: Singles, period: Ints, decided: Sequence[Single]) -> pd.DataFrame:
    """Write out decisions: the bids that each takes, as change of injection, and the devices that it moves.

    Parameters
    ----------
    singles : Singles
    period : (decision,) of int
    decided : sequence of Single

    Returns
    -------
    DataFrame
        place (which decision), bid, element_type, element, p_mw, q_mvar, position.
    """
    problem = singles.problem
    offers, base = problem.offers, problem.compiled.s_base_mva
    names = device_names(problem.compiled)
    rows: list[tuple[object, ...]] = []
    for place, (own_period, single) in enumerate(zip(period.tolist(), decided, strict=True)):
        own = singles.rows[own_period]
        taken = np.flatnonzero(single.share > 0.0)
        for row, share in zip(own[taken].tolist(), single.share[taken].tolist(), strict=True):
            rows.append(
                (
                    place,
                    offers.bid[row],
                    offers.element_type[row],
                    offers.element[row],
                    offers.p[row] * share * base,
                    offers.q[row] * share * base,
                    np.nan,
                )
            )
        for device, steps in zip(problem.devices, single.steps.tolist(), strict=True):
            for member, step in zip(device.device.tolist(), device.step.tolist(), strict=True):
                if steps:
                    position = float(problem.compiled.positions[member] + steps * step)
                    named = names.iloc[member]
                    rows.append((place, "", named["element_type"], named["element"], 0.0, 0.0, position))
    columns = ["place", "bid", "element_type", "element", "p_mw", "q_mvar", "position"]
    return pd.DataFrame(rows, columns=columns).astype({"bid": object})


def _places(mapped: Mapped) -> tuple[Ints, Ints]:
    """Period and connection point of every map."""
    wanted = np.array(mapped.wanted, dtype=np.int64).reshape(-1, 2)
    return wanted[:, 0], wanted[:, 1]


def _labelled(singles: Singles, mapped: Mapped, number: Ints) -> pd.DataFrame:
    """Start and connection point of maps."""
    period, point = _places(mapped)
    return labelled(singles, period[number], point[number])


def labelled(singles: Singles, period: Ints, point: Ints) -> pd.DataFrame:
    """Start and connection_point of rows, given their numbers, (row,)."""
    case = singles.problem.compiled.case
    names = case.connection_points["connection_point"].to_numpy(dtype=object)
    return pd.DataFrame({"start": case.horizon.starts[period], "connection_point": names[point]})


def counted(number: Ints) -> Ints:
    """Count the rows of every map from zero, given whose they are, ascending, (row,)."""
    return np.arange(len(number)) - np.searchsorted(number, number)


def _broken(singles: Singles) -> Ints:
    """Count the limits that the base state breaks, (period,)."""
    problem = singles.problem
    count = np.zeros(problem.periods, dtype=np.int64)
    for topology, limits in enumerate(problem.compiled.limits):
        rows = np.flatnonzero((problem.compiled.topology == topology) & problem.base.solved)
        with np.errstate(invalid="ignore"):  # infinite limits
            away: Floats = np.abs(problem.limits[topology][rows] - limits.numbered)
        count[rows] = (away > TOLERANCE).sum(axis=1)
    return count
