"""Traffic lights by brute force: pandapower's ``runpp``, a scan of the ray and bisection.

This is the second opinion on every light of the guarantee ``each`` with devices ``scheduled``. It takes
a pandapower net and plain tables (`Problem`) and follows the written rules word by word, at the price of
some forty power flows per bid and period; see `plain_grid` for the base state. Read here as follows:

- A bid is one more static generator at the bus of its element: ±p_mw·x, tan_phi·(±p_mw·x). Nothing of it
  is scaled. The transformers stay where the base state has them.
- Accepted is the first crossing on the way from nothing to the full offer. What a crossing below
  `RESOLUTION` of the offer leaves is nothing.
- Bids linked by ``block`` share the smallest accepted fraction among them; if that leaves one of
  them below its ``min_p_mw``, all are red.
- A bid at an element that is out of service, or whose bus has no voltage, in the base state is ``islanded``.
- A bid without element is connected to transmission: green, whatever the grid does.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd

from .plain_grid import (
    NO_SOLUTION,
    Base,
    Key,
    Problem,
    base_state,
    find,
    keys,
    measure,
    number,
    rows,
    solve,
    stamps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Ray = Callable[[float], pd.DataFrame | None]

RESOLUTION = 1e-5  # of the offer
BEYOND = 1e-3  # of the offer: so much more than accepted must break the named constraint
AMOUNT_TOLERANCE_MW = 1e-9
# the engine may stop anywhere within the tolerance; at its edge, 1e-8 p.u. of rounding must not decide
EDGE = 1.1
ISLANDED: Key = ("islanded", "", "")


@dataclass(frozen=True)
class Crossing:
    """How far a bid goes alone: the safe fraction of its offer and what is broken just beyond it."""

    fraction: float
    broken: frozenset[Key]


def ray(problem: Problem, base: Base, bid: Mapping[str, object]) -> Ray:
    """The states on the bid's way: fraction of the offer → `Base.constraints` and the ``value`` there.

    The function returned gives None where the power flow has no solution.
    """
    net = copy.deepcopy(base.net)
    bus = element_row(base, bid)["bus"]
    full_mw = {"up": 1.0, "down": -1.0}[str(bid["direction"])] * number(bid, "p_mw")
    sgen = pp.create_sgen(net, bus, p_mw=0.0, q_mvar=0.0, scaling=1.0, name="activation")
    if "moves" in net.sgen and bid["element_type"] == "sgen":
        net.sgen.loc[sgen, "moves"] = find(net, "sgen", bid["element"])

    def state(fraction: float) -> pd.DataFrame | None:
        net.sgen.loc[sgen, "p_mw"] = fraction * full_mw
        net.sgen.loc[sgen, "q_mvar"] = fraction * full_mw * number(bid, "tan_phi", 0.0)
        return base.constraints.assign(value=measure(problem, net)["value"]) if solve(net) else None

    return state


def element_row(base: Base, bid: Mapping[str, object]) -> pd.Series:
    """The bid's element in the grid of the base state."""
    table = str(bid["element_type"])
    row: pd.Series = base.net[table].loc[find(base.net, table, bid["element"])]
    return row


def stopped(base: Base, bid: Mapping[str, object]) -> Key | None:
    """What makes any activation of the bid senseless: no base state, or no voltage at its element."""
    if not base.solved:
        return NO_SOLUTION
    element = element_row(base, bid)
    lit = element["in_service"] and np.isfinite(base.net.res_bus["vm_pu"].loc[element["bus"]])
    return None if lit else ISLANDED


def broken_by(state: pd.DataFrame | None, edge: float = 1.0) -> frozenset[Key]:
    """Constraints beyond their effective limits by more than ``edge`` times the tolerance."""
    if state is None:
        return frozenset({NO_SOLUTION})
    over = state["side"] * (state["value"] - state["effective"]) > edge * state["tolerance"]
    lost = state["value"].isna() & state["base"].notna()
    return frozenset(keys(state[over | lost]))


