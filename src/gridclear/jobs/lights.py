"""Verdicts on bids → the light table, each light with its witness and its reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridclear.network.limits import Constraint, NodeLimits, describe, value_from_violation
from gridclear.network.network import Floats, Ints

if TYPE_CHECKING:
    from gridclear.jobs.bids import Bids
    from gridclear.network.compiled import CompiledCase
    from gridclear.powerflow.base import BaseState

_WITNESS = ("kind", "element_type", "element", "value", "limit", "value_at_full", "reason")


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the power flows say of every bid row; arrays are filled by the job.

    Attributes
    ----------
    searched : (row,) of bool
        There was a state to judge it from.
    free : (row,)
        Safe share by the grid alone.
    share : (row,)
        Accepted share, after blocks and smallest amounts.
    decisive : (row,) of int
        Row that decided the share.
    which : (row,) of int
        Constraint that stops the row, or has the least margin; -1: no solution.
    over : (row,)
        Its violation at the full offer, for rows accepted in full; NaN for others.
    value, value_at_full : (row,)
        Its value at the accepted share and at the full offer in the kernels' unit, for rows not accepted in
        full.
    confirmed : (row,) of bool
        The accepted share passed a power flow of its own.
    """

    searched: NDArray[np.bool_]
    free: Floats
    share: Floats
    decisive: Ints
    which: Ints
    over: Floats
    value: Floats
    value_at_full: Floats
    confirmed: NDArray[np.bool_]

    @classmethod
    def empty(cls, rows: int) -> Verdict:
        """Room for ``rows`` bid rows: nothing judged yet."""
        return cls(
            searched=np.zeros(rows, dtype=bool),
            free=np.zeros(rows),
            share=np.zeros(rows),
            decisive=np.arange(rows),
            which=np.full(rows, -1, dtype=np.int64),
            over=np.full(rows, np.nan),
            value=np.full(rows, np.nan),
            value_at_full=np.full(rows, np.nan),
            confirmed=np.zeros(rows, dtype=bool),
        )


def light_table(compiled: CompiledCase, base: BaseState, bids: Bids, verdict: Verdict) -> pd.DataFrame:
    """One row per bid row of the case, in its order; columns as in ``Qualification.lights``."""
    rows = compiled.case.active_bids
    # A share that its own power flow does not confirm is nothing at all.
    stands = (verdict.confirmed & verdict.searched) | ~bids.marked
    # What does not stand for one row of a block stands for none of it.
    stands &= ~np.isin(bids.block, bids.block[~stands & (bids.block >= 0)])
    share = np.where(stands, verdict.share, 0.0)
    table = pd.DataFrame(
        {
            "start": rows["start"].array,
            "bid": rows["bid"].to_numpy(dtype=object),
            "light": np.select([share >= 1.0, share > 0.0], ["green", "yellow"], "red").astype(object),
            "offered_mw": bids.offered,
            "accepted_mw": share * bids.offered,
            "price_eur_mwh": rows["price_eur_mwh"].to_numpy(dtype=np.float64),
        }
    )
    witness = _constraint_witness(compiled, base, bids, verdict, share)
    _fill_unjudged(compiled, bids, verdict, witness)
    _fill_blocks(compiled, bids, verdict, witness)
    for name in _WITNESS:
        table[name] = witness[name]
    return table


Witness = dict[str, NDArray[np.object_] | Floats]


def _constraint_witness(
    compiled: CompiledCase, base: BaseState, bids: Bids, verdict: Verdict, share: Floats
) -> Witness:
    """Witness of every row that was searched: its constraint in names, units and a sentence."""
    count = len(share)
    witness: Witness = {
        "kind": np.full(count, "", dtype=object),
        "element_type": np.full(count, "", dtype=object),
        "element": np.full(count, "", dtype=object),
        "value": np.full(count, np.nan),
        "limit": np.full(count, np.nan),
        "value_at_full": np.full(count, np.nan),
        "reason": np.full(count, "", dtype=object),
    }
    period = bids.activations.period
    topology = compiled.topology[period]
    for number, (network, limits) in enumerate(zip(compiled.networks, compiled.limits, strict=True)):
        mine = np.flatnonzero(verdict.searched & (topology == number) & (verdict.which >= 0))
        if not len(mine):
            continue
        which = verdict.which[mine]
        effective = _effective(base, number)[period[mine], which]
        nominal = _nominal(limits)[which]
        numbers, place = np.unique(which, return_inverse=True)
        names = [describe(network, limits, int(constraint), compiled.case) for constraint in numbers]
        factor = np.array([name.factor for name in names])[place]
        in_full = value_from_violation(network, limits, which, effective, verdict.over[mine])
        full = np.isfinite(verdict.over[mine])
        for column in ("kind", "element_type", "element"):
            witness[column][mine] = np.array([getattr(name, column) for name in names], dtype=object)[place]
        witness["limit"][mine] = effective * factor
        witness["value"][mine] = np.where(full, in_full, verdict.value[mine]) * factor
        witness["value_at_full"][mine] = np.where(full, in_full, verdict.value_at_full[mine]) * factor
        witness["reason"][mine] = [
            _sentence(names[k], row, witness, bids, verdict, share)
            for k, row in zip(place.tolist(), mine.tolist(), strict=True)
        ]
        for at in np.flatnonzero(effective != nominal).tolist():
            limit = _number(names[place[at]], nominal[at] * factor[at])
            witness["reason"][mine[at]] += (
                f"; the base state already breaks {limit}, and it must not get worse"
            )
    lost = verdict.searched & (verdict.which < 0)
    witness["kind"][lost], witness["element_type"][lost], witness["element"][lost] = (
        "no-solution",
        "grid",
        compiled.case.name,
    )
    witness["reason"][lost] = "beyond the accepted amount the power flow has no solution"
    return witness


