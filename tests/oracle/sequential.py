"""Traffic lights of the guarantee ``merit-order`` by pandapower alone, one bid after the other.

Items (see `activation`) are judged in their order, each on top of all that was accepted before it: a scan of
its ray and bisection in each of its periods, by ``runpp``. Devices stay where the base state has them. Read
here as follows:

- Units of one item in one period (both directions of a block) are each judged alone on top of what was
  accepted before; the smaller share counts for both, and both are then added to the state.
- What was accepted before may stand at the very edge of a tolerance. A constraint that is beyond it there by
  less than a hundredth does not stop a bid that leaves it as it is.
- An item that is shut out by an earlier one of its group is ``exclusive``, whatever the grid says.

As the first light that differs makes others of all later ones, the oracle can *follow*: it then puts the
published amounts of the earlier items on the grid, not its own, and every light is judged by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .activation import LEAST_SHARE, Item, Period, Unit, bids_of, excess, items_of, starts_of
from .brute_force import RESOLUTION, Crossing, broken_by, same
from .plain_grid import NO_SOLUTION, Key, Problem, number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

EXCLUSIVE: Key = ("exclusive", "", "")
AMOUNT = 2e-3  # of the offer: so far may a published amount be from that found here
EDGE = 2e-5  # of the offer: so near to a threshold may a share fall to either side
ROUNDING = 1e-3  # of a tolerance
LAST = 3e-3  # of a tolerance: whoever stops so much before its edge has stopped at it


def lights(
    problem: Problem,
    published: pd.DataFrame | None = None,
    points: int = 11,
    only: Collection[int] | None = None,
) -> pd.DataFrame:
    """Lights of all rows, with the index of ``active_bids``; or of the items that ``only`` names rows of.

    With ``published`` (the rows of ``tlq.lights``, in the order of ``active_bids``) the amounts there are
    what later items find on the grid; ``only`` needs them. ``points``: amounts of the scan of each ray, both
    ends counted.

    Returns bid, start, direction, light, offered_mw, accepted_mw, reach (share that the grid allows, before
    the smallest amounts), least (smallest share that is accepted), and broken (the constraints just beyond).
    ``beyond`` is the largest excess, in tolerances, at the published share of its own unit, of those that
    differ by more than `AMOUNT`; NaN elsewhere. ``inside`` is what would be accepted with tolerances that are
    smaller by `LAST`, of the same.
    """
    bids, starts = bids_of(problem), starts_of(problem)
    said = _published_shares(problem, published)
    if only is not None and not said:
        raise ValueError("some items alone can be judged only on top of published ones")
    items = items_of(problem)
    judged = [item for item in items if only is None or not set(only).isdisjoint(item.rows)]
    periods = {start: Period(problem, start) for start in {u.start for item in judged for u in item.units}}
    accepted: dict[int, float] = {}
    found = {
        i: ("green", 1.0, 1.0, 0.0, frozenset(), np.nan, np.nan)
        for i, bid in bids.items()
        if "element" not in bid
    }
    taken: set[tuple[pd.Timestamp, str]] = set()
    for item in items:
        now = {i: said[i] for unit in item.units for i in unit.rows} if said else {}
        if item not in judged:
            _accept(item, now, accepted, taken)
            continue
        shut = any((unit.start, group) in taken for unit in item.units for group in unit.groups)
        worst = Crossing(0.0, frozenset({EXCLUSIVE})) if shut else _reach(periods, accepted, item, points)
        share = worst.fraction if item.enough(worst.fraction) else 0.0
        light = "green" if share == 1.0 else "yellow" if share > 0.0 else "red"
        least = max(item.least, LEAST_SHARE)
        differs = said and any(
            abs(said[i] - share) > AMOUNT or (said[i] > 0.0) != (share > 0.0) for i in item.rows
        )
        beyond = _beyond(periods, accepted, item, said) if differs and not shut else np.nan
        inside = np.nan
        if differs and not shut:
            inside = _reach(periods, accepted, item, points, 1.0 - LAST).fraction
            inside = inside if item.enough(inside) else 0.0
        for i in item.rows:
            found[i] = (light, share, worst.fraction, least, worst.broken, beyond, inside)
        own = {i: share for unit in item.units for i in unit.rows}
        _accept(item, now or own, accepted, taken)
    return pd.DataFrame.from_dict(
        {
            i: [
                bid["bid"], starts[i], bid["direction"], found[i][0], number(bid, "p_mw"),
                found[i][1] * number(bid, "p_mw"), *found[i][2:],
            ]
            for i, bid in bids.items()
            if i in found and (only is None or "element" in bid)
        },
        orient="index",
        columns=["bid", "start", "direction", "light", "offered_mw", "accepted_mw", "reach", "least",
                 "broken", "beyond", "inside"],
    )  # fmt: skip


def differences(
    problem: Problem,
    published: pd.DataFrame,
    *,
    follow: bool = True,
    points: int = 11,
    witness: bool = False,
    only: Collection[int] | None = None,
) -> pd.DataFrame:
    """What is not the same in ``tlq.lights`` and here, row for row; empty if everything is.

    A row is listed if its colour differs, if the amounts are more than `AMOUNT` of the offer apart, or (with
    ``witness``) if the constraint that a yellow or red light names is none of those broken just beyond.

    Returns the index of ``active_bids`` with bid, start, direction, what, published, found, and ``edge``: the
    reason why the two may differ, empty where they may not. Only a bid whose share falls within `EDGE` of
    the least share that is accepted, or that leaves no more than `LAST` of a tolerance, has such a reason.
    ``note`` says what the grid is like at the published share, if that is told (``follow``). ``only``: index
    labels of the rows whose
    items are judged.
    """
    mine = lights(problem, published if follow else None, points, only)
    told_of = dict(zip(problem.active_bids.index, published.to_dict("records"), strict=True))
    listed: dict[int, list[object]] = {}
    for index, row in mine.iterrows():
        said = told_of[index]
        offered = row["offered_mw"]
        what = ""
        if said["light"] != row["light"]:
            what = "light"
        elif abs(said["accepted_mw"] - row["accepted_mw"]) > AMOUNT * offered:
            what = "amount"
        elif witness and row["light"] != "green" and not _named(said, row["broken"]):
            what = "witness"
        if not what:
            continue
        told = f"{said['light']} {said['accepted_mw'] / offered:.6f} {said['kind']} {said['element']}"
        here = f"{row['light']} {row['accepted_mw'] / offered:.6f} {sorted(row['broken'])}"
        note = "" if np.isnan(row["beyond"]) else f"{row['beyond']:.4g} tolerances at the published share"
        edge = _edge(row, said["accepted_mw"] / offered) if what != "witness" else ""
        listed[index] = [row["bid"], row["start"], row["direction"], what, told, here, edge, note]
    columns = ["bid", "start", "direction", "what", "published", "found", "edge", "note"]
    return pd.DataFrame.from_dict(listed, orient="index", columns=columns)


def first_crossing(
    period: Period, accepted: Mapping[int, float], unit: Unit, points: int = 11, part: float = 1.0
) -> Crossing:
    """How far a unit goes on top of what is accepted, and what is broken just beyond.

    ``part`` of the tolerances is allowed.
    """
    for row in unit.rows:
        stop = period.stopped[row]
        if stop is not None:
            return Crossing(0.0, frozenset({stop}))
    start = period.state(accepted)
    if start is None:
        return Crossing(0.0, frozenset({NO_SOLUTION}))
    over = excess(start)
    at_edge = (over > 1.0 - ROUNDING) & (over < 1.01)
    tolerance = start["tolerance"] * (over + ROUNDING).where(at_edge, part)

    def broken_at(share: float) -> frozenset[Key]:
        state = period.state({**accepted, **dict.fromkeys(unit.rows, share)})
        return broken_by(None if state is None else state.assign(tolerance=tolerance))

    low = 0.0
    for high in np.linspace(0.0, 1.0, points)[1:].tolist():
        broken = broken_at(high)
        if broken:
            break
        low = high
    else:
        return Crossing(1.0, frozenset())
    while high - low > RESOLUTION or (len(broken) > 1 and high - low > RESOLUTION / 100):
        middle = (low + high) / 2
        now = broken_at(middle)
        low, high, broken = (low, middle, now) if now else (middle, high, broken)
    return Crossing(low, broken)


def _accept(
    item: Item,
    shares: Mapping[int, float],
    accepted: dict[int, float],
    taken: set[tuple[pd.Timestamp, str]],
) -> None:
    """Put an item on the grid, and close its groups in the periods where something of it is activated."""
    accepted |= shares
    for unit in item.units:
        if any(shares[i] > 0.0 for i in unit.rows):
            taken |= {(unit.start, group) for group in unit.groups}


def _reach(
    periods: Mapping[pd.Timestamp, Period],
    accepted: Mapping[int, float],
    item: Item,
    points: int,
    part: float = 1.0,
) -> Crossing:
    """The worst of the item's units, with a part of the tolerances."""
    found = (first_crossing(periods[unit.start], accepted, unit, points, part) for unit in item.units)
    return min(found, key=lambda crossing: crossing.fraction)


