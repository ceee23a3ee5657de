"""Bids as items and units, and the states of one period under their shares, by pandapower alone.

Read here as follows, where the written rules leave room:

- A *row* is a row of ``active_bids`` with an element. A *unit* moves as one: the rows of one block in one
  period and direction, else a single row. An *item* has one light: a block, or a single row.
- The order of items is that of the price (a block: mean over its rows, weighted with ``p_mw``), then that of
  the smallest (bid, start, direction) of its rows.
- The members of an ``exclusive`` group are items: the units of one item do not shut each other out.
- Rows without element are connected to transmission: no item unless their block has rows with one, whose
  share they then follow.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd

from .brute_force import element_row, stopped
from .plain_grid import Base, Key, Problem, base_state, find, measure, number, rows, solve, stamps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Bid = Mapping[str, object]

LEAST_SHARE = 1e-3  # of the offer: less is no product
NAME = tuple[str, pd.Timestamp, str]


@dataclass(frozen=True)
class Unit:
    """Rows (index labels of ``active_bids``) that move together in one period and direction."""

    start: pd.Timestamp
    direction: str
    rows: tuple[int, ...]
    item: NAME
    groups: frozenset[str]
    p_mw: float


@dataclass(frozen=True)
class Item:
    """What has one share: a block with all its periods, or a single row."""

    name: NAME
    price: float
    rows: tuple[int, ...]
    units: tuple[Unit, ...]
    least: float  # smallest share that every row of it accepts

    def enough(self, share: float) -> bool:
        """Whether the share is a product at all, and reaches the smallest amount of every row."""
        return share >= LEAST_SHARE and share >= self.least - 1e-9


def bids_of(problem: Problem) -> dict[int, Bid]:
    """Rows of ``active_bids`` without their empty cells, by index label."""
    return dict(zip(problem.active_bids.index, rows(problem.active_bids), strict=True))


def starts_of(problem: Problem) -> dict[int, pd.Timestamp]:
    """Period of every row of ``active_bids``."""
    return dict(stamps(problem.active_bids["start"]).items())


def items_of(problem: Problem) -> list[Item]:
    """All items, in merit order."""
    bids, starts = bids_of(problem), starts_of(problem)
    blocks: dict[object, list[int]] = {}
    for index, bid in bids.items():
        blocks.setdefault(bid.get("block", ("alone", index)), []).append(index)
    found = []
    for members in blocks.values():
        placed = [index for index in members if "element" in bids[index]]
        if not placed:
            continue
        name = min((str(bids[i]["bid"]), starts[i], str(bids[i]["direction"])) for i in placed)
        # Exactly: rounding must not set a block behind single rows of the price that all of its rows have.
        offered = [Fraction(number(bids[i], "p_mw")) for i in placed]
        prices = [Fraction(number(bids[i], "price_eur_mwh", 0.0)) for i in placed]
        worth = sum((p * mw for p, mw in zip(prices, offered, strict=True)), Fraction(0))
        price = float(worth / sum(offered)) if len(placed) > 1 else float(prices[0])
        least = max(number(bids[i], "min_p_mw", 0.0) / number(bids[i], "p_mw") for i in members)
        found.append(Item(name, price, tuple(members), units_of(placed, bids, starts, name), least))
    return sorted(found, key=lambda item: (item.price, item.name))


def units_of(
    placed: Sequence[int], bids: Mapping[int, Bid], starts: Mapping[int, pd.Timestamp], item: NAME
) -> tuple[Unit, ...]:
    """The rows of one item, those of one period and direction together."""
    together: dict[tuple[pd.Timestamp, str], list[int]] = {}
    for index in placed:
        together.setdefault((starts[index], str(bids[index]["direction"])), []).append(index)
    return tuple(
        Unit(
            start,
            direction,
            tuple(members),
            item,
            frozenset(str(bids[i]["exclusive"]) for i in members if "exclusive" in bids[i]),
            sum(number(bids[i], "p_mw") for i in members),
        )
        for (start, direction), members in together.items()
    )


def clash(one: Unit, other: Unit) -> bool:
    """Whether two units of a period are shut out by each other."""
    return one.item != other.item and bool(one.groups & other.groups)


class Period:
    """One period: its base state, and the power flow with shares of bids on top of it."""

    def __init__(self, problem: Problem, start: pd.Timestamp) -> None:
        self.problem, self.start = problem, start
        self.base: Base = base_state(problem, start)
        starts = starts_of(problem)
        self.bids = {i: bid for i, bid in bids_of(problem).items() if starts[i] == start and "element" in bid}
        self.stopped: dict[int, Key | None] = {i: stopped(self.base, bid) for i, bid in self.bids.items()}
        self.net = copy.deepcopy(self.base.net)
        self.sgens = {
            i: pp.create_sgen(self.net, element_row(self.base, bid)["bus"], p_mw=0.0, scaling=1.0)
            for i, bid in self.bids.items()
            if self.stopped[i] is None
        }
        for row, sgen in self.sgens.items():
            if "moves" in self.net.sgen and self.bids[row]["element_type"] == "sgen":
                self.net.sgen.loc[sgen, "moves"] = find(self.base.net, "sgen", self.bids[row]["element"])

    def injection(self, row: int) -> tuple[float, float]:
        """MW and Mvar that the whole offer of a row adds at its bus."""
        bid = self.bids[row]
        p_mw = {"up": 1.0, "down": -1.0}[str(bid["direction"])] * number(bid, "p_mw")
        return p_mw, p_mw * number(bid, "tan_phi", 0.0)

    def state(self, shares: Mapping[int, float]) -> pd.DataFrame | None:
        """`Base.constraints` and the ``value`` with these shares of rows; None where there is no solution."""
        for row, sgen in self.sgens.items():
            p_mw, q_mvar = self.injection(row)
            self.net.sgen.loc[sgen, "p_mw"] = shares.get(row, 0.0) * p_mw
            self.net.sgen.loc[sgen, "q_mvar"] = shares.get(row, 0.0) * q_mvar
        if not solve(self.net):
            return None
        return self.base.constraints.assign(value=measure(self.problem, self.net)["value"])


def excess(state: pd.DataFrame) -> pd.Series:
    """How far each value is beyond its effective limit, in tolerances: more than 1 is a violation.

    A value that is lost (it was there in the base state) is infinitely far.
    """
    over = state["side"] * (state["value"] - state["effective"]) / state["tolerance"]
    return over.where(state["value"].notna() | state["base"].isna(), np.inf)
