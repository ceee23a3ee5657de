"""Compiled grids on disk, so that the next session of the same grid starts without pandapower.

A sealed file holds plain arrays (no pickle) and is named after a hash of everything that shapes them.
Whatever is wrong with a file, the grid is compiled again: the store can only save time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from gridclear.io.cache import keep_newest, read_sealed, user_cache, write_sealed
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
    base = user_cache()
    if base is None:
        return compile_topologies(grid, topologies)
    path = base / "grids" / f"{_key(grid, topologies)}.npz"
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
    write_sealed(path, buffer.getvalue())
    keep_newest(path.parent, "*.npz", _KEPT)


def _read(path: Path, count: int) -> list[Network] | None:
    data = read_sealed(path)
    if data is None:
        return None
    with contextlib.suppress(OSError):
        path.touch()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    try:
        return [_rebuild(Network, f"{number}", stored) for number in range(count)]
    except KeyError:
        # Of a process that was still running when the package was replaced beneath it.
        return None


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