def first_crossing(problem: Problem, base: Base, bid: Mapping[str, object], points: int = 21) -> Crossing:
    """First violation between nothing and the full offer: a scan of ``points`` amounts, then bisection.

    As long as several constraints are broken just beyond, the bisection goes on a little past
    `RESOLUTION`, so that the first one can be told (identical parallel branches stay together).
    """
    stop = stopped(base, bid)
    if stop is not None:
        return Crossing(0.0, frozenset({stop}))
    state = ray(problem, base, bid)
    low = 0.0
    for high in np.linspace(0.0, 1.0, points)[1:].tolist():
        broken = broken_by(state(high))
        if broken:
            break
        low = high
    else:
        return Crossing(1.0, frozenset())
    while high - low > RESOLUTION or (len(broken) > 1 and high - low > RESOLUTION / 100):
        middle = (low + high) / 2
        found = broken_by(state(middle))
        low, high, broken = (low, middle, found) if found else (middle, high, broken)
    return Crossing(low if low >= RESOLUTION else 0.0, broken)


def lights(problem: Problem, indices: pd.Index | None = None, points: int = 21) -> pd.DataFrame:
    """Lights of all bid rows, or of those named; a block is judged right only if all its rows are named.

    Returns the index of ``active_bids`` with bid, start, light, offered_mw, accepted_mw and ``broken``,
    the set of constraints that are broken just beyond the accepted amount (of the block's worst period).
    """
    table = problem.active_bids if indices is None else problem.active_bids.loc[indices]
    bids = dict(zip(table.index, rows(table), strict=True))
    alone: dict[object, Crossing] = {}
    for start, group in table.groupby(stamps(table["start"])):
        base = base_state(problem, start)
        for index in group.index:
            bid = bids[index]
            alone[index] = (
                first_crossing(problem, base, bid, points) if "element" in bid else Crossing(1.0, frozenset())
            )
    blocks: dict[object, list[object]] = {}
    for index, bid in bids.items():
        blocks.setdefault(bid.get("block", ("alone", index)), []).append(index)
    found = {}
    for members in blocks.values():
        worst = min((alone[index] for index in members), key=lambda crossing: crossing.fraction)
        whole = all(enough(bids[index], worst.fraction) for index in members)
        fraction = worst.fraction if whole else 0.0
        light = "green" if fraction == 1.0 else "yellow" if fraction > 0.0 else "red"
        for index in members:
            offered = number(bids[index], "p_mw")
            stamp = stamps(pd.Series([bids[index]["start"]])).iloc[0]
            found[index] = [bids[index]["bid"], stamp, light, offered, fraction * offered, worst.broken]
    columns = ["bid", "start", "light", "offered_mw", "accepted_mw", "broken"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns).loc[table.index]


def enough(bid: Mapping[str, object], fraction: float) -> bool:
    """Whether this part of the offer reaches the bid's smallest amount."""
    return fraction * number(bid, "p_mw") >= number(bid, "min_p_mw", 0.0) - AMOUNT_TOLERANCE_MW


