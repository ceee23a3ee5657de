"""``python -m benchmarks``: run benchmarks, print their tables, write them down."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from . import areas, clearing, cold, guarantees, lights, maps, memory, output, power_flow, rolling, scaling
from .registry import Benchmark, MissingPeerError, Settings, keep_freed_memory

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        power_flow.BENCHMARK,
        scaling.BENCHMARK,
        memory.BENCHMARK,
        lights.BENCHMARK,
        guarantees.BENCHMARK,
        clearing.BENCHMARK,
        maps.BENCHMARK,
        areas.BENCHMARK,
        cold.BENCHMARK,
        rolling.BENCHMARK,
    )
}
SMOKE = Settings(repeats=2, scenarios=96, steps=5, bids=3, sample=2)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Compare gridclear with its peers."
    )
    parser.add_argument(
        "benchmark", nargs="*", metavar="BENCHMARK", help=f"{', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--case", action="append", help="only this case (may be repeated)")
    parser.add_argument("--extra", action="store_true", help="the extra cases too")
    parser.add_argument("--peer", action="append", help="only this peer (may be repeated)")
    parser.add_argument("--repeats", type=int, help="timed runs per peer; the median counts")
    parser.add_argument("--scenarios", type=int, help="power flows of the batch")
    parser.add_argument("--steps", type=int, help="steps of the loops that are extrapolated")
    parser.add_argument("--bids", type=int, help="bids of lights and guarantees")
    parser.add_argument("--sample", type=int, help="lights, or bids, that are judged anew")
    parser.add_argument("-o", "--output", type=Path, help="folder for BENCHMARK.md and BENCHMARK.json")
    parser.add_argument("--smoke", action="store_true", help="tiny run without data: does it work at all?")
    parser.add_argument("--list", action="store_true", help="show what there is, run nothing")
    return parser


def main() -> int:
    """Run what was asked for; 0 if all of it ran and met its targets (smoke: those not about speed)."""
    parser = _arguments()
    given = parser.parse_args()
    unknown = sorted(set(given.benchmark) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    chosen = [BENCHMARKS[name] for name in given.benchmark or BENCHMARKS]
    if given.list:
        for b in chosen:
            for what in ("cases", "extra_cases", "phases", "peers"):
                print(f"{b.name:12} {what:12} {' | '.join(getattr(b, what))}")
        return 0
    asked = {name: getattr(given, name) for name in ("repeats", "scenarios", "steps", "bids", "sample")}
    settings = replace(
        SMOKE if given.smoke else Settings(),
        peers=tuple(given.peer or ()),
        **{name: value for name, value in asked.items() if value is not None},
    )
    if not keep_freed_memory():
        print("freed memory goes back to the system: times contain its fresh pages", file=sys.stderr)
    good = True
    for benchmark in chosen:
        cases = given.case or ([benchmark.smoke_case] if given.smoke else list(benchmark.cases))
        results = []
        for case in cases + (list(benchmark.extra_cases) if given.extra else []):
            try:
                result = benchmark.run(case, settings)
            except MissingPeerError as fault:
                print(f"{benchmark.name}: {fault}", file=sys.stderr)
                good = False
                continue
            judged = tuple(target for target in result.targets if not (given.smoke and target.speed))
            results.append(replace(result, targets=judged))
            good &= all(target.met for target in judged)
        print(output.markdown(benchmark.question, results))
        if given.output:
            output.write(given.output, benchmark.name, benchmark.question, results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
