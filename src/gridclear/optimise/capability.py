"""What elements can do: bounds on what is taken of all of their offers together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gridclear.case.check_offers import TOLERANCE_MW, room_of
from gridclear.case.schema import INJECTING
from gridclear.errors import CaseError, Issue
from gridclear.network.injections import INJECTION_SIGN, element_powers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.offers import Offers
    from gridclear.optimise.stores import Stores

#: Grid tables of what has an inverter.
_KINDS = ("sgen", "storage")
#: Sides of the polygon inside the circle of apparent power, where active power may move: 0.12 % at most.
_SIDES = 64
#: Change of slope of a curve that is none.
_ROUNDING = 1e-9
#: Lowest value of a row, its highest, and its highest in the circle.
_Ends = tuple[float, float, float]
#: Columns of a row, their values, and its ends.
_Row = tuple["Ints", "Floats", _Ends]
#: Elements by grid table and index.
_Element = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Capability:
    """Rows ``low <= matrix · (shares of the items, charging, discharging) <= high`` in p.u.

    Attributes
    ----------
    matrix : (row, column) sparse
        Columns: items, then charging by store and period, then discharging by store and period.
    low, high : (row,)
        Infinite where there is no bound. Nothing taken keeps every row: the forecast is never outside.
        Rows that nothing could leave are not among them.
    outer : (row,)
        ``high`` without what the polygon inside of a circle leaves out: whatever is in the circle keeps it.
    """

    matrix: sparse.csr_array
    low: Floats
    high: Floats
    outer: Floats


@dataclass(frozen=True)
class _Rating:
    """What one element can do, in p.u."""

    element: str
    s_max: float
    power_factor: float
    curve: tuple[Floats, Floats, Floats] | None


def capability(compiled: CompiledCase, offers: Offers, stores: Stores) -> Capability:
    """Collect the bounds of every element that offers anything, by period.

    Parameters
    ----------
    compiled : CompiledCase
    offers : Offers
    stores : Stores

    Returns
    -------
    Capability

    Raises
    ------
    CaseError
        The active power of an element with a power factor may change its sign, or a curve bends inwards
        where the active power may be.

    Notes
    -----
    Active power has priority: where it is fixed, the reactive power keeps within sqrt(S² - P²), the power
    factor and the curve at that P. A forecast outside of them widens the range up to itself. Active bids of
    one element, each of which it can serve, may be more together than it can do (``case.check_offers``).
    """
    items, periods = len(offers.most), len(compiled.topology)
    columns = items + 2 * stores.count * periods
    elements = _elements(compiled, offers, stores)
    rows = [
        *_of_inverters(compiled, offers, stores, elements),
        *_of_power(compiled, offers, stores, elements),
    ]
    if not rows:
        return Capability(sparse.csr_array((0, columns)), np.zeros(0), np.zeros(0), np.zeros(0))
    first = np.cumsum([0, *(len(row[0]) for row in rows)])
    matrix = sparse.csr_array(
        (np.concatenate([row[1] for row in rows]), np.concatenate([row[0] for row in rows]), first),
        shape=(len(rows), columns),
    )
    matrix.sum_duplicates()
    low, high, outer = np.array([row[2] for row in rows]).T
    return Capability(matrix, low, high, outer)


def _of_inverters(
    compiled: CompiledCase, offers: Offers, stores: Stores, elements: Mapping[_Element, Ints]
) -> Iterator[_Row]:
    """Rows of what has a rating, a power factor or a curve."""
    forecast = {kind: _forecast(compiled, kind) for kind in _KINDS}
    for (kind, index), members in elements.items():
        rating = _rating(compiled, kind, index) if kind in _KINDS else None
        if rating is None:
            continue
        place = compiled.case.grid.tables[kind].index.get_loc(index)
        foreseen, q0 = (power[:, place] for power in forecast[kind])
        store = stores.number(kind, index)
        for period in range(len(compiled.topology)):
            mine = members[offers.period[members] == period]
            column, p, q = _moves(offers, stores, store, mine, period)
            reach = _reach(offers, stores, store, mine, period)
            spread = p * reach
            # What is decided for a storage stands in place of its forecast.
            replaced = stores.scheduled[store, period] if store >= 0 else 0.0
            before = float(foreseen[period])
            p0 = before + replaced
            span = (p0 + np.minimum(spread, 0).sum(), p0 + np.maximum(spread, 0).sum())
            for along_p, along_q, ends in _bounds(
                rating, p0, float(q0[period]), span, float(foreseen[period])
            ):
                value = along_p * p + along_q * q
                if _may_bind(value * reach, ends):
                    yield column, value, ends


def _of_power(
    compiled: CompiledCase, offers: Offers, stores: Stores, elements: Mapping[_Element, Ints]
) -> Iterator[_Row]:
    """Rows of elements whose active bids may be more than they can do."""
    if not offers.p.any():
        return
    left = _left(compiled)
    for (kind, index), members in elements.items():
        store, active = stores.number(kind, index), members[offers.p[members] != 0.0]
        for period in np.unique(offers.period[active]).tolist():
            mine = active[offers.period[active] == period]
            column, p, _ = _moves(offers, stores, store, mine, period)
            # What is decided for a storage stands in place of its forecast.
            replaced = stores.scheduled[store, period] if store >= 0 else 0.0
            down, up = (left.get((kind, index, period, way), np.inf) for way in ("down", "up"))
            ends = (-down - replaced, up - replaced, up - replaced)
            if _may_bind(p * _reach(offers, stores, store, mine, period), ends):
                yield column, p, ends


def _left(compiled: CompiledCase) -> dict[tuple[str, int, int, str], float]:
    """Find what elements with active bids can do from their forecast, in p.u., by period and direction."""
    case = compiled.case
    bids, lookup = case.active_bids, {kind: case.grid.lookup(kind) for kind in INJECTING}
    most = (room_of(case, bids).mw() + TOLERANCE_MW) / compiled.s_base_mva
    columns = (
        bids["element_type"],
        bids["element"],
        case.horizon.position(bids["start"]),
        bids["direction"],
        most,
    )
    return {
        (kind, lookup[kind][element], int(at), way): float(mw)
        for kind, element, at, way, mw in zip(*columns, strict=True)
        if element and not np.isnan(mw)
    }


def _reach(offers: Offers, stores: Stores, store: int, mine: Ints, period: int) -> Floats:
    """Largest value of each column of ``_moves``."""
    return np.concatenate([offers.most[offers.item[mine]], stores.reach(store, period)])


def _may_bind(spread: Floats, ends: _Ends) -> bool:
    """Whether a row can be left when every column goes so far; most sides of a polygon are out of reach."""
    low, high = np.minimum(spread, 0.0).sum(), np.maximum(spread, 0.0).sum()
    return bool(low < ends[0] or high > ends[1])


def _elements(compiled: CompiledCase, offers: Offers, stores: Stores) -> dict[_Element, Ints]:
    """Elements of the grid with offers or free storage, and the offers' rows."""
    lookup = {kind: compiled.case.grid.lookup(kind) for kind in INJECTING}
    found: dict[_Element, list[int]] = {("storage", index): [] for index in stores.index.tolist()}
    for row, (kind, element) in enumerate(
        zip(offers.element_type.tolist(), offers.element.tolist(), strict=True)
    ):
        found.setdefault((kind, lookup[kind][element]), []).append(row)
    return {key: np.array(members, dtype=np.int64) for key, members in found.items()}


