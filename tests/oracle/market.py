"""The TSO's activation by pandapower alone: one bid after the other, in the order of price, as far as needed.

Items (see `activation`; here bids of transmission are items, too) are looked at once, in the order of their
prices. Devices stay where the base state has them. Read here as follows, where the rules leave room:

- An item that offers nothing to one of the needs of its periods and directions is passed over, as is one
  whose group has been taken in its period.
- The grid's part is that of `sequential`: each unit on top of all that was taken before, the worst counts.
- Of that, an item is taken up to the share at which one of its needs is covered. With losses, a unit supplies
  what the external grids feed in less (``up``) or more (``down``); the ``up`` of an item goes first.
- An item is taken no further than its elements can go, beside what was taken of them before: see `headroom`.
- What is less than the least amount of one of its rows is not taken at all.

As the first amount that differs makes others of all later ones, published amounts of the earlier items are
put on the grid and taken off the needs: every item is judged by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from . import headroom
from .activation import LEAST_SHARE, Item, Period, Unit, bids_of, excess, starts_of, units_of
from .plain_grid import Problem, number
from .sequential import AMOUNT, EDGE, LAST, first_crossing

if TYPE_CHECKING:
    from collections.abc import Mapping

COVERED_MW = 1e-6


@dataclass(frozen=True)
class Judged:
    """What an item may be given: the share, and shares that are as good where it lies at an edge."""

    share: float
    others: tuple[float, ...]
    light: str


def items_of(problem: Problem) -> list[Item]:
    """All items, transmission's too, in merit order."""
    bids, starts = bids_of(problem), starts_of(problem)
    groups: dict[object, list[int]] = {}
    for index, bid in bids.items():
        groups.setdefault(bid.get("block", ("alone", index)), []).append(index)
    found = []
    for rows in groups.values():
        name = min((str(bids[i]["bid"]), starts[i], str(bids[i]["direction"])) for i in rows)
        offered = np.array([number(bids[i], "p_mw") for i in rows])
        prices = np.array([number(bids[i], "price_eur_mwh") for i in rows])
        price = round(float(prices @ offered / offered.sum()), 9)
        least = max(number(bids[i], "min_p_mw", 0.0) / number(bids[i], "p_mw") for i in rows)
        found.append(Item(name, price, tuple(rows), units_of(rows, bids, starts, name), least))
    return sorted(found, key=lambda item: (item.price, item.name))


def differences(
    problem: Problem, need: pd.DataFrame, accepted: pd.DataFrame, *, losses: bool = False, points: int = 9
) -> list[str]:
    """What is not the same in ``Activation.accepted`` and here, item by item.

    ``accepted`` has the rows of ``active_bids``, in their order. Amounts may be `AMOUNT` of the offer apart.
    """
    bids = bids_of(problem)
    offered = {i: number(bid, "p_mw") for i, bid in bids.items()}
    mw = dict(zip(bids, accepted["accepted_mw"].tolist(), strict=True))
    lights = dict(zip(bids, accepted["light"].tolist(), strict=True))
    supplied = dict(zip(bids, accepted["supplied_mw"].tolist(), strict=True))
    left = {(pd.Timestamp(row.start), row.direction): float(row.p_mw) for row in need.itertuples(index=False)}
    periods: dict[pd.Timestamp, Period] = {}
    taken: set[tuple[pd.Timestamp, str]] = set()
    on_grid: dict[int, float] = {}
    moved: headroom.Moves = {}
    found = []
    for item in items_of(problem):
        for start in {unit.start for unit in item.units} - set(periods):
            periods[start] = Period(problem, start)
        shares = {i: mw[i] / offered[i] for i in item.rows}
        said = min(shares.values())
        able = headroom.able(periods, item, moved)
        judged = _judge(
            problem, periods, item, left, taken, on_grid, said, able, losses=losses, points=points
        )
        if max(shares.values()) - said > 1e-9:
            found.append(f"{item.name}: rows of one item at different shares {shares}")
        if not any(_same(said, share) for share in (judged.share, *judged.others)):
            found.append(f"{item.name}: {said:.6f} taken, {judged.share:.6f} here, {judged.others}")
        if judged.light and not judged.others and any(lights[i] != judged.light for i in item.rows):
            found.append(f"{item.name}: light {lights[item.rows[0]]}, here {judged.light}")
        if losses and said > 0.0:
            for unit, here in zip(item.units, _supply(periods, on_grid, item, said, problem), strict=True):
                there = sum(supplied[i] for i in unit.rows)
                if abs(there - here) > 1e-5:
                    found.append(f"{item.name}: supplies {there:.7f} MW, {here:.7f} here")
        for unit in item.units:
            if said > 0.0:
                taken |= {(unit.start, group) for group in unit.groups}
            left[unit.start, unit.direction] = left.get((unit.start, unit.direction), 0.0) - sum(
                supplied[i] for i in unit.rows
            )
        headroom.take(item, said, bids, moved)
        on_grid |= {i: share for i, share in shares.items() if "element" in bids[i]}
    return found + _broken_together(periods, on_grid)


