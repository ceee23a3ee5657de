"""The cache of compiled kernels may only save time."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numba.core.codegen
import numpy as np
import pytest
from test_imports import COMPILES, SOURCES, imported_names

import gridclear.io.cache
from gridclear.io.cache import user_cache
from gridclear.powerflow import jit

TINY = """
from gridclear.powerflow.jit import inner, kernel


@inner
def twice(x):
    return 2.0 * x


@kernel
def doubled(values):
    total = 0.0
    for value in values:
        total += twice(value)
    return total
"""
SPAWNING = """
import multiprocessing, sys
import numpy as np


def work(_):
    from tiny import doubled

    return doubled(np.ones(3)), sum(doubled.stats.cache_hits.values())


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        print(pool.map(work, range(3), chunksize=1))
    print(work(0))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where kernels are kept in this test."""
    kept = tmp_path / "kept"
    monkeypatch.setattr(jit, "_folder", lambda: kept)
    return kept


@pytest.fixture
def tiny(tmp_path):
    """Loads the tiny kernel as a new process would."""
    source = tmp_path / "tiny.py"
    source.write_text(TINY)

    def load():
        spec = importlib.util.spec_from_file_location("tiny", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.doubled

    return load


def run(function, values=(1.0, 2.0)):
    """Right whatever the cache is like; whether it came from the cache."""
    assert function(np.array(values)) == 2.0 * sum(values)
    return bool(sum(function.stats.cache_hits.values()))


def test_second_process_compiles_nothing(folder, tiny):
    assert not run(tiny())
    assert run(tiny())
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["doubled", "twice"]


def test_result_does_not_depend_on_where_it_comes_from(folder, tiny, monkeypatch):
    values = np.random.default_rng(3).normal(size=1000)
    first, second = tiny()(values), tiny()(values)
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(jit, "_folder", lambda: None)
    assert first == second == tiny()(values)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _garbage(path):
    path.write_bytes(os.urandom(5000))


def _one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _other_pickle(path):
    path.write_bytes(b"\x80\x04N.")


@pytest.mark.parametrize("harm", [_cut, _empty, _garbage, _one_bit, _other_pickle])
def test_spoilt_file_is_compiled_again_and_mended(harm, folder, tiny):
    run(tiny())
    for path in folder.iterdir():
        harm(path)
    assert not run(tiny())
    assert run(tiny())


def test_folder_in_the_place_of_a_file(folder, tiny):
    run(tiny())
    for path in folder.iterdir():
        path.unlink()
        path.mkdir()
    assert not run(tiny())
    assert not run(tiny()), "it runs uncached"


def test_disk_that_refuses_the_file(folder, tiny, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gridclear.io.cache, "write_atomic", refuse)
    assert not run(tiny())
    assert not list(folder.iterdir())


def test_folder_that_cannot_be_made(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "_folder", lambda: tmp_path / "tiny.py" / "kept")
    assert not run(tiny())
    monkeypatch.setattr(jit, "_folder", lambda: None)
    assert not run(tiny())


@pytest.mark.parametrize("part", [0, 1, 2], ids=["target", "processor", "features"])
def test_code_for_another_processor_is_not_loaded(part, folder, tiny, monkeypatch):
    run(tiny())
    own = numba.core.codegen.CPUCodegen.magic_tuple

    def other(codegen):
        magic = list(own(codegen))
        magic[part] = "another"
        return tuple(magic)

    monkeypatch.setattr(numba.core.codegen.CPUCodegen, "magic_tuple", other)
    assert not run(tiny())
    monkeypatch.undo()
    monkeypatch.setattr(jit, "_folder", lambda: folder)
    assert run(tiny()), "the code for this one is still there"


def test_each_signature_has_its_file(folder, tiny):
    run(tiny())
    other = tiny()
    assert other(np.array([1, 2])) == 6.0
    assert len(list(folder.glob("doubled-*"))) == 2
    function = tiny()
    assert run(function)
    assert function(np.array([1, 2])) == 6.0
    assert sum(function.stats.cache_misses.values()) == 0


def test_spawned_workers_that_compile_at_the_same_time(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "main.py").write_text(SPAWNING)
    cache = tmp_path / "cache"
    package = str(SOURCES.parent)
    variables = {name: text for name, text in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    before = sorted(path for path in SOURCES.rglob("*") if "__pycache__" not in path.parts)
    done = subprocess.run(
        [sys.executable, "-B", "main.py"],
        cwd=tmp_path,
        env=variables | {"GRIDCLEAR_CACHE": str(cache), "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=True,
    )
    workers, last = done.stdout.splitlines()
    assert workers.count("(6.0, ") == 3
    assert last == "(6.0, 1)"
    names = sorted(path.name.split("-")[0] for path in cache.glob("kernels/*/*"))
    assert names == ["doubled", "twice"], "no half-written file is left"
    assert sorted(path for path in SOURCES.rglob("*") if "__pycache__" not in path.parts) == before
    assert not list(SOURCES.rglob("*.nb[ic]")), "nothing is written beside the sources"


# ------------------------------------------------------------------------------------------------ the folder
def test_longest_unused_generations_go_first(tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDCLEAR_CACHE", str(tmp_path))
    monkeypatch.setattr(jit, "_KEPT", 4)
    for age in range(8):
        old = tmp_path / "kernels" / f"generation{age}"
        old.mkdir(parents=True)
        (old / "code.bin").write_bytes(b"")
        os.utime(old, (1e9 - age, 1e9 - age))
    own = jit._folder.__wrapped__()
    left = {path.name for path in (tmp_path / "kernels").iterdir()}
    assert left == {own.name, "generation0", "generation1", "generation2"}
    os.utime(own, (1.0, 1.0))
    assert jit._folder.__wrapped__().stat().st_mtime > 1e9, "use keeps it young"


def test_generation_follows_every_source_and_version(tmp_path, monkeypatch):
    own = jit._generation()
    for name in jit._SOURCES:
        (tmp_path / name).write_bytes((Path(jit.__file__).parent / name).read_bytes())
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    assert jit._generation() == own
    for name in jit._SOURCES:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b"\n")
        assert jit._generation() != own, name
        (tmp_path / name).write_bytes(content)
    for package in (numba, np, jit.llvmlite):
        with monkeypatch.context() as patch:
            patch.setattr(package, "__version__", "0.0")
            assert jit._generation() != own, package
    monkeypatch.setattr(numba.core.config, "BOUNDSCHECK", 1)
    assert jit._generation() != own


def test_every_file_that_kernels_are_made_of_counts():
    folder = SOURCES / "powerflow"
    names = {path.name: {name for _, name in imported_names(path)} for path in folder.glob("*.py")}
    wanted = {file for file, imports in names.items() if imports & COMPILES}
    for file in list(wanted):
        wanted |= {
            f"{name.split('.')[2]}.py" for name in names[file] if name.startswith("gridclear.powerflow.")
        }
    assert wanted <= set(jit._SOURCES)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """No variable says where a cache may be; the temporary folder is this test's."""
    for name in ("GRIDCLEAR_CACHE", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"GRIDCLEAR_CACHE": "a/b", "XDG_CACHE_HOME": "x", "HOME": "h"}, "a/b"),
        ({"GRIDCLEAR_CACHE": "file/b", "XDG_CACHE_HOME": "x", "HOME": "h"}, "x/gridclear"),
        ({"XDG_CACHE_HOME": "file", "HOME": "h"}, "h/.cache/gridclear"),
        ({"XDG_CACHE_HOME": "file", "HOME": "file"}, None),
        ({}, None),
    ],
)
def test_first_usable_folder(variables, expected, bare, monkeypatch):
    for name, place in variables.items():
        monkeypatch.setenv(name, str(bare / place))
    found = user_cache()
    if expected is None:
        assert found.parent == bare / "shared"
        assert found.stat().st_mode & 0o077 == 0
    else:
        assert found == bare / expected


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights of POSIX")
@pytest.mark.parametrize("trap", ["writable for others", "a link", "somebody else's", "a file"])
def test_folder_among_the_temporary_ones_has_to_be_our_own(trap, bare, monkeypatch):
    private = user_cache()
    if trap == "writable for others":
        private.chmod(0o777)
    elif trap == "a link":
        private.rmdir()
        private.symlink_to(bare)
    elif trap == "a file":
        private.rmdir()
        private.write_text("")
    else:
        name, uid = private.name, os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: uid + 1)
        private.rename(private.with_name(name.replace(str(uid), str(uid + 1))))
    assert user_cache() is None


@pytest.mark.usefixtures("bare")
def test_read_only_folder_is_passed_over(bare, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "sealed"))
    monkeypatch.setenv("HOME", str(bare / "home"))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "sealed" not in str(path) and real(path, mode))
    assert user_cache() == bare / "home" / ".cache" / "gridclear"


@jit.inner
def made_inside(values):
    return np.zeros(len(values))


@jit.allocating
def made(values):
    return 2.0 * values


def test_what_counts_no_references_can_make_no_arrays() -> None:
    @jit.kernel
    def refused(values):
        return made_inside(values).sum()

    with pytest.raises(numba.core.errors.NumbaError, match="array passed into the function"):
        refused(np.ones(3))


def test_references_are_as_before_where_they_are_counted() -> None:
    @jit.kernel
    def doubled(values):
        return made(values)

    values = np.ones(3)
    before = sys.getrefcount(values)
    found = [doubled(values) for _ in range(5)]
    assert sys.getrefcount(values) == before
    assert all(sys.getrefcount(one) <= sys.getrefcount(values) + 1 and (one == 2.0).all() for one in found)
