"""The drop folder: everything is worked off once, whatever arrives and whenever a run is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from gridclear.cli import main
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io import inbox as module
from gridclear.io.files import whole_folder
from gridclear.io.inbox import Inbox

KILLED = 9


def drop(root, name, text="a"):
    """A folder that looks like a case."""
    folder = root / "in" / name
    folder.mkdir(parents=True)
    (folder / "case.toml").write_text(text, encoding="utf-8")
    return folder


def process(folder, result):
    """Stand in for a session: a result that tells of its case."""
    text = (folder / "case.toml").read_text(encoding="utf-8")
    if text == "bad":
        raise CaseError((Issue("case.toml", "1", "name", "it is bad", "a good one"),))
    with (result.parent / ".log").open("a", encoding="utf-8") as log:
        log.write(text + "\n")
    with whole_folder(result) as part:
        (part / "result.json").write_text(text, encoding="utf-8")
    return "complete"


def run(root):
    """Work off everything, as the command does it."""
    box = Inbox.at(root)
    with box.held():
        words = [box.work_off(name, process) for name in box.left()]
        return words + [box.work_off(box.begin(one.name), process) for one in box.arrivals()]


def names(root, place):
    return sorted(path.name for path in (root / place).iterdir() if not path.name.startswith("."))


def results(root):
    return {
        path.name: (path / "result.json").read_text(encoding="utf-8")
        for path in (root / "results").iterdir()
        if not path.name.startswith(".")
    }


def test_cases_are_worked_off_in_their_order_and_faults_are_told(tmp_path):
    Inbox.at(tmp_path)
    for name, text in (("late", "one"), ("early", "two"), ("wrong", "bad")):
        drop(tmp_path, name, text)
        time.sleep(0.01)
    assert run(tmp_path) == ["done: complete", "done: complete", "refused: 1 issue"]
    assert (tmp_path / "results" / ".log").read_text(encoding="utf-8").split() == ["one", "two"]
    assert (names(tmp_path, "done"), names(tmp_path, "in"), names(tmp_path, "work")) == (
        ["early", "late"],
        [],
        [],
    )
    assert names(tmp_path, "error") == ["wrong", "wrong.txt"]
    assert "it is bad; expected a good one" in (tmp_path / "error" / "wrong.txt").read_text(encoding="utf-8")


def test_same_content_is_worked_off_once_and_same_name_keeps_both(tmp_path):
    drop(tmp_path, "a", "one")
    run(tmp_path)
    drop(tmp_path, "a", "two")
    drop(tmp_path, "b", "one")
    assert sorted(run(tmp_path)) == ["done: complete", "refused: it has arrived before, as a"]
    assert results(tmp_path) == {"a": "one", "a.2": "two"}
    assert names(tmp_path, "error") == ["b", "b.txt"]
    assert "results/a" in (tmp_path / "error" / "b.txt").read_text(encoding="utf-8")


def test_what_is_still_written_is_not_whole(tmp_path):
    box = Inbox.at(tmp_path)
    folder = tmp_path / "in" / "a"
    folder.mkdir()
    (folder / "grid.json").write_text("{}", encoding="utf-8")
    before = box.arrivals()[0]
    assert not box.is_whole(before, box.arrivals()[0])  # nothing changes, but it has no case.toml
    (folder / "case.toml").write_text("a", encoding="utf-8")
    now = box.arrivals()[0]
    assert not box.is_whole(before, now)
    assert box.is_whole(now, box.arrivals()[0])
    (folder / "grid.json").write_text("{ }", encoding="utf-8")
    assert not box.is_whole(now, box.arrivals()[0])


def test_zip_without_its_end_is_not_whole(tmp_path):
    box = Inbox.at(tmp_path)
    path = zipped(tmp_path / "in" / "a.zip", {"case.toml": "one" * 100})
    assert box.is_whole(box.arrivals()[0], box.arrivals()[0])
    path.write_bytes(path.read_bytes()[:-30])
    assert not box.is_whole(box.arrivals()[0], box.arrivals()[0])
    (tmp_path / "in" / "b.txt").write_text("neither folder nor zip", encoding="utf-8")
    assert not box.is_whole(box.arrivals()[1], box.arrivals()[1])


def killed_at(root, step):
    """Run in a process that dies before its step-th rename, unlink or folder; whether it did."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(call):
            def stepwise(*arguments, **named):
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(KILLED)
                return call(*arguments, **named)

            return stepwise

        for name in ("rename", "replace", "unlink", "mkdir"):
            setattr(Path, name, counted(getattr(Path, name)))
        try:
            run(root)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def test_killed_at_every_step_nothing_is_lost_and_nothing_stands_twice(tmp_path):
    step = 0
    while True:
        root = tmp_path / str(step)
        Inbox.at(root)
        drop(root, "a", "one")
        drop(root, "b", "bad")
        drop(root, "c", "one")
        was_killed = killed_at(root, step)
        run(root)
        assert len(results(root)) == 1
        assert set(results(root).values()) == {"one"}
        assert names(root, "in") == names(root, "work") == []
        assert len(names(root, "done")) == 1
        kept = [name for name in names(root, "error") if not name.endswith(".txt")]
        assert len(kept) == 2
        assert {f"{name}.txt" for name in kept} < set(names(root, "error"))
        assert not list(root.rglob(".*.part"))
        if not was_killed:
            break
        step += 1
    assert step > 10


