"""PQ maps: seconds per map and what is covered, beside Ipopt point by point with nothing whole."""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tests.oracle.pq_extremes import ANSWERS, decided, extreme, least_cost
from tests.oracle.pq_judge import MapJudge, curve_of
from tests.oracle.pq_problem import map_problem
from tests.oracle.small_maps import small_map

import gridclear
from benchmarks.peers.runopp_maps import RunoppMap
from benchmarks.registry import Benchmark, Cell, Result, Settings, Target, interleaved
from gridclear.network.compiled import compile_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.oracle.pq_extremes import Whole
    from tests.oracle.pq_problem import MapProblem

ROOT = Path(__file__).resolve().parent.parent
OURS, IPOPT = "gridclear", "CasADi/Ipopt point by point, nothing whole"
WHOLE = "CasADi/Ipopt point by point, at every placing of taps and banks"
RUNOPP = "pandapower runopp point by point, taps and banks as scheduled"
MADE = "map-14"  # of the tests' generator
POINTS = 41
#: Points that Ipopt solves per map, from which the time of all is extrapolated.
DRAWN = 4
EVERY = 14
#: Placings of taps and banks of which Ipopt solves these points, from which the time of all is extrapolated.
PLACINGS = 6
#: Times that a map is asked to be faster than by solving its points one by one.
ASKED_TIMES = 20.0
#: Seconds of a whole case that issue's users can wait, on two cores, so twice that of computing.
ASKED_S = {"grids/mv-rural": 10.0, "grids/hv-mixed": 60.0}
CORES = 2
TERMS = (
    f"s per map: one connection point and period, {POINTS} points and the ends of pieces; one process.",
    (
        f"{IPOPT}: both ends and {DRAWN} exchanges between, by the tests' own programs, extrapolated "
        f"to {POINTS} points; taps and banks move between their ends without steps, smallest amounts are "
        "left out, so its range may be wider and nothing of it can be delivered as it is."
    ),
    (
        f"{WHOLE}: the same at {PLACINGS} placings, and as many of the {POINTS} points as each placing "
        "reaches, extrapolated to all placings: what it takes to have whole steps. Smallest amounts are left "
        "out."
    ),
    (
        f"{RUNOPP}: both ends and {DRAWN} exchanges between, extrapolated; runopp moves no taps and no "
        "banks. Its range is that of the periods where it converges."
    ),
    "violation: worst of the published points in tolerances of its limit, by pandapower; 1 and less is kept.",
)


def run(name: str, settings: Settings) -> Result:
    """Map some periods of a case, in turns with Ipopt; pandapower judges the points."""
    case = small_map(int(name.split("-")[1])) if name == MADE else gridclear.read_case(str(ROOT / name))
    compiled, problem = compile_case(case), map_problem(case)
    periods = list(range(0, case.horizon.periods, EVERY))
    ours = partial(
        gridclear.pq_map, case, starts=case.horizon.starts[periods], points=POINTS, compiled=compiled
    )
    pq = ours()
    keys = [(t, k) for t in periods for k in range(len(problem.points))]
    runs: dict[str, Callable[[], Mapping[str, float]]] = {OURS: partial(_ours, ours)}
    ranges: list[tuple[float, float]] = []
    if settings.wants(IPOPT):
        runs[IPOPT] = partial(_ipopt, problem, keys, ranges)
    seen: dict[str, list[float]] = {WHOLE: [], RUNOPP: []}
    if settings.wants(WHOLE) and name != MADE:
        runs[WHOLE] = partial(_whole, problem, keys, ranges, settings.seed, seen[WHOLE])
    if settings.wants(RUNOPP) and name != MADE:
        runs[RUNOPP] = partial(_runopp, problem, keys, seen[RUNOPP])
    seconds = {key: taken["total"] / len(keys) for key, taken in interleaved(runs, settings.repeats).items()}
    verdict = MapJudge(problem)(pq, most=settings.sample)
    base = seconds.get(IPOPT, math.nan)
    own = [curve_of(pq, problem.clearing.starts[t], problem.points[k]) for t, k in keys]
    rows: list[Mapping[str, Cell]] = [
        {
            "method": OURS,
            "s per map": seconds[OURS],
            "× Ipopt": seconds[OURS] / base,
            "points per map": len(pq.costs) / len(keys),
            "gaps": len(pq.gaps),
            "range Mvar": float(np.mean([one.width for one in own if one is not None])),
            "violation": verdict.over,
        }
    ]
    if ranges:
        rows.append(
            {
                "method": IPOPT,
                "s per map": base,
                "× Ipopt": 1.0,
                "points per map": POINTS,
                "gaps": math.nan,
                "range Mvar": float(np.mean([high - low for low, high in ranges[: len(keys)]])),
                "violation": math.nan,
            }
        )
    rows += [
        {
            "method": peer,
            "s per map": seconds[peer],
            "× Ipopt": seconds[peer] / base,
            "points per map": POINTS,
            "gaps": math.nan,
            "range Mvar": float(np.mean(seen[peer])) if peer == RUNOPP else math.nan,
            "violation": math.nan,
        }
        for peer in (WHOLE, RUNOPP)
        if seen[peer]
    ]
    size = f"{len(case.grid.tables['bus'])} buses; {len(keys)} maps; median of {settings.repeats} runs"
    targets = [
        Target("faults of published points", float(len(verdict.faults)), 0.0, at_least=False, speed=False)
    ]
    targets += [
        Target(f"times as fast as {peer}", seconds[peer] / seconds[OURS], ASKED_TIMES, at_least=True)
        for peer in (WHOLE, RUNOPP)
        if seen[peer]
    ]
    if name in ASKED_S:
        every = case.horizon.periods * len(problem.points)
        limit = ASKED_S[name]
        targets.append(
            Target("s of all maps on two cores", seconds[OURS] * every / CORES, limit, at_least=False)
        )
    return Result("maps", name, tuple(rows), (size, *TERMS), tuple(targets))


