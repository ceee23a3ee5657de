"""Cells as they come, the places where they stand, and the faults found in them."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.errors import Issue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Cells = list[Any] | pd.Series

#: So many rows with the same fault in the same column are listed one by one; the rest is counted.
MOST_ROWS_PER_FAULT = 1000

_LONGEST_CELL = 60


@dataclass(frozen=True)
class Source:
    """Where the rows of a table stand.

    Attributes
    ----------
    file : str
        File, or name of the argument.
    rows : sequence
        How each row is called: line numbers, index labels, or labels of grid elements.
    """

    file: str
    rows: Sequence[Any]

    def row(self, number: int) -> str:
        """Name of a row.

        Parameters
        ----------
        number : int
            Its place in the table, from 0.
        """
        return str(self.rows[number])


@dataclass
class Faults:
    """Collects issues; the only thing in the checks that grows."""

    issues: list[Issue] = field(default_factory=list)

    def add(self, file: str, row: str, column: str, what: str, expected: str) -> None:
        """Add one issue."""
        self.issues.append(Issue(file, row, column, what, expected))

    def rows(
        self,
        source: Source,
        where: Flags,
        column: str,
        what: Callable[[int], str],
        expected: str | Callable[[int], str],
    ) -> None:
        """Add one issue per marked row.

        Parameters
        ----------
        source : Source
        where : (row,) of bool
        column : str
        what : callable
            Says what is wrong with the row of that number.
        expected : str or callable
            Says what would be right, for all rows or row by row.
        """
        marked = np.flatnonzero(where)
        for number in marked[:MOST_ROWS_PER_FAULT].tolist():
            right = expected if isinstance(expected, str) else expected(number)
            self.add(source.file, source.row(number), column, what(number), right)
        left = len(marked) - MOST_ROWS_PER_FAULT
        if left > 0:
            right = expected if isinstance(expected, str) else "what the rows above say"
            self.add(source.file, "", column, f"{left} further rows have the fault of the rows listed", right)


def meant(word: str, known: Iterable[str]) -> str:
    """Guess what somebody who wrote a wrong word meant.

    Parameters
    ----------
    word : str
    known : iterable of str
        The right words.

    Returns
    -------
    str
        `` (did you mean 'x'?)`` or nothing.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    if not near:
        folded = {name.casefold(): name for name in known}
        near = [folded[word.strip().casefold()]] if word.strip().casefold() in folded else []
    return f" (did you mean {near[0]!r}?)" if near else ""


class Guess:
    """What somebody who wrote a wrong word meant, among many right ones: :func:`meant`, bounded in time."""

    def __init__(self, known: Iterable[str], most: int = 20) -> None:
        self._known = list(known)
        self._most = most
        self._hints: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """Give the hint for a word; none once ``most`` different words have got theirs."""
        if word not in self._hints:
            self._hints[word] = meant(word, self._known) if len(self._hints) < self._most else ""
        return self._hints[word]


def say(template: str, *columns: Any) -> Callable[[int], str]:  # noqa: ANN401  lists, arrays and Series alike
    """Make the function that says what is wrong with a row.

    Parameters
    ----------
    template : str
        Format string with one field per column.
    columns : list, array or Series, (row,) each
        Their cells fill the fields; texts are quoted.

    Returns
    -------
    callable
        Number of the row → sentence.
    """

    def sentence(row: int) -> str:
        cells = [column.iloc[row] if isinstance(column, pd.Series) else column[row] for column in columns]
        return template.format(*(quoted(cell) if isinstance(cell, str) else cell for cell in cells))

    return sentence


def quoted(cell: object) -> str:
    """Show a cell in a message, cut if it is long."""
    text = repr(cell if isinstance(cell, str) else str(cell))
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 4] + "...'"


def is_empty(cell: object) -> bool:
    """Whether a cell says nothing: None, NaN, NaT, NA or an empty text."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return True
    return (
        cell == ""
        if isinstance(cell, str)
        else isinstance(cell, float | np.floating) and math.isnan(float(cell))
    )


def as_list(cells: Cells) -> list[Any]:
    """Give the cells as Python objects."""
    return cells if isinstance(cells, list) else cells.tolist()


def as_text(cell: object) -> str:
    """Give a cell as text: empty for None and NaN, whole floats (an id read as a number) without ``.0``.

    Parameters
    ----------
    cell : object

    Returns
    -------
    str
    """
    if is_empty(cell):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)
