"""The wait at the command line: a fresh process from call to written results."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

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

ROOT = Path(__file__).resolve().parent.parent
MOST_SECONDS = 5.0


def call(arguments: list[str]) -> None:
    """Run ``gridclear`` in a process of its own; a fault of its ends the benchmark."""
    command = [sys.executable, "-m", "gridclear", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        raise MissingPeerError(
            f"gridclear {' '.join(arguments)}: exit {done.returncode}: {done.stderr[-500:]}"
        )


def run(case_folder: str, settings: Settings) -> Result:
    """Time whole processes, numba's cache warm from a first one."""
    with tempfile.TemporaryDirectory() as scratch:
        commands = {
            "gridclear tlq": ["tlq", str(ROOT / case_folder), "-o", str(Path(scratch) / "out")],
            "gridclear check": ["check", str(ROOT / case_folder)],
            "gridclear --version": ["--version"],
        }

        def once(arguments: list[str]) -> dict[str, float]:
            return {"process": timed(partial(call, arguments))}

        first = once(commands["gridclear tlq"])["process"]
        seconds = interleaved({name: partial(once, a) for name, a in commands.items()}, settings.repeats)
    table: list[dict[str, Cell]] = [{"command": name, "s": taken["total"]} for name, taken in seconds.items()]
    warm = f"median of {settings.repeats} processes"
    notes = (f"{warm}; the first, which may have had kernels to compile, took {first:.3g} s.",)
    tlq = seconds["gridclear tlq"]["total"]
    target = Target("seconds of gridclear tlq", tlq, MOST_SECONDS, at_least=False)
    return Result("cold", case_folder, tuple(table), notes, (target,))


BENCHMARK = Benchmark(
    name="cold",
    question="Traffic lights in a fresh process",
    cases=("grids/mv-rural",),
    extra_cases=("grids/mv-urban", "grids/hv-mixed"),
    smoke_case="grids/mv-rural",
    peers=("gridclear tlq", "gridclear check", "gridclear --version"),
    phases=("process",),
    run=run,
)
