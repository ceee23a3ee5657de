"""Lights under each guarantee: gridclear against the same lights by power-grid-model and ``runpp``."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import gridclear
from benchmarks.judge import JUMPED, PRESSED, RANDOM_CORNERS, RESERVED, SAME_LIGHT, Peer, corners
from benchmarks.lights import COLOURS, LEAN, THREADS, one_flow
from benchmarks.peers.pgm_lights import CURRENT, NEWTON, PgmLights
from benchmarks.registry import (
    Benchmark,
    Cell,
    MissingPeerError,
    Result,
    Settings,
    Target,
    interleaved,
    timed,
)
from benchmarks.session import Asked, Session
from benchmarks.year import SMOKE_CASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

GUARANTEES = ("each", "merit-order", "any-subset")
NEWTON_PEER = "pgm Newton-Raphson, all cores"
PGM = {NEWTON_PEER: NEWTON, "pgm iterative current, all cores": CURRENT}
LARGE = "1-MVLV-rural-all-0-sw"
ANY = dict.fromkeys(GUARANTEES, math.inf)
ASKED = {
    "grids/mv-rural": Asked({"each": math.inf, "merit-order": 3.0, "any-subset": 10.0}),
    # Up to what a low-voltage transformer carries.
    LARGE: Asked({"each": 20.0}, bids=500, sizes_mw=(0.002, 0.3), judged=4),
    SMOKE_CASE: Asked(ANY, sizes_mw=(2.0, 40.0), judged=4),
}
TERMS = (
    (
        "s: time of one qualify, with compiling the grid and the base states; peers: the searches alone, "
        "base states and limits given."
    ),
    (
        "peers: full offer first, bisection to a thousandth of it where that breaks something; "
        "power-grid-model: all open searches in one batch, limits by numpy."
    ),
    (
        "merit-order by the peers: bids one after another, all periods in one batch; each sampled bid on top "
        "of what was published for those before it, so that one difference makes no others."
    ),
    (
        "any-subset: no peer has it; power-grid-model solves corners of the published box, per judged "
        f"period: all bids up, all down, {RANDOM_CORNERS} random subsets of random density, and those that "
        f"press most on the {PRESSED} constraints that come nearest by their slopes."
    ),
)


def run(name: str, settings: Settings) -> Result:
    """Time the guarantees of one case, peers in turns, and compare their lights; see `Settings`."""
    asked = ASKED.get(name, Asked(ANY))
    session = Session.of(name, asked, settings)
    # These calls compile the grid and the kernels, too; what follows is timed.
    lights = {g: gridclear.qualify(session.case, guarantee=g).lights for g in asked.seconds}
    share = {g: session.shares(found) for g, found in lights.items()}
    threads = {peer: count for peer, count in THREADS.items() if settings.wants(peer)} or THREADS
    runs: dict[tuple[str, str], Callable[[], Mapping[str, float]]] = {
        (g, peer): partial(_qualify, session.case, g, count) for g in share for peer, count in threads.items()
    }
    models, left_out = _models(session, settings)
    peers = {
        (g, peer): Peer.of(session, model, g, share[g], settings.sample)
        for g in share
        if g != "any-subset"
        for peer, model in models.items()
    }
    runs |= {key: partial(_search, peer, key[0]) for key, peer in peers.items()}
    seconds = {key: taken["total"] for key, taken in interleaved(runs, settings.repeats).items()}
    found = {key: peer.search(key[0]) for key, peer in peers.items()}
    all_lights = len(session.bus) * session.case.horizon.periods
    flow_seconds = one_flow(session.bases[0])
    for (g, peer), reached in found.items():
        seconds[g, peer] *= all_lights / reached.share.size
        if settings.wants(LEAN):
            seconds[g, LEAN] = flow_seconds * float(reached.flows.mean()) * all_lights

    rows: list[dict[str, Cell]] = []
    targets: list[Target] = []
    notes = [*_size_notes(session, settings, lights), f"runpp: {flow_seconds * 1e3:.1f} ms each.", *TERMS]
    for g, published in share.items():
        best = min((seconds[g, peer], peer) for peer in threads)
        for peer in (*threads, *models, LEAN):
            if (g, peer) not in seconds:
                continue
            taken = seconds[g, peer]
            row: dict[str, Cell] = {"guarantee": g, "peer": peer, "s": taken}
            row["µs per light"] = taken / all_lights * 1e6
            row["× gridclear"] = taken / best[0]
            flows = found.get((g, NEWTON_PEER if peer == LEAN else peer))
            row["flows per light"] = math.nan if flows is None else float(flows.flows.mean())
            rows.append({**row, "extrapolated": "no" if peer in threads else "yes"})
        if math.isfinite(asked.seconds[g]):
            targets.append(Target(f"seconds of {g}", best[0], asked.seconds[g], at_least=False))
        for peer in models:
            if (g, peer) in peers:
                words = peers[g, peer].compare(published, found[g, peer].share)
                known = [f"{words[what]} {what}" for what in (SAME_LIGHT, RESERVED, JUMPED)]
                differ = [what for what in words if what.startswith("differs")]
                notes.append(
                    f"{g}, {peer}: of {words.total()} lights {', '.join(known)}; {len(differ)} differ."
                )
                notes += differ[:10]
                what = f"lights of {g} that differ from those of {peer}"
                targets.append(Target(what, float(len(differ)), 0.0, at_least=False, speed=False))
    if "any-subset" in share and models:
        box = corners(session, next(iter(models.values())), share["any-subset"], settings.seed)
        notes.append(f"any-subset: {box.solved} corners, the worst at {box.worst:.4g} tolerances of a limit.")
        what = "corners of the published boxes beyond the tolerance"
        targets.append(Target(what, float(box.broken), 0.0, at_least=False, speed=False))
    return Result("guarantees", name, tuple(rows), (*notes, *left_out), tuple(targets))


def _qualify(case: gridclear.Case, guarantee: str, threads: int | None) -> dict[str, float]:
    return {"qualify": timed(partial(gridclear.qualify, case, guarantee=guarantee, threads=threads))}


def _search(peer: Peer, guarantee: str) -> dict[str, float]:
    return {"search": timed(partial(peer.search, guarantee))}


def _models(session: Session, settings: Settings) -> tuple[dict[str, PgmLights], list[str]]:
    """Set up the peers that are installed and wanted; and say which are not, and why."""
    models, left_out = {}, []
    for peer, method in PGM.items():
        if not settings.wants(peer):
            continue
        try:
            models[peer] = PgmLights(session.bases, session.case.connection_points, method)
        except MissingPeerError as fault:
            left_out.append(f"{peer}: left out, {fault}")
    if not models:
        left_out.append(f"{LEAN}: left out, it is reckoned from the power flows of power-grid-model's search")
    return models, left_out


def _size_notes(session: Session, settings: Settings, lights: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say what was asked, and how the lights came out."""
    case = session.case
    size = f"{len(session.bus)} made bids × {case.horizon.periods} periods on {case.name}"
    judged = f"{min(settings.sample, len(session.bus))} bids × {len(session.periods)} periods"
    return [
        f"{size} ({len(session.net.bus)} buses), seed {settings.seed}; median of {settings.repeats} calls.",
        *(f"{g}: {_colours(found)}" for g, found in lights.items()),
        f"judged by the peers: {judged}, evenly spread over the merit order and the horizon.",
    ]


def _colours(lights: pd.DataFrame) -> str:
    counts = ", ".join(f"{int((lights['light'] == colour).sum())} {colour}" for colour in COLOURS)
    accepted, offered = lights["accepted_mw"].sum(), lights["offered_mw"].sum()
    return f"{counts}; {accepted:.6g} of {offered:.6g} MW."


BENCHMARK = Benchmark(
    name="guarantees",
    question="Traffic lights that hold alone, in merit order and for any subset",
    cases=("grids/mv-rural", LARGE),
    extra_cases=("grids/mv-urban", "grids/hv-mixed"),
    smoke_case=SMOKE_CASE,
    peers=(*THREADS, *PGM, LEAN),
    phases=("qualify",),
    run=run,
)
