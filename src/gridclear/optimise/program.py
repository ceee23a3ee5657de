"""Sparse linear and mixed-integer programs, built block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gridclear.network.network import Floats, Ints


class Program:
    """Least cost · x subject to lower <= x <= upper and row_lower <= A x <= row_upper, some x whole.

    Columns and rows are added in blocks; the numbers that come back are their labels.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[Floats, Floats, Floats, NDArray[np.bool_]]] = []
        self._rows: list[tuple[Floats, Floats]] = []
        self._entries: list[tuple[Ints, Ints, Floats]] = []
        self.n_column = 0
        self.n_row = 0

    def columns(
        self,
        count: int,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        cost: ArrayLike = 0.0,
        *,
        whole: bool = False,
    ) -> Ints:
        """Add columns; scalars stand for all of them."""
        low, high, each = (_spread(one, count) for one in (lower, upper, cost))
        self._columns.append((low, high, each, np.full(count, whole)))
        self.n_column += count
        return np.arange(self.n_column - count, self.n_column)

    def rows(self, count: int, lower: ArrayLike = -np.inf, upper: ArrayLike = np.inf) -> Ints:
        """Add rows; scalars stand for all of them."""
        self._rows.append((_spread(lower, count), _spread(upper, count)))
        self.n_row += count
        return np.arange(self.n_row - count, self.n_row)

    def entries(self, row: ArrayLike, column: ArrayLike, value: ArrayLike) -> None:
        """Add coefficients; shapes are broadcast, entries of one place add up."""
        shape = np.broadcast(row, column, value).shape
        at, to = (_spread(one, shape, np.int64).ravel() for one in (row, column))
        self._entries.append((at, to, _spread(value, shape).ravel()))

    def copy(self) -> Program:
        """Take all of it, to be added to."""
        # What is copied once is copied often: its blocks are put together for all copies.
        self._columns = self._joined(self._columns)
        self._rows = self._joined(self._rows)
        self._entries = self._joined(self._entries)
        part = Program()
        part._columns, part._rows, part._entries = (
            self._columns.copy(),
            self._rows.copy(),
            self._entries.copy(),
        )
        part.n_column, part.n_row = self.n_column, self.n_row
        return part

    def only(self, rows: NDArray[np.bool_]) -> Program:
        """Take some of the rows, and all columns."""
        part = Program()
        part.columns(self.n_column, self.lower, self.upper, self.cost)
        part.rows(int(rows.sum()), self.row_lower[rows], self.row_upper[rows])
        matrix = self.matrix[rows].tocoo()
        part.entries(matrix.coords[0], matrix.coords[1], matrix.data)
        return part

    @property
    def matrix(self) -> sparse.csr_array:
        """The rows' coefficients, each place once."""
        row, column, value = (self._stacked(self._entries, part) for part in range(3))
        shape = (self.n_row, self.n_column)
        matrix = sparse.csr_array(sparse.coo_array((value, (row.astype(int), column.astype(int))), shape))
        matrix.eliminate_zeros()
        return matrix

    def dense(self, room: int) -> Floats:
        """Write the rows' coefficients out, (row + room, column), with room for rows to come."""
        row, column, value = (self._stacked(self._entries, part) for part in range(3))
        found = np.zeros((self.n_row + room, self.n_column))
        np.add.at(found, (row.astype(np.int64), column.astype(np.int64)), value)
        return found

    @property
    def lower(self) -> Floats:
        """Least value of every column."""
        return self._stacked(self._columns, 0)

    @property
    def upper(self) -> Floats:
        """Largest value of every column."""
        return self._stacked(self._columns, 1)

    @property
    def cost(self) -> Floats:
        """Cost of every column."""
        return self._stacked(self._columns, 2)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Columns that take whole values only."""
        return self._stacked(self._columns, 3).astype(bool)

    @property
    def row_lower(self) -> Floats:
        """Least value of every row."""
        return self._stacked(self._rows, 0)

    @property
    def row_upper(self) -> Floats:
        """Largest value of every row."""
        return self._stacked(self._rows, 1)

    @staticmethod
    def _joined(blocks: list[Any]) -> list[Any]:
        if len(blocks) < 2:
            return blocks
        return [tuple(np.concatenate(part) for part in zip(*blocks, strict=True))]

    @staticmethod
    def _stacked(blocks: list[Any], part: int) -> Floats:
        return np.concatenate([np.zeros(0), *(block[part] for block in blocks)])


def _spread(value: ArrayLike, shape: int | tuple[int, ...], kind: type = np.float64) -> NDArray[Any]:
    """Numbers of a kind in a shape: those that are given, or fewer of them again and again."""
    every: NDArray[Any] = np.empty(shape, dtype=kind)
    every[...] = value
    return every
