"""Sensitivities of solved states: how voltages, loadings and exchanges follow from powers, taps and banks.

All in p.u., as the kernels and ``NodeLimits`` have it. Forward costs a solve per control and gives every
quantity, adjoint a solve per quantity and gives every control; both are exact derivatives of the power flow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gridclear.errors import OptionError
from gridclear.powerflow.arrays import Measures, Moves, SensitivityRoom, Workspace
from gridclear.powerflow.factors import branch_admittance
from gridclear.powerflow.lanes import PROVED_MVA, cut, share_out, worker_count
from gridclear.powerflow.moves import moves_of
from gridclear.powerflow.sensitivity_kernels import adjoint as adjoint_kernel
from gridclear.powerflow.sensitivity_kernels import forward as forward_kernel
from gridclear.powerflow.simd import GROUP, LANES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Floats, Ints, Network
    from gridclear.powerflow.arrays import Factors
    from gridclear.powerflow.lanes import Lanes, Stretch
    from gridclear.powerflow.moves import Controls

#: Column of an exchange's quantity, P, Q or |S|, by column of ``network.limits.EXCHANGE_COLUMNS``.
_EXCHANGE_QUANTITY = np.array([0, 0, 1, 1, 2], dtype=np.int64)
#: From so many states on, threads get whole blocks; below, several of them get less, so that there is work
#: for all.
_MANY = 16 * LANES

#: What a thread works in.
_Room: TypeAlias = "tuple[Workspace, SensitivityRoom]"


@dataclass(frozen=True, eq=False)
class Kept:
    """What passes over one network leave to those after them.

    Attributes
    ----------
    rooms : mapping of sizes to list
        Room for one thread each, by all that its size depends on.
    moves : mapping of (positions, kinds, places) to Moves
        What controls do at a setting.
    paired : mapping of positions to Factors
        Those that have been found to be the positions' own.
    """

    rooms: dict[tuple[int, ...], list[tuple[Workspace, SensitivityRoom]]] = field(default_factory=dict)
    moves: dict[tuple[bytes, bytes, bytes], Moves] = field(default_factory=dict)
    paired: dict[bytes, Factors] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Solved:
    """Solved states of one topology: what the solver was given, and the voltages it found.

    Attributes
    ----------
    network : Network
    stretches : tuple of Stretch
        Which setting each of the states has.
    lanes : Lanes
        Injections of the states.
    vr, vi : (state, node)
        ``node_r`` and ``node_i`` of the output; rows without solution are NaN.
    kept : Kept
        Of earlier passes over this network.
    """

    network: Network
    stretches: tuple[Stretch, ...]
    lanes: Lanes
    vr: Floats
    vi: Floats
    kept: Kept = field(default_factory=Kept)


@dataclass(frozen=True, eq=False)
class Linearised:
    """Quantities at solved states and their derivatives; NaN where there is no solution.

    Attributes
    ----------
    solved : (state,) of bool
        The voltages balance the injections to the mismatch that is proved of every published state, and the
        Jacobian is regular.
    value : (state, quantity) or (state, row)
        The quantities: p.u. of voltage, fraction of the rating, p.u. of power.
    slope : (state, control, quantity) or (state, row, control)
        Their change per unit of each control.
    """

    solved: NDArray[np.bool_]
    value: Floats
    slope: Floats


def quantity_count(network: Network, limits: NodeLimits) -> int:
    """Count the quantities; see ``quantity_of``."""
    return network.n_node + network.n_branch + 3 * len(limits.point_node) + 2


def quantity_of(network: Network, limits: NodeLimits, constraint: ArrayLike) -> Ints:
    """Quantity that each constraint limits.

    Parameters
    ----------
    network, limits
        What the numbers belong to.
    constraint : array-like of int
        Numbers of ``evaluate.worst_limit``; -1 for none. The two numbers behind the last constraint are P and
        Q of all slack nodes together (P changes as the losses do, less what the controls inject).

    Returns
    -------
    array of int
        Voltage of node i → i, loading of branch k → n + k, P, Q, |S| of point e → n + m + 3e + (0, 1, 2), all
        slack nodes → n + m + 3·points + (0, 1); -1 for none.

    Raises
    ------
    OptionError
        There is no such constraint.
    """
    number = np.asarray(constraint, dtype=np.int64)
    n, m, points = network.n_node, network.n_branch, len(limits.point_node)
    last = 2 * n + m + 5 * points + 1
    if ((number < -1) | (number > last)).any():
        raise OptionError(f"constraints must lie in -1 … {last}")
    point, column = np.divmod(number - 2 * n - m, 5)
    exchange = n + m + 3 * point + np.where(point < points, _EXCHANGE_QUANTITY[column], column)
    return np.where(
        number < 0, -1, np.where(number < 2 * n, number % n, np.where(point < 0, number - n, exchange))
    )


def forward(
    states: Solved, limits: NodeLimits, controls: Controls, *, threads: int | None = None
) -> Linearised:
    """Change of every quantity by each control.

    Parameters
    ----------
    states : Solved
    limits : NodeLimits
        Its ratings and connection points; the limits themselves are not looked at.
    controls : Controls
    threads : int, optional
        As in ``solve_batch``; results do not depend on it, bit for bit.

    Returns
    -------
    Linearised
        ``value`` (state, quantity), ``slope`` (state, control, quantity).

    Raises
    ------
    OptionError
        Voltages do not fit the network or the lanes, factors do not fit the positions, or there is no such
        control.

    Notes
    -----
    Injections that depend on the voltage do so here; held voltages stay held, so that ``q`` there moves
    nothing. The loading is that of the larger end. A magnitude has a kink at zero: a loading, or |S| in p.u.,
    below 1e-9 has the derivative zero. Dead buses move nothing.

    A tap's branch admittances are known at whole positions: their derivative is the central difference of the
    two neighbours, which is exact for the parabola through the three, and one-sided at an end of the range. A
    bank is linear in its step.
    """
    count, width = _count(states), quantity_count(states.network, limits)
    n_move = len(controls.kind)
    found = Linearised(
        np.zeros(count, dtype=np.bool_), np.empty((count, width)), np.empty((count, n_move, width))
    )
    slope = found.slope.reshape(count * n_move, width)
    measures, proved = _measures(limits), PROVED_MVA / states.network.s_base_mva
    vr, vi = np.ascontiguousarray(states.vr), np.ascontiguousarray(states.vi)

    def piece(factors: Factors, moves: Moves, first: int, last: int, room: _Room) -> None:
        forward_kernel(
            states.network.structure, factors, states.lanes.sources, states.lanes.changes, measures, moves,
            vr, vi, *room, first, last, proved, found.solved, found.value, slope,
        )  # fmt: skip

    _share_out(states, width, controls, piece, threads, points=len(limits.point_node))
    return found


def adjoint(
    states: Solved,
    limits: NodeLimits,
    controls: Controls,
    constraint: ArrayLike,
    *,
    threads: int | None = None,
) -> Linearised:
    """Change of some constraints' quantities by every control.

    Parameters
    ----------
    states, limits, controls, threads
        As in ``forward``.
    constraint : (state, row) array-like of int
        Numbers as in ``quantity_of``; rows of -1 are NaN.

    Returns
    -------
    Linearised
        ``value`` (state, row), ``slope`` (state, row, control): the numbers of ``forward`` up to rounding.

    Raises
    ------
    OptionError
        As in ``forward``, or there is no such constraint.
    """
    count, width = _count(states), quantity_count(states.network, limits)
    asked = np.ascontiguousarray(quantity_of(states.network, limits, constraint))
    if asked.ndim != 2 or len(asked) != count:
        raise OptionError(f"constraint has shape {asked.shape}; it must be (state, row) with {count} states")
    n_move, rows = len(controls.kind), asked.shape[1]
    found = Linearised(
        np.zeros(count, dtype=np.bool_), np.empty((count, rows)), np.empty((count, rows, n_move))
    )
    slope = found.slope.reshape(count * rows, n_move)
    measures, proved = _measures(limits), PROVED_MVA / states.network.s_base_mva
    vr, vi = np.ascontiguousarray(states.vr), np.ascontiguousarray(states.vi)

    def piece(factors: Factors, moves: Moves, first: int, last: int, room: _Room) -> None:
        adjoint_kernel(
            states.network.structure, factors, states.lanes.sources, states.lanes.changes, measures, moves,
            vr, vi, *room, first, last, proved, asked, found.solved, found.value, slope,
        )  # fmt: skip

    _share_out(states, width, controls, piece, threads, points=len(limits.point_node))
    return found


def _share_out(
    states: Solved,
    width: int,
    controls: Controls,
    work: Callable[[Factors, Moves, int, int, _Room], None],
    threads: int | None,
    *,
    points: int,
) -> None:
    every = [_moves(states, stretch, controls) for stretch in states.stretches]
    count, shared = len(states.vr), worker_count(threads) > 1
    pieces = [
        (moves, *part)
        for moves, stretch in zip(every, states.stretches, strict=True)
        for part in cut([stretch], GROUP if shared and count < _MANY else LANES)
    ]

    def piece(number: int, own: _Room) -> int:
        moves, stretch, first, last = pieces[number]
        work(stretch.factors, moves, first, last, own)
        return last - first

    if not pieces:
        return
    moves = every[0]
    widest = max((columns.values.shape[1] for columns in states.lanes.columns), default=0)
    key = (states.lanes.parts, widest, width, points, len(moves.node), len(moves.branch))
    kept = states.kept.rooms.setdefault(key, [])
    ready = iter(list(kept))

    def room() -> _Room:
        found = next(ready, None)
        if found is None:
            found = states.lanes.room(states.network), _room(states.network, width, points, moves)
            kept.append(found)
        return found

    share_out(piece, room, range(len(pieces)), threads, None, count)


def _count(states: Solved) -> int:
    shape = (states.lanes.count, states.network.n_node)
    if states.vr.shape != shape or states.vi.shape != shape:
        raise OptionError(
            f"vr has shape {states.vr.shape}, vi {states.vi.shape}; both must be {shape}: (state, node)"
        )
    for stretch in states.stretches:
        _pair(states, stretch)
    return shape[0]


def _pair(states: Solved, stretch: Stretch) -> None:
    """Refuse factors of other positions; what has been looked at once is not again."""
    paired, key = states.kept.paired, stretch.positions.tobytes()
    if paired.get(key) is not stretch.factors:
        if not np.array_equal(
            branch_admittance(states.network, stretch.positions), stretch.factors.admittance
        ):
            raise OptionError(f"the factors are not those of positions {stretch.positions.tolist()}")
        paired[key] = stretch.factors


def _measures(limits: NodeLimits) -> Measures:
    return Measures(limits.per_rated, limits.point_node, limits.point_share)


def _room(network: Network, width: int, points: int, moves: Moves) -> SensitivityRoom:
    n, m, n_move = network.n_node, network.n_branch, len(moves.node)
    longest = max(width, n_move)
    return SensitivityRoom(
        x=np.empty((n, 2, GROUP)),
        slack=np.empty((n - network.n_free, 2, GROUP)),
        unit=np.empty((points, 2, GROUP)),
        ampere=np.empty((m, 4, GROUP)),
        gradient=np.empty((m, 4, GROUP)),
        push=np.empty((n_move, 2, GROUP)),
        turn=np.empty((len(moves.branch), 5, GROUP)),
        base=np.empty((width, GROUP)),
        line=np.empty((longest, GROUP)),
        place=np.arange(longest, dtype=np.int64),
        ones=np.ones(longest),
    )


def _moves(states: Solved, stretch: Stretch, controls: Controls) -> Moves:
    """Turn controls into changes of injections and admittances, at a stretch's setting."""
    key = stretch.positions.tobytes(), controls.kind.tobytes(), controls.place.tobytes()
    if key not in states.kept.moves:
        states.kept.moves[key] = moves_of(states.network, stretch.positions, controls)
    return states.kept.moves[key]
