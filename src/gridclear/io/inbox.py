"""A folder into which cases are dropped: each is worked off once, and nothing is lost on the way.

``in/`` is what has arrived, ``work/`` what is being worked off, ``done/`` and ``error/`` what has been. An
entry moves by renames alone, each of which the file system does whole, and its result comes before it:

    in/<name> → work/<name> → results/<name> → done/<name>, or error/<name> with error/<name>.txt

Whatever is in ``work/`` when a run begins was left by one that was killed. It is worked off again, unless its
result is there; then only its last rename is left to do.
"""

from __future__ import annotations

import hashlib
import stat
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io.files import LARGEST_FILE, sync_folder, write_atomic
from gridclear.io.lock import CAN_LOCK, alone_in, remove_parts
from gridclear.io.settings import CASE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACES = ("in", "work", "results", "done", "error")
#: A zip with more files than this is no case.
_MOST_FILES = 1_000
#: An entry that so many runs did not survive gets no other one.
_MOST_ATTEMPTS = 3
#: Case folder and folder of the result → a word on the result.
Process = Callable[[Path, Path], str]


@dataclass(frozen=True)
class Arrival:
    """Something in ``in/``, as it was when it was looked at.

    Attributes
    ----------
    name : str
    print : tuple of (path, size, change in ns)
        What would differ if somebody were still writing.
    """

    name: str
    print: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Inbox:
    """A drop folder.

    Attributes
    ----------
    root : Path
        Holds ``in``, ``work``, ``results``, ``done`` and ``error``.
    """

    root: Path

    @classmethod
    def at(cls, root: Path) -> Inbox:
        """Make the folders that are not there.

        Parameters
        ----------
        root : Path
        """
        for place in _PLACES:
            (root / place).mkdir(parents=True, exist_ok=True)
        return cls(root)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a second run out; a killed one holds nothing.

        Raises
        ------
        OptionError
            Another run works off this folder, or the system has no locks that could keep it out.
        """
        if not CAN_LOCK:
            msg = "this system has no file locks, without which two runs could work off one entry"
            raise OptionError(msg)
        with alone_in(self.root):
            for place in _PLACES:
                remove_parts(self.root / place)
            yield

    def work_off(self, name: str, process: Process) -> str:
        """Bring an entry from ``work/`` to its end.

        Parameters
        ----------
        name : str
        process : callable
            Takes a case folder and the folder of the result, which it writes whole; gives a word on it.

        Returns
        -------
        str
            What became of the entry.
        """
        try:
            digest = self._digest(name)
        except OSError as fault:  # nobody may read it, or the disk cannot
            self._refuse(name, f"it cannot be read: {fault}")
            return "refused: it cannot be read"
        if self._result(name).exists():
            self._finish(name, digest)
            return "done: the result was there"
        twin = self._known(digest)
        if twin not in ("", name):
            self._refuse(name, f"it has arrived before, as {twin}: its result is results/{_stem(twin)}")
            return f"refused: it has arrived before, as {twin}"
        if self._attempt(name) > _MOST_ATTEMPTS:
            self._refuse(name, f"{_MOST_ATTEMPTS} runs have ended without a word while they worked on it")
            return f"refused: {_MOST_ATTEMPTS} runs have ended while they worked on it"
        try:
            with self._case_folder(name) as folder:
                word = process(folder, self._result(name))
        except CaseError as fault:
            self._refuse(name, "\n".join(map(str, fault.issues)))
            count = len(fault.issues)
            return f"refused: {count} issue{'s' if count != 1 else ''}"
        self._finish(name, digest)
        return f"done: {word}"

    def left(self) -> list[str]:
        """Name what an earlier run began."""
        return _names(self.root / "work")

    def arrivals(self) -> list[Arrival]:
        """Look at what there is in ``in/``, the earliest first."""
        found = [Arrival(name, _print_of(self.root / "in" / name)) for name in _names(self.root / "in")]
        return sorted(found, key=lambda one: (max((when for *_, when in one.print), default=0), one.name))

    def is_whole(self, before: Arrival, now: Arrival) -> bool:
        """Whether an entry seems to have arrived whole: nothing changes, and what is written last is there.

        Parameters
        ----------
        before, now : Arrival
            Two looks at it.
        """
        if before != now or not now.print:
            return False
        path = self.root / "in" / now.name
        return any(label == CASE_FILE for label, *_ in now.print) if path.is_dir() else _ends_as_zip(path)

    def begin(self, name: str) -> str:
        """Take an entry out of ``in/``.

        Returns
        -------
        str
            Its name from now on: with a number if an entry of that name is or was here.
        """
        taken = self._free(name)
        self._move("in", name, "work", taken)
        return taken

    def _result(self, name: str) -> Path:
        """Folder of the result of an entry."""
        return self.root / "results" / _stem(name)

    def _digest(self, name: str) -> str:
        """Hash of the content of an entry in ``work/``, names of its files included."""
        return _digest(self.root / "work" / name)

    def _known(self, digest: str) -> str:
        """Name the entry of that content that has been worked off; "" if there is none."""
        mark = self.root / "done" / f".{digest}"
        return mark.read_text(encoding="utf-8") if mark.is_file() else ""

    @contextmanager
    def _case_folder(self, name: str) -> Iterator[Path]:
        """Give the case folder of an entry in ``work/``; a zip is unpacked for as long.

        Raises
        ------
        CaseError
            A zip is not whole, holds no case, or what could not be one.
        """
        entry = self.root / "work" / name
        if entry.is_dir():
            yield entry
            return
        with tempfile.TemporaryDirectory(prefix="gridclear-") as scratch:
            yield _unpacked(entry, Path(scratch))

    def _finish(self, name: str, digest: str) -> None:
        """Move an entry, whose result is there, to ``done/``."""
        write_atomic(self.root / "done" / f".{digest}", name)
        self._move("work", name, "done", name)
        self._attempts(name).unlink(missing_ok=True)

    def _refuse(self, name: str, why: str) -> None:
        """Move an entry to ``error/``, and say why."""
        write_atomic(self.root / "error" / f"{name}.txt", why + "\n")
        self._move("work", name, "error", name)
        self._attempts(name).unlink(missing_ok=True)

    def _attempts(self, name: str) -> Path:
        return self.root / "work" / f".{name}.attempts"

    def _attempt(self, name: str) -> int:
        """Count one more run that works on an entry."""
        path = self._attempts(name)
        count = 1 + (len(path.read_text(encoding="utf-8")) if path.is_file() else 0)
        write_atomic(path, "x" * count)
        return count

    def _free(self, name: str) -> str:
        path, number = PurePosixPath(name), 1
        suffix = path.suffix if path.suffix == ".zip" else ""
        stem = name.removesuffix(suffix)
        while (
            any((self.root / place / name).exists() for place in ("work", "done", "error"))
            or self._result(name).exists()
            # Where the text that says why would have to be, an entry of such a name may stand.
            or (self.root / "error" / f"{name}.txt").is_dir()
        ):
            number += 1
            name = f"{stem}.{number}{suffix}"
        return name

    def _move(self, source: str, name: str, target: str, new: str) -> None:
        (self.root / source / name).rename(self.root / target / new)
        sync_folder(self.root / target)
        sync_folder(self.root / source)


def _names(folder: Path) -> list[str]:
    """Entries of a folder; names that begin with a dot are those of things half-way."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _ends_as_zip(path: Path) -> bool:
    """Whether the list of files, with which every zip ends, is there."""
    return path.suffix == ".zip" and zipfile.is_zipfile(path)


