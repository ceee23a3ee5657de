"""What every result has: status, provenance, tables, and a way to the disk."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from gridclear.io.results import write_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from gridclear.case import Case
    from gridclear.io.tables import TableFormat

#: Statuses of an answer that lacks nothing.
_COMPLETE = (
    "solved",
    "qualified",
    "optimal",
    "confirmed",
    "closest",
    "covered",
    "short",
    "settled",
    "scheduled",
    "mapped",
    "chosen",
    "complete",
)
_PACKAGES = ("gridclear", "numpy", "scipy", "numba", "pandas", "pandapower")


@dataclass(frozen=True, eq=False)
class Result:
    """Base of all results.

    Attributes
    ----------
    status : str
        What was reached, in one word; each job lists its words.
    provenance : mapping
        Versions, options, content hash of the case, seconds per phase.
    """

    status: str
    provenance: Mapping[str, object]

    @property
    def complete(self) -> bool:
        """Whether the answer lacks nothing."""
        return self.status in _COMPLETE

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        raise NotImplementedError

    @property
    def nested(self) -> Mapping[str, Result]:
        """Results of other jobs that this one holds, by job."""
        return {}

    def write(self, folder: str | Path, format: TableFormat = "csv") -> None:  # noqa: A002  the contract's name
        """Save every table and ``result.json``.

        Parameters
        ----------
        folder : path
            Made if absent; files of the same names are replaced, each whole.
        format : {"csv", "parquet"}

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        write_result(folder, self.tables, self.status, self.provenance, format)


@dataclass
class Stopwatch:
    """Seconds per phase of a job."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a ``with`` block under ``name``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def provenance(job: str, case: Case, options: Mapping[str, object], watch: Stopwatch) -> dict[str, object]:
    """Where a result comes from.

    Parameters
    ----------
    job : str
    case : Case
    options : mapping
        Options that shape the result.
    watch : Stopwatch

    Returns
    -------
    dict
    """
    return {
        "job": job,
        "case": case.name,
        "case_hash": case.content_hash,
        "options": dict(options),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "seconds": dict(watch.seconds),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
