"""Numbers of the settings of taps and banks that scenarios have, and scenarios by setting."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridclear.network.network import Ints


class Settings:
    """Every setting that was asked for, numbered.

    Parameters
    ----------
    devices : int
        Taps and banks.
    """

    def __init__(self, devices: int) -> None:
        self._rows: Ints = np.zeros((0, devices), dtype=np.int64)
        self._known: dict[bytes, int] = {}

    def number(self, positions: Ints) -> Ints:
        """Find the number of each row of positions, (scenario, device) → (scenario,); equal rows share it."""
        member = row_numbers(positions)
        _, first = np.unique(member, return_index=True)
        number = np.empty(len(first), dtype=np.int64)
        for own in np.argsort(first).tolist():
            number[own] = self._number(positions[first[own]])
        return number[member]

    def _number(self, row: Ints) -> int:
        key = row.tobytes()
        if key not in self._known:
            self._known[key] = len(self._rows)
            self._rows = np.vstack([self._rows, row])
        return self._known[key]

    def positions(self, number: Ints) -> Ints:
        """Positions of numbered settings, (scenario,) → (scenario, device)."""
        return self._rows[number]

    def groups(
        self, topology: Ints, period: Ints, number: Ints
    ) -> list[tuple[int, Ints, list[tuple[Ints, int, int]]]]:
        """Sort scenarios by topology, setting and period, so that neighbours share as much as they can.

        Returns
        -------
        list of (topology, scenarios, stretches)
            Every stretch is (positions, first, last): the scenarios first … last - 1 of those have them.
        """
        group = (topology * len(self._rows) + number) * (1 + period.max(initial=0)) + period
        order = np.argsort(group, kind="stable")
        found = []
        for rows in np.split(order, np.flatnonzero(np.diff(topology[order])) + 1) if len(order) else []:
            own = number[rows]
            cuts = [0, *(np.flatnonzero(np.diff(own)) + 1).tolist(), len(rows)]
            stretches = [(self._rows[own[first]], first, last) for first, last in pairwise(cuts)]
            found.append((int(topology[rows[0]]), rows, stretches))
        return found


def row_numbers(keys: Ints) -> Ints:
    """Give equal rows the same number: by a hash of each row that is then checked, else by comparing rows."""
    if not keys.shape[1]:
        return np.zeros(len(keys), dtype=np.int64)
    hashed = (keys * _weights(keys.shape[1])).sum(axis=1)
    _, first, member = np.unique(hashed, return_index=True, return_inverse=True)
    if (keys[first][member] == keys).all():
        return member.astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel().astype(np.int64)


@cache
def _weights(count: int) -> Ints:
    """Odd numbers that rows are hashed by."""
    weights: Ints = np.random.default_rng(0).integers(1, 2**62, count) | 1
    return weights
