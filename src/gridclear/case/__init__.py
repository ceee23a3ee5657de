"""What one market session is: the grid, its horizon and its tables, in physical units and names."""

from gridclear.case.case import Case
from gridclear.case.grid import Grid
from gridclear.case.horizon import Horizon
from gridclear.case.limits import Limits
from gridclear.case.prices import Prices
from gridclear.case.settlement_terms import SettlementTerms

__all__ = ["Case", "Grid", "Horizon", "Limits", "Prices", "SettlementTerms"]
