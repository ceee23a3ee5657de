"""A folder that one run at a time writes into."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gridclear.errors import OptionError

try:
    import fcntl
except ImportError:  # Windows
    CAN_LOCK = False
else:
    CAN_LOCK = True

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a second run out of a folder; a killed one holds nothing.

    Parameters
    ----------
    folder : Path
        Has to exist. Where the system has no such locks (``CAN_LOCK``) nobody is kept out.

    Raises
    ------
    OptionError
        Another run works in this folder.
    """
    with (folder / ".lock").open("a") as lock:
        if CAN_LOCK:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as fault:
                msg = f"'{folder}' is being worked off by another run"
                raise OptionError(msg) from fault
        yield


def remove_parts(folder: Path) -> None:
    """Remove what a killed run has left half-written; only for who is alone in the folder.

    Parameters
    ----------
    folder : Path
    """
    for path in folder.glob(".*.part"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
