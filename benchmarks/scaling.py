"""How the time of one power flow grows with the grid, on one thread, and how the peers' times do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .power_flow import NEWTON, OURS, PEERS, RATIOS, TERMS, Compared, compare, size_notes
from .registry import Benchmark, Cell, Result, Settings, Target
from .year import MADE

if TYPE_CHECKING:
    from collections.abc import Sequence

LIGHTSIM, LOOP = "lightsim2grid time series", "pandapower runpp loop"
ASKED = tuple(peer for peer in PEERS if peer.name in (OURS, NEWTON, LIGHTSIM, LOOP))
#: Series of grids of growing size.
SERIES = {
    "simbench": (
        "1-MV-rural--0-sw",
        "1-MV-urban--0-sw",
        "1-MVLV-semiurb-3.202-0-sw",
        "1-HVMV-urban-2.203-0-sw",
        "1-HVMV-urban-all-0-sw",
        "1-MVLV-rural-all-0-sw",
    ),
    "made": tuple(MADE),
}
MOST_EXPONENT = 1.2


def exponent(found: Sequence[Compared], peer: str) -> float:
    """Power of the number of buses with which a peer's time grows from the first grid to the last."""
    first, last = found[0], found[-1]
    if not all(peer in one.micros for one in (first, last)):
        return math.nan
    size = len(last.year.net.bus) / len(first.year.net.bus)
    return math.log(last.micros[peer]["total"] / first.micros[peer]["total"]) / math.log(size)


def run(series: str, settings: Settings) -> Result:
    """Compare the peers on every grid of a series; see `Settings`."""
    found: list[Compared] = []
    for case in SERIES.get(series, (series,)):
        one = compare(case, settings, ASKED)
        found.append(one)
    names = [peer.name for peer in ASKED if any(peer.name in one.micros for one in found)]
    rows: list[dict[str, Cell]] = []
    for one in found:
        row: dict[str, Cell] = {"grid": one.year.name, "buses": len(one.year.net.bus)}
        row |= {f"{name} µs": one.micros[name]["total"] for name in names if name in one.micros}
        row |= {f"× {name}": one.times_faster(name) for name in names if name != OURS}
        facts = one.facts.get(OURS, {})
        rows.append({**row, **{what: facts[what] for what in ("mismatch MVA", "max ΔV pu") if what in facts}})
    growth: dict[str, Cell] = {f"{name} µs": exponent(found, name) for name in names}
    rows.append({"grid": "exponent, first to last", **growth})
    notes = [f"{one.year.name}: {line}" for one in found for line in size_notes(one, settings)[:1]]
    notes += [f"{one.year.name}: {line}" for one in found for line in one.left_out]
    notes += [
        "µs per power flow, injections and branch currents included; ×: time of the peer over gridclear's.",
        *TERMS[1:],
        RATIOS,
    ]
    targets = [target for one in found for target in one.targets(f", {one.year.name}")]
    if len(found) > 1 and not math.isnan(exponent(found, OURS)):
        targets.append(
            Target("exponent of growth with buses", exponent(found, OURS), MOST_EXPONENT, at_least=False)
        )
    return Result("scaling", series, tuple(rows), tuple(notes), tuple(targets))


BENCHMARK = Benchmark(
    name="scaling",
    question="Time of one power flow on grids of growing size",
    cases=("simbench",),
    extra_cases=(),
    smoke_case="made",
    peers=tuple(peer.name for peer in ASKED),
    phases=("total",),
    run=run,
)
