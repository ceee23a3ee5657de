"""Where the cases that come with gridclear are."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from gridclear.errors import OptionError


def shipped_case(name: str) -> Path:
    """Find a shipped case folder: beside the sources, or where an installed wheel has put its data.

    Parameters
    ----------
    name : str
        Name of the case, such as ``mv-rural``.

    Returns
    -------
    Path
        The case folder.

    Raises
    ------
    OptionError
        If this installation does not have it.
    """
    beside = Path(__file__).resolve().parents[3] / "grids" / name
    if (beside / "case.toml").is_file():
        return beside
    # The record of the installed files holds for every layout: virtual environment, --user or --target.
    for file in metadata.files("gridclear") or []:
        if file.parts[-3:] == ("grids", name, "case.toml"):
            return Path(str(file.locate())).resolve().parent
    msg = f"this installation has no case '{name}'"
    raise OptionError(msg)
