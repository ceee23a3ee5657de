"""Power flows in which inverters follow their curves: Newton's method around the power flow.

With Q of every inverter given, a power flow gives the voltages V(Q), and the curves f say what Q should be.
The state that is wanted has Q = f(V(Q)). Of Q - f(V(Q)) the Jacobian is 1 - f'·dV/dQ, with the sensitivities
of the inverters' own voltages to their own reactive powers: a small dense matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.network.reactions import Reactions

#: Distance from the curve that is aimed at, and the one that every state keeps, in Mvar. In between an
#: iteration ends where rounding keeps it from more.
AIM_MVAR, PROVED_MVAR = 1e-11, 1e-9
#: Power flows of a state: where curves are followed from the right piece, four do.
_STEPS = 100
#: A step that leaves more than this of the distance is a slow one.
_SLOW = 0.5
#: A step has to gain this part of what it promises, or is halved, down to the last part.
_LEAST_GAIN, _LEAST_PART = 1e-3, 1e-3


class Solve(Protocol):
    """Voltages at the inverters' buses, (row, inverter), with reactive powers; NaN without solution."""

    def __call__(self, rows: Ints, q: Floats) -> Floats:
        """(row,), (row, inverter) → (row, inverter)."""
        ...


class Response(Protocol):
    """Change of the inverters' voltages by their reactive powers, (row, inverter of V, inverter of Q)."""

    def __call__(self, rows: Ints, q: Floats) -> Floats:
        """(row,), (row, inverter) → (row, inverter, inverter)."""
        ...


def react(
    reactions: Reactions,
    works: NDArray[np.bool_],
    p: Floats,
    vm: Floats,
    solve: Solve,
    response: Response,
    known: Floats,
    s_base_mva: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Find the reactive powers at which every inverter is on its curve.

    Parameters
    ----------
    reactions : Reactions
    works : (state, inverter) of bool
        In service, and on a bus with supply.
    p : (state, inverter)
        Active power injected in p.u.
    vm : (state, inverter)
        First guess of the voltages.
    solve : callable
        Solves states, and keeps each as the last one of its row.
    response : callable
        At given states, for those that the known one does not bring home.
    known : (inverter, inverter)
        Response at some state of the same grid.
    s_base_mva : float

    Returns
    -------
    q : (state, inverter)
        In p.u., that of the last solved state.
    open_ : (state,) of bool
        The state has a solution, but its inverters came to no rest.

    Notes
    -----
    Curves bend, so that a Newton step may swing from one piece of a curve to another. A step after which the
    inverters are as far from their curves as before is halved until it brings them nearer; it is a direction
    of descent as long as the response is that of the state, which is then asked for.
    """
    count = len(p)
    q = reactions.reactive(works, p, vm).q
    open_ = np.zeros(count, dtype=bool)
    rows = np.arange(count)
    slope = np.broadcast_to(known, (count, *known.shape)).copy()
    # Where the last step began, how far from the curves that was, the step, and the part of it that is taken.
    origin, far, way, part = q.copy(), np.full(count, np.inf), np.zeros(q.shape), np.ones(count)
    aim, proved = AIM_MVAR / s_base_mva, PROVED_MVAR / s_base_mva
    one = np.eye(len(reactions))
    for step in range(_STEPS):
        seen = solve(rows, q[rows])
        lost = np.asarray(np.isnan(seen).any(axis=1))
        answer = reactions.reactive(works[rows], p[rows], np.where(lost[:, None], 1.0, seen))
        miss = answer.q - q[rows]
        now = np.sqrt((miss**2).sum(axis=1))
        slow = now > _SLOW * far[rows]
        rest = lost | (now <= aim) | ((now <= proved) & slow)
        open_[rows] = ~rest & (now > proved)
        if rest.all() or step == _STEPS - 1:
            break
        back = ~rest & (now > (1.0 - _LEAST_GAIN * part[rows]) * far[rows]) & (part[rows] > _LEAST_PART)
        part[rows] = np.where(back, 0.5 * part[rows], 1.0)
        on = ~rest & ~back
        if (late := rows[on & slow]).size:
            slope[late] = response(late, q[late])
        begun = rows[on]
        origin[begun], far[begun] = q[begun], now[on]
        jacobian = one - answer.by_vm[on][:, :, None] * slope[begun]
        way[begun] = np.linalg.solve(jacobian, miss[on][:, :, None])[:, :, 0]
        rows = rows[~rest]
        q[rows] = origin[rows] + part[rows, None] * way[rows]
    return q, open_
