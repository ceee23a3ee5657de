"""Where things are kept that can be made again: compiled kernels and compiled grids."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def user_cache() -> Path:
    """Folder for what can be made again.

    Returns
    -------
    Path
        ``$GRIDCLEAR_CACHE``, else ``gridclear`` in the user's cache, else a private folder among the
        temporary ones; the first that can be made and written to.
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
    owner = str(os.getuid()) if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"gridclear-{owner}"
    for folder in [*candidates, fallback]:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return fallback