def test_entry_that_no_run_survives_is_refused(tmp_path):
    drop(tmp_path, "a")

    class DeadError(BaseException):
        pass

    def die(*_):
        raise DeadError

    box = Inbox.at(tmp_path)
    box.begin("a")
    for _ in range(3):
        with pytest.raises(DeadError):
            box.work_off("a", die)
    assert box.work_off("a", die).startswith("refused: 3 runs")
    assert names(tmp_path, "error") == ["a", "a.txt"]


def test_entry_named_like_the_text_of_another_one_keeps_nobody_out(tmp_path):
    for name in ("a.txt", "a"):
        Inbox.at(tmp_path)
        drop(tmp_path, name, "bad")
        assert run(tmp_path) == ["refused: 1 issue"]
    assert names(tmp_path, "error") == ["a.2", "a.2.txt", "a.txt", "a.txt.txt"]
    assert names(tmp_path, "work") == []


def test_entry_that_cannot_be_read_is_refused_and_the_others_are_not_kept_waiting(tmp_path, monkeypatch):
    Inbox.at(tmp_path)
    drop(tmp_path, "locked", "secret")
    drop(tmp_path, "open")
    opened = Path.open

    def guarded(path, *options, **named):
        if "locked" in path.parts and path.name == "case.toml":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *options, **named)

    monkeypatch.setattr(Path, "open", guarded)
    assert sorted(run(tmp_path)) == ["done: complete", "refused: it cannot be read"]
    assert "Permission denied" in (tmp_path / "error" / "locked.txt").read_text(encoding="utf-8")
    assert (names(tmp_path, "done"), names(tmp_path, "work")) == (["open"], [])


def test_entry_that_cannot_be_taken_stays_and_the_others_do_not_wait(grids, tmp_path, monkeypatch):
    for name in ("locked", "open"):
        shutil.copytree(grids / "mv-rural", tmp_path / "in" / name)
        (tmp_path / "in" / name / "case.toml").write_text(name, encoding="utf-8")
    renamed = Path.rename

    def guarded(path, target):
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", guarded)
    told = CliRunner().invoke(main, ["watch", str(tmp_path), "--once", "--every", "0.05"])
    assert told.exit_code == 0, told.output
    assert "locked: cannot be taken, left in 'in': Permission denied" in told.output
    assert (names(tmp_path, "in"), names(tmp_path, "error")) == (["locked"], ["open", "open.txt"])


