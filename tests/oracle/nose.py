"""The nose of a loading ray by continuation with pandapower's Newton, and proofs that it is one.

All loads and generation times λ. From next to no load upwards, every state is started from the last one, so
the states stay on one branch; where Newton fails the step is halved. Close to a fold the smallest singular
value of
the Jacobian goes to zero as the root of the distance, σ² ~ λ* - λ; the secant of σ² through the last states
therefore
meets zero at the nose. A ray that merely stops converging does not pass that test.

Not for nets with three-winding transformers or open line and transformer ends: pandapower keeps no voltage
of such
inner nodes, starts them flat, and may then land on the lower branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp

#: Continuation stops at steps of this relative size.
SMALLEST_STEP = 1e-5


@dataclass(frozen=True)
class Nose:
    """End of a loading ray.

    Attributes
    ----------
    solvable : float
        Largest λ with a state, found by continuation.
    predicted : float
        λ at which the singular value vanishes.
    factors : (k,)
        λ of the states on the way, ascending.
    vm_pu : (k, bus)
        Their voltages, in the order of the bus table.
    """

    solvable: float
    predicted: float
    factors: np.ndarray
    vm_pu: np.ndarray


def find(net: pp.pandapowerNet, first: float = 0.25) -> Nose:
    """Follow the ray of a net; `first` is the first step.

    Raises
    ------
    LoadflowNotConverged
        Not even the grid with next to no load has a state.
    """
    scaling = {
        table: net[table]["scaling"].copy() for table in ("load", "sgen", "storage", "gen") if len(net[table])
    }

    def solve(factor: float, init: str) -> None:
        for table, base in scaling.items():
            net[table]["scaling"] = base * factor
        pp.runpp(net, calculate_voltage_angles=True, init=init, tolerance_mva=1e-9, max_iteration=12)

    factor, step = first / 100.0, first
    solve(factor, "dc")
    jacobian = net["_ppc"]["internal"]["J"].toarray()
    sign = np.linalg.slogdet(jacobian)[0]
    way = [(factor, net.res_bus["vm_pu"].to_numpy(), jacobian)]
    while step > SMALLEST_STEP * max(factor, first):
        last = net.res_bus.copy()
        try:
            solve(factor + step, "results")
        except pp.LoadflowNotConverged:
            turned = True
        else:
            jacobian = net["_ppc"]["internal"]["J"].toarray()
            turned = np.linalg.slogdet(jacobian)[0] != sign  # the determinant of the lower branch
        if turned:
            net["res_bus"] = last
            step /= 2.0
            continue
        factor += step
        way.append((factor, net.res_bus["vm_pu"].to_numpy(), jacobian))
    factors = np.array([factor for factor, _, _ in way])
    # Two states far enough apart for a secant, near enough for the root law.
    back = int(np.flatnonzero(factors <= (1.0 - 1e-4) * factor)[-1])
    squares = [float(np.linalg.svd(way[k][2], compute_uv=False)[-1]) ** 2 for k in (back, -1)]
    predicted = factor + squares[1] * (factor - factors[back]) / (squares[0] - squares[1])
    return Nose(factor, predicted, factors, np.array([vm for _, vm, _ in way]))
