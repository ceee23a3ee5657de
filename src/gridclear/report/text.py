"""What a person reads in the terminal after a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.report.lights import light_picture
from gridclear.report.tables import (
    bids_table,
    constraints_table,
    devices_table,
    envelopes_table,
    exchange_table,
    lights_table,
    products_table,
    render,
    violations_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.envelopes import Envelopes
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.prequalify import Prequalification
    from gridclear.jobs.qualify import Qualification

_ROWS = 8
_ELEMENTS = {"bus": "buses", "line": "lines", "trafo": "transformers", "load": "loads", "sgen": "generators"}


def describe_case(case: Case) -> str:
    """Say in one line what a case is: name, horizon and size.

    Parameters
    ----------
    case : Case
        Any case.
    """
    horizon = case.horizon
    minutes = horizon.resolution.total_seconds() / 60
    sizes = [
        f"{len(case.grid.tables[name])} {word}"
        for name, word in _ELEMENTS.items()
        if name in case.grid.tables
    ]
    bids = case.active_bids["bid"].nunique()
    when = f"{horizon.periods} periods of {minutes:g} min from {horizon.start:%Y-%m-%d %H:%M} UTC"
    return f"{case.name}: {when}; {', '.join(sizes)}; {bids} active bids\n"


def describe_flow(flow: Flow, *, width: int = 100) -> str:
    """Show extremes, exchange, moving devices and broken limits of a base state.

    Parameters
    ----------
    flow : Flow
        Result of `power_flow`.
    width : int
        Characters per line.
    """
    parts = [
        _extremes(flow),
        "Exchange at the connection points\n" + render(exchange_table(flow.exchange), width=width),
        _devices(flow.devices, width),
        _violations(flow.violations, width),
    ]
    return "\n\n".join(part for part in parts if part)


def describe_qualification(
    case: Case, tlq: Qualification, *, with_base: bool = True, colour: bool = False, width: int = 100
) -> str:
    """Show counts, reasons, the bids that are held back and the picture of a qualification.

    Parameters
    ----------
    case : Case
        The case of the qualification.
    tlq : Qualification
        Result of `qualify`.
    with_base : bool
        Also what the base state breaks and where the devices stand.
    colour : bool
        Dots with colours instead of letters.
    width : int
        Characters per line.
    """
    hours, lights = case.horizon.hours, tlq.lights
    if lights.empty:
        return "no active bids: nothing to qualify"
    parts = ["Lights\n" + render(lights_table(lights, hours=hours), width=width)]
    if (tlq.costs["cost_mw"] != 0.0).any():
        each, accepted = (tlq.costs[column].sum() * hours for column in ("each_mw", "accepted_mw"))
        parts.append(f"Safe one by one {each:.3f} MWh, under this guarantee {accepted:.3f} MWh")
    if (lights["light"] != "green").any():
        stopping, held = constraints_table(lights, hours=hours), bids_table(lights, hours=hours)
        parts.append("What stops the bids\n" + _top(stopping, width))
        parts.append("Bids held back most, and why in their worst period\n" + _top(held, width, "reason"))
    if with_base:
        parts += [_violations(tlq.violations, width), _devices(tlq.devices, width)]
    parts.append("One mark per bid and period\n" + light_picture(lights, colour=colour, width=width))
    return "\n\n".join(part for part in parts if part)


def describe_prequalification(result: Prequalification, *, width: int = 100) -> str:
    """Show how many products pass in full, and which are held back and why.

    Parameters
    ----------
    result : Prequalification
        Result of `prequalify`.
    width : int
        Characters per line.
    """
    products = result.products
    unknown = int(products["largest_mw"].isna().sum())
    held = products_table(products)
    whole = len(products) - len(held) - unknown
    parts = [f"{len(products)} products: {whole} safe in full, {len(held)} held back, {unknown} not stated"]
    if len(held):
        parts.append("Products held back most, and why\n" + _top(held, width, "reason"))
    return "\n\n".join(parts)


def describe_envelopes(case: Case, result: Envelopes, *, width: int = 100) -> str:
    """Show how much freedom the envelopes leave, and what stops them.

    Parameters
    ----------
    case : Case
        The case of the envelopes.
    result : Envelopes
        Result of `operating_envelopes`.
    width : int
        Characters per line.
    """
    table = result.envelopes
    if table.empty:
        return "no resources: no envelopes"
    up, down = table["high_mw"] - table["p_mw"], table["p_mw"] - table["low_mw"]
    hours = case.horizon.hours
    size = f"{len(table)} ranges: {up.sum() * hours:.1f} MWh up and {down.sum() * hours:.1f} MWh down in all"
    return size + "\n\nWhat stops them\n" + _top(envelopes_table(table), width)


def _extremes(flow: Flow) -> str:
    lines = []
    vm_pu, loading = flow.buses["vm_pu"].to_numpy(), flow.branches["loading_percent"].to_numpy()
    if not np.isnan(vm_pu).all():
        low, high = flow.buses.iloc[int(np.nanargmin(vm_pu))], flow.buses.iloc[int(np.nanargmax(vm_pu))]
        lines.append(
            f"lowest voltage   {low['vm_pu']:.4f} p.u. at bus '{low['bus']}', {low['start']:%d %b %H:%M}"
        )
        lines.append(
            f"highest voltage  {high['vm_pu']:.4f} p.u. at bus '{high['bus']}', {high['start']:%d %b %H:%M}"
        )
    if not np.isnan(loading).all():
        top = flow.branches.iloc[int(np.nanargmax(loading))]
        place = f"{top['element_type']} '{top['element']}', {top['start']:%d %b %H:%M}"
        lines.append(f"highest loading  {top['loading_percent']:.1f} % of {place}")
    return "\n".join(lines)


def _devices(devices: pd.DataFrame, width: int) -> str:
    """Table of the devices that move; one line for those that do not."""
    table = devices_table(devices)
    moving = table[table["steps moved"] > 0]
    still = len(table) - len(moving)
    stay = (
        f"{still} device{'s' if still != 1 else ''} stay{'s' if still == 1 else ''} in place" if still else ""
    )
    if moving.empty:
        return stay
    return "Devices that move\n" + _top(moving, width) + (f"\n{stay}" if stay else "")


def _violations(violations: pd.DataFrame, width: int) -> str:
    if violations.empty:
        return "The forecast breaks no limit"
    return "Limits that the forecast already breaks\n" + _top(violations_table(violations), width)


def _top(table: pd.DataFrame, width: int, note: str = "") -> str:
    """First rows of a table, and how many there are besides."""
    more = len(table) - _ROWS
    return render(table.head(_ROWS), width=width, note=note) + (f"\nand {more} more" if more > 0 else "")
