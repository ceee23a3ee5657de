"""A clearing in a terminal: what it costs, whether the profile is met, what moves and what binds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.report.tables import quantity, render

if TYPE_CHECKING:
    from gridclear.jobs.clear import Clearing

_WORDS = {
    "optimal": "all limits and the profile are kept; no schedule is cheaper by 0.5 % or more",
    "confirmed": "all limits and the profile are kept; how far from the least cost is not proved",
    "closest": "all limits are kept; the profile cannot be met: this is the closest that was found",
    "deadline": "time was over: the best confirmed schedule",
    "no-solution": "no schedule was confirmed",
}
_ROWS = 8


def describe_clearing(clearing: Clearing, *, width: int = 100) -> str:
    """Show status, cost, exchange, moves and binding limits of a clearing.

    Parameters
    ----------
    clearing : Clearing
    width : int
        Characters per line.
    """
    sums = clearing.costs.groupby("part", sort=False)["eur"].sum()
    costs = ", ".join(f"{part} {eur:.2f}" for part, eur in sums.items())
    bound = (
        ""
        if np.isnan(clearing.bound_eur)
        else f"; at least {clearing.bound_eur:.2f} ({clearing.gap:.2%} gap)"
    )
    head = (
        f"{clearing.status}: {_WORDS[clearing.status]}\n"
        f"cost {clearing.cost_eur:.2f} EUR ({costs}){bound}; {clearing.solved_s:.1f} s"
    )
    parts = [
        head,
        "Exchange of reactive power, Mvar\n" + render(_exchange(clearing.exchange), width=width),
        _moves(clearing.devices, width),
        _binding(clearing.binding, width),
    ]
    return "\n\n".join(part for part in parts if part)


def _exchange(exchange: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for point, own in exchange.groupby("connection_point", sort=False):
        asked = own[own["requested_q_mvar"].notna()]
        rows.append(
            {
                "connection point": str(point),
                "from": float(own["q_mvar"].min()),
                "to": float(own["q_mvar"].max()),
                "periods asked": len(asked),
                "not met": int((asked["shortfall_mvar"] > 0.0).sum()),
                "most missing": float(asked["shortfall_mvar"].max()) if len(asked) else 0.0,
                "price from EUR/Mvarh": float(asked["price_eur_mvarh"].min()) if len(asked) else np.nan,
                "to EUR/Mvarh": float(asked["price_eur_mvarh"].max()) if len(asked) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _moves(devices: pd.DataFrame, width: int) -> str:
    rows = [
        {
            "device": f"{kind} {element}",
            "moves": int(own["moves"].sum()),
            "positions": " ".join(_path(own["position"].tolist())),
        }
        for (kind, element), own in devices.groupby(["element_type", "element"], sort=False)
        if own["moves"].sum() > 0
    ]
    if not rows:
        return "No device moves"
    return "Devices that move\n" + render(pd.DataFrame(rows), width=width)


def _path(positions: list[float]) -> list[str]:
    """Positions without repetitions."""
    kept = [positions[0], *(b for a, b in pairwise(positions) if a != b)]
    return [f"{position:g}" for position in kept]


def _binding(binding: pd.DataFrame, width: int) -> str:
    if binding.empty:
        return ""
    rows = []
    for (kind, element_type, element), own in binding.groupby(
        ["kind", "element_type", "element"], sort=False
    ):
        rows.append(
            {
                "limit": f"{kind} {element_type} {element}",
                "periods": len(own),
                "at": quantity(str(kind), float(own["limit"].iloc[0])),
                "worth EUR": float(own["price_eur"].sum()),
                "would bring Mvar": float(own["relief_mvar"].sum()),
            }
        )
    order = ["would bring Mvar", "worth EUR"]
    table = pd.DataFrame(rows).sort_values(order, ascending=False, kind="stable")
    note = "" if len(table) <= _ROWS else f"\n(and {len(table) - _ROWS} more)"
    return (
        "Limits that bind, and what one unit more is worth\n" + render(table.head(_ROWS), width=width) + note
    )
