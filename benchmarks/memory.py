"""Memory of a year of power flows of which nothing is asked for but the broken limits."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandapower as pp

from .registry import Benchmark, Cell, MissingPeerError, Result, Settings, Target
from .year import SMOKE_CASE, Year, load_year

ROOT = Path(__file__).resolve().parent.parent
MOST_MB = 500.0


def write(year: Year, folder: Path) -> None:
    """Write grid and profiles as ``limit_scan`` reads them."""
    pp.to_json(year.net, str(folder / "net.json"))
    for e in year.elements:
        arrays = {"bus": year.net.bus.index.to_numpy()[e.bus], "p_mw": e.p_mw, "sign": np.array(e.sign)}
        np.savez(folder / f"{e.table}.npz", **arrays, **({} if e.q_mvar is None else {"q_mvar": e.q_mvar}))


def run(case: str, settings: Settings) -> Result:
    """Scan in processes of their own, the first of which may have had kernels to compile."""
    year = load_year(case, settings.scenarios, settings.seed)
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as scratch:
        write(year, Path(scratch))
        command = [sys.executable, "-m", "benchmarks.limit_scan", scratch]
        for process in ("first", "second"):
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 - our own
            if done.returncode != 0:
                raise MissingPeerError(f"limit scan: exit {done.returncode}: {done.stderr[-500:]}")
            rows.append({"process": process, **json.loads(done.stdout)})
    last = rows[-1]
    targets = (
        Target(
            "peak of the second process, MB", float(last["peak MB"]), MOST_MB, at_least=False, speed=False
        ),
        Target(
            "scenarios without a proved state",
            float(last["without proved state"]),
            0.0,
            at_least=False,
            speed=False,
        ),
    )
    profiles = sum(a.nbytes for e in year.elements for a in (e.p_mw, e.q_mvar) if a is not None) / 1e6
    notes = (
        f"{year.scenarios} scenarios, {len(year.net.bus)} buses; the profiles alone take {profiles:.3g} MB.",
        "resident memory of the whole process, interpreter, libraries and input included, and its peak.",
        "all cores; every limit of the grid in every scenario, no voltages and no currents kept.",
        "the first process may have had kernels to compile; the second finds them in the cache.",
    )
    return Result("memory", case, tuple(rows), notes, targets)


BENCHMARK = Benchmark(
    name="memory",
    question="Memory of a year of power flows with only the limit scan asked for",
    cases=("1-MV-rural--0-sw",),
    extra_cases=("1-MV-urban--0-sw",),
    smoke_case=SMOKE_CASE,
    peers=("first", "second"),
    phases=("process",),
    run=run,
)
