"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: No file of a case is larger than this (bytes): a slip or an attack is told apart from a big grid.
LARGEST_FILE = 512 * 1024 * 1024


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what is written there takes its place when the block ends well.

    Parameters
    ----------
    path : path
        The file that is to be there in the end. Its folder has to exist.

    Yields
    ------
    Path
        A new, empty file in the same folder.

    Raises
    ------
    OSError
        The file cannot be written. Whatever ends the block early, the old file stays, the temporary one goes.
    """
    target = Path(path)
    part = _new_part(target)
    try:
        yield part
        _settle(part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_atomic(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write a text (UTF-8) or bytes as one file, whole or not at all.

    Parameters
    ----------
    path : path
    data : str or bytes

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def write_together(folder: Path, files: Mapping[str, bytes], *, seal: str, stale: Iterable[str]) -> None:
    """Write files that belong together.

    Everything is on the disk under temporary names before the first file changes. The ``seal`` goes first and
    comes last: a folder that was left half-way has none, and nobody takes it for a whole one.

    Parameters
    ----------
    folder : Path
        Has to exist.
    files : mapping of file name → content
    seal : str
        The one of them without which the others are nothing.
    stale : iterable of str
        Names of files that are to go if they are there.

    Raises
    ------
    OSError
        A file cannot be written. No temporary file is left.
    """
    parts: dict[str, Path] = {}
    try:
        for name, content in files.items():
            parts[name] = _new_part(folder / name)
            parts[name].write_bytes(content)
            _settle(parts[name])
        (folder / seal).unlink(missing_ok=True)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        for name in sorted(files, key=lambda name: name == seal):
            parts[name].replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    sync_folder(folder)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; it takes its place when the block ends well.

    Parameters
    ----------
    path : path
        The folder that is to be there in the end; one that is there goes. Its parent is made if need be.

    Yields
    ------
    Path
        A new, empty folder.

    Raises
    ------
    OSError
        It cannot be made or renamed. Whatever ends the block early, what was there stays.

    Notes
    -----
    No system swaps two folders at once everywhere: a kill between the two renames leaves the old folder as
    ``.<name>.old``, and the new one whole under its temporary name.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    mask = os.umask(0)
    os.umask(mask)
    part.chmod(0o777 & ~mask)
    old = target.with_name(f".{target.name}.old")
    try:
        yield part
        sync_folder(part)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, where the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse it
            os.fsync(handle)
    finally:
        os.close(handle)


def _new_part(target: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    return Path(name)


def _settle(part: Path) -> None:
    """Give the file the rights of an ordinary one, and have it on the disk before it gets its name."""
    mask = os.umask(0)
    os.umask(mask)
    part.chmod(0o666 & ~mask)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
