"""Compiled grids on disk, so that the next session of the same grid starts without pandapower.

A file holds plain arrays (no pickle) and is named after a hash of everything that shapes them. Whatever is
wrong with a file, the grid is compiled again: the store can only save time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from gridclear.io.cache import user_cache
from gridclear.io.files import write_atomic
from gridclear.network.compile import Switching, compile_topologies
from gridclear.network.network import BankTable, BranchLabels, Network, Structure, TapTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridclear.case import Grid

#: So many grids are kept; the longest unused go first.
_KEPT = 64
_PARTS = (Structure, BranchLabels, TapTable, BankTable)


def stored_topologies(grid: Grid, topologies: Sequence[Sequence[Switching]]) -> list[Network]:
    """Like ``compile_topologies``, from the store where it has them.

    Parameters
    ----------
    grid : Grid
    topologies : sequence of sequences of Switching

    Returns
    -------
    list of Network

    Raises
    ------
    CaseError
        As ``compile_topologies``.
    """
    folder = user_cache() / "grids"
    path = folder / f"{_key(grid, topologies)}.npz"
    networks = _read(path, len(topologies))
    if networks is None:
        networks = compile_topologies(grid, topologies)
        _write(path, networks)
    return networks


def _key(grid: Grid, topologies: Sequence[Sequence[Switching]]) -> str:
    digest = hashlib.sha256(grid.content_hash.encode())
    digest.update(repr([tuple(topology) for topology in topologies]).encode())
    for source in ("convert.py", "compile.py", "elements.py", "topology.py", "network.py", "store.py"):
        digest.update((Path(__file__).parent / source).read_bytes())
    for package in ("pandapower", "numpy", "scipy"):
        try:
            digest.update(version(package).encode())
        except PackageNotFoundError:
            continue
    # The order of the rows is the order of the arrays; the content hash does not depend on it.
    for table in sorted(grid.tables):
        digest.update(grid.tables[table].index.to_numpy(dtype=np.int64).tobytes())
    return digest.hexdigest()


def _write(path: Path, networks: Sequence[Network]) -> None:
    arrays: dict[str, Any] = {}
    for number, network in enumerate(networks):
        _flatten(network, f"{number}", arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
        for old in sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        # A full or read-only disk costs the next session a few seconds, nothing else.
        return


def _read(path: Path, count: int) -> list[Network] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        networks = [_rebuild(Network, f"{number}", stored) for number in range(count)]
        path.touch()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return networks


def _fields(kind: type) -> Mapping[str, Any]:
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    return get_type_hints(kind)


def _flatten(value: Any, name: str, arrays: dict[str, Any]) -> None:  # noqa: ANN401
    if isinstance(value, (Network, *_PARTS)):
        for field in _fields(type(value)):
            _flatten(getattr(value, field), f"{name}.{field}", arrays)
    elif isinstance(value, tuple):
        arrays[f"{name}.len"] = np.array(len(value))
        for place, item in enumerate(value):
            _flatten(item, f"{name}.{place}", arrays)
    else:
        arrays[name] = np.asarray(value)


def _rebuild(kind: Any, name: str, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if kind is Network or kind in _PARTS:
        return kind(
            **{field: _rebuild(hint, f"{name}.{field}", arrays) for field, hint in _fields(kind).items()}
        )
    if kind in (int, float):
        return kind(arrays[name])
    if f"{name}.len" in arrays:
        return tuple(
            np.ascontiguousarray(arrays[f"{name}.{place}"]) for place in range(int(arrays[f"{name}.len"]))
        )
    return np.ascontiguousarray(arrays[name])
