"""Solve, confirm, correct: programs around AC states, until the AC states say that nothing is left to gain."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver
from gridclear.optimise.linearise import Point, assess
from gridclear.optimise.model import FREE, HELD, PERCENT, RELAXED, Cut, Model, build_model, controls, own_cuts

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.problem import Plan, Problem

#: EUR per per cent beyond an effective limit, per per cent left beyond a true one, per Mvar outside a band.
#: Where one of them is not zero in the end, the aims are taken one after the other.
_BROKEN, _UNCURED, _SHORT = 1e6, 1e5, 1e4
#: Shares of the aims' values that count as nothing: per cent, Mvar.
_NOTHING = 1e-7
#: Gain, as a share of the cost, below which a plan is settled.
_SETTLED = 1e-6
_MOST_ROUNDS = 12
_MOST_PROGRAMS = 8


@dataclass
class Rounds:
    """What a clearing has learnt on its way: watched limits, planes below the losses, counts."""

    watched: list[Ints]
    cuts: list[Cut] = field(default_factory=list)
    programs: int = 0
    states: int = 0


@dataclass(frozen=True, eq=False)
class Choice:
    """A plan that a program found, and the program's word on it."""

    plan: Plan
    model: Model
    answer: Answer
    predicted: float


def merit(point: Point) -> float:
    """Weigh a point's aims, EUR: less is better."""
    base = point.problem.compiled.s_base_mva
    broken = sum(np.maximum(local.over, 0.0).sum() for local in point.local if local is not None)
    short = float(np.nansum(point.shortfall)) * base
    return (
        point.cost + _BROKEN * PERCENT * broken + _UNCURED * PERCENT * point.uncured + _SHORT * short
    )


class Successive:
    """One clearing by successive programs."""

    def __init__(self, problem: Problem, deadline: float = np.inf, gap: float = 1e-4) -> None:
        self.problem = problem
        self.rounds = Rounds([np.zeros(0, dtype=np.int64)] * problem.periods)
        self._deadline, self._gap = deadline, gap
        self.log: Callable[[str], None] = lambda _line: None

    def run(self) -> Point:
        start = self._assess(self.problem.nothing())
        point = self._settle(start, RELAXED)
        best = None
        for _ in range(3):
            t = time.perf_counter()
            choice = self._choose(point, FREE, 1.0)
            self.log(f"milp {time.perf_counter() - t:.3f} predicted {choice.predicted:.4f}")
            trial = self._settle(self._assess(choice.plan), HELD)
            self.log(f"  settled {merit(trial):.4f} cost {trial.cost:.4f}")
            if best is not None and merit(trial) > merit(best) - self._gap * abs(best.cost):
                break
            best = point = trial
        return best

    def _assess(self, plan: Plan) -> Point:
        self.rounds.states += 1
        return assess(self.problem, plan)

    def _settle(self, point: Point, whole: str) -> Point:
        """Correct a plan until its AC states agree with the program; devices stay."""
        radius = 1.0
        for _ in range(_MOST_ROUNDS):
            choice = self._choose(point, whole, radius)
            gain = merit(point) - choice.predicted
            self.log(f"    {whole} merit {merit(point):.6f} predicted {choice.predicted:.6f} cost {point.cost:.5f} short {np.nansum(point.shortfall)*self.problem.compiled.s_base_mva:.2e} worst {point.worst:.2e} unc {point.uncured:.5f}")
            if gain <= _SETTLED * abs(point.cost):
                break
            trial = self._assess(choice.plan)
            if trial.solved.all() and merit(trial) < merit(point):
                self.rounds.cuts += own_cuts(point)
                point = trial
            else:
                self.rounds.cuts += own_cuts(trial)
                radius /= 2.0
        return point

    def _choose(self, point: Point, whole: str, radius: float) -> Choice:
        """Solve the program around a point, with limits added until its answer keeps them all."""
        for _ in range(_MOST_PROGRAMS):
            self.rounds.programs += 1
            model = build_model(point, self.rounds.watched, self._sound_cuts(point), whole, radius)
            own = model.columns
            cost = model.program.cost
            base = self.problem.compiled.s_base_mva
            cost[own.broken], cost[own.uncured], cost[own.short.ravel()] = _BROKEN, _UNCURED, _SHORT
            solver = Solver(model.program)
            start = None
            if whole == FREE:
                asked = own.chosen >= 0
                column = np.concatenate([own.chosen[asked], own.steps.ravel()])
                value = np.concatenate([point.plan.share[asked] > 0.0, point.plan.steps.ravel()]).astype(float)
                start = (column, value)
            t = time.perf_counter()
            answer = solver.minimise(cost, gap=(0.0, self._gap * abs(point.cost)), start=start)
            if whole == FREE: self.log(f"   program {model.program.n_row}x{model.program.n_column} {time.perf_counter()-t:.3f} obj {answer.objective:.4f} bound {answer.bound:.4f}")
            if answer.x is None:
                raise RuntimeError(answer.status)
            plan = model.plan(answer.x)
            if not self._watch(point, plan):
                break
        return Choice(plan, model, answer, answer.objective)

    def _sound_cuts(self, point: Point) -> list[Cut]:
        """Keep planes below the losses that the point has."""
        base, found = self.problem.compiled.s_base_mva, []
        for cut in self.rounds.cuts:
            local = point.local[cut.period]
            if local is None:
                continue
            at = controls(self.problem, point.plan, local, cut.period)
            above = cut.level + cut.slope @ at - base * local.loss
            found.append(Cut(cut.period, cut.level - max(above, 0.0), cut.slope))
        return found

    def _watch(self, point: Point, plan: Plan) -> bool:
        """Watch the limits that a plan breaks by the point's slopes; says whether there are new ones."""
        fresh = False
        for period, local in enumerate(point.local):
            if local is None:
                continue
            change = controls(self.problem, plan, local, period) - controls(
                self.problem, point.plan, local, period
            )
            over = np.maximum(local.over, local.beyond) + change @ local.slope
            known = self.rounds.watched[period]
            new = np.setdiff1d(np.flatnonzero(over > _NOTHING / PERCENT), known)
            if len(new):
                fresh = True
                self.rounds.watched[period] = np.union1d(known, new)
        return fresh