def _ours(run_maps: Callable[[], gridclear.PQMap]) -> dict[str, float]:
    begin = time.perf_counter()
    run_maps()
    return {"maps": time.perf_counter() - begin}


def _point_by_point(
    end: Callable[[float], float], at: Callable[[float], object]
) -> tuple[float, float, float, float]:
    """Solve both ends and some exchanges between; seconds for the ends and for a point, and the ends.

    Where there is an end missing, it is NaN, and a point takes nothing.
    """
    begin = time.perf_counter()
    low, high = (end(sign) for sign in (-1.0, 1.0))
    ends, point = time.perf_counter() - begin, 0.0
    if np.isfinite([low, high]).all():
        begin = time.perf_counter()
        for q in np.linspace(low, high, DRAWN + 2)[1:-1].tolist():
            at(q)
        point = (time.perf_counter() - begin) / DRAWN
    return ends, point, low, high


def _by_ipopt(
    problem: MapProblem, period: int, point: int, whole: Whole | None = None
) -> tuple[float, float, float, float]:
    """Let Ipopt solve a map point by point, as of ``_point_by_point``."""

    def end(sign: float) -> float:
        found = extreme(problem, period, point, sign, whole)
        return found.q_mvar if found.status in ANSWERS else math.nan

    return _point_by_point(end, lambda q: least_cost(problem, period, point, q, whole))


def _ipopt(
    problem: MapProblem, keys: list[tuple[int, int]], ranges: list[tuple[float, float]]
) -> dict[str, float]:
    """Solve every map with nothing whole; seconds."""
    total = 0.0
    for t, k in keys:
        ends, point, low, high = _by_ipopt(problem, t, k)
        total += ends + (POINTS - 2) * point
        if np.isfinite([low, high]).all():
            ranges.append((low, high))
    return {"maps": total}


def _whole(
    problem: MapProblem,
    keys: list[tuple[int, int]],
    ranges: list[tuple[float, float]],
    seed: int,
    found: list[float],
) -> dict[str, float]:
    """Solve every map at some placings of the devices; seconds, extrapolated to all of them."""
    total, rng = 0.0, np.random.default_rng(seed)
    for (t, k), (lowest, highest) in zip(keys, ranges, strict=False):
        every, alone = problem.settings(t), problem.alone(t)
        taken, own = np.zeros(len(alone.offers.live), dtype=bool), 0.0
        drawn = rng.permutation(len(every))[:PLACINGS]
        for steps in every[drawn]:
            ends, point, low, high = _by_ipopt(problem, t, k, decided(alone, steps, taken))
            own += ends
            if np.isfinite([low, high]).all():
                found.append(high - low)
                own += point * POINTS * min((high - low) / (highest - lowest), 1.0)
        total += own / len(drawn) * len(every)
    return {"maps": total}


def _runopp(problem: MapProblem, keys: list[tuple[int, int]], found: list[float]) -> dict[str, float]:
    """Let runopp solve every map; seconds."""
    total = 0.0
    for t, k in keys:
        peer = RunoppMap(problem, t, k)
        ends, point, low, high = _point_by_point(peer.extreme, peer.at)
        total += ends + (POINTS - 2) * point
        if np.isfinite([low, high]).all():
            found.append(high - low)
    return {"maps": total}


BENCHMARK = Benchmark(
    name="maps",
    question="PQ maps: seconds per map and what is covered",
    cases=("grids/mv-rural", "grids/mv-urban", "grids/hv-mixed"),
    extra_cases=(MADE,),
    smoke_case=MADE,
    peers=(OURS, IPOPT, WHOLE, RUNOPP),
    phases=("maps",),
    run=run,
)
