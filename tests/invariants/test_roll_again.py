"""A run of sessions that is killed and begun anew: nothing is done twice, and the result is the same."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from lights_support import shipped_case

import gridclear as gc
from gridclear.case.window import window
from gridclear.errors import CaseError
from gridclear.io.results import read_result
from gridclear.jobs.delivery import Delivery

SESSIONS = ("20160502T060000Z", "20160502T061500Z", "20160502T063000Z")
#: What differs from run to run: how long something took, and what follows from that.
TIMES = {"seconds", "solved_s", "sha256", "taken_over"}
KILLED = """
import os, signal, sys
from pathlib import Path
from gridclear.cli import main
from gridclear.jobs.delivery import Delivery

whole, last = Delivery.write, sys.argv[1]
moment = sys.argv[2]

def write(self, folder, format="csv"):
    mine = f"{self.session['start'].iloc[0]:%Y%m%dT%H%M%SZ}" == last
    if mine and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, folder, format)
    if mine and moment == "after":
        # The folder gets its name when the block that calls this ends: the next session meets the kill.
        import gridclear.jobs.roll as roll
        roll.run_session = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)

Delivery.write = write
main(sys.argv[3:], standalone_mode=True)
"""


@pytest.fixture(scope="module")
def short(grids, tmp_path_factory) -> Path:
    """Three periods of a shipped case, as a folder."""
    folder = tmp_path_factory.mktemp("cases") / "short"
    gc.write_case(window(shipped_case(grids / "mv-rural"), 0, 3), folder)
    return folder


def command(case: Path, out: Path) -> list[str]:
    return ["roll", str(case), "--sessions", "3", "--periods", "2", "--map-periods", "0", "-o", str(out)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=500
    )


def whole_sessions(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if key not in TIMES}
    return value


def content(path: Path) -> object:
    """What a file holds, but for how long anything took."""
    if path.name == "result.json":
        return timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.name in ("sessions.csv", "session.csv", "jobs.csv"):
        return pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="seconds").to_csv()
    if path.name == "report.html":
        return re.sub(r"\d+\.\d+( s)?(</pre>)?$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return path.read_bytes()


def stamps(folder: Path, names: list[str]) -> dict[str, int]:
    """When each file of these sessions was written."""
    files = [path for name in names for path in (folder / name).rglob("*")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def test_killed_runs_end_as_one_that_was_not(short, tmp_path):
    """Killed while the second session is written, killed when it is whole, then left alone."""
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    assert run("-m", "gridclear", *command(short, calm)).returncode == 0
    kept: dict[str, int] = {}
    for moment, left in (("before", 1), ("after", 2)):
        killed = run("-c", KILLED, SESSIONS[1], moment, *command(short, stormy))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert whole_sessions(stormy) == list(SESSIONS[:left])
        now = stamps(stormy, list(SESSIONS[:left]))
        assert kept.items() <= now.items()
        kept = now
        with pytest.raises(CaseError):
            read_result(stormy)
    done = run("-m", "gridclear", *command(short, stormy))
    assert done.returncode == 0, done.stderr
    assert "left by an earlier run and not held again: 2" in done.stderr
    assert kept.items() <= stamps(stormy, list(SESSIONS)).items()
    files = {str(path.relative_to(calm)) for path in calm.rglob("*") if path.is_file()}
    assert files == {str(path.relative_to(stormy)) for path in stormy.rglob("*") if path.is_file()}
    assert len(files) > 100
    for name in sorted(files):
        assert content(stormy / name) == content(calm / name), name
    assert read_result(stormy).provenance["taken_over"] == 2
    # Something was decided that later sessions have to know of.
    assert len(read_result(stormy).tables["taken"]["session"].unique()) > 1


@pytest.fixture(scope="module")
def held(short):
    """The case of that folder, a run over it, and what each session has left."""
    case, left = gc.read_case(short), {}
    options = {"sessions": 2, "periods": 2, "map_periods": 0, "threads": 1}
    rolling = gc.roll(case, **options, each=lambda own, _, one: left.update({own.horizon.start: one}))
    return case, options, left, rolling


def test_what_is_read_back_is_what_was_left(held, tmp_path):
    _, _, left, _ = held
    assert Delivery.read(tmp_path / "nowhere") is None
    for start, one in left.items():
        one.write(tmp_path / str(start.value))
        again = Delivery.read(tmp_path / str(start.value))
        for name, table in one.tables.items():
            pd.testing.assert_frame_equal(again.tables[name], table, check_exact=True)
    (tmp_path / str(start.value) / "taken.csv").write_text("start\n", encoding="utf-8")
    with pytest.raises(CaseError) as fault:
        Delivery.read(tmp_path / str(start.value))
    assert [Path(issue.file).name for issue in fault.value.issues] == ["taken.csv"]
    assert str(tmp_path) in fault.value.issues[0].file


def test_session_that_started_from_something_else_is_held_again(held):
    """The first one has decided otherwise since: the second does not go on from it."""
    case, options, left, rolling = held
    first, second = left.values()
    assert len(first.taken)
    dearer = first.taken.assign(price_eur=first.taken["price_eur"] + 1.0)
    other = dict(zip(left, (dataclasses.replace(first, taken=dearer), second), strict=True))
    again = gc.roll(case, **options, earlier=other.get)
    assert again.provenance["taken_over"] == 1
    assert gc.roll(case, **options, earlier=left.get).provenance["taken_over"] == 2
    pd.testing.assert_frame_equal(again.devices, rolling.devices, check_exact=True)


def test_only_what_this_very_run_would_give_is_taken_over(held):
    case, options, left, rolling = held
    gone = dict(list(left.items())[1:])
    other = case.with_tables({"active_need": case.active_need.assign(p_mw=case.active_need["p_mw"] * 0.5)})
    for changed, said, known, expected in (
        (case, {}, left, 2),
        (case, {"sessions": 1}, left, 1),
        (case, {}, gone, 0),
        (case, {"sessions": 1, "periods": 1}, left, 0),
        (case, {"sessions": 1, "guarantee": "any-subset"}, left, 0),
        (other, {"sessions": 1}, left, 0),
    ):
        again = gc.roll(changed, **(options | said), earlier=known.get)
        assert again.provenance["taken_over"] == expected
        if expected == 2:
            for name, table in rolling.tables.items():
                pd.testing.assert_frame_equal(again.tables[name], table, check_exact=True)
