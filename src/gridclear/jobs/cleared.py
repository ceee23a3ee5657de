"""A cleared plan: its proof by power flows of its own, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.flow import device_table
from gridclear.network.limits import TOLERANCE, describe, sides
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.rules import broken_rules
from gridclear.powerflow.arrays import NEWTON
from gridclear.powerflow.base import point_powers
from gridclear.powerflow.lanes import PROVED_MVA
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.pricing import Prices
    from gridclear.optimise.problem import Plan, Problem

#: Per cent, or hundredths of a p.u.: the unit of the prices of limits.
_HUNDREDTH = 0.01


@dataclass(frozen=True, eq=False)
class Proof:
    """A plan's states, solved anew without starting voltages.

    Attributes
    ----------
    mismatch_mva : float
        Largest power mismatch of the states that there are.
    over : (period,)
        Worst violation of an effective limit, normalised; +inf where a period that the base state solves
        has no state, -inf where it solves none.
    exchange : (period, point) complex
        In p.u., NaN where there is none.
    shortfall : (request,)
        Distance from the band in p.u.
    rules : tuple of str
        Rules of the market and of devices that the plan breaks.
    """

    mismatch_mva: float
    over: Floats
    exchange: Complexes
    shortfall: Floats
    rules: tuple[str, ...]

    @property
    def worst(self) -> float:
        """Worst violation of all periods."""
        return float(self.over.max(initial=-np.inf))

    @property
    def confirmed(self) -> bool:
        """Every state is balanced and keeps every limit, and the plan keeps every rule."""
        return self.worst <= TOLERANCE and self.mismatch_mva <= PROVED_MVA and not self.rules

    def delivers(self, problem: Problem) -> bool:
        """Every request is met."""
        return bool((self.shortfall * problem.compiled.s_base_mva <= DELIVERED_MVA).all())

    def words(self, s_base_mva: float) -> dict[str, object]:
        """For the provenance of a result."""
        return {
            "mismatch_mva": self.mismatch_mva,
            "worst_violation": self.worst,
            "shortfall_mvar": float(np.nansum(self.shortfall)) * s_base_mva,
            "broken_rules": list(self.rules),
        }


def proof_of(problem: Problem, plan: Plan, threads: int | None) -> Proof:
    """Solve a plan's states anew, from nothing, and look at every limit.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    threads : int, optional

    Returns
    -------
    Proof
    """
    compiled, requests = problem.compiled, problem.requests
    fresh = Scenarios(compiled, threads)
    activations = problem.activations(plan)
    setting = fresh.setting(problem.positions(plan))
    wanted = problem.base.solved
    scan = fresh.scan(activations, setting, problem.base.limits)
    over = np.where(wanted, np.where(scan.solved, scan.high, np.inf), -np.inf)
    mismatch = 0.0
    exchange = np.full((problem.periods, len(compiled.case.connection_points)), np.nan, dtype=np.complex128)
    for topology, rows, out in fresh.states(activations, setting):
        good = out.code <= NEWTON
        mismatch = max(mismatch, float(out.mismatch[good].max(initial=0.0)) * compiled.s_base_mva)
        points = compiled.limits[topology].point
        exchange[rows[good][:, None], points] = point_powers(compiled, topology, out)[good]
    reached = exchange.imag[requests.period, requests.point]
    away = np.maximum(np.abs(reached - requests.q) - requests.tolerance, 0.0)
    short = np.where(np.isnan(reached), np.inf, away)
    return Proof(mismatch, over, exchange, short, broken_rules(problem, plan))


def schedule_table(problem: Problem, plan: Plan) -> pd.DataFrame:
    """Rows as in ``Clearing.schedule``."""
    case, offers, base = problem.compiled.case, problem.offers, problem.compiled.s_base_mva
    share = plan.share[offers.item]
    frames = [
        pd.DataFrame(
            {
                "start": case.horizon.starts[offers.period],
                "bid": offers.bid.astype(object),
                "element_type": offers.element_type.astype(object),
                "element": offers.element.astype(object),
                "p_mw": offers.p * share * base,
                "q_mvar": offers.q * share * base,
                "cost_eur": offers.cost * share,
            }
        )
    ]
    change = problem.stores.scheduled - plan.charge + plan.discharge
    for number, element in enumerate(problem.stores.element):
        frames.append(
            pd.DataFrame(
                {
                    "start": case.horizon.starts,
                    "bid": "",
                    "element_type": "storage",
                    "element": element,
                    "p_mw": change[number] * base,
                    "q_mvar": 0.0,
                    "cost_eur": 0.0,
                }
            )
        )
    table = pd.concat(frames, ignore_index=True)
    return table.sort_values(["start", "bid", "element"], kind="stable").reset_index(drop=True)


def device_moves(problem: Problem, plan: Plan) -> pd.DataFrame:
    """Rows as in ``Clearing.devices``."""
    compiled = problem.compiled
    positions = problem.positions(plan)
    table = device_table(compiled, positions)
    # What a regulator does by itself is no move of the schedule.
    moves = np.zeros_like(positions)
    for device, made in zip(problem.devices, problem.moves(plan), strict=True):
        moves[:, device.device] = made[:, None]
    table["moves"] = moves.ravel()
    table["energy_mwh"] = np.nan
    stores = problem.stores
    energy = stores.energy(plan.charge, plan.discharge, compiled.case.horizon.hours)
    frames = [table.astype({"position": np.float64, "moves": np.float64})]
    for number, element in enumerate(stores.element):
        frames.append(
            pd.DataFrame(
                {
                    "start": compiled.case.horizon.starts,
                    "element_type": "storage",
                    "element": element,
                    "position": np.nan,
                    "moves": np.nan,
                    "energy_mwh": energy[number] * compiled.s_base_mva,
                }
            )
        )
    every = pd.concat(frames, ignore_index=True) if stores.count else frames[0]
    return every.sort_values("start", kind="stable").reset_index(drop=True)


def exchange_table(point: Point, proof: Proof, priced: Prices | None) -> pd.DataFrame:
    """Rows as in ``Clearing.exchange``."""
    problem = point.problem
    case, requests, base = problem.compiled.case, problem.requests, problem.compiled.s_base_mva
    periods, points = proof.exchange.shape
    asked, short, price = (np.full((periods, points), np.nan) for _ in range(3))
    asked[requests.period, requests.point] = requests.q * base
    short[requests.period, requests.point] = proof.shortfall * base
    if priced is not None:
        # What cannot be delivered cannot be bought either: no more of it has a price.
        met = proof.shortfall * base <= DELIVERED_MVA
        price[requests.period, requests.point] = np.where(met, priced.request, np.nan)
    names = case.connection_points["connection_point"].to_numpy(dtype=object)
    return pd.DataFrame(
        {
            "start": case.horizon.starts.repeat(points),
            "connection_point": np.tile(names, periods),
            "p_mw": proof.exchange.real.ravel() * base,
            "q_mvar": proof.exchange.imag.ravel() * base,
            "requested_q_mvar": asked.ravel(),
            "shortfall_mvar": np.where(short <= DELIVERED_MVA, 0.0, short).ravel(),
            "price_eur_mvarh": price.ravel(),
        }
    )


def binding_table(point: Point, priced: Prices | None) -> pd.DataFrame:
    """Rows as in ``Clearing.binding``."""
    compiled = point.problem.compiled
    rows: list[tuple[object, ...]] = []
    if priced is not None:
        for number, (period, constraint) in enumerate(
            zip(priced.period.tolist(), priced.constraint.tolist(), strict=True)
        ):
            local, topology = point.local[period], int(compiled.topology[period])
            if local is None:
                continue
            network, limits = compiled.networks[topology], compiled.limits[topology]
            words = describe(network, limits, constraint, compiled.case)
            limit = float(point.problem.limits[topology][period, constraint])
            sign, unit = (float(one[0]) for one in sides(network, limits, np.array([constraint])))
            value = limit + sign * unit * float(local.over[constraint])
            per = 1.0 / (unit * compiled.s_base_mva) if words.kind == "exchange" else _HUNDREDTH
            rows.append(
                (
                    period,
                    words.kind,
                    words.element_type,
                    words.element,
                    value * words.factor,
                    limit * words.factor,
                    float(priced.value[number]) * per,
                    float(priced.relief[number]) * per,
                )
            )
    names = ["period", "kind", "element_type", "element", "value", "limit", "price_eur", "relief_mvar"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "start", compiled.case.horizon.starts[table.pop("period").to_numpy(dtype=np.int64)])
    return table


def cost_table(point: Point) -> pd.DataFrame:
    """Rows as in ``Clearing.costs``."""
    problem, plan = point.problem, point.plan
    offers, starts = problem.offers, problem.compiled.case.horizon.starts
    taken = np.bincount(
        offers.period, weights=offers.cost * plan.share[offers.item], minlength=problem.periods
    )
    moves = np.array([device.cost for device in problem.devices]) @ problem.moves(plan)
    lost = np.array([np.nan if local is None else local.loss for local in point.local])
    parts = {"bids": taken, "moves": moves, "losses": problem.loss_price * lost}
    return pd.DataFrame(
        {
            "start": starts.repeat(len(parts)),
            "part": np.tile(np.array(list(parts), dtype=object), len(starts)),
            "eur": np.stack(list(parts.values()), axis=1).ravel(),
        }
    )