def _rating(compiled: CompiledCase, kind: str, index: int) -> _Rating | None:
    """Collect what the tables state of an element; None if nothing."""
    case = compiled.case
    inverter = _row(case.inverters, case.grid.lookup(kind), index)
    storage = _row(case.storage, case.grid.lookup("storage"), index) if kind == "storage" else None
    if inverter is None and storage is None:
        return None
    base = compiled.s_base_mva
    stated = [float(row["s_max_mva"]) for row in (inverter, storage) if row is not None]
    return _Rating(
        element=str(case.grid.labels(kind).loc[index]),
        s_max=float(np.nanmin([*stated, np.inf])) / base,
        power_factor=np.nan if inverter is None else float(inverter["min_power_factor"]),
        curve=None if inverter is None else _curve(compiled, str(inverter["curve"])),
    )


def _curve(compiled: CompiledCase, name: str) -> tuple[Floats, Floats, Floats] | None:
    """Points of a named curve in p.u. by active power: P, least Q, most Q; None without a name."""
    curves = compiled.case.capability_curves
    own = curves[curves["curve"] == name].sort_values("p_mw") if name else curves.iloc[:0]
    if own.empty:
        return None
    p, low, high = (
        own[column].to_numpy(dtype=np.float64) / compiled.s_base_mva
        for column in ("p_mw", "q_min_mvar", "q_max_mvar")
    )
    return p, low, high


def _row(frame: pd.DataFrame, lookup: dict[str, int], index: int) -> pd.Series | None:
    """Row of a table that names an element by its name or origin_id."""
    own = [row for row, name in enumerate(frame["element"]) if lookup.get(name) == index]
    return frame.iloc[own[0]] if own else None


def _forecast(compiled: CompiledCase, kind: str) -> tuple[Floats, Floats]:
    """Forecast injections of a table's elements in p.u., (period, element)."""
    factor = INJECTION_SIGN[kind] / compiled.s_base_mva
    p, q = (power * factor for power in element_powers(compiled.case, kind))
    return p, q


