"""What was activated: one power flow per period with everything at once, and the tables of the market."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.money import amounts, euros
from gridclear.jobs.needs import COVERED_MW, DIRECTIONS, drawn_mw
from gridclear.jobs.settlement import energies
from gridclear.jobs.verdict import Verdict
from gridclear.network.limits import TOLERANCE, describe, sides
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.arrays import NEWTON
from gridclear.powerflow.lanes import PROVED_MVA
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.case import Case
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.needs import Needs
    from gridclear.jobs.search import Search
    from gridclear.jobs.taken import Taken
    from gridclear.network.network import Floats, Ints

#: Kind of a proof that there is none, for there is no state even with nothing taken.
NO_BASE = "no-base"
_WITNESS = ("kind", "element_type", "element", "value", "limit", "value_at_full")


def confirm_together(
    search: Search, bids: Bids, verdict: Verdict, taken: Taken, threads: int | None
) -> pd.DataFrame:
    """Solve every period anew, from nothing, with all that is taken; rows as in ``Activation.proof``."""
    compiled, base = search.scenarios.compiled, search.base
    case, periods = compiled.case, len(base.solved)
    fresh = Scenarios(compiled, threads)
    sums = bids.activations.part(np.arange(len(bids.item)), taken.share)
    value = np.zeros_like(taken.value)
    row = np.repeat(sums.period, np.diff(sums.first))
    np.add.at(value, (row, np.searchsorted(taken.cells, sums.cell)), sums.value)
    every = Activations.dense(np.arange(periods, dtype=np.int64), taken.cells, value)
    nothing = Activations.none(every.period)
    setting, before = (fresh.setting(search.scenarios.positions(s)) for s in (taken.setting, base.setting))
    scan = fresh.scan(every, setting, base.limits)
    mismatch = np.full(periods, np.nan)
    for _, rows, out in fresh.states(every, setting):
        mismatch[rows] = np.where(out.code <= NEWTON, out.mismatch * compiled.s_base_mva, np.nan)
    over = np.where(scan.solved, scan.high, np.inf)
    # What its own power flow did not confirm at its turn is not confirmed by any other.
    doubtful = bids.marked & (taken.share > 0.0) & ~verdict.confirmed
    kept = np.bincount(bids.activations.period, weights=doubtful, minlength=periods) == 0
    grown = drawn_mw(fresh, every, setting) - drawn_mw(fresh, nothing, before)
    table = pd.DataFrame(
        {
            "start": case.horizon.starts,
            "confirmed": base.solved & kept & (over <= TOLERANCE) & (mismatch <= PROVED_MVA),
            "mismatch_mva": mismatch,
            "losses_mw": grown + _injected_mw(case, bids, taken),
        }
    )
    names, values = _tightest(search, over, scan.which)
    for column, words in zip(("kind", "element_type", "element"), names.T, strict=True):
        table[column] = words
    table["value"], table["limit"] = values.T
    return table


def _injected_mw(case: Case, bids: Bids, taken: Taken) -> Floats:
    """Change of injection inside this grid, (period,) in MW."""
    rows = case.active_bids
    sign = np.where(rows["direction"] == "up", 1.0, -1.0) * bids.marked[bids.unit]
    amount = sign * taken.share[bids.unit] * bids.offered
    periods = case.horizon.periods
    return np.bincount(case.horizon.position(rows["start"]), weights=amount, minlength=periods).astype(
        np.float64
    )


def _tightest(search: Search, over: Floats, which: Ints) -> tuple[NDArray[np.object_], Floats]:
    """Names (period, 3), and value and limit (period, 2), of the constraint with the least margin."""
    compiled, base = search.scenarios.compiled, search.base
    names = np.full((len(over), 3), "", dtype=object)
    values = np.full((len(over), 2), np.nan)
    for period, constraint in enumerate(which.tolist()):
        topology = int(compiled.topology[period])
        if not base.solved[period] or constraint < 0:
            names[period] = "no-solution" if base.solved[period] else NO_BASE, "grid", compiled.case.name
            continue
        network, limits = compiled.networks[topology], compiled.limits[topology]
        words = describe(network, limits, constraint, compiled.case)
        sign, unit = (float(one[0]) for one in sides(network, limits, np.array([constraint])))
        limit = float(base.limits.numbered(topology)[period, constraint])
        names[period] = words.kind, words.element_type, words.element
        values[period] = (limit + sign * unit * over[period]) * words.factor, limit * words.factor
    return names, values


def price_table(case: Case, bids: Bids, taken: Taken, needs: Needs) -> pd.DataFrame:
    """Rows as in ``Activation.prices``, by start, up first."""
    rows = case.active_bids
    key = _keys(case, rows)
    size = case.horizon.periods * len(DIRECTIONS)
    accepted_mw = taken.share[bids.unit] * bids.offered
    dearest = np.full(size, -np.inf)
    set_it = accepted_mw > 0.0
    np.maximum.at(dearest, key[set_it], rows["price_eur_mwh"].to_numpy(dtype=np.float64)[set_it])
    wanted = _keys(case, case.active_need)
    order = np.argsort(wanted, kind="stable")
    need, own = case.active_need.iloc[order], wanted[order]
    need_mw = need["p_mw"].to_numpy(dtype=np.float64)
    supplied = np.bincount(key, weights=needs.supplied[bids.unit] * bids.part_of_unit, minlength=size)[own]
    missing = np.maximum(need_mw - supplied, 0.0)
    missing = np.where(missing <= COVERED_MW, 0.0, missing)
    offered = np.bincount(key, weights=bids.offered > 0.0, minlength=size)[own] > 0
    return pd.DataFrame(
        {
            "start": need["start"].array,
            "direction": need["direction"].to_numpy(dtype=object),
            "need_mw": need_mw,
            "accepted_mw": np.bincount(key, weights=accepted_mw, minlength=size)[own],
            "supplied_mw": supplied,
            "shortfall_mw": missing,
            "price_eur_mwh": np.where(np.isfinite(dearest), dearest, np.nan)[own],
            "state": np.select([missing == 0.0, offered], ["covered", "short"], "no-bids").astype(object),
        }
    )


def _keys(case: Case, rows: pd.DataFrame) -> Ints:
    """Give a number to every row's period and direction."""
    way = rows["direction"].map(DIRECTIONS.index).to_numpy(dtype=np.int64)
    keys: Ints = case.horizon.position(rows["start"]) * len(DIRECTIONS) + way
    return keys


