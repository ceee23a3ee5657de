"""A quadratically constrained program, put together from blocks of coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Arrays:
    """Minimise ``cost @ x`` for ``low <= x <= high`` and ``row_low <= rows <= row_high``.

    A row is the sum of its ``linear`` entries (row, column, value) and ``product`` entries (row, one, other,
    value), which are value · x[one] · x[other].
    """

    low: np.ndarray
    high: np.ndarray
    start: np.ndarray
    whole: np.ndarray
    cost: np.ndarray
    row_low: np.ndarray
    row_high: np.ndarray
    linear: tuple[np.ndarray, np.ndarray, np.ndarray]
    product: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

    def values(self, x: np.ndarray) -> np.ndarray:
        """Values of the rows."""
        row, column, value = self.linear
        found = np.bincount(row, value * x[column], len(self.row_low))
        row, one, other, value = self.product
        return found + np.bincount(row, value * x[one] * x[other], len(self.row_low))


class Quadratic:
    """Collects variables and rows; numbers are given as arrays, a single one stands for all."""

    def __init__(self) -> None:
        self._columns: list[np.ndarray] = []  # low, high, start, whole
        self._bounds: list[np.ndarray] = []
        self._linear: list[np.ndarray] = []
        self._product: list[np.ndarray] = []
        self._cost: list[tuple[np.ndarray, np.ndarray]] = []
        self.size = self.height = 0

    def variables(
        self, low: np.ndarray, high: np.ndarray | float, start: np.ndarray | float, *, whole: bool = False
    ) -> np.ndarray:
        """Add one variable per entry of ``low``, and give their columns in its shape."""
        low = np.asarray(low, dtype=float)
        columns = [np.broadcast_to(part, low.shape).ravel() for part in (low, high, start, float(whole))]
        self._columns.append(np.array(columns))
        self.size += low.size
        return np.arange(self.size - low.size, self.size).reshape(low.shape)

    def rows(self, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
        """Add one row per entry of both, and give their numbers in that shape."""
        low, high = np.broadcast_arrays(low, high)
        self._bounds.append(np.array([low.ravel(), high.ravel()], dtype=float))
        self.height += low.size
        return np.arange(self.height - low.size, self.height).reshape(low.shape)

    def add(self, row: np.ndarray, column: np.ndarray, value: np.ndarray | float) -> None:
        """Add ``value · x[column]`` to rows."""
        parts = np.broadcast_arrays(row, column, value)
        self._linear.append(np.array([part.ravel() for part in parts], dtype=float))

    def multiply(
        self, row: np.ndarray, one: np.ndarray, other: np.ndarray, value: np.ndarray | float
    ) -> None:
        """Add ``value · x[one] · x[other]`` to rows."""
        parts = np.broadcast_arrays(row, one, other, value)
        self._product.append(np.array([part.ravel() for part in parts], dtype=float))

    def price(self, column: np.ndarray, value: np.ndarray | float) -> None:
        """Add ``value · x[column]`` to the cost."""
        column, value = np.broadcast_arrays(column, value)
        self._cost.append((column.ravel(), value.ravel()))

    def arrays(self) -> Arrays:
        """All of it."""
        columns = np.hstack([np.zeros((4, 0)), *self._columns])
        bounds = np.hstack([np.zeros((2, 0)), *self._bounds])
        linear = np.hstack([np.zeros((3, 0)), *self._linear])
        product = np.hstack([np.zeros((4, 0)), *self._product])
        product = product[:, product[3] != 0.0]
        cost = np.zeros(self.size)
        for column, value in self._cost:
            np.add.at(cost, column, value)
        row, one, other = product[:3].astype(int)
        return Arrays(
            *columns[:3], columns[3] > 0.0, cost, *bounds,
            (*linear[:2].astype(int), linear[2]),
            (row, np.minimum(one, other), np.maximum(one, other), product[3]),
        )  # fmt: skip
