"""Power flows of a SimBench year: same injections, same mismatch, same outputs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from .check import NodalModel, worst_mismatch_mva
from .peers import Peer, Solver, gridclear_batch, pandapower_loop, pgm
from .registry import Benchmark, Cell, MissingPeerError, Phases, Result, Settings, Target, interleaved
from .year import SMOKE_CASE, States, Year, load_year, positions

PEERS: tuple[Peer, ...] = (*gridclear_batch.PEERS, *pgm.PEERS, *pandapower_loop.PEERS)
OURS, NEWTON = "gridclear, 1 thread", "pgm Newton-Raphson"
PHASES = ("injections", "solve", "polar")
MISMATCH_MVA = 1e-6
REFERENCE_TOLERANCE_MVA = 1e-10
SEARCHED = 2_000  # scenarios on which a peer's tolerance is looked for before the whole year confirms it


TERMS = (
    (
        "injections: element profiles → the solver's injections; solve: bus voltages and branch currents at "
        "both ends; polar: voltages to magnitude and angle where the solver leaves phasors; total: all three."
    ),
    (
        "tolerance: the loosest power of ten of the peer's own stopping rule with a measured mismatch ≤ "
        f"{MISMATCH_MVA:g} MVA over all its scenarios (pgm: p.u. of voltage; gridclear and pandapower: MVA)."
    ),
    (
        "mismatch: largest |S| missing at any node, from pandapower's admittances; ΔV, ΔI: against runpp at "
        f"{REFERENCE_TOLERANCE_MVA:g} MVA on the steps of the loops."
    ),
    (
        "models: pgm is given pandapower's own π values of the transformers (its T model after star-delta "
        "conversion), so all peers solve the same admittances; it gives voltages per node, gridclear per bus."
    ),
)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A peer at the loosest of its tolerances that keeps the mismatch."""

    peer: Peer
    solver: Solver
    year: Year
    tolerance: float
    mismatch_mva: float


def choose(peer: Peer, year: Year, model: NodalModel) -> Chosen:
    """Loosest tolerance whose measured worst mismatch over the year is within `MISMATCH_MVA`.

    The search runs on an even selection; what passes there must pass on the whole year, else it goes on.
    If none passes, the tightest is taken, and its mismatch tells.
    """
    few = year.evenly(SEARCHED)
    for tolerance in peer.tolerances:
        last = tolerance == peer.tolerances[-1]
        if not last and _attempt(peer, few, tolerance, model).mismatch_mva > MISMATCH_MVA:
            continue
        chosen = _attempt(peer, year, tolerance, model)
        if chosen.mismatch_mva <= MISMATCH_MVA or last:
            return chosen
    return _attempt(peer, year, peer.tolerances[-1], model)


def _attempt(peer: Peer, year: Year, tolerance: float, model: NodalModel) -> Chosen:
    solver = peer.make(year, tolerance)
    solver.injections()
    solver.solve()
    solver.polar()
    return Chosen(peer, solver, year, tolerance, worst_mismatch_mva(year, solver.states(), model))


def _once(solver: Solver) -> Phases:
    stamps = [time.perf_counter()]
    for phase in (solver.injections, solver.solve, solver.polar):
        phase()
        stamps.append(time.perf_counter())
    return {phase: stamps[i + 1] - stamps[i] for i, phase in enumerate(PHASES)}


def _differences(states: States, reference: States) -> dict[str, float]:
    """Largest differences to the reference, voltages as phasors in p.u., currents in kA."""
    currents = [states.i_from_ka - reference.i_from_ka, states.i_to_ka - reference.i_to_ka]
    return {
        "max ΔV pu": float(np.abs(states.complex_voltage() - reference.complex_voltage()).max()),
        "max ΔI kA": float(max(np.abs(c).max() for c in currents)),
    }


def _notes(year: Year, model: NodalModel, settings: Settings) -> list[str]:
    elements = sum(len(e.bus) for e in year.elements)
    size = f"{year.scenarios} scenarios, {len(year.net.bus)} buses ({model.y.shape[0]} nodes)"
    steps = min(settings.steps, year.scenarios)
    return [
        f"{size}, {elements} elements with profiles; median of {settings.repeats} runs in turns.",
        *TERMS,
        f"loops: {steps} evenly spread steps, µs per step; the time of all {year.scenarios} is extrapolated.",
    ]


def run(case: str, settings: Settings) -> Result:
    """Time every peer that is installed on one case; see `Settings`."""
    year = load_year(case, settings.scenarios, settings.seed)
    steps = year.evenly(settings.steps)
    model = NodalModel.of(year.net)
    exact = pandapower_loop.PandapowerLoop(steps, REFERENCE_TOLERANCE_MVA, recycle=False)
    exact.solve()
    reference = exact.states()
    compared = positions(year.scenarios, settings.steps)
    chosen: dict[str, Chosen] = {}
    facts: dict[str, dict[str, Cell]] = {}
    notes = _notes(year, model, settings)
    for peer in PEERS:
        if not settings.wants(peer.name):
            continue
        try:
            found = choose(peer, steps if peer.loop else year, model)
        except MissingPeerError as fault:
            notes.append(f"{peer.name}: left out, {fault}")
            continue
        states = found.solver.states()
        chosen[peer.name] = found
        facts[peer.name] = {
            "tolerance": f"{found.tolerance:.0e}",
            "mismatch MVA": found.mismatch_mva,
            **_differences(states if peer.loop else states[compared], reference),
        }
        del states
    seconds = interleaved({name: partial(_once, c.solver) for name, c in chosen.items()}, settings.repeats)
    micros = {n: {ph: s / chosen[n].year.scenarios * 1e6 for ph, s in t.items()} for n, t in seconds.items()}
    base = OURS if OURS in micros else NEWTON
    rows = []
    for name, times in micros.items():
        row: dict[str, Cell] = {"peer": name, **{f"{phase} µs": value for phase, value in times.items()}}
        row["year s"] = times["total"] * year.scenarios / 1e6
        if base in micros:
            row[f"× {base}"] = times["total"] / micros[base]["total"]
        rows.append({**row, **facts[name], "extrapolated": "yes" if chosen[name].peer.loop else "no"})
    return Result("power-flow", case, tuple(rows), tuple(notes), tuple(_targets(case, micros, chosen)))


def _targets(case: str, micros: dict[str, dict[str, float]], chosen: dict[str, Chosen]) -> list[Target]:
    targets = []
    if OURS in micros:
        targets.append(
            Target(
                "worst mismatch, MVA", chosen[OURS].mismatch_mva, MISMATCH_MVA, at_least=False, speed=False
            )
        )
    if OURS in micros and NEWTON in micros and "MV" in case:
        ratio = micros[NEWTON]["total"] / micros[OURS]["total"]
        targets.append(Target(f"times faster than {NEWTON}", ratio, 25.0, at_least=True))
    return targets


BENCHMARK = Benchmark(
    name="power-flow",
    question="Power flow of a year of quarter-hours",
    cases=("1-MV-rural--0-sw", "1-MV-urban--0-sw"),
    extra_cases=("1-HV-mixed--0-sw",),
    smoke_case=SMOKE_CASE,
    peers=tuple(peer.name for peer in PEERS),
    phases=PHASES,
    run=run,
)