def accepted_table(
    case: Case,
    bids: Bids,
    solved: NDArray[np.bool_],
    lights: pd.DataFrame,
    verdict: Verdict,
    taken: Taken,
    needs: Needs,
    prices: pd.DataFrame,
) -> pd.DataFrame:
    """Rows as in ``Activation.accepted``; ``solved`` (period,) says where there is a base state."""
    rows, unit = case.active_bids, bids.unit
    accepted = taken.share[unit] * bids.offered
    price = np.full(case.horizon.periods * len(DIRECTIONS), np.nan)
    price[_keys(case, prices)] = prices["price_eur_mwh"].to_numpy(dtype=np.float64)
    paid = np.where(accepted > 0.0, price[_keys(case, rows)], np.nan)
    outcome = _outcomes(bids, lights, taken, needs)
    table = lights[["start", "bid"]].assign(
        direction=rows["direction"].to_numpy(dtype=object),
        light=lights["light"],
        offered_mw=lights["offered_mw"],
        safe_mw=lights["accepted_mw"],
        accepted_mw=accepted,
        supplied_mw=needs.supplied[unit] * bids.part_of_unit,
        price_eur_mwh=lights["price_eur_mwh"],
        clearing_price_eur_mwh=paid,
        paid_eur=euros(amounts(paid, energies(accepted, case.horizon.hours))),
        outcome=outcome,
        **{name: lights[name] for name in (*_WITNESS, "reason")},
    )
    # Nobody looked at what was not needed when its turn came.
    unseen = (Verdict.empty(bids, solved).searched & ~verdict.searched)[unit]
    table.loc[unseen, ["light", "kind", "element_type", "element"]] = ""
    table.loc[unseen, ["safe_mw", "value", "limit", "value_at_full"]] = np.nan
    table.loc[unseen, "reason"] = "nothing was needed of it when its turn came"
    table.loc[outcome == "too-large", "reason"] = "its least amount is more than was still needed"
    table.loc[needs.used_up[unit], "reason"] = "its element can do no more beside what was taken of it before"
    return table


def _outcomes(bids: Bids, lights: pd.DataFrame, taken: Taken, needs: Needs) -> NDArray[np.object_]:
    """Say what became of every row."""
    unit = bids.unit
    share = taken.share[unit]
    held = taken.excluding(np.arange(len(bids.item)))
    other = ((held >= 0) & (held != bids.item))[unit]
    red = (lights["light"] == "red").to_numpy()
    found = np.select(
        [share >= 1.0, share > 0.0, ~needs.asked[unit], other, red, needs.used_up[unit]],
        ["taken", "in-part", "not-needed", "excluded", "red", "used-up"],
        "too-large",
    )
    return found.astype(object)
