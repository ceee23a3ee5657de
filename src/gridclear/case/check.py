"""All rules, one after the other; nothing is repaired in silence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gridclear.case.check_bids import check_bids
from gridclear.case.check_devices import check_devices
from gridclear.case.check_exchange import check_exchange
from gridclear.case.check_grid import check_elements, check_grid
from gridclear.case.check_inverters import check_curves, check_inverters
from gridclear.case.check_links import check_links
from gridclear.case.check_mesh import check_phase_shifts
from gridclear.case.check_offers import check_offers
from gridclear.case.check_profile import check_profile
from gridclear.case.check_reactions import check_reaction_curves, check_reactions
from gridclear.case.check_reactive import check_reactive
from gridclear.case.check_steps import check_steps
from gridclear.case.check_storage import check_storage
from gridclear.case.check_switching import check_switching
from gridclear.case.check_tables import check_tables
from gridclear.case.check_taps import check_taps
from gridclear.case.check_uncertainty import check_uncertainty
from gridclear.case.limits import Limits, check_limits
from gridclear.case.schema import TAPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet
    from gridclear.errors import Issue


def check_parts(
    sheets: Mapping[str, Sheet],
    grid: Grid | None,
    grid_file: str,
    horizon: Horizon | None,
    limits: Limits,
    faults: Faults,
) -> None:
    """Check the parts of a case against each other.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
        All tables of the schema.
    grid, horizon
        None if they could not be read: what hangs on them is left unchecked.
    grid_file : str
    limits : Limits
    faults : Faults
        Takes what is found.
    """
    check_tables(sheets, horizon, faults)
    check_links(sheets, grid, faults)
    check_bids(sheets, horizon, faults)
    check_curves(sheets, faults)
    check_reaction_curves(sheets, faults)
    check_uncertainty(sheets, grid, horizon, faults)
    if grid is not None:
        check_grid(grid, grid_file, None if check_limits(limits, "") else limits, faults)
        _check_electrical(grid, grid_file, faults)
        check_exchange(sheets["connection_points"], grid, grid_file, faults)
        if horizon is not None:
            check_switching(sheets["outages"], sheets["connection_points"], grid, horizon, faults)
            check_offers(sheets, grid, horizon, faults)
            check_reactive(sheets, grid, horizon, faults)
            check_profile(sheets, grid, horizon, faults)
            check_storage(sheets, grid, horizon, faults)
        check_inverters(sheets, grid, horizon, faults)
        check_reactions(sheets, grid, faults)
        check_devices(sheets, grid, grid_file, faults)


def check_power_flow(grid: Grid, file: str, faults: Faults) -> None:
    """Check all that a power flow of a grid needs, a case or none around it.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    _check_electrical(grid, file, faults)
    for table in TAPPED:
        check_taps(grid, table, file, faults)


def _check_electrical(grid: Grid, file: str, faults: Faults) -> None:
    check_elements(grid, file, faults)
    check_steps(grid, file, faults)
    check_phase_shifts(grid, file, faults)


def sorted_issues(issues: Iterable[Issue]) -> list[Issue]:
    """Order issues by file, row (numbers as numbers) and column; one that is there twice is kept once.

    Parameters
    ----------
    issues : iterable of Issue

    Returns
    -------
    list of Issue
    """
    return sorted(set(issues), key=_place)


def _place(issue: Issue) -> tuple[object, ...]:
    row = tuple(
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", issue.row)
    )
    return (issue.file, row, issue.column, issue.what, issue.expected)