def verify_light(problem: Problem, light: Mapping[str, object], base: Base | None = None) -> list[str]:
    """Confirm one published light by itself; returns what is wrong with it, nothing if it is right.

    Checked: colour against amounts; the smallest amount; every amount from nothing to the accepted one
    breaks nothing; where not green, 0.1 % of the offer more breaks the constraint that the light names
    (a bid that is red for its smallest amount: some amount up to that; a block: in one of its periods);
    the value at full activation. ``light`` is one row of ``tlq.lights``; ``base`` saves the base state.
    """
    start = stamps(pd.Series([light["start"]])).iloc[0]
    table = problem.active_bids
    own = table[(table["bid"] == light["bid"]) & (stamps(table["start"]) == start)]
    if len(own) != 1:
        return [f"{len(own)} bids {light['bid']!r} at {start}"]
    bid = next(rows(own))
    offered, accepted = number(bid, "p_mw"), number(light, "accepted_mw")
    colour = "green" if accepted == offered else "yellow" if 0 < accepted < offered else "red"
    faults = []
    if not (light["light"] == colour and 0 <= accepted <= offered and number(light, "offered_mw") == offered):
        faults.append(f"{light['light']} with {accepted} of {offered} MW")
    if accepted > 0 and not enough(bid, accepted / offered):
        faults.append(f"{accepted} MW is less than the smallest amount {bid['min_p_mw']}")
    if "element" not in bid:
        return faults if colour == "green" else [*faults, "a bid at transmission is not ours to stop"]
    base = base_state(problem, start) if base is None else base
    stop = stopped(base, bid)
    if stop is not None:
        right = accepted == 0 and light["kind"] == stop[0]
        return faults if right else [*faults, f"is {stop[0]}, not {light['light']} for {light['kind']!r}"]
    state = ray(problem, base, bid)
    for part in np.linspace(0.0, accepted / offered, 4)[1:].tolist() if accepted > 0 else []:
        broken = broken_by(state(part), EDGE)
        if broken:
            faults.append(f"{part * offered} MW of {accepted} accepted break {sorted(broken)}")
    named = (str(light["kind"]), str(light["element_type"]), str(light["element"]))
    if "block" not in bid:
        faults += check_value_at_full(state(1.0), named, light)
    if colour != "green" and not breaks_beyond(problem, bid, accepted / offered, named, base):
        faults.append(f"{BEYOND:.1%} of the offer beyond {accepted} MW do not break {named}")
    return faults


def same(broken: Key, named: Key) -> bool:
    """Whether a constraint is the one that a light names; "no solution" has no element."""
    if broken[0] != named[0] or broken[0] == "no-solution":
        return broken[0] == named[0]
    return broken[2] == named[2] and (broken[1] == named[1] or broken[0] == "exchange")


def breaks_beyond(
    problem: Problem, bid: Mapping[str, object], fraction: float, named: Key, base: Base
) -> bool:
    """Whether a little more than the accepted fraction breaks the named constraint, in the bid's period
    or, for a block, in that of any of its bids.
    """
    table = problem.active_bids
    linked = list(rows(table[table["block"] == bid["block"]])) if "block" in bid else [bid]
    own_start = stamps(pd.Series([bid["start"]])).iloc[0]
    for member in linked:
        start = stamps(pd.Series([member["start"]])).iloc[0]
        state_of = base if start == own_start else base_state(problem, start)
        stop = stopped(state_of, member)
        if stop is not None:
            if stop[0] == named[0]:
                return True
            continue
        state = ray(problem, state_of, member)
        least = max((number(other, "min_p_mw", 0.0) / number(other, "p_mw") for other in linked), default=0.0)
        parts = [fraction + BEYOND] if fraction > 0 or least == 0 else np.linspace(0, least, 11)[1:].tolist()
        if any(same(key, named) for part in parts for key in broken_by(state(min(part, 1.0)))):
            return True
    return False


def check_value_at_full(state: pd.DataFrame | None, named: Key, light: Mapping[str, object]) -> list[str]:
    """Compare ``value_at_full`` with what the named constraint comes to at the full offer."""
    if state is None or "value_at_full" not in light or not np.isfinite(number(light, "value_at_full")):
        return []
    mine = [v for k, v in zip(keys_in_order(state), state["value"], strict=True) if same(k, named)]
    said = number(light, "value_at_full")
    if any(np.isclose(said, value, rtol=1e-6, atol=1e-6) for value in mine):
        return []
    return [f"value_at_full {said} of {named} is {sorted(set(mine))} here"]


def keys_in_order(state: pd.DataFrame) -> list[Key]:
    """Identify the constraint of every row."""
    return list(zip(state["kind"], state["element_type"], state["element"], strict=True))
