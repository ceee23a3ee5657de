"""Traffic lights of many bids: gridclear against the same lights by ``runpp``."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandapower as pp
import pandas as pd
from tests.oracle.brute_force import broken_by, first_crossing, ray, stopped, verify_light
from tests.oracle.plain_grid import Base, Problem, base_state, problem_of, rows

import gridclear
from benchmarks.made_bids import made_bids
from benchmarks.registry import (
    Benchmark,
    Cell,
    Result,
    Settings,
    Target,
    interleaved,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ("green", "yellow", "red")
THREADS: dict[str, int | None] = {"gridclear, 1 thread": 1, "gridclear, all cores": None}
ORACLE, LEAN = "runpp oracle", "runpp, lean search"
LEAN_RESOLUTION = 1e-3  # of the offer
SAME = 2e-3  # of the offer
TRIALS = 21  # power flows whose median is the time of one
MOST_SECONDS, LEAST_RATIO = 1.0, 1_000.0


@dataclass(frozen=True, eq=False)
class Sampled:
    """What the oracle found for one light."""

    colour: str
    seconds: float
    lean_flows: int
    faults: tuple[str, ...]


def draw(lights: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Draw ``count`` lights, as evenly among the colours as there are enough of each."""
    parts = []
    for colour in COLOURS:
        group = lights[lights["light"] == colour]
        parts.append(group.sample(min(len(group), -(-count // len(COLOURS))), random_state=seed))
    return pd.concat(parts).head(count) if count < len(COLOURS) else pd.concat(parts)


def lean_flows(problem: Problem, base: Base, bid: Mapping[str, object]) -> int:
    """Count the power flows of a search that tries the full offer first and bisects only if it must."""
    if stopped(base, bid) is not None:
        return 0
    state, flows, low, high = ray(problem, base, bid), 1, 0.0, 1.0
    if not broken_by(state(1.0)):
        return flows
    while high - low > LEAN_RESOLUTION:
        middle, flows = (low + high) / 2, flows + 1
        low, high = (low, middle) if broken_by(state(middle)) else (middle, high)
    return flows


def recompute(
    problem: Problem, base: Base, bid: Mapping[str, object], light: Mapping[str, object]
) -> Sampled:
    """Find one light anew and compare: colour, amount, named constraint, and what `verify_light` says."""
    start = time.perf_counter()
    crossing = first_crossing(problem, base, bid)
    seconds = time.perf_counter() - start
    offered, accepted = float(str(light["offered_mw"])), float(str(light["accepted_mw"]))
    fraction = crossing.fraction
    if fraction * offered < float(str(bid.get("min_p_mw", 0.0))) - 1e-9:
        fraction = 0.0
    faults = verify_light(problem, light, base)
    if abs(accepted / offered - fraction) > SAME:
        faults.append(f"accepted {accepted} of {offered} MW, the oracle {fraction * offered}")
    return Sampled(str(light["light"]), seconds, lean_flows(problem, base, bid), tuple(faults))


def one_flow(base: Base) -> float:
    """Median seconds of one ``runpp`` as one would call it."""
    flow = partial(pp.runpp, base.net, calculate_voltage_angles=True, tolerance_mva=1e-8)
    return statistics.median(timed(flow) for _ in range(TRIALS))


def sample(problem: Problem, drawn: pd.DataFrame) -> tuple[list[Sampled], float, float]:
    """Recompute the drawn lights; also seconds of one base state and of one power flow (medians)."""
    found: list[Sampled] = []
    base_seconds: list[float] = []
    flow_seconds: list[float] = []
    table = problem.active_bids
    for start in drawn["start"].unique():
        group = drawn[drawn["start"] == start]
        stopwatch = time.perf_counter()
        base = base_state(problem, start)
        base_seconds.append(time.perf_counter() - stopwatch)
        if not flow_seconds and base.solved:
            flow_seconds.append(one_flow(base))
        for light in group.to_dict("records"):
            bid = next(rows(table[(table["bid"] == light["bid"]) & (table["start"] == start)]))
            found.append(recompute(problem, base, bid, {str(k): v for k, v in light.items()}))
    return found, statistics.median(base_seconds), flow_seconds[0] if flow_seconds else float("nan")


def extrapolate(per_light: list[tuple[str, float]], counts: Mapping[str, int]) -> float:
    """Add up the mean of each colour times the number of its lights."""
    by_colour = {colour: [v for c, v in per_light if c == colour] for colour in counts}
    return sum(counts[c] * statistics.fmean(v) for c, v in by_colour.items() if v)


def run(case_folder: str, settings: Settings) -> Result:
    """Time ``qualify(case, guarantee="each")`` and recompute some of its lights; see `Settings`."""
    folder = ROOT / case_folder
    shipped = gridclear.read_case(str(folder))
    case = replace(shipped, active_bids=made_bids(shipped, settings.bids, settings.seed))
    # the first call compiles the grid and the kernels; what follows is timed
    gridclear.qualify(case, guarantee="each")

    def once(threads: int | None) -> dict[str, float]:
        return {"qualify": timed(partial(gridclear.qualify, case, guarantee="each", threads=threads))}

    answer = gridclear.qualify(case, guarantee="each")
    wanted = {name: threads for name, threads in THREADS.items() if settings.wants(name)} or THREADS
    runs = interleaved({name: partial(once, threads) for name, threads in wanted.items()}, settings.repeats)
    ours = {name: taken["total"] for name, taken in runs.items()}
    best = min(ours, key=ours.__getitem__)
    problem = problem_of(case, pp.from_json(str(folder / "grid.json")))
    found, base_seconds, flow_seconds = sample(problem, draw(answer.lights, settings.sample, settings.seed))
    counts = {c: int((answer.lights["light"] == c).sum()) for c in COLOURS}
    bases = case.horizon.periods * base_seconds
    loops = {
        ORACLE: bases + extrapolate([(s.colour, s.seconds) for s in found], counts),
        LEAN: flow_seconds * extrapolate([(s.colour, s.lean_flows) for s in found], counts),
    }
    table: list[dict[str, Cell]] = [
        {
            "peer": name,
            "s": taken,
            "µs per light": taken / len(answer.lights) * 1e6,
            f"× {best}": taken / ours[best],
            "extrapolated": "yes" if name in loops else "no",
        }
        for name, taken in (ours | loops).items()
    ]
    wrong = [s for s in found if s.faults]
    seconds = answer.provenance["seconds"]
    phases = ", ".join(f"{k} {v:.3g} s" for k, v in seconds.items()) if isinstance(seconds, dict) else ""
    size = f"{settings.bids} made bids × {case.horizon.periods} periods on {case.name}, seed {settings.seed}"
    search = f"full offer first, bisection to {LEAN_RESOLUTION:g} of it only where it breaks something"
    notes = (
        f"{size}: {', '.join(f'{n} {colour}' for colour, n in counts.items())}.",
        f"qualify: median of {settings.repeats} calls after a first one (phases of one: {phases}).",
        f"{ORACLE}: base states, and a scan with bisection to 1e-5 of the offer; by colour.",
        f"{LEAN}: {search}; power flows × {flow_seconds * 1e3:.1f} ms of one runpp, nothing else.",
        f"recomputed: {len(found)} lights, drawn evenly among the colours; {len(wrong)} differ.",
        *(f"differs: {s.colour}, {'; '.join(s.faults)}" for s in wrong[:10]),
    )
    targets = (
        Target("seconds of qualify", ours[best], MOST_SECONDS, at_least=False),
        Target(f"times faster than {LEAN}", loops[LEAN] / ours[best], LEAST_RATIO, at_least=True),
        Target("lights that differ from the oracle's", float(len(wrong)), 0.0, at_least=False, speed=False),
    )
    return Result("lights", case_folder, tuple(table), notes, targets)


BENCHMARK = Benchmark(
    name="lights",
    question="Traffic lights of a thousand bids over the horizon",
    cases=("grids/mv-rural",),
    extra_cases=("grids/mv-urban", "grids/hv-mixed"),
    smoke_case="grids/mv-rural",
    peers=(*THREADS, ORACLE, LEAN),
    phases=("qualify",),
    run=run,
)
