"""Squared voltages and currents that are limited: which a state breaks, and what bounds them in the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.supports import CURRENT, VOLTAGE, Quantity

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.lifted import Lifted
    from gridclear.optimise.linearise import Point

#: Normalised distance beyond a limit that counts.
_BEYOND = 1e-6


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Largest value of a quantity: ``constant`` + ``value`` · x[``column``]."""

    constant: float
    column: Ints
    value: Floats


class Limited:
    """The limits of a point's periods, on squares.

    Where the base state breaks a limit, the true one holds, plus what stays uncured.

    Parameters
    ----------
    point : Point
    lifted : Lifted
    """

    def __init__(self, point: Point, lifted: Lifted) -> None:
        self._point, self._lifted = point, lifted
        self._sick = frozenset(lifted.uncured.values())
        self._compiled, self._effective = point.problem.compiled, point.problem.base.limits

    def broken(
        self, period: int, circuit: Circuit, voltage: Complexes, steps: Floats, x: Floats
    ) -> list[Quantity]:
        """Quantities that a state has beyond their limits, and beyond what a solution leaves uncured.

        Parameters
        ----------
        period : int
        circuit : Circuit
        voltage : (node,) complex
        steps : (device,)
            Where the devices stand in the state.
        x : (column,)
            The solution.

        Returns
        -------
        list of Quantity
            The worst first.
        """
        nodes, branches = circuit.network.n_node, circuit.network.n_branch
        free = circuit.n_bus_node
        limit = self._held(period, x, nodes)
        magnitude = np.abs(voltage[:free])
        current = np.abs(circuit.current @ voltage)
        for row, device, factor in circuit.scaling:
            place = float(steps[device] - circuit.lowest[device])
            current[row] *= np.sqrt(np.interp(place, np.arange(len(factor)), factor))
        rated = self._compiled.limits[int(self._compiled.topology[period])].per_rated
        loading = current * rated.T.ravel()
        most = limit[2 * nodes : 2 * nodes + branches]
        beyond = [
            (Quantity(VOLTAGE, place, -1), distance)
            for place, distance in enumerate((limit[:free] - magnitude).tolist())
        ]
        beyond += [
            (Quantity(VOLTAGE, place, 1), distance)
            for place, distance in enumerate((magnitude - limit[nodes : nodes + free]).tolist())
        ]
        beyond += [
            (Quantity(CURRENT, place, 1), distance)
            for place, distance in enumerate((loading - np.concatenate([most, most])).tolist())
        ]
        worst = [(quantity, distance) for quantity, distance in beyond if distance > _BEYOND]
        return [quantity for quantity, _ in sorted(worst, key=lambda one: -one[1])]

    def _held(self, period: int, x: Floats, nodes: int) -> Floats:
        """Limits as numbered by the kernels: true ones and what is uncured where the base state breaks them."""
        topology = int(self._compiled.topology[period])
        limit: Floats = self._effective.numbered(topology)[period].copy()
        local = self._point.local[period]
        if local is not None:
            sign = np.where(local.sick < nodes, -1.0, 1.0)
            left = np.array([x[self._lifted.uncured[period, one]] for one in local.sick.tolist()])
            limit[local.sick] = self._compiled.limits[topology].numbered[local.sick] + sign * left
        return limit

    def uncured(self, period: int, circuit: Circuit, broken: list[Quantity]) -> dict[Quantity, float]:
        """Quantities that the base state breaks, weighed so that their distances count alike."""
        found: dict[Quantity, float] = {}
        for quantity in broken:
            ceiling = self.ceiling(period, circuit, quantity)
            if len(ceiling.column) and ceiling.column[0] in self._sick:
                found[quantity] = 1.0 / float(ceiling.value[0])
        return found

    def ceiling(self, period: int, circuit: Circuit, quantity: Quantity) -> Ceiling:
        """Bound of a quantity in the program.

        Parameters
        ----------
        period : int
        circuit : Circuit
        quantity : Quantity

        Returns
        -------
        Ceiling
        """
        topology = int(self._compiled.topology[period])
        nodes, branches = circuit.network.n_node, circuit.network.n_branch
        kind, place, sign = quantity
        if kind == VOLTAGE:
            number, unit = (place if sign < 0 else nodes + place), 1.0
        else:
            side, branch = divmod(place, branches)
            number = 2 * nodes + branch
            unit = 1.0 / float(self._compiled.limits[topology].per_rated[branch, side]) ** 2
        effective = float(self._effective.numbered(topology)[period, number])
        true = float(self._compiled.limits[topology].numbered[number])
        uncured = self._lifted.uncured.get((period, number), -1)
        held = true if uncured >= 0 else effective
        edge = sign * unit * max(held + sign * TOLERANCE, 0.0) ** 2
        column, value = np.zeros(0, dtype=np.int64), np.zeros(0)
        if kind == VOLTAGE and uncured < 0:
            own = self._lifted.periods[period]
            for (node, _), squared in own.square.items() if own is not None else ():
                if node == place:
                    return Ceiling(0.0, squared, np.full(len(squared), float(sign)))
        if uncured >= 0:
            # The chord of the square from the true limit to the effective one, or the tangent below.
            rise = (true + effective + TOLERANCE) if sign > 0 else 2.0 * true
            column, value = np.array([uncured]), np.array([unit * rise])
        for row, device, factor in circuit.scaling:
            if kind == CURRENT and row == place:
                steps = self._lifted.step[device][period]
                # One of the steps is taken: the edge goes with it.
                value = np.concatenate([value / factor.min(), edge / factor])
                return Ceiling(0.0, np.concatenate([column, steps]), value)
        return Ceiling(edge, column, value)