def _beyond(
    periods: Mapping[pd.Timestamp, Period],
    accepted: Mapping[int, float],
    item: Item,
    said: Mapping[int, float],
) -> float:
    """Largest excess in tolerances with the published shares of the item, its units taken one by one."""
    worst = -np.inf
    for unit in item.units:
        state = periods[unit.start].state({**accepted, **{i: said[i] for i in unit.rows}})
        worst = max(worst, np.inf if state is None else float(excess(state).max()))
    return worst


def _published_shares(problem: Problem, published: pd.DataFrame | None) -> dict[int, float]:
    """Published share of every row; empty if nothing is published."""
    if published is None:
        return {}
    named = (published["bid"].to_numpy() == problem.active_bids["bid"].to_numpy()).all()
    if len(published) != len(problem.active_bids) or not named:
        raise ValueError("the published lights are not in the order of active_bids")
    shares = published["accepted_mw"].to_numpy() / problem.active_bids["p_mw"].to_numpy()
    return dict(zip(problem.active_bids.index, shares.tolist(), strict=True))


def _named(said: Mapping[str, object], broken: frozenset[Key]) -> bool:
    """Whether the constraint of a published light is among those broken just beyond."""
    named = (str(said["kind"]), str(said["element_type"]), str(said["element"]))
    return EXCLUSIVE in broken or any(same(key, named) for key in broken)


def _edge(row: pd.Series, said: float) -> str:
    """Why a published share may be another than that found: at its threshold a share is all or nothing."""
    share = row["accepted_mw"] / row["offered_mw"]
    # On a flat limit much of an offer lies between the two.
    if row["inside"] - AMOUNT <= said <= share + AMOUNT and (said > 0.0 or row["inside"] == 0.0):
        return f"{row['inside']:.6f} leaves {LAST:.1%} of a tolerance"
    near = abs(row["reach"] - row["least"]) <= EDGE
    either = said == 0.0 or abs(said - row["reach"]) <= AMOUNT
    if not (near and either):
        return ""
    return f"the grid allows {row['reach']:.6f}, the least share that is accepted is {row['least']:.6f}"
