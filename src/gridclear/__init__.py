"""gridclear: the grid-constraint computation engine behind a TSO–DSO flexibility market.

Names are loaded when first used: ``gridclear --help`` must not wait for numba.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridclear.case import Case, Grid, Horizon, Limits, Prices, SettlementTerms
    from gridclear.errors import CaseError, GridclearError, Issue, OptionError
    from gridclear.io.folder import check_case, read_case, write_case
    from gridclear.jobs.activate import Activation, activate
    from gridclear.jobs.clear import Clearing, clear
    from gridclear.jobs.congestion import Congestion, congestion_forecast
    from gridclear.jobs.envelopes import Envelopes, operating_envelopes
    from gridclear.jobs.flow import Flow, power_flow
    from gridclear.jobs.outlook import Outlook, outlook
    from gridclear.jobs.pq_map import PQMap, pq_map
    from gridclear.jobs.prequalify import Prequalification, prequalify
    from gridclear.jobs.probable import ProbableLights, probable_lights
    from gridclear.jobs.qualify import Qualification, qualify
    from gridclear.jobs.roll import Rolling, roll
    from gridclear.jobs.select import Choice, select
    from gridclear.jobs.session import Session, run_session
    from gridclear.jobs.settle import Settlement, settle
    from gridclear.jobs.settle_activation import ActivationSettlement, settle_activation
    from gridclear.network.compile import compile_network
    from gridclear.network.limits import NodeLimits, describe, grid_limits
    from gridclear.network.network import Network
    from gridclear.powerflow.columns import Profile
    from gridclear.powerflow.solve import solve_batch
    from gridclear.powerflow.states import States
    from gridclear.report.html import write_report

_HOME = {
    "Activation": "gridclear.jobs.activate",
    "ActivationSettlement": "gridclear.jobs.settle_activation",
    "Case": "gridclear.case",
    "CaseError": "gridclear.errors",
    "Choice": "gridclear.jobs.select",
    "Clearing": "gridclear.jobs.clear",
    "Congestion": "gridclear.jobs.congestion",
    "Envelopes": "gridclear.jobs.envelopes",
    "Flow": "gridclear.jobs.flow",
    "Grid": "gridclear.case",
    "GridclearError": "gridclear.errors",
    "Horizon": "gridclear.case",
    "Issue": "gridclear.errors",
    "Limits": "gridclear.case",
    "Network": "gridclear.network.network",
    "NodeLimits": "gridclear.network.limits",
    "OptionError": "gridclear.errors",
    "Outlook": "gridclear.jobs.outlook",
    "PQMap": "gridclear.jobs.pq_map",
    "Prices": "gridclear.case",
    "Prequalification": "gridclear.jobs.prequalify",
    "ProbableLights": "gridclear.jobs.probable",
    "Profile": "gridclear.powerflow.columns",
    "Qualification": "gridclear.jobs.qualify",
    "Rolling": "gridclear.jobs.roll",
    "Session": "gridclear.jobs.session",
    "Settlement": "gridclear.jobs.settle",
    "SettlementTerms": "gridclear.case",
    "States": "gridclear.powerflow.states",
    "activate": "gridclear.jobs.activate",
    "check_case": "gridclear.io.folder",
    "clear": "gridclear.jobs.clear",
    "compile_network": "gridclear.network.compile",
    "congestion_forecast": "gridclear.jobs.congestion",
    "describe": "gridclear.network.limits",
    "grid_limits": "gridclear.network.limits",
    "operating_envelopes": "gridclear.jobs.envelopes",
    "outlook": "gridclear.jobs.outlook",
    "power_flow": "gridclear.jobs.flow",
    "pq_map": "gridclear.jobs.pq_map",
    "prequalify": "gridclear.jobs.prequalify",
    "probable_lights": "gridclear.jobs.probable",
    "qualify": "gridclear.jobs.qualify",
    "read_case": "gridclear.io.folder",
    "roll": "gridclear.jobs.roll",
    "run_session": "gridclear.jobs.session",
    "select": "gridclear.jobs.select",
    "settle": "gridclear.jobs.settle",
    "settle_activation": "gridclear.jobs.settle_activation",
    "solve_batch": "gridclear.powerflow.solve",
    "write_case": "gridclear.io.folder",
    "write_report": "gridclear.report.html",
}

try:
    __version__ = version("gridclear")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"

__all__ = [
    "Activation",
    "ActivationSettlement",
    "Case",
    "CaseError",
    "Choice",
    "Clearing",
    "Congestion",
    "Envelopes",
    "Flow",
    "Grid",
    "GridclearError",
    "Horizon",
    "Issue",
    "Limits",
    "Network",
    "NodeLimits",
    "OptionError",
    "Outlook",
    "PQMap",
    "Prequalification",
    "Prices",
    "ProbableLights",
    "Profile",
    "Qualification",
    "Rolling",
    "Session",
    "Settlement",
    "SettlementTerms",
    "States",
    "activate",
    "check_case",
    "clear",
    "compile_network",
    "congestion_forecast",
    "describe",
    "grid_limits",
    "operating_envelopes",
    "outlook",
    "power_flow",
    "pq_map",
    "prequalify",
    "probable_lights",
    "qualify",
    "read_case",
    "roll",
    "run_session",
    "select",
    "settle",
    "settle_activation",
    "solve_batch",
    "write_case",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gridclear' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
