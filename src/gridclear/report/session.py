"""A market session in a terminal: what was done, and what each job says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.activate import Activation
from gridclear.jobs.clear import Clearing
from gridclear.jobs.congestion import Congestion
from gridclear.jobs.flow import Flow
from gridclear.jobs.outlook import Outlook
from gridclear.jobs.pq_map import PQMap
from gridclear.jobs.qualify import Qualification
from gridclear.jobs.settle import Settlement
from gridclear.jobs.settle_activation import ActivationSettlement
from gridclear.report.clearing import describe_clearing
from gridclear.report.maps import describe_map
from gridclear.report.market import describe_activation, describe_activation_bill, describe_settlement
from gridclear.report.tables import render
from gridclear.report.text import describe_flow, describe_qualification

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.result import Result
    from gridclear.jobs.roll import Rolling
    from gridclear.jobs.session import Session

_ROWS = 12
TITLES = {
    "flow": "Base state",
    "outlook": "Forecast by technology, short-circuit power",
    "congestion": "Congestion forecast",
    "tlq": "Traffic lights",
    "activate": "Activation of active power",
    "settle_activation": "Settlement of the activation",
    "pq_map": "Maps of reactive power",
    "clear": "Clearing of reactive power",
    "settle": "Settlement of the clearing",
}


def describe_session(session: Session, *, width: int = 100) -> str:
    """Show which jobs were done and how they ended.

    Parameters
    ----------
    session : Session
        Result of `run_session`.
    width : int
        Characters per line.
    """
    jobs = session.jobs
    table = pd.DataFrame(
        {
            "job": jobs["job"],
            "status": jobs["status"],
            "seconds": jobs["seconds"].map("{:.2f}".format),
            "reason": jobs["reason"],
        }
    )
    return f"{session.status}\n" + render(table, width=width, note="reason")


def describe_rolling(rolling: Rolling, *, width: int = 100) -> str:
    """Show how the sessions ended, what they took, and what the delivered periods break.

    Parameters
    ----------
    rolling : Rolling
        Result of `roll`.
    width : int
        Characters per line.
    """
    rows = rolling.sessions
    shown = rows if len(rows) <= _ROWS else rows[rows["status"] != "complete"].head(_ROWS)
    table = pd.DataFrame(
        {
            "session": shown["start"].dt.strftime("%d %b %H:%M"),
            "periods": shown["periods"],
            "status": shown["status"],
            "seconds": shown["seconds"].map("{:.2f}".format),
            "cost EUR": shown["cost_eur"].map("{:.2f}".format),
            "broken": shown["broken"],
            "incomplete": shown["incomplete"],
        }
    )
    complete = int((rows["status"] == "complete").sum())
    found, short = rolling.provenance["taken_over"], int((rolling.needs["shortfall_mw"] > 0.0).sum())
    head = (
        f"{rolling.status}: {complete} of {len(rows)} sessions are complete; "
        f"seconds: median {rows['seconds'].median():.2f}, most {rows['seconds'].max():.2f}\n"
        + (f"left by an earlier run and not held again: {found}\n" if found else "")
        + f"taken of bids: {len(rolling.taken)} rows; "
        f"delivered periods that break a limit: {int((rows['broken'] > 0).sum())}"
        + (f"; needs that are not covered there: {short} of {len(rolling.needs)}" if short else "")
    )
    parts = ("active", "reactive", "moves", "losses")
    money = ", ".join(f"{part} {rolling.owed[f'{part}_eur'].sum():.2f}" for part in parts)
    head += f"\nowed for the delivered periods, EUR: {money}"
    return head + (f"\n{render(table, width=width, note='incomplete')}" if len(table) else "")


def describe_part(case: Case, result: Result, *, colour: bool = False, width: int = 100) -> str:
    """Show the result of one job of a session.

    Parameters
    ----------
    case : Case
        The case of the session.
    result : Result
        One of its parts.
    colour : bool
        Lights as dots with colours instead of letters.
    width : int
        Characters per line.

    Raises
    ------
    TypeError
        It is none of a session's.
    """
    match result:
        case Flow():
            return describe_flow(result, width=width)
        case Outlook():
            return describe_outlook(result, width=width)
        case Congestion():
            return describe_congestion(result, width=width)
        case Qualification():
            return describe_qualification(case, result, with_base=False, colour=colour, width=width)
        case Activation():
            return describe_activation(case, result, width=width)
        case ActivationSettlement():
            return describe_activation_bill(result, width=width)
        case PQMap():
            return describe_map(result, width=width)
        case Clearing():
            return describe_clearing(result, width=width)
        case Settlement():
            return describe_settlement(result, width=width)
    msg = f"no page is known for a {type(result).__name__}"
    raise TypeError(msg)


def describe_outlook(result: Outlook, *, width: int = 100) -> str:
    """Show the range of each technology over the horizon, and the least short-circuit power of each point.

    Parameters
    ----------
    result : Outlook
        Result of `outlook`.
    width : int
        Characters per line.
    """
    keys = ["connection_point", "element_type", "technology"]
    power = result.technologies.groupby(keys, sort=False)["p_mw"].agg(["min", "max"]).reset_index()
    power["connection_point"] = power["connection_point"].where(
        power["connection_point"] != "", "(no supply)"
    )
    headings = {
        "connection_point": "connection point",
        "element_type": "table",
        "min": "least MW",
        "max": "most MW",
    }
    shown = power.rename(columns=headings).sort_values("most MW", ascending=False, kind="stable")
    more = f"\nand {len(shown) - _ROWS} more" if len(shown) > _ROWS else ""
    keys = ["connection_point", "case", "reason"]
    faults = result.short_circuit.groupby(keys, sort=False)["skss_mva"].min().reset_index()
    words = np.where(faults["reason"] == "", faults["skss_mva"].map("{:.1f} MVA".format), faults["reason"])
    names = "short-circuit power at " + faults["connection_point"] + ", " + faults["case"]
    lines: list[str] = (names + ": " + words).tolist()
    return "\n".join([render(shown.head(_ROWS), width=width) + more, *lines])


def describe_congestion(result: Congestion, *, width: int = 100) -> str:
    """Show the least that would cure each limit that the forecast breaks.

    Parameters
    ----------
    result : Congestion
        Result of `congestion_forecast`.
    width : int
        Characters per line.
    """
    broken = result.limits[~result.limits["kind"].isin(["islanded", "no-solution"])]
    if broken.empty:
        return "The forecast breaks no limit that a resource could cure"
    limit = ["kind", "element_type", "element"]
    rows = []
    for key, own in broken.groupby(limit, sort=False):
        cures = result.cures[(result.cures[limit] == list(key)).all(axis=1)]
        # The first of each period is the one of which least is needed by the slopes.
        least = cures.sort_values("needed_mw", kind="stable").drop_duplicates("start")
        by_resource = least.groupby(["resource_type", "resource", "direction"], sort=False)["needed_mw"]
        most = by_resource.max().sort_values(ascending=False)
        best = " ".join(map(str, most.index[0])) if len(most) else "none alone"
        rows.append(
            {
                "limit": " ".join(map(str, key)),
                "periods": len(own),
                "cured in": len(least),
                "most MW needed": float(most.iloc[0]) if len(most) else float("nan"),
                "of": best,
                "safe": int(least["safe"].sum()),
            }
        )
    table = pd.DataFrame(rows).sort_values("periods", ascending=False, kind="stable")
    more = f"\nand {len(table) - _ROWS} more" if len(table) > _ROWS else ""
    return "What one resource alone would have to do\n" + render(table.head(_ROWS), width=width) + more
