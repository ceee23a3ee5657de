"""Whole files or none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from gridclear.io.files import whole_file, write_atomic, write_together


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_whole(tmp_path):
    target = tmp_path / "a.csv"
    with whole_file(target) as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.csv"]
    write_atomic(target, "grün\r\n")
    assert target.read_bytes() == "grün\r\n".encode()


def write_half(target, fault):
    with whole_file(target) as part:
        part.write_text("ne")
        raise fault


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_old_file_stays_after_a_fault(tmp_path, fault):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(fault):
        write_half(target, fault)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


def test_rights_are_those_of_an_ordinary_file(tmp_path):
    mask = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_files_that_belong_together(tmp_path):
    (tmp_path / "old.csv").write_text("")
    (tmp_path / "mine.txt").write_text("")
    write_together(tmp_path, {"seal": b"1", "x": b"2"}, seal="seal", stale=["old.csv", "never.csv"])
    assert names(tmp_path) == ["mine.txt", "seal", "x"]


def test_nothing_changes_if_a_part_cannot_be_written(tmp_path):
    write_together(tmp_path, {"seal": b"1", "x": b"2"}, seal="seal", stale=[])
    with pytest.raises(OSError, match="none"):
        write_together(tmp_path, {"seal": b"3", "x": b"4", "none/y": b"5"}, seal="seal", stale=["x"])
    assert names(tmp_path) == ["seal", "x"]
    assert (tmp_path / "x").read_bytes() == b"2"


KILLED = """
import os, pathlib, sys
from gridclear.io.files import write_together
real, left = pathlib.Path.replace, int(sys.argv[2])
def replace(self, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return real(self, target)
pathlib.Path.replace = replace
write_together(pathlib.Path(sys.argv[1]), {"seal": b"new", "x": b"new", "y": b"new"}, seal="seal", stale=[])
"""


def test_a_kill_half_way_leaves_no_seal(tmp_path):
    write_together(tmp_path, {"seal": b"old", "x": b"old", "y": b"old"}, seal="seal", stale=[])
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "1"], check=False)
    assert run.returncode == 9
    assert not (tmp_path / "seal").exists()
    assert {(tmp_path / name).read_bytes() for name in ("x", "y")} <= {b"old", b"new"}
