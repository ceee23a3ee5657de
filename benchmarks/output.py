"""Tables with what they were measured on: Markdown for people, JSON for machines."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .registry import Cell, Result

PACKAGES = (
    "gridclear",
    "power-grid-model",
    "lightsim2grid",
    "casadi",
    "highspy",
    "pandapower",
    "numba",
    "numpy",
    "scipy",
    "pandas",
    "simbench",
)


def machine() -> dict[str, str]:
    """Processor, cores, memory, load, system and versions of this run."""
    facts = {
        "processor": _proc("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": f"{os.cpu_count()} ({len(os.sched_getaffinity(0))} usable)"
        if hasattr(os, "sched_getaffinity")
        else str(os.cpu_count()),
        "memory": _proc("/proc/meminfo", "MemTotal") or "unknown",
        "load": f"{os.getloadavg()[0]:.2f} (one-minute mean at the end of the run)"
        if hasattr(os, "getloadavg")
        else "",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def _proc(path: str, label: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(label)), "")


def text(cell: Cell) -> str:
    """Cell as it is printed: four figures at most, integers whole."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.4g}"
    return str(cell)


def table(rows: Iterable[Mapping[str, Cell]]) -> str:
    """Markdown table; columns in the order of their first appearance."""
    listed = list(rows)
    columns = list(dict.fromkeys(column for row in listed for column in row))
    cells = [columns, *([text(row.get(column, "")) for column in columns] for row in listed)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def markdown(question: str, results: list[Result]) -> str:
    """One benchmark's page."""
    parts = [f"# {question}", ""]
    for result in results:
        parts += [f"## {result.case}", "", table(result.rows), ""]
        parts += [f"- {line}" for line in (*result.notes, *map(str, result.targets))] + [""]
    parts += ["## Measured on", "", table([{"": k, "value": v} for k, v in machine().items() if v]), ""]
    return "\n".join(parts)


def write(folder: Path, name: str, question: str, results: list[Result]) -> None:
    """Write ``<name>.md`` and ``<name>.json``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "benchmark": name,
        "question": question,
        "machine": machine(),
        "results": [
            {
                "case": result.case,
                "rows": [dict(row) for row in result.rows],
                "notes": list(result.notes),
                "targets": [
                    {"what": t.what, "value": t.value, "limit": t.limit, "at_least": t.at_least, "met": t.met}
                    for t in result.targets
                ],
            }
            for result in results
        ],
    }
    pages = {"md": markdown(question, results), "json": json.dumps(data, indent=1, ensure_ascii=False) + "\n"}
    for suffix, content in pages.items():
        path = folder / f"{name}.{suffix}"
        temporary = path.with_suffix(f".{suffix}.part")
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
