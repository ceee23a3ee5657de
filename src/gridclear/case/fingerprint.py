"""Hash of tables that does not depend on the order of their rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd


class Digest(Protocol):
    """What hashlib gives."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


def add_frame(digest: Digest, name: str, frame: pd.DataFrame) -> None:
    """Add a table to a hash: names and cells, exactly, rows in an order of their own.

    Parameters
    ----------
    digest : hash object
    name : str
        Name of the table.
    frame : DataFrame
        Columns in any order; numbers, flags, texts (None and "" alike) and stamps.
    """
    columns = sorted(str(column) for column in frame.columns)
    keys: list[np.ndarray] = []
    content: list[tuple[str, np.ndarray, list[str]]] = []
    for column in columns:
        series = frame[column]
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            codes = pd.DatetimeIndex(series).as_unit("ns").asi8
            words: list[str] = []
        elif series.dtype == object:
            found, uniques = pd.factorize(series.where(series.notna(), "").astype(str), sort=True)
            codes, words = np.asarray(found, dtype=np.int64), [str(word) for word in uniques]
        else:
            values = series.to_numpy(dtype=np.float64) + 0.0  # no -0.0
            values = np.where(np.isnan(values), np.nan, values)  # one NaN
            codes, words = values.view(np.int64), []
        keys.append(codes)
        content.append((column, codes, words))
    order = np.lexsort(keys[::-1]) if keys else np.zeros(0, dtype=np.int64)
    digest.update(_framed(f"table {name} {len(frame)}"))
    for column, codes, words in content:
        digest.update(_framed(column))
        for word in words:
            digest.update(_framed(word))
        digest.update(np.ascontiguousarray(codes[order]).astype("<i8").tobytes())


def _framed(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(8, "little") + data
