"""The nose of a loading ray by continuation with pandapower's Newton, and proofs that it is one.

All loads and generation times λ. From next to no load upwards, every state is started from the last one, so
the states stay on one branch; where Newton fails the step is halved. Close to a fold the smallest singular value of
the Jacobian goes to zero as the root of the distance, σ² ~ λ* - λ; the secant of σ² through the last states therefore
meets zero at the nose. A ray that merely stops converging does not pass that test.
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
    scaling = {table: net[table]["scaling"].copy() for table in ("load", "sgen", "storage", "gen") if len(net[table])}

    def solve(factor: float, init: str) -> None:
        for table, base in scaling.items():
            net[table]["scaling"] = base * factor
        pp.runpp(net, calculate_voltage_angles=True, init=init, tolerance_mva=1e-9, max_iteration=12)

    factor, step = first / 100.0, first
    solve(factor, "dc")
    sign, singular = _sign_and_singular(net)
    factors, volts, squares = [factor], [net.res_bus["vm_pu"].to_numpy()], [singular**2]
    while step > SMALLEST_STEP * max(factor, first):
        last = net.res_bus.copy()
        try:
            solve(factor + step, "results")
            found_sign, singular = _sign_and_singular(net)
        except pp.LoadflowNotConverged:
            found_sign, singular = 0.0, 0.0
        if found_sign != sign:  # no state, or one beyond the fold
            net["res_bus"] = last
            step /= 2.0
            continue
        factor += step
        factors.append(factor)
        volts.append(net.res_bus["vm_pu"].to_numpy())
        squares.append(singular**2)
    # Two states far enough apart for a secant, near enough for the root law.
    gap = 1e-4 * factor
    back = int(np.flatnonzero(np.array(factors) <= factor - gap)[-1])
    slope = (squares[-1] - squares[back]) / (factors[-1] - factors[back])
    return Nose(factor, factor - squares[-1] / slope, np.array(factors), np.array(volts))


def _sign_and_singular(net: pp.pandapowerNet) -> tuple[float, float]:
    """Sign of the Jacobian's determinant, which a fold turns, and its smallest singular value."""
    jacobian = net["_ppc"]["internal"]["J"].toarray()
    return float(np.linalg.slogdet(jacobian)[0]), float(np.linalg.svd(jacobian, compute_uv=False)[-1])