def _moves(
    offers: Offers, stores: Stores, store: int, mine: Ints, period: int
) -> tuple[Ints, Floats, Floats]:
    """Columns that move an element in a period, and its change of P and Q by each."""
    column = len(offers.most) + stores.columns(store, period)
    charging = np.array([-1.0, 1.0])[: len(column)]
    return (
        np.concatenate([offers.item[mine], column]),
        np.concatenate([offers.p[mine], charging]),
        np.concatenate([offers.q[mine], 0.0 * charging]),
    )


def _bounds(
    rating: _Rating, p0: float, q0: float, span: tuple[float, float], foreseen: float
) -> list[tuple[float, float, _Ends]]:
    """Bounds ``low <= a·ΔP + b·ΔQ <= high`` on changes of ``p0`` and ``q0``, as (a, b, (low, high, outer)).

    The forecast, which is ``foreseen`` and ``q0``, is never outside.
    """
    if span[1] - span[0] <= 0.0:
        low, high = _range_at(rating, p0)
        most = max(high, q0) - q0
        return [(0.0, 1.0, (min(low, q0) - q0, most, most))]
    found = [] if rating.curve is None else _along_curve(rating, p0, q0, span, foreseen)
    if np.isfinite(rating.s_max):
        inner = rating.s_max * np.cos(np.pi / _SIDES)
        for angle in 2.0 * np.pi * np.arange(_SIDES) / _SIDES:
            a, b = float(np.cos(angle)), float(np.sin(angle))
            at, never_outside = a * p0 + b * q0, a * foreseen + b * q0
            ends = (-np.inf, max(inner, never_outside) - at, max(rating.s_max, never_outside) - at)
            found.append((a, b, ends))
    if np.isfinite(rating.power_factor):
        if span[0] < 0.0 < span[1]:
            what = f"its active power may be {span[0]:g} to {span[1]:g} p.u., with a power factor"
            expected = "an apparent power alone for an element whose active power changes its sign"
            raise CaseError((Issue("inverters", rating.element, "min_power_factor", what, expected),))
        slope = _tangent(rating.power_factor) * (1.0 if span[0] >= 0.0 else -1.0)
        # |Q| <= slope · P, with Q and P those of the forecast and what is taken.
        for sign in (1.0, -1.0):
            most = max(0.0, sign * q0 - slope * foreseen) - (sign * q0 - slope * p0)
            found.append((-slope, sign, (-np.inf, most, most)))
    return found


def _along_curve(
    rating: _Rating, p0: float, q0: float, span: tuple[float, float], foreseen: float
) -> list[tuple[float, float, _Ends]]:
    """Bounds by the straight parts of a curve, where what lies between its ends is convex."""
    if rating.curve is None:
        return []
    at, least, largest = rating.curve
    # Beyond its ends a curve goes on level.
    inner = at[(at > span[0]) & (at < span[1])]
    place = np.concatenate([[span[0]], inner, [span[1]]])
    found: list[tuple[float, float, _Ends]] = []
    for sign, values in ((1.0, largest), (-1.0, least)):
        bound = sign * np.interp(place, at, values)
        slope = np.diff(bound) / np.diff(place)
        if (np.diff(slope) > _ROUNDING).any():
            what = f"its active power may be {span[0]:g} to {span[1]:g} p.u., where the curve bends inwards"
            expected = "a curve that bends outwards, for an element whose active power is decided"
            raise CaseError((Issue("inverters", rating.element, "curve", what, expected),))
        for rise, begin, value in zip(slope.tolist(), place[:-1].tolist(), bound[:-1].tolist(), strict=True):
            # sign · Q - rise · P <= value - rise · begin
            end = max(value - rise * begin, sign * q0 - rise * foreseen)
            most = end - (sign * q0 - rise * p0)
            found.append((-rise, sign, (-np.inf, most, most)))
    return found


def _range_at(rating: _Rating, p: float) -> tuple[float, float]:
    """Range of Q at a fixed P."""
    most = np.inf
    if np.isfinite(rating.s_max):
        most = np.sqrt(max(0.0, rating.s_max**2 - p**2))
    if np.isfinite(rating.power_factor):
        most = min(most, abs(p) * _tangent(rating.power_factor))
    if rating.curve is None:
        return -float(most), float(most)
    at, least, largest = rating.curve
    low, high = np.interp(p, at, least), np.interp(p, at, largest)
    return max(-float(most), float(low)), min(float(most), float(high))


def _tangent(power_factor: float) -> float:
    return float(np.tan(np.arccos(power_factor)))
