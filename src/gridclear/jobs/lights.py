"""Verdicts on bids → the light table, each light with its witness and its reason in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridclear.network.limits import Constraint, describe
from gridclear.network.network import Floats

if TYPE_CHECKING:
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.dead_bands import DeadBands
    from gridclear.jobs.verdict import Verdict
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Ints
    from gridclear.powerflow.base import BaseState

_WITNESS = ("kind", "element_type", "element", "value", "limit", "value_at_full", "reason")


def light_table(
    compiled: CompiledCase, base: BaseState, bids: Bids, verdict: Verdict, bands: DeadBands | None = None
) -> pd.DataFrame:
    """One row per bid row of the case, in its order; columns as in ``Qualification.lights``.

    ``bands`` where it was judged under limits that keep the regulators at rest.
    """
    rows = compiled.case.active_bids
    share = accepted_shares(bids, verdict)[bids.unit]
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
    witness = constraint_witness(compiled, base, bids, verdict, share, bands)
    _fill_unjudged(compiled, bids, verdict, witness)
    _fill_blocks(compiled, bids, verdict, witness)
    for name in _WITNESS:
        table[name] = witness[name]
    return table


def accepted_shares(bids: Bids, verdict: Verdict) -> Floats:
    """Share of every unit that stands: what its own power flow does not confirm is nothing at all."""
    stands = (verdict.confirmed & verdict.searched) | ~bids.marked
    # What does not stand for one unit of an item stands for none of it.
    lost = np.bincount(bids.item, weights=~stands) > 0
    return np.where(lost[bids.item], 0.0, verdict.share)


Witness = dict[str, NDArray[np.object_] | Floats]


def constraint_witness(
    compiled: CompiledCase,
    base: BaseState,
    bids: Bids,
    verdict: Verdict,
    share: Floats,
    bands: DeadBands | None = None,
) -> Witness:
    """Witness of every row that was judged: its constraint in names, units and a sentence."""
    count, unit = len(share), bids.unit
    witness: Witness = {
        "kind": np.full(count, "", dtype=object),
        "element_type": np.full(count, "", dtype=object),
        "element": np.full(count, "", dtype=object),
        "value": np.full(count, np.nan),
        "limit": np.full(count, np.nan),
        "value_at_full": np.full(count, np.nan),
        "reason": np.full(count, "", dtype=object),
    }
    period = bids.activations.period[unit]
    topology = compiled.topology[period]
    judged = (verdict.searched & (verdict.excluded_by < 0))[unit]
    for number, (network, limits) in enumerate(zip(compiled.networks, compiled.limits, strict=True)):
        mine = np.flatnonzero(judged & (topology == number) & (verdict.which[unit] >= 0))
        if not len(mine):
            continue
        which = verdict.which[unit[mine]]
        if bands is None:
            effective = base.limits.numbered(number)[period[mine], which]
            holder = np.full(len(mine), -1)
        else:
            effective = bands.edge(number, period[mine], which)
            holder = bands.holder(number, period[mine], which)
        nominal = limits.numbered[which]
        numbers, place = np.unique(which, return_inverse=True)
        known = [describe(network, limits, int(constraint), compiled.case) for constraint in numbers]
        names = [
            known[k] if regulator < 0 else replace(known[k], element=_regulated_bus(compiled, regulator))
            for k, regulator in zip(place.tolist(), holder.tolist(), strict=True)
        ]
        factor = np.array([name.factor for name in names])
        for column in ("kind", "element_type", "element"):
            witness[column][mine] = np.array([getattr(name, column) for name in names], dtype=object)
        witness["limit"][mine] = effective * factor
        witness["value"][mine] = verdict.value[unit[mine]] * factor
        witness["value_at_full"][mine] = verdict.value_at_full[unit[mine]] * factor
        witness["reason"][mine] = [
            _sentence(name, row, witness, bids, verdict, share)
            for name, row in zip(names, mine.tolist(), strict=True)
        ]
        if bands is not None:
            _name_regulators(compiled, bands, mine, holder, witness, bids, verdict)
        for at in np.flatnonzero((effective != nominal) & (holder < 0)).tolist():
            limit = _number(names[at], nominal[at] * factor[at])
            witness["reason"][mine[at]] += (
                f"; the base state already breaks {limit}, and it must not get worse"
            )
    lost = judged & (verdict.which[unit] < 0)
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
    at_full, unit = witness["value_at_full"][row], bids.unit[row]
    full = (
        f"would reach {_number(name, at_full)}"
        if np.isfinite(at_full)
        else "would have no power-flow solution"
    )
    stop = f"{name.kind} at {what}: limit {limit}, full activation {full}"
    if not verdict.confirmed[unit]:
        return f"the accepted amount was not confirmed by a power flow; {stop}"
    if share[row] == 0.0 and verdict.free[unit] > 0.0:
        safe, least = verdict.free[unit] * bids.offered[row], bids.least[row]
        return f"only {safe:.4g} MW are safe, below the smallest amount of {least:.4g} MW; {stop}"
    return stop


def _name_regulators(
    compiled: CompiledCase,
    bands: DeadBands,
    rows: Ints,
    holder: Ints,
    witness: Witness,
    bids: Bids,
    verdict: Verdict,
) -> None:
    """Say whose dead band it is that stops these rows; ``holder`` is -1 for what is none."""
    restless = bands.restless[bids.activations.period] & ~verdict.confirmed
    for row, regulator in zip(rows.tolist(), holder.tolist(), strict=True):
        if regulator < 0:
            continue
        name = _regulator(compiled, regulator)
        if restless[bids.unit[row]]:
            bus, value, edge = (witness[column][row] for column in ("element", "value", "limit"))
            witness["reason"][row] = (
                f"{name} acts with nothing activated: {value:.4f} p.u. at bus '{bus}', where its dead band"
                f" ends at {edge:.4f} p.u.; nothing is promised while it does"
            )
        else:
            witness["reason"][row] += f"; beyond this limit {name} would act"


def _regulator(compiled: CompiledCase, regulator: int) -> str:
    """Name a regulator by the transformers of its group."""
    regulators, taps = compiled.regulators, compiled.networks[0].taps
    members = regulators.device[regulators.group == regulators.group[regulator]]
    names = [
        f"{kind} '{compiled.case.grid.labels(kind).loc[index]}'"
        for kind, index in zip(
            taps.element_type[members].tolist(), taps.element[members].tolist(), strict=True
        )
    ]
    return "the regulator of " + " and ".join(names)


def _regulated_bus(compiled: CompiledCase, regulator: int) -> str:
    return str(compiled.case.grid.labels("bus").iloc[compiled.regulators.regulated[regulator]])


def _fill_blocks(compiled: CompiledCase, bids: Bids, verdict: Verdict, witness: Witness) -> None:
    """Rows of a block show the witness of the unit that decided for all."""
    starts = compiled.case.horizon.starts
    decisive = verdict.decisive[bids.unit]
    row_of_unit = np.zeros(len(bids.item), dtype=np.int64)
    row_of_unit[bids.unit[::-1]] = np.arange(len(bids.unit))[::-1]
    for row in np.flatnonzero(decisive != bids.unit).tolist():
        source = int(row_of_unit[decisive[row]])
        for name in _WITNESS:
            witness[name][row] = witness[name][source]
        stamp = starts[int(bids.activations.period[decisive[row]])].strftime("%Y-%m-%dT%H:%MZ")
        witness["reason"][row] = f"decided by {stamp} of its block: {witness['reason'][source]}"


def _fill_unjudged(compiled: CompiledCase, bids: Bids, verdict: Verdict, witness: Witness) -> None:
    """Say why of rows that were not judged: not marked, no supply, no base solution, or excluded."""
    rows = compiled.case.active_bids
    excluded = verdict.excluded_by[bids.unit] >= 0
    for row in np.flatnonzero(~verdict.searched[bids.unit] | excluded).tolist():
        kind, element = rows["element_type"].iloc[row], rows["element"].iloc[row]
        if not bids.marked[bids.unit[row]]:
            words = ("", "", "", "connected to transmission: nothing of this grid is touched")
        elif excluded[row]:
            other = rows["bid"].iloc[_first_row(bids, int(verdict.excluded_by[bids.unit[row]]))]
            words = ("exclusive", kind, element, f"bid '{other}' of its exclusive group is accepted")
        elif not bids.connected[row]:
            words = ("islanded", kind, element, f"{kind} '{element}' has no supply in this period")
        elif not bids.supplied[bids.unit[row]]:
            words = ("islanded", kind, element, "another bid of its block has no supply in this period")
        else:
            words = (
                "no-solution",
                "grid",
                compiled.case.name,
                "no power-flow solution before any activation",
            )
        for name, word in zip(("kind", "element_type", "element", "reason"), words, strict=True):
            witness[name][row] = word


def _first_row(bids: Bids, item: int) -> int:
    return int(np.flatnonzero(bids.item[bids.unit] == item)[0])


def _number(name: Constraint, value: float) -> str:
    """Write a value with its unit, as in a sentence."""
    if name.kind == "overload":
        return f"{value:.2f} %"
    unit = {"p": "MW", "q": "Mvar", "s": "MVA"}[name.detail[0]] if name.kind == "exchange" else "p.u."
    return f"{value:.4f} {unit}"
