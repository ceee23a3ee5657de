"""The grid as pandapower's element tables, without pandapower."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridclear.case.cells import Faults
from gridclear.case.fingerprint import add_frame
from gridclear.case.grid_tables import RawGrid, raw_grid_from_net, read_grid_tables
from gridclear.errors import CaseError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, eq=False)
class Grid:
    """pandapower's element tables as plain DataFrames.

    Attributes
    ----------
    name : str
    tables : mapping of table name → DataFrame
        Every table that gridclear represents is there, empty if the grid has none of it, with at least the
        columns of :data:`gridclear.case.grid_schema.GRID_TABLES`. Index: pandapower's, in the order of the
        net. Buses int64, numbers float64, flags bool, texts object with None for "none".
    sn_mva : float
        Base power of pandapower's per-unit system.
    f_hz : float
        Frequency.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sn_mva: float = 1.0
    f_hz: float = 50.0

    @classmethod
    def from_pandapower(cls, net: Any) -> Grid:  # noqa: ANN401  pandapower has no types
        """Copy the tables of a pandapower net.

        Parameters
        ----------
        net : pandapowerNet
            Is not changed.

        Returns
        -------
        Grid

        Raises
        ------
        CaseError
            A cell cannot be what its column needs; lists every such cell.
        """
        faults = Faults()
        grid = read_grid(raw_grid_from_net(net, "net", faults), faults)
        if faults.issues:
            raise CaseError(tuple(faults.issues))
        return grid

    def labels(self, table: str) -> pd.Series:
        """How the elements of a table are called.

        Parameters
        ----------
        table : str
            Such as ``"line"``.

        Returns
        -------
        Series of str, index = pandapower's index
            The name; where the element has none or shares it, its ``origin_id``; else ``"<table> <index>"``.
        """
        return self._labels[table]

    def lookup(self, table: str) -> dict[str, int]:
        """Which element a text of a case table means.

        Parameters
        ----------
        table : str

        Returns
        -------
        dict of str → int
            Label, name and ``origin_id`` → pandapower's index. A text that means several is left out.
        """
        return self._lookups[table]

    @cached_property
    def _labels(self) -> dict[str, pd.Series]:
        return {table: element_labels(table, frame) for table, frame in self.tables.items()}

    @cached_property
    def _lookups(self) -> dict[str, dict[str, int]]:
        return {table: _lookup(frame, self._labels[table]) for table, frame in self.tables.items()}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the content, in hex; the same whatever the order of the rows was."""
        digest = hashlib.sha256(f"grid 1 {self.sn_mva!r} {self.f_hz!r}".encode())
        for table in sorted(self.tables):
            frame = self.tables[table]
            if len(frame):
                used = frame.loc[:, frame.notna().any(axis=0)]
                add_frame(digest, table, used.reset_index(names="index"))
        return digest.hexdigest()


def read_grid(raw: RawGrid, faults: Faults) -> Grid:
    """Convert raw element tables, whatever is wrong with some of them.

    Parameters
    ----------
    raw : RawGrid
    faults : Faults
        Takes what is found; if that is anything, the grid serves only for further checks.

    Returns
    -------
    Grid
    """
    return Grid(raw.name, read_grid_tables(raw, faults), raw.sn_mva, raw.f_hz)


def element_labels(table: str, frame: pd.DataFrame) -> pd.Series:
    """See :meth:`Grid.labels`."""
    names, origins = _texts(frame, "name"), _texts(frame, "origin_id")
    count = Counter(names)
    labels = [
        origin if (not name or count[name] > 1) and origin else name or f"{table} {index}"
        for index, name, origin in zip(frame.index.tolist(), names, origins, strict=True)
    ]
    return pd.Series(labels, index=frame.index, dtype=object)


def _texts(frame: pd.DataFrame, column: str) -> list[str]:
    return [text or "" for text in frame[column].tolist()] if column in frame else [""] * len(frame)


def _lookup(frame: pd.DataFrame, labels: pd.Series) -> dict[str, int]:
    found: dict[str, int] = {}
    several: set[str] = set()
    index = frame.index.tolist()
    for texts in (labels.tolist(), _texts(frame, "name"), _texts(frame, "origin_id")):
        for element, text in zip(index, texts, strict=True):
            if text and found.setdefault(text, element) != element:
                several.add(text)
    return {text: element for text, element in found.items() if text not in several}