def _stem(name: str) -> str:
    return name.removesuffix(".zip")


def _files(entry: Path) -> list[Path]:
    return sorted(path for path in entry.rglob("*") if path.is_file()) if entry.is_dir() else [entry]


def _print_of(entry: Path) -> tuple[tuple[str, int, int], ...]:
    found = []
    for path in _files(entry):
        try:
            status = path.stat()
        except OSError:  # it has just been renamed: the next look will see it
            return ()
        label = path.relative_to(entry).as_posix() if entry.is_dir() else ""
        found.append((label, status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)))
    return tuple(found)


def _digest(entry: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(entry):
        label = path.relative_to(entry).as_posix() if entry.is_dir() else ""
        with path.open("rb") as content:
            part = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{len(label)} {label} {part}\n".encode())
    return digest.hexdigest()


def _unpacked(entry: Path, folder: Path) -> Path:
    """Unpack a zip that holds one case, at its top or in one folder."""

    def wrong(what: str) -> CaseError:
        return CaseError((Issue(entry.name, "", "", what, "a whole zip of one case folder"),))

    try:
        with zipfile.ZipFile(entry) as packed:
            infos = [info for info in packed.infolist() if not info.is_dir()]
            for info in infos:
                path, kind = PurePosixPath(info.filename), stat.S_IFMT(info.external_attr >> 16)
                if path.is_absolute() or ".." in path.parts or kind not in (0, stat.S_IFREG):
                    raise wrong(f"'{info.filename}' is no plain file inside the zip")
            if len(infos) > _MOST_FILES or sum(info.file_size for info in infos) > LARGEST_FILE:
                raise wrong("it is larger than a case can be")
            packed.extractall(folder, [info.filename for info in infos])
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as fault:
        raise wrong(f"it cannot be unpacked: {fault}") from fault
    if (folder / CASE_FILE).is_file():
        return folder
    inner = [path.parent for path in folder.glob(f"*/{CASE_FILE}")]
    if len(inner) != 1:
        raise wrong(f"it holds {len(inner)} case folders")
    return inner[0]
