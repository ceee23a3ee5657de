"""The README and the licence notice of a case folder, written from its recipe and its notes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pandas as pd
from _notes import REMARKS, WINDOW
from _simbench import RESOLUTION

if TYPE_CHECKING:
    import pandapower as pp
    from _recipe import Outage, Recipe, Tap

WIDTH = 110

LICENCE = """# Licence of the data in this folder

This folder holds a database derived from **SimBench** (<https://simbench.de>), the benchmark data set for
solutions in the field of network analysis, network planning and operation.

Copyright (c) 2019-2026 by University of Kassel, TU Dortmund, RWTH Aachen University and Fraunhofer
Institute for Energy Economics and Energy System Technology (IEE) Kassel and individual contributors.

The database called SimBench is made available under the Open Database License (ODbL) 1.0:
<http://opendatacommons.org/licenses/odbl/1.0/>. Any rights in individual contents of the database are
licensed under the Database Contents License: <http://opendatacommons.org/licenses/dbcl/1.0/>.

This derived database, with all that the developers of gridclear have changed in it and added to it
(`README.md` says what), is made available under the same two licences. Whoever passes it on keeps this
notice; whoever passes on a changed version does so under the ODbL as well. gridclear's program code is
not part of the database and has a licence of its own.

Please cite: S. Meinecke, D. Sarajlić, S. R. Drauz, A. Klettke, L.-P. Lauven, C. Rehtanz, A. Moser, M.
Braun, "SimBench - A Benchmark Dataset of Electric Power Systems to Compare Innovative Solutions Based on
Power Flow Analysis", Energies 13 (12), 3290, 2020, <https://doi.org/10.3390/en13123290>.
"""

REBUILD = """With gridclear's extra `data` (simbench) installed:

```sh
python grids/make_grids.py {name}
```

The choices stand in `grids/_recipes.py`; bids, prices and the TSO's wishes are drawn with seed {seed}.
The same versions of simbench and pandapower give the same bytes. Licence:
[LICENSE-DATA.md](LICENSE-DATA.md).
"""


def readme(net: pp.pandapowerNet, bids: pd.DataFrame, retired: list[str], recipe: Recipe) -> str:
    """Say where a case comes from, what was taken, what was added and why, and how to rebuild it.

    Parameters
    ----------
    net
        The finished grid.
    bids
        Its active bids.
    retired
        Buses that were set out of service because nothing supplies them.
    recipe
        What was taken and added.

    Returns
    -------
    str
        Markdown.
    """
    sections = [
        f"# {recipe.name}",
        _fill(_intro(net, bids, recipe)),
        "## Taken from SimBench",
        _list(_taken(net, retired)),
        "## The window",
        _fill(WINDOW[recipe.name]),
        "## Added by us",
        "None of this is in SimBench: it was made up to have a market session at all.",
        _list(_added(recipe)),
        "## What there is to see",
        _list(list(REMARKS[recipe.name])),
        "## Rebuild",
        REBUILD.format(name=recipe.name, seed=recipe.seed).strip(),
    ]
    return "\n\n".join(sections) + "\n"


def _fill(text: str, indent: str = "") -> str:
    flowing = " ".join(text.split())
    return textwrap.fill(
        flowing, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _list(items: list[str]) -> str:
    return "\n".join(_fill(f"- {item}", "  ") for item in items)


def _intro(net: pp.pandapowerNet, bids: pd.DataFrame, recipe: Recipe) -> str:
    counted = ", ".join(
        f"{len(net[table])} {word}{'s' if len(net[table]) > 1 else ''}"
        for table, word in (
            ("line", "line"),
            ("trafo", "transformer"),
            ("load", "load"),
            ("sgen", "generator"),
            ("storage", "storage"),
            ("ext_grid", "connection point"),
        )
    )
    return (
        f"A case of gridclear: the SimBench grid `{recipe.code}` ({len(net.bus)} buses, {counted}) over 28 "
        f"quarter-hours from {recipe.start_utc}, with {bids['bid'].nunique()} active bids ({len(bids)} rows)."
    )


def _taken(net: pp.pandapowerNet, retired: list[str]) -> list[str]:
    bands = net.bus.groupby("vn_kv")[["min_vm_pu", "max_vm_pu"]].first()
    band_text = "; ".join(f"{kv:g} kV: {low:g} to {high:g} p.u." for kv, low, high in bands.itertuples())
    isolated = (
        f"Set out of service, because nothing supplies them: {', '.join(retired)}."
        if retired
        else "No bus is isolated."
    )
    return [
        f"""`grid.json`: buses with their coordinates, lines, transformers, switches, external
        grids, loads, generators and storages under SimBench's names, with its limits of voltage
        ({band_text}) and loading. Left out: profiles, load cases, measurements, substations,
        results, the type library, empty columns, and placeholders that are rated 0 MVA. {isolated}""",
        """`forecast.csv`: active and reactive power from SimBench's profiles of 2016, rounded to 10
        W. Its stamps are German local time with daylight saving; here they are UTC. Generators have
        no reactive profile: 0 Mvar, as in the grid.""",
    ]


def _added(recipe: Recipe) -> list[str]:
    banks = "; ".join(
        f"{bank.name} ({bank.steps} x {bank.step_mvar:g} Mvar, {bank.position} in)" for bank in recipe.banks
    )
    points = "; ".join(
        f"{point.name}: P and Q within +/- {point.p_mw:g} MW and {point.q_mvar:g} Mvar"
        for point in recipe.connection_points
    )
    items = [
        """`tap_changer_type = "Ratio"` for every transformer: SimBench leaves it empty, and
        pandapower from version 3 on would then ignore the taps.""",
        f"`tap_changers.csv`: {'; '.join(_tap(tap) for tap in recipe.taps)}.",
        f"""Capacitor banks, in `grid.json` as shunts with q < 0 (SimBench has none): {banks}.
        `capacitor_banks.csv` lets the operator move them; number and cost of moves are ours, as are
        those of the taps.""",
    ]
    if recipe.batteries:
        parks = "; ".join(f"{park.name} ({park.p_mw:g} MW, {park.e_mwh:g} MWh)" for park in recipe.batteries)
        items.append(
            f"""Battery parks, as resources of several MW that SimBench's scenario of today does not
            have; they idle in the forecast: {parks}."""
        )
    if recipe.consumers:
        consumers = "; ".join(f"{item.name} (up to {max(item.hourly_mw):g} MW)" for item in recipe.consumers)
        items.append(f"Large consumers, with a forecast of our own: {consumers}.")
    items.extend(f"`outages.csv`: {_outage(outage, recipe)}" for outage in recipe.outages)
    items.extend(
        (
            f"`connection_points.csv`: {points}.",
            """`active_bids.csv`: loads shed or draw more, generators are curtailed or use what is
            left of their rating, storages do both; T001 to T004 are connected to transmission. Most
            bids name a least amount, some are blocks, those of loads and of some generators move
            reactive power along (`tan_phi`). Prices are drawn around what such resources might ask.""",
            """For the jobs beyond the lights: `active_need.csv`, `reactive_bids.csv`,
            `inverters.csv`, `capability_curves.csv` (of one of them), `storage.csv` (efficiencies of
            0.95; half full where the forecast leaves the battery idle, else of unknown energy), a price of
            losses of 60 EUR/MWh in `case.toml`, and `reactive_profile.csv` (the exchange that
            pandapower computes for the forecast, plus a smooth wave).""",
        )
    )
    return items


def _tap(tap: Tap) -> str:
    text = f"`{tap.trafo}` {tap.mode}, position {tap.position}"
    if tap.vm_set_pu is not None:
        text += f", {tap.vm_set_pu:g} p.u. with a dead band {tap.deadband_pu:g} wide"
    return text + (f", group `{tap.group}`" if tap.group else "")


def _outage(outage: Outage, recipe: Recipe) -> str:
    start = pd.Timestamp(recipe.start_utc)
    first, end = start + outage.first * RESOLUTION, start + (outage.last + 1) * RESOLUTION
    when = f"{first:%H:%M} to {end:%H:%M} UTC"
    return f"{outage.element_type} `{outage.element}` {outage.state} from {when} ({outage.why})."