def _judge(
    problem: Problem,
    periods: Mapping[pd.Timestamp, Period],
    item: Item,
    left: Mapping[tuple[pd.Timestamp, str], float],
    taken: set[tuple[pd.Timestamp, str]],
    on_grid: Mapping[int, float],
    said: float,
    able: float,
    *,
    losses: bool,
    points: int,
) -> Judged:
    open_ = [left.get((unit.start, unit.direction), 0.0) for unit in item.units]
    near = any(abs(mw - COVERED_MW) < COVERED_MW for mw in open_)
    if min(open_) <= COVERED_MW and not near:
        return Judged(0.0, (), "")
    if any((unit.start, group) in taken for unit in item.units for group in unit.groups):
        return Judged(0.0, (), "")
    own = "element" in bids_of(problem)[item.rows[0]]
    reach = _reach(periods, on_grid, item, points, 1.0) if own else 1.0
    share = _wanted(periods, on_grid, item, reach, able, open_, problem, own and losses)
    others = [0.0] if near else []
    enough = max(item.least, LEAST_SHARE if own else 0.0)
    if own and not _same(said, share):
        # Who leaves so little of a tolerance may say that it stopped at the edge.
        inside = _reach(periods, on_grid, item, points, 1.0 - LAST)
        others.append(_wanted(periods, on_grid, item, inside, able, open_, problem, losses))
    if abs(reach - enough) <= EDGE or abs(share - item.least) <= EDGE:
        others += [0.0, reach, share]
    light = "" if near else "green" if reach == 1.0 else "yellow" if item.enough(reach) else "red"
    return Judged(share, tuple(others), light)


def _same(said: float, share: float) -> bool:
    return abs(said - share) <= AMOUNT and (said > 0.0) == (share > 0.0)


def _wanted(
    periods: Mapping[pd.Timestamp, Period],
    on_grid: Mapping[int, float],
    item: Item,
    reach: float,
    able: float,
    open_: list[float],
    problem: Problem,
    losses: bool,
) -> float:
    """Largest share up to what the grid and the elements allow that covers no more than is needed.

    0 if an owner would not accept it.
    """
    own = "element" in bids_of(problem)[item.rows[0]]
    if own and not item.enough(reach):
        return 0.0

    def too_much(share: float) -> bool:
        supply = (
            _supply(periods, on_grid, item, share, problem)
            if losses
            else [share * unit.p_mw for unit in item.units]
        )
        return any(mw > most + 1e-9 for mw, most in zip(supply, open_, strict=True))

    most = min(reach, able)
    if not too_much(most):
        share = most
    else:
        low, high = 0.0, most
        while high - low > AMOUNT / 100:
            middle = (low + high) / 2
            low, high = (low, middle) if too_much(middle) else (middle, high)
        share = low
    return share if share >= item.least - EDGE else 0.0


def _reach(
    periods: Mapping[pd.Timestamp, Period],
    on_grid: Mapping[int, float],
    item: Item,
    points: int,
    part: float,
) -> float:
    return min(
        first_crossing(periods[unit.start], on_grid, unit, points, part).fraction for unit in item.units
    )


def _supply(
    periods: Mapping[pd.Timestamp, Period],
    on_grid: Mapping[int, float],
    item: Item,
    share: float,
    problem: Problem,
) -> list[float]:
    """MW that each unit supplies, losses counted, in the order of ``item.units``."""
    if "element" not in bids_of(problem)[item.rows[0]]:
        return [share * unit.p_mw for unit in item.units]
    found: dict[Unit, float] = {}
    for start in {unit.start for unit in item.units}:
        state = dict(on_grid)
        for direction in ("up", "down"):
            for unit in item.units:
                if (unit.start, unit.direction) == (start, direction):
                    before = _fed(periods[start], state)
                    state |= dict.fromkeys(unit.rows, share)
                    found[unit] = (before - _fed(periods[start], state)) * (1 if direction == "up" else -1)
    return [found[unit] for unit in item.units]


def _fed(period: Period, shares: Mapping[int, float]) -> float:
    """MW that the external grids feed in."""
    assert period.state(shares) is not None
    return float(period.net.res_ext_grid["p_mw"].sum())


def _broken_together(periods: Mapping[pd.Timestamp, Period], on_grid: Mapping[int, float]) -> list[str]:
    """Limits that are broken with everything that is taken."""
    found = []
    for start, period in periods.items():
        state = period.state(on_grid)
        over = np.inf if state is None else float(excess(state).max())
        if over > 1.001:
            found.append(f"{start}: {over:.3f} tolerances beyond a limit with everything taken")
    return found


def random_need(
    case_bids: pd.DataFrame, starts: pd.DatetimeIndex, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bids of transmission beside those of a case, and needs that part of both can cover; (bids, need)."""
    bids, need = [], []
    size = float(case_bids["p_mw"].sum()) / len(starts)
    for start in starts:
        for direction in ("up", "down"):
            own = case_bids[(case_bids["start"] == start) & (case_bids["direction"] == direction)]
            if rng.random() < 0.85 or not need:
                p_mw = round(float(rng.uniform(0.1, 1.1)) * max(float(own["p_mw"].sum()), 0.1 * size), 3)
                need.append({"start": start, "direction": direction, "p_mw": p_mw})
            for number_ in range(int(rng.integers(0, 3))):
                p_mw = round(size * float(rng.uniform(0.05, 0.6)), 3)
                least = float(rng.choice([np.nan, np.nan, 1.0, 0.4])) * p_mw
                bids.append(
                    {"bid": f"T{number_}", "start": start, "direction": direction, "p_mw": p_mw,
                     "price_eur_mwh": round(float(rng.uniform(20.0, 110.0)), 1), "min_p_mw": least}
                )  # fmt: skip
    columns = list(case_bids.columns)
    more = pd.DataFrame(bids, columns=columns)
    for column in columns:
        if case_bids[column].dtype == object or pd.api.types.is_string_dtype(case_bids[column].dtype):
            more[column] = more[column].fillna("").astype(case_bids[column].dtype)
    more["tan_phi"] = more["tan_phi"].astype(float)
    every = pd.concat([case_bids, more], ignore_index=True) if bids else case_bids
    return every, pd.DataFrame(need, columns=["start", "direction", "p_mw"])
