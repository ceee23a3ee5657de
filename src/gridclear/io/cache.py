"""Where things are kept that can be made again: compiled kernels and compiled grids."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from gridclear.io.files import write_atomic

_SEAL = hashlib.sha256().digest_size


def user_cache() -> Path | None:
    """Folder for what can be made again.

    Returns
    -------
    Path or None
        ``$GRIDCLEAR_CACHE``, else ``gridclear`` in the user's cache, else a private folder among the
        temporary ones; the first that can be made and written to. None if there is no such folder.
    """
    candidates = []
    named, base = os.environ.get("GRIDCLEAR_CACHE"), os.environ.get("XDG_CACHE_HOME")
    home = os.environ.get("HOME") or os.environ.get("LOCALAPPDATA")
    if named:
        candidates.append(Path(named))
    if base:
        candidates.append(Path(base) / "gridclear")
    if home:
        candidates.append(Path(home) / ".cache" / "gridclear")
    for folder in candidates:
        if _is_usable(folder):
            return folder
    owner = str(os.getuid()) if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"gridclear-{owner}"
    return fallback if _is_usable(fallback) and _is_private(fallback) else None


def read_sealed(path: Path) -> bytes | None:
    """Read what :func:`write_sealed` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes or None
        None if the file is not there, or is not what was written, to the last bit.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    seal, data = content[:_SEAL], content[_SEAL:]
    return data if hashlib.sha256(data).digest() == seal else None


def write_sealed(path: Path, data: bytes) -> None:
    """Write a file with a digest in front, whole or not at all; a disk that refuses it costs only time.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    data : bytes
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, hashlib.sha256(data).digest() + data)


def keep_newest(folder: Path, pattern: str, most: int) -> None:
    """Remove all but the files or folders that were used last.

    Parameters
    ----------
    folder : Path
    pattern : str
        Of their names.
    most : int
        So many stay.
    """
    with contextlib.suppress(OSError):
        for old in sorted(folder.glob(pattern), key=_last_used)[:-most]:
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _is_private(folder: Path) -> bool:
    """Whether nobody else could have put something there: compiled code is read from it."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & others
