"""Branches as series impedances with shunts behind ideal transformers.

A branch of the compiled network has four admittances. They are those of

    from node — ideal transformer t:1 — shunt y_f — series impedance z — shunt y_t — to node,

    y_ff = (1/z + y_f)/|t|²,  y_ft = -1/(z t*),  y_tf = -1/(z t),  y_tt = 1/z + y_t,

for every |t|; the one taken here makes the shunts equal. A step of a tap changer puts another ideal
transformer ρ:1 at one of the ends. Whether it does just that is checked for every position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import CaseError, Issue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.movables import Movable
    from gridclear.network.network import Complexes, Network
    from gridclear.optimise.problem import Problem

    Flags = NDArray[np.bool_]

FROM, TO = 0, 1
#: Relative difference of admittances that counts as none.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Tap:
    """A decided tap changer on a branch.

    Attributes
    ----------
    branch, end : int
        ``FROM`` or ``TO``: where its ideal transformer stands.
    device : int
        Among the problem's devices.
    ratio : (step,) complex
        ρ at every one of ``steps_of`` the device; 1 at none.
    """

    branch: int
    end: int
    device: int
    ratio: Complexes


def steps_of(movable: Movable, periods: int) -> range:
    """Find the steps that a device can be at, as far as its moves over the whole horizon let it go."""
    most = movable.most_moves_before(periods)
    return range(max(movable.lowest, -most), min(movable.highest, most) + 1)


def _refuse(problem: Problem, network: Network, branch: int, what: str, expected: str) -> CaseError:
    table, index = str(network.labels.element_type[branch]), network.labels.element[branch]
    name = str(problem.compiled.case.grid.labels(table).loc[index])
    return CaseError((Issue("grid.json", f"{table} {name}", "", what, expected),))


def series_of(problem: Problem, network: Network, y: Complexes) -> tuple[Complexes, Complexes]:
    """Ratio t and series admittance of every branch."""
    apart = np.abs(np.abs(y[:, 1]) - np.abs(y[:, 2])) > _SAME * np.abs(y[:, 1])
    for branch in np.flatnonzero(apart).tolist():
        raise _refuse(
            problem,
            network,
            branch,
            "it conducts otherwise in one direction than in the other",
            "the algorithm 'successive', or the same impedance both ways",
        )
    size = np.sqrt(np.abs(y[:, 3]) / np.abs(y[:, 0]))
    root = size * np.sqrt(y[:, 1] * y[:, 2])
    series = np.where((np.conj(y[:, 3]) * root).real > 0.0, root, -root)
    return -series / y[:, 2], series


def taps_of(
    problem: Problem, network: Network, y: Complexes, y0: Complexes, meshed: Flags
) -> tuple[tuple[Tap, ...], Complexes]:
    """Decided tap changers, and what all of them make of the base state."""
    found, ratio0 = [], np.ones((len(y), 2), dtype=np.complex128)
    for number, movable in enumerate(problem.devices):
        for device, step in zip(movable.device.tolist(), movable.step.tolist(), strict=True):
            if device >= len(network.taps.element):
                continue
            position = problem.compiled.positions[device] + step * np.array(
                steps_of(movable, problem.periods), dtype=np.int64
            )
            table = network.taps.admittance[device][position - network.taps.lowest[device]]
            for column, branch in enumerate(network.taps.branches[device].tolist()):
                own = np.concatenate([table[:, column], y0[branch][None]])
                if np.abs(own - y[branch]).max() <= _SAME * np.abs(y[branch]).max():
                    continue
                end, ratio = _ideal(problem, network, branch, own, y[branch])
                if meshed[branch] and np.abs(ratio.imag).max() > _SAME:
                    raise _refuse(
                        problem,
                        network,
                        branch,
                        "its tap shifts the phase inside a mesh",
                        "the algorithm 'successive', or the mode 'fixed' for the tap changer",
                    )
                ratio0[branch, end] = ratio[-1]
                found.append(Tap(branch, end, number, ratio[:-1]))
    return tuple(found), ratio0


def _ideal(
    problem: Problem, network: Network, branch: int, table: Complexes, y: Complexes
) -> tuple[int, Complexes]:
    """Find the ideal transformer that leads from a branch's admittances to those of a table, and its end."""
    for end, (own, out, back, other) in ((FROM, (0, 1, 2, 3)), (TO, (3, 2, 1, 0))):
        ratio = y[back] / table[:, back]
        made = np.stack([y[own] / np.abs(ratio) ** 2, y[out] / np.conj(ratio)], axis=1)
        wrong = np.abs(np.concatenate([made - table[:, [own, out]], (y[other] - table[:, [other]])], axis=1))
        if wrong.max() <= _SAME * np.abs(y).max():
            return end, ratio
    raise _refuse(
        problem,
        network,
        branch,
        "its impedance changes with the position of its tap",
        "the algorithm 'successive', or the mode 'fixed' for the tap changer",
    )
