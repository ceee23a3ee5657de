"""The cheapest course of all devices through the periods, from what every placing costs at least in each.

A placing is where all devices stand at once. With the budgets of moves relaxed by prices, the courses are
paths through a grid of placings whose steps cost what is moved: dynamic programming, in which going from
anywhere to anywhere is one device after the other, there and back along its steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.movables import Movable
    from gridclear.network.network import Floats, Ints

#: Placings of one period that are told apart at most.
MOST_PLACINGS = 20_000


def reachable(device: Movable, periods: int) -> Ints:
    """Find the steps that a device's budgets let it ever stand at."""
    most = device.most_moves_before(periods)
    return np.arange(max(device.lowest, -most), min(device.highest, most) + 1)


def count_placings(devices: tuple[Movable, ...], periods: int) -> int:
    """Count what the devices can stand at together in one period."""
    count = 1
    for device in devices:
        count *= len(reachable(device, periods))
    return count


class Placings:
    """Least costs of placings, by period.

    Parameters
    ----------
    devices : tuple of Movable
    periods : int

    Attributes
    ----------
    steps : tuple by device of (place,) of int
        Steps that are told apart.
    least : tuple by period of (place, ...)
        Least cost of every placing that is known so far, an axis per device; infinite where no budget lets
        all devices get by then.
    price : tuple by device of (budget,)
        EUR per move that counts in a budget, beside the device's own: not negative.
    """

    def __init__(self, devices: tuple[Movable, ...], periods: int) -> None:
        self._devices = devices
        self.steps = tuple(reachable(device, periods) for device in devices)
        shape = tuple(len(steps) for steps in self.steps)
        self.least = tuple(np.full(shape, -np.inf) for _ in range(periods))
        for period, table in enumerate(self.least):
            for axis, (device, steps) in enumerate(zip(devices, self.steps, strict=True)):
                late = np.abs(steps) > device.most_moves_before(period + 1)
                np.moveaxis(table, axis, 0)[late] = np.inf
        self.price = tuple(np.zeros(len(device.budgets)) for device in devices)
        self._repriced = 0

    def learn(self, period: int, constant: float, tables: list[Floats]) -> None:
        """Take what a placing costs at least: a constant, and a number per device and step."""
        total = np.asarray(constant)
        for axis, table in enumerate(tables):
            others = tuple(other for other in range(len(tables)) if other != axis)
            total = total + np.expand_dims(table, others)
        np.maximum(self.least[period], total, out=self.least[period])

    def raise_to(self, period: int, place: tuple[int, ...], least: float) -> None:
        """Take what one placing costs at least."""
        self.least[period][place] = max(float(self.least[period][place]), least)

    def _per_move(self, device: int, period: int) -> float:
        one, price = self._devices[device], self.price[device]
        counted = [begin <= period < end for begin, end, _ in one.budgets]
        return one.cost + float(price @ np.array(counted, dtype=np.float64))

    def _moved(self, cost: NDArray[np.float64], period: int) -> NDArray[np.float64]:
        """Least costs of getting into every placing of a period from those of the one before."""
        found = cost.copy()
        for axis in range(len(self._devices)):
            along, per = np.moveaxis(found, axis, 0), self._per_move(axis, period)
            for place in range(1, len(along)):
                own = along[place : place + 1]
                np.minimum(own, along[place - 1 : place] + per, out=own)
            for place in range(len(along) - 2, -1, -1):
                own = along[place : place + 1]
                np.minimum(own, along[place + 1 : place + 2] + per, out=own)
        return found

    def _start(self) -> NDArray[np.float64]:
        cost = np.full(self.least[0].shape, np.inf)
        cost[tuple(int(np.flatnonzero(steps == 0)[0]) for steps in self.steps)] = 0.0
        return cost

    def relaxed(self) -> float:
        """Add up what the prices of budgets give back: the moves that may be made."""
        most = [np.array([budget for _, _, budget in device.budgets]) for device in self._devices]
        return sum(float(price @ own) for price, own in zip(self.price, most, strict=True))

    def cheapest(self) -> tuple[float, Ints]:
        """Find the least cost of a course, by the prices of budgets, and its places, (period, device)."""
        arrived, total = [], self._start()
        for period, table in enumerate(self.least):
            total = self._moved(total, period) + table
            arrived.append(total)
        value = float(total.min()) - self.relaxed()
        places = np.zeros((len(self.least), len(self.steps)), dtype=np.int64)
        at = np.unravel_index(int(total.argmin()), total.shape)
        for period in range(len(self.least) - 1, -1, -1):
            places[period] = at
            before = arrived[period - 1].copy() if period else self._start()
            for axis in range(len(self.steps)):
                away = np.abs(np.arange(len(self.steps[axis])) - places[period, axis])
                np.moveaxis(before, axis, -1)[...] += self._per_move(axis, period) * away
            at = np.unravel_index(int(before.argmin()), before.shape)
        return value, places

    def excess(self, places: Ints) -> tuple[Floats, ...]:
        """Count the moves of a course beyond every budget, by device."""
        first = np.array([int(np.flatnonzero(steps == 0)[0]) for steps in self.steps])
        moves = np.abs(np.diff(places, axis=0, prepend=first[None]))
        return tuple(
            np.array(
                [float(moves[begin:end, number].sum()) - most for begin, end, most in device.budgets],
                dtype=np.float64,
            )
            for number, device in enumerate(self._devices)
        )

    def reprice(self, places: Ints, short: float) -> bool:
        """Move the prices of budgets towards what a course shows; False if it is within all that are priced.

        Parameters
        ----------
        places : (period, device)
            The cheapest course.
        short : float
            EUR that its cost is to rise by at most: Polyak's step would be all of it, but is taken shorter
            every time, for the tables rise meanwhile.
        """
        excess = [
            np.where((price > 0.0) | (own > 0.0), own, 0.0)
            for price, own in zip(self.price, self.excess(places), strict=True)
        ]
        square = sum(float(own @ own) for own in excess)
        if square == 0.0:
            return False
        self._repriced += 1
        step = max(short, 0.0) / square / (1.0 + self._repriced)
        self.price = tuple(
            np.maximum(price + step * own, 0.0) for price, own in zip(self.price, excess, strict=True)
        )
        return True
