"""What a benchmark is, and how its peers are timed against each other."""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Cell = str | float | int
Key = TypeVar("Key")
Phases = Mapping[str, float]  # phase → seconds of one run


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Parameters
    ----------
    repeats : int
        Timed runs per peer; the median is published.
    scenarios : int
        Largest number of power flows of a batch, spread evenly over the year.
    steps : int
        Steps of a loop that is too slow for the whole batch; its time is extrapolated, and marked so.
    bids : int
        Bids of the lights benchmark; each is offered in every period of the case.
    sample : int
        Lights that the oracle recomputes.
    seed : int
        Seed of everything that is made or drawn.
    peers : tuple of str
        Peers to run; empty means all.
    """

    repeats: int = 5
    scenarios: int = 35_136
    steps: int = 200
    bids: int = 1_000
    sample: int = 40
    seed: int = 20_160_619
    peers: tuple[str, ...] = ()

    def wants(self, peer: str) -> bool:
        """Whether this peer is to be run."""
        return not self.peers or peer in self.peers


@dataclass(frozen=True)
class Target:
    """A figure that has to be reached; a smoke run looks at those that are not about speed."""

    what: str
    value: float
    limit: float
    at_least: bool
    speed: bool = True

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of the limit; NaN never is."""
        return bool(self.value >= self.limit if self.at_least else self.value <= self.limit)

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return (
            f"{'met' if self.met else 'MISSED'}: {self.what} {self.value:.4g} (must be {sign} {self.limit:g})"
        )


@dataclass(frozen=True)
class Result:
    """Table of one benchmark on one case, in the order of its peers."""

    benchmark: str
    case: str
    rows: tuple[Mapping[str, Cell], ...]
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """One question, asked of every case; ``run(case, settings)`` answers it."""

    name: str
    question: str
    cases: tuple[str, ...]
    extra_cases: tuple[str, ...]
    smoke_case: str
    peers: tuple[str, ...]
    phases: tuple[str, ...]
    run: Callable[[str, Settings], Result] = field(repr=False)


class MissingPeerError(Exception):
    """A peer or a data source is not installed; the message says what to install."""


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for all peers alike; False where it cannot be told so.

    Large results otherwise come as fresh pages at every run. To have them zeroed, and on a virtual machine
    fetched from its host, can take several times as long as to solve, and varies more than anything else.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    most_maps, trim_threshold = -4, -1
    return bool(mallopt(most_maps, 0)) and bool(mallopt(trim_threshold, -1))


def timed(action: Callable[[], object]) -> float:
    """Seconds that one call takes, collector off."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start
    finally:
        gc.enable()


def interleaved(runs: Mapping[Key, Callable[[], Phases]], repeats: int) -> dict[Key, dict[str, float]]:
    """Median seconds per peer and phase, with ``total``, of runs that take turns.

    Taking turns in one process spreads what the machine does besides over all peers alike.
    """
    taken: dict[Key, list[Phases]] = {name: [] for name in runs}
    for turn in range(repeats):
        order: Sequence[Key] = list(runs) if turn % 2 == 0 else list(runs)[::-1]
        for name in order:
            gc.collect()
            gc.disable()
            try:
                phases = runs[name]()
            finally:
                gc.enable()
            taken[name].append({**phases, "total": sum(phases.values())})
    return {
        name: {phase: statistics.median(run[phase] for run in found) for phase in found[0]}
        for name, found in taken.items()
    }
