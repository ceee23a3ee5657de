"""What a job cannot do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridclear.errors import CaseError, Issue

if TYPE_CHECKING:
    from gridclear.case.case import Case


def need_rows(case: Case, *tables: str) -> None:
    """Refuse a case that has nothing in any of the tables of which a job needs one.

    Parameters
    ----------
    case : Case
    *tables : str
        Names of tables, such as ``"reactive_bids"``.

    Raises
    ------
    CaseError
        All of them are empty; names them.
    """
    if all(case.table(name).empty for name in tables):
        issue = Issue(
            tables[0],
            "",
            "",
            "the case has none of the rows that this job needs",
            "rows in " + " or ".join(tables),
        )
        raise CaseError((issue,))
