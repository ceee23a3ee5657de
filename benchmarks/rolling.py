"""A day of sessions that go on from one another: seconds of each, and resident memory."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pandas as pd

import gridclear
from gridclear.case.schema import TABLES

from .made_bids import made_bids
from .registry import Benchmark, Result, Settings, Target

ROOT = Path(__file__).resolve().parent.parent
SESSIONS, PERIODS, BIDS = 96, 28, 200
#: Sizes that leave some of the resources' room to others.
SIZES_MW = (0.05, 2.0)


def long_case(case: gridclear.Case, periods: int) -> gridclear.Case:
    """Repeat the periods of a shipped case, one after the other, until there are enough; outages come once.

    Where storages stand is not known from the second time on: their plan is made for one time only.
    """
    own, step = case.horizon.periods, case.horizon.resolution
    tables: dict[str, pd.DataFrame] = {}
    for name, table in TABLES.items():
        frame = case.table(name)
        if name == "outages" or not any(column.name == "start" for column in table.columns):
            continue
        copies = [
            frame.assign(start=frame["start"] + step * own * turn) for turn in range(-(-periods // own))
        ]
        whole = pd.concat(copies, ignore_index=True)
        tables[name] = whole[whole["start"] < case.horizon.start + step * periods].reset_index(drop=True)
    horizon = gridclear.Horizon(case.horizon.start, step, periods)
    storage = case.storage.assign(e_start_mwh=float("nan"), e_end_min_mwh=float("nan"))
    return case.with_tables({**tables, "storage": storage}, horizon=horizon)


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(case: str, settings: Settings) -> Result:
    """Hold the sessions of a day with made bids; maps of the period to be delivered."""
    sessions = min(SESSIONS, settings.steps)
    long = long_case(gridclear.read_case(str(ROOT / case)), sessions + PERIODS - 1)
    bids = made_bids(long, min(BIDS, settings.bids), settings.seed, SIZES_MW)
    memory: list[float] = []

    def each(*_: object) -> None:
        memory.append(resident_mb())

    rolling = gridclear.roll(
        long.with_tables({"active_bids": bids}), sessions=sessions, periods=PERIODS, map_periods=1, each=each
    )
    rows, jobs = rolling.sessions, rolling.jobs
    seconds = rows["seconds"].tolist()
    early = memory[min(9, len(memory) - 1)]
    growth = 100.0 * (memory[-1] / early - 1.0)
    worse = int((rows["broken"] > rows["broken_before"]).sum())
    table = {
        "sessions": len(rows),
        "complete": int((rows["status"] == "complete").sum()),
        "median s": statistics.median(seconds),
        "most s": max(seconds),
        "MB after 10": early,
        "MB at the end": memory[-1],
        "bid rows taken": len(rolling.taken),
        "periods that break a limit": int((rows["broken"] > 0).sum()),
        "more than before": worse,
    } | {f"{job} s": float(own["seconds"].median()) for job, own in jobs.groupby("job", sort=False)}
    unanswered = int((jobs["status"] == "refused").sum())
    targets = (
        Target("jobs that were refused", float(unanswered), 0.0, at_least=False, speed=False),
        Target("delivered periods with more broken limits", float(worse), 0.0, at_least=False, speed=False),
        Target("median of a session, s", table["median s"], 10.0, at_least=False),
        Target("slowest session, s", table["most s"], 60.0, at_least=False),
        Target("growth of memory after session 10, %", growth, 5.0, at_least=False),
    )
    notes = (
        f"{PERIODS} periods of 15 minutes each, {len(bids) // long.horizon.periods} bids in every period.",
        "the case repeats its periods; planned switching comes once, energies of storages are not followed.",
        "PQ maps of the first period of each session; medians by job.",
        "a planned outage of the case breaks limits; more than before: than the session found broken there.",
    )
    return Result("rolling", case, (table,), notes, targets)


BENCHMARK = Benchmark(
    name="rolling",
    question="A day of market sessions, each going on from the one before",
    cases=("grids/mv-rural",),
    extra_cases=(),
    smoke_case="grids/mv-rural",
    peers=(),
    phases=("session",),
    run=run,
)
