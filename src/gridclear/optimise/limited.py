"""Squared voltages and currents that are limited: which a state breaks, and what bounds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.supports import CURRENT, VOLTAGE, Quantity, Weights

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.lifted import Lifted
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.pricing import Prices

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

    Parameters
    ----------
    point : Point
    lifted : Lifted
    """

    def __init__(self, point: Point, lifted: Lifted) -> None:
        self._lifted = lifted
        self._compiled = point.problem.compiled
        topology = self._compiled.topology.tolist()
        self._limits = [point.problem.limits[own][period] for period, own in enumerate(topology)]

    def broken(self, period: int, circuit: Circuit, voltage: Complexes, steps: Floats) -> list[Quantity]:
        """Quantities that a state has beyond their limits.

        Parameters
        ----------
        period : int
        circuit : Circuit
        voltage : (node,) complex
        steps : (device,)
            Where the devices stand in the state.

        Returns
        -------
        list of Quantity
            The worst first.
        """
        nodes, branches = circuit.network.n_node, circuit.network.n_branch
        free = circuit.n_bus_node
        limit = self._limits[period]
        magnitude = np.abs(voltage[:free])
        current = np.abs(np.asarray(circuit.current @ voltage))
        for row, device, factor in circuit.scaling:
            place = float(steps[device] - circuit.lowest[device])
            current[row] *= np.sqrt(np.interp(place, np.arange(len(factor)), factor))
        rated = self._compiled.limits[int(self._compiled.topology[period])].per_rated
        loading = current * rated.T.ravel()
        most = limit[2 * nodes : 2 * nodes + branches]
        beyond = (
            (VOLTAGE, -1, limit[:free] - magnitude),
            (VOLTAGE, 1, magnitude - limit[nodes : nodes + free]),
            (CURRENT, 1, loading - np.concatenate([most, most])),
        )
        worst = [
            (Quantity(kind, place, sign), float(distance[place]))
            for kind, sign, distance in beyond
            for place in np.flatnonzero(distance > _BEYOND).tolist()
        ]
        return [quantity for quantity, _ in sorted(worst, key=lambda one: -one[1])]

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
        nodes, branches = circuit.network.n_node, circuit.network.n_branch
        kind, place, sign = quantity
        if kind == VOLTAGE:
            own = self._lifted.periods[period]
            for (node, _), squared in own.square.items() if own is not None else ():
                if node == place:
                    return Ceiling(0.0, squared, np.full(len(squared), float(sign)))
            limit = float(self._limits[period][place if sign < 0 else nodes + place])
            return _fixed(sign * max(limit + sign * TOLERANCE, 0.0) ** 2)
        side, branch = divmod(place, branches)
        topology = int(self._compiled.topology[period])
        rated = float(self._compiled.limits[topology].per_rated[branch, side])
        edge = ((float(self._limits[period][2 * nodes + branch]) + TOLERANCE) / rated) ** 2
        for row, device, factor in circuit.scaling:
            if row == place:
                # One of the steps is taken: the edge goes with it.
                return Ceiling(0.0, self._lifted.step[device][period], edge / factor)
        return _fixed(edge)


def _fixed(edge: float) -> Ceiling:
    return Ceiling(edge, np.zeros(0, dtype=np.int64), np.zeros(0))


def priced_weights(
    point: Point, priced: Prices, period: int, circuit: Circuit, voltage: Complexes
) -> Weights:
    """Take the prices of a period's requests and limits as weights, beside those of the losses.

    Parameters
    ----------
    point : Point
        Where the prices are found.
    priced : Prices
    period : int
    circuit : Circuit
    voltage : (node,) complex
        The point's.

    Returns
    -------
    Weights
    """
    problem, compiled = point.problem, point.problem.compiled
    topology = int(compiled.topology[period])
    limits, network = compiled.limits[topology], circuit.network
    power = np.zeros(len(circuit.sources), dtype=np.complex128)
    slack = np.array([source.slack for source in circuit.sources])
    for request in np.flatnonzero(problem.requests.period == period).tolist():
        fed = np.flatnonzero(limits.point == problem.requests.point[request])
        for place in fed.tolist():
            worth = float(priced.request[request]) * compiled.case.horizon.hours * compiled.s_base_mva
            power[slack == limits.point_node[place]] -= 1j * worth * float(limits.point_share[place])
    weighed: dict[Quantity, float] = {}
    nodes, branches = network.n_node, network.n_branch
    current = np.abs(np.asarray(circuit.current @ voltage)).reshape(2, branches)
    for number in np.flatnonzero(priced.period == period).tolist():
        constraint, worth = int(priced.constraint[number]), float(priced.value[number])
        limit = float(problem.limits[topology][period, constraint])
        if worth <= 0.0 or constraint >= 2 * nodes + branches:
            continue
        if constraint < 2 * nodes:
            if constraint % nodes < circuit.n_bus_node:
                sign = -1 if constraint < nodes else 1
                weighed[Quantity(VOLTAGE, constraint % nodes, sign)] = worth / (2.0 * limit)
            continue
        branch = constraint - 2 * nodes
        # The end with the larger loading.
        side = int(np.argmax(limits.per_rated[branch] * current[:, branch]))
        rated = float(limits.per_rated[branch, side])
        weighed[Quantity(CURRENT, side * branches + branch, 1)] = worth * rated**2 / (2.0 * limit)
    return Weights(power, np.zeros(len(power)), weighed)