def test_two_runs_keep_apart(tmp_path):
    box = Inbox.at(tmp_path)
    with box.held(), pytest.raises(OptionError, match="another run"), box.held():
        pass


def zipped(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return path


@pytest.mark.parametrize("inner", ["", "case/"])
def test_zip_of_a_case(tmp_path, inner):
    zipped(tmp_path / "in" / "a.zip", {f"{inner}case.toml": "one"})
    assert run(tmp_path) == ["done: complete"]
    assert results(tmp_path) == {"a": "one"}
    assert names(tmp_path, "done") == ["a.zip"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"../case.toml": "x"}, "no plain file inside the zip"),
        ({"/case.toml": "x"}, "no plain file inside the zip"),
        ({"a/case.toml": "x", "b/case.toml": "x"}, "holds 2 case folders"),
        ({"grid.json": "x"}, "holds 0 case folders"),
        ({f"{i}": "" for i in range(1_001)}, "larger than a case"),
    ],
)
def test_zip_that_is_no_case_is_refused(tmp_path, files, why):
    zipped(tmp_path / "in" / "a.zip", files)
    assert run(tmp_path) == ["refused: 1 issue"]
    assert why in (tmp_path / "error" / "a.zip.txt").read_text(encoding="utf-8")


def test_zip_that_was_cut_is_refused(tmp_path):
    path = zipped(tmp_path / "in" / "a.zip", {"case.toml": "one" * 100})
    path.write_bytes(path.read_bytes()[:-30])
    assert run(tmp_path) == ["refused: 1 issue"]
    assert "cannot be unpacked" in (tmp_path / "error" / "a.zip.txt").read_text(encoding="utf-8")


def test_zip_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_FILE", 10)
    zipped(tmp_path / "in" / "a.zip", {"case.toml": "x" * 11})
    assert run(tmp_path) == ["refused: 1 issue"]


def test_whole_folder_leaves_the_old_one_if_it_fails(tmp_path):
    target = tmp_path / "x"
    with whole_folder(target) as part:
        (part / "a").write_text("1", encoding="utf-8")

    def fail():
        with whole_folder(target) as part:
            (part / "a").write_text("2", encoding="utf-8")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert (target / "a").read_text(encoding="utf-8") == "1"
    with whole_folder(target) as part:
        (part / "b").write_text("3", encoding="utf-8")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def tiny(grids, folder):
    """The first two periods of a shipped case."""
    from gridclear import read_case, write_case  # noqa: PLC0415
    from gridclear.case.window import window  # noqa: PLC0415

    write_case(window(read_case(grids / "mv-rural"), 0, 2), folder)


def test_command_holds_a_session_and_tells_late_and_half_written_ones(grids, tmp_path):
    tiny(grids, tmp_path / "made")
    Inbox.at(tmp_path / "box")
    shutil.copytree(tmp_path / "made", tmp_path / "box" / "in" / "a")
    (tmp_path / "box" / "in" / "half").mkdir()
    command = ["watch", str(tmp_path / "box"), "--once", "--every", "0.05", "--map-periods", "0"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "a: done: complete" in done.stderr
    assert "half: not whole yet" in done.stderr
    assert (tmp_path / "box" / "results" / "a" / "report.html").is_file()
    assert names(tmp_path / "box", "in") == ["half"]
    shutil.copytree(tmp_path / "made", tmp_path / "box" / "in" / "b")
    (tmp_path / "box" / "in" / "b" / "note.txt").write_text("other content", encoding="utf-8")
    done = CliRunner().invoke(main, [*command, "--late-minutes", "30"])
    assert "b: refused: 1 issue" in done.stderr
    assert "min after its start; expected at most 30 min" in (tmp_path / "box" / "error" / "b.txt").read_text(
        encoding="utf-8"
    )


def test_command_ends_when_it_is_asked_to(tmp_path):
    command = [sys.executable, "-m", "gridclear", "watch", str(tmp_path), "--every", "0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        until = time.monotonic() + 30.0
        while not (tmp_path / ".lock").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30.0) == 0
