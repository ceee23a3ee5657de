"""What is said about a column and about a table of a case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "whole", "time"]


@dataclass(frozen=True)
class Column:
    """One column of a case table, or one key of ``case.toml``.

    Attributes
    ----------
    name : str
        Name as it stands in the header.
    kind : {"text", "number", "whole", "time"}
        ``whole`` is a number without fraction, ``time`` an ISO 8601 stamp with offset.
    meaning : str
        One phrase.
    required : bool
        A required column has to be there, and none of its cells may be empty.
    unit : str
        Unit of a number.
    low, high : float
        Allowed range of a number; ``above`` excludes ``low`` itself, ``below`` excludes ``high``.
    choices : tuple of str
        Allowed words of a text; empty: any.
    default : str
        What an empty cell or an absent column means.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""

    @property
    def expectation(self) -> str:
        """What a cell has to be, as the end of "expected ...".

        Returns
        -------
        str
        """
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind == "time":
            return "an ISO 8601 time stamp with offset, such as 2016-06-19T10:00:00Z"
        if self.kind in ("number", "whole"):
            noun = "a whole number" if self.kind == "whole" else "a finite number"
            return noun + self.range_text + (f" in {self.unit}" if self.unit else "")
        return "a text"

    @property
    def range_text(self) -> str:
        """The allowed range, such as `` >= 0`` or `` from 0 to 1``; empty if there is none."""
        ends = []
        if math.isfinite(self.low):
            ends.append(f"{'>' if self.above else '>='} {self.low:g}")
        if math.isfinite(self.high):
            ends.append(f"{'<' if self.below else '<='} {self.high:g}")
        return " " + " and ".join(ends) if ends else ""


@dataclass(frozen=True)
class Table:
    """One table of a case.

    Attributes
    ----------
    name : str
        Stem of its file, and name of the argument of ``Case.from_pandapower``.
    meaning : str
        One sentence.
    columns : tuple of Column
        In the order in which they are written.
    key : tuple of str
        Columns whose cells together may occur only once.
    ordered : str
        How the stamps of one element have to stand: "" (anyhow) or "complete" (each period once, in order).
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    ordered: Literal["", "complete"] = ""

    def column(self, name: str) -> Column:
        """Find a column by its name.

        Raises
        ------
        KeyError
            There is none.
        """
        return {column.name: column for column in self.columns}[name]
