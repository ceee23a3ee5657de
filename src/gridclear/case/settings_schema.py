"""The attribute table of ``case.toml``: the reader and the documentation both read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridclear.case.attributes import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys of ``case.toml``, by section.
SETTINGS: Mapping[str, tuple[Column, ...]] = {
    "case": (
        Column("name", "text", "name of the case", default="name of the folder"),
        Column(
            "grid",
            "text",
            "file of the grid in pandapower's JSON, inside the folder, or `simbench:CODE`",
            required=True,
        ),
        Column("start", "time", "start of the first period", required=True),
        Column("resolution", "text", "length of a period, ISO 8601", default="PT15M"),
        Column("periods", "whole", "number of periods", low=1, default="28"),
    ),
    "limits": (
        Column(
            "vm_min_pu",
            "number",
            "least voltage where the grid states none",
            unit="p.u.",
            low=0,
            above=True,
            default="0.95",
        ),
        Column(
            "vm_max_pu",
            "number",
            "most voltage where the grid states none",
            unit="p.u.",
            low=0,
            above=True,
            default="1.05",
        ),
        Column(
            "loading_percent",
            "number",
            "most loading where the grid states none",
            unit="%",
            low=0,
            above=True,
            default="100",
        ),
    ),
    "prices": (Column("losses_eur_mwh", "number", "price of losses", unit="EUR/MWh", low=0, default="0"),),
    "settlement": (
        Column(
            "pricing",
            "text",
            "what accepted bids are paid: their own price, or that of the dearest accepted one",
            choices=("pay-as-bid", "pay-as-clear"),
            default="pay-as-bid",
        ),
        Column(
            "tolerance_percent",
            "number",
            "of the schedule, within which what is metered counts as delivered",
            unit="%",
            low=0,
            high=100,
            default="0",
        ),
        Column(
            "penalty_eur_mwh",
            "number",
            "price of active energy metered beyond the tolerance",
            unit="EUR/MWh",
            low=0,
            default="0",
        ),
        Column(
            "penalty_eur_mvarh",
            "number",
            "price of reactive energy metered beyond the tolerance",
            unit="EUR/Mvarh",
            low=0,
            default="0",
        ),
    ),
}
