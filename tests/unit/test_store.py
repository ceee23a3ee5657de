"""The store of compiled grids may only save time."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pandapower as pp
import pytest

import gridclear.io.cache
from gridclear.case import Grid
from gridclear.io.cache import read_sealed, write_sealed
from gridclear.network import store
from gridclear.network.compile import compile_topologies

OUT = [(), (("line", 1, False),)]


@pytest.fixture
def grid():
    net = pp.create_empty_network(name="stored", sn_mva=10.0)
    buses = [pp.create_bus(net, kv) for kv in (110.0, 20.0, 20.0, 20.0)]
    pp.create_ext_grid(net, buses[0], name="grid")
    pp.create_transformer(net, buses[0], buses[1], "25 MVA 110/20 kV")
    net.trafo["tap_changer_type"] = "Ratio"
    for one, other in ((1, 2), (2, 3), (3, 1)):
        pp.create_line(net, buses[one], buses[other], 2.0, "NA2XS2Y 1x150 RM/25 12/20 kV")
    pp.create_load(net, buses[2], 1.0)
    pp.create_shunt(net, buses[3], q_mvar=-0.5, step=1, max_step=3)
    return Grid.from_pandapower(net)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDCLEAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "grids"


@pytest.fixture
def compilations(monkeypatch):
    """Counts how often a grid is really compiled."""
    calls = []

    def counting(grid, topologies):
        calls.append(len(topologies))
        return compiled(grid, topologies)

    monkeypatch.setattr(store, "compile_topologies", counting)
    return calls


_DONE = {}


def compiled(grid, topologies):
    """``compile_topologies``, which takes a while, once for every grid of these tests."""
    key = grid.content_hash, tuple(grid.tables["bus"].index), tuple(topologies)
    if key not in _DONE:
        _DONE[key] = compile_topologies(grid, topologies)
    return _DONE[key]


def assert_same(one, other):
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one) or hasattr(one, "_fields"):
        names = [f.name for f in dataclasses.fields(one)] if dataclasses.is_dataclass(one) else one._fields
        for name in names:
            assert_same(getattr(one, name), getattr(other, name))
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.flags.c_contiguous == other.flags.c_contiguous
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def test_second_time_comes_from_the_store_array_by_array(grid, cache, compilations):
    first = store.stored_topologies(grid, OUT)
    second = store.stored_topologies(grid, OUT)
    assert compilations == [2]
    assert len(list(cache.glob("*.npz"))) == 1
    assert_same(first, second)
    assert len(second) == 2
    assert second[0].n_branch == second[1].n_branch + 1


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _garbage(path):
    path.write_bytes(b"not a zip file at all " * 50)


def _flipped(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + 40):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))


def _one_bit(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 0x10
    path.write_bytes(bytes(content))


def _longer(path):
    path.write_bytes(path.read_bytes() + b"\0")


def _unsealed(path):
    path.write_bytes(path.read_bytes()[32:])


def _pickled(path):
    np.savez(path, **{"0.admittance": np.array([{"a": 1}], dtype=object)})


def _older(path):
    """Written by a process that was still running when the package was replaced beneath it."""
    with np.load(io.BytesIO(read_sealed(path))) as arrays:
        left = {name: arrays[name] for name in arrays.files if not name.endswith("up_start")}
    content = io.BytesIO()
    np.savez(content, **left)
    write_sealed(path, content.getvalue())


def _folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "harm", [_cut, _empty, _garbage, _flipped, _one_bit, _longer, _unsealed, _pickled, _older, _folder]
)
def test_spoilt_file_is_compiled_again(harm, grid, cache, compilations):
    first = store.stored_topologies(grid, OUT)
    (path,) = cache.glob("*.npz")
    harm(path)
    assert_same(first, store.stored_topologies(grid, OUT))
    assert compilations == [2, 2]


def test_file_is_mended(grid, cache, compilations):
    store.stored_topologies(grid, OUT)
    (path,) = cache.glob("*.npz")
    _cut(path)
    store.stored_topologies(grid, OUT)
    store.stored_topologies(grid, OUT)
    assert compilations == [2, 2]


def test_another_grid_or_topology_is_not_taken_for_this_one(grid, cache, compilations):
    store.stored_topologies(grid, OUT)
    store.stored_topologies(grid, OUT[:1])
    line = grid.tables["line"].copy()
    line["length_km"] *= 2.0
    longer = dataclasses.replace(grid, tables={**grid.tables, "line": line})
    doubled = store.stored_topologies(longer, OUT)
    assert compilations == [2, 1, 2]
    assert len(list(cache.glob("*.npz"))) == 3
    assert_same(doubled, compile_topologies(longer, OUT))
    assert not np.array_equal(doubled[0].admittance, compiled(grid, OUT)[0].admittance)


@pytest.mark.usefixtures("cache")
def test_another_order_of_rows_is_not_taken_for_this_one(grid, compilations):
    store.stored_topologies(grid, OUT)
    turned = dataclasses.replace(grid, tables={**grid.tables, "bus": grid.tables["bus"].iloc[::-1]})
    found = store.stored_topologies(turned, OUT)
    assert compilations == [2, 2]
    assert found[0].bus.tolist() == turned.tables["bus"].index.tolist()


@pytest.mark.parametrize("blocked", ["absent", "below a file", "not writable"])
def test_works_without_a_usable_cache(blocked, grid, compilations, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    file = tmp_path / "file"
    file.write_text("")
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    place = {"absent": tmp_path / "a" / "b", "below a file": file / "cache", "not writable": sealed}[blocked]
    sealed.chmod(0o500)
    monkeypatch.setenv("GRIDCLEAR_CACHE", str(place))
    try:
        found = store.stored_topologies(grid, OUT)
        again = store.stored_topologies(grid, OUT)
    finally:
        sealed.chmod(0o700)
    assert_same(found, compiled(grid, OUT))
    assert_same(found, again)
    assert compilations == [2], "some place was found"
    if blocked == "below a file":
        assert list(home.rglob("*.npz")), "the next place in line is used"


def test_disk_that_refuses_the_file_costs_only_time(grid, cache, compilations, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gridclear.io.cache, "write_atomic", refuse)
    assert_same(store.stored_topologies(grid, OUT), store.stored_topologies(grid, OUT))
    assert compilations == [2, 2]
    assert not list(cache.glob("*.npz"))


def test_longest_unused_files_go_first(grid, cache, compilations, monkeypatch):
    monkeypatch.setattr(store, "_KEPT", 1)
    store.stored_topologies(grid, OUT)
    store.stored_topologies(grid, OUT[:1])
    assert len(list(cache.glob("*.npz"))) == 1
    store.stored_topologies(grid, OUT[:1])
    assert compilations == [2, 1], "the newest is the one that stays"
