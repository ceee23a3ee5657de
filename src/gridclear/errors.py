"""What can be wrong with the input, as data, and the exceptions that carry it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Issue:
    """One fault of a case: where it stands, what is wrong and what would be right.

    Attributes
    ----------
    file : str
        File of the case folder (``forecast.csv``, ``grid.json``, ``case.toml``); for input that was
        given in memory, the name of the argument.
    row : str
        Line number in a CSV file (the header is line 1), index label of a DataFrame, or the label of a
        grid element; empty where the fault concerns the whole file.
    column : str
        Name of the column, empty where the fault concerns the whole row or file.
    what : str
        What is wrong, with the offending value.
    expected : str
        What would be right.
    """

    file: str
    row: str
    column: str
    what: str
    expected: str

    def __str__(self) -> str:
        place = (
            self.file + (f":{self.row}" if self.row else "") + (f" [{self.column}]" if self.column else "")
        )
        return f"{place}: {self.what}; expected {self.expected}"


class GridclearError(Exception):
    """Base of every exception that gridclear raises on purpose."""


class CaseError(GridclearError):
    """The case is wrong; ``issues`` lists every fault that was found.

    Parameters
    ----------
    issues : tuple of Issue
        All faults, in the order of file, row and column; never empty.
    """

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        self.issues = issues
        count = len(issues)
        head = f"{count} issue{'s' if count != 1 else ''} found"
        super().__init__("\n".join([head, *(f"  {issue}" for issue in issues)]))


class SolverError(GridclearError):
    """A solver ended without an answer; the message says how."""


class OptionError(GridclearError, ValueError):
    """An argument of a call is outside what the call can do; the message says what it can."""