def _sentence(
    name: Constraint, row: int, witness: Witness, bids: Bids, verdict: Verdict, share: Floats
) -> str:
    """Why the light of one row is what it is."""
    what = f"{name.element_type} '{name.element}'" + (f" ({name.detail})" if name.detail else "")
    limit = _number(name, witness["limit"][row])
    if share[row] >= 1.0:
        return f"safe in full; least margin at {what}: {_number(name, witness['value'][row])} of {limit}"
    at_full = witness["value_at_full"][row]
    full = (
        f"would reach {_number(name, at_full)}"
        if np.isfinite(at_full)
        else "would have no power-flow solution"
    )
    stop = f"{name.kind} at {what}: limit {limit}, full activation {full}"
    if not verdict.confirmed[row]:
        return f"the accepted amount was not confirmed by a power flow; {stop}"
    if share[row] == 0.0 and verdict.free[row] > 0.0:
        safe, least = verdict.free[row] * bids.offered[row], bids.least[row]
        return f"only {safe:.4g} MW are safe, below the smallest amount of {least:.4g} MW; {stop}"
    return stop


def _fill_blocks(compiled: CompiledCase, bids: Bids, verdict: Verdict, witness: Witness) -> None:
    """Rows of a block show the witness of the row that decided for all."""
    starts = compiled.case.horizon.starts
    for row in np.flatnonzero(verdict.decisive != np.arange(len(verdict.decisive))).tolist():
        decisive = int(verdict.decisive[row])
        for name in _WITNESS:
            witness[name][row] = witness[name][decisive]
        stamp = starts[int(bids.activations.period[decisive])].strftime("%Y-%m-%dT%H:%MZ")
        witness["reason"][row] = f"decided by {stamp} of its block: {witness['reason'][decisive]}"


def _fill_unjudged(compiled: CompiledCase, bids: Bids, verdict: Verdict, witness: Witness) -> None:
    """Rows without a state to judge them from: not marked, without supply, or without a base solution."""
    rows = compiled.case.active_bids
    for row in np.flatnonzero(
        ~verdict.searched & (verdict.decisive == np.arange(len(verdict.decisive)))
    ).tolist():
        kind, element = rows["element_type"].iloc[row], rows["element"].iloc[row]
        if not bids.marked[row]:
            words = ("", "", "", "connected to transmission: nothing of this grid is touched")
        elif not bids.connected[row]:
            words = ("islanded", kind, element, f"{kind} '{element}' has no supply in this period")
        else:
            words = (
                "no-solution",
                "grid",
                compiled.case.name,
                "no power-flow solution before any activation",
            )
        for name, word in zip(("kind", "element_type", "element", "reason"), words, strict=True):
            witness[name][row] = word


def _number(name: Constraint, value: float) -> str:
    """Write a value with its unit, as in a sentence."""
    if name.kind == "overload":
        return f"{value:.2f} %"
    unit = {"p": "MW", "q": "Mvar", "s": "MVA"}[name.detail[0]] if name.kind == "exchange" else "p.u."
    return f"{value:.4f} {unit}"


def _nominal(limits: NodeLimits) -> Floats:
    """Limits in the kernels' numbering, (constraint,)."""
    return np.concatenate([limits.vm_min, limits.vm_max, limits.loading, limits.exchange.ravel()])


def _effective(base: BaseState, topology: int) -> Floats:
    """Effective limits in the kernels' numbering, (period, constraint)."""
    limits = base.limits
    periods = len(limits.vm_min[topology])
    traded = limits.exchange[topology].reshape(periods, -1)
    return np.hstack([limits.vm_min[topology], limits.vm_max[topology], limits.loading[topology], traded])
