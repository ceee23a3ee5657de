"""A case folder: ``case.toml``, the grid and the tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gridclear.case.case import Case, build_case, read_sheets
from gridclear.case.cells import Faults, meant, quoted
from gridclear.case.check import sorted_issues
from gridclear.case.grid import Grid, read_grid
from gridclear.case.grid_tables import raw_grid_from_net
from gridclear.case.schema import TABLES
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io.files import write_together
from gridclear.io.pandapower_json import read_pandapower_json, write_pandapower_json
from gridclear.io.settings import CASE_FILE, Settings, read_settings, settings_text
from gridclear.io.tables import TableFormat, read_table, read_text, table_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

GRID_FILE = "grid.json"
_TABLE_SUFFIXES = (".csv", ".parquet")
_CGMES_SUFFIXES = (".zip", ".xml")
_SIMBENCH = "simbench:"
_SIMBENCH_CODE = re.compile(r"[0-9]-\w+-\w+-[\w.]*-[0-9]-(no_)?sw")


def read_case(path: str | os.PathLike[str]) -> Case:
    """Read a case folder.

    Parameters
    ----------
    path : path
        Folder with ``case.toml``, the grid and the tables.

    Returns
    -------
    Case

    Raises
    ------
    CaseError
        Its ``issues`` are everything that is wrong with the folder.
    """
    folder, faults = Path(path), Faults()
    names = _file_names(folder)
    settings = read_settings(folder, faults)
    grid, grid_file = _read_grid(folder, settings, faults)
    raws = {}
    for name, table in TABLES.items():
        raw = read_table(folder, table, faults)
        if raw is not None:
            raws[name] = raw
    _check_other_files(names, faults)
    sheets = read_sheets(raws, faults)
    return build_case(
        settings.name,
        grid,
        grid_file,
        settings.horizon,
        settings.limits,
        settings.prices,
        settings.settlement,
        sheets,
        faults,
    )


def check_case(path: str | os.PathLike[str]) -> list[Issue]:
    """List everything that is wrong with a case folder; nothing is written.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of Issue
        In the order of file, row and column; empty if :func:`read_case` would read it.
    """
    try:
        read_case(path)
    except CaseError as error:
        return sorted_issues(error.issues)
    return []


def write_case(case: Case, path: str | os.PathLike[str], *, format: TableFormat = "csv") -> None:  # noqa: A002
    """Write a case as a folder that reads back as the same case.

    Parameters
    ----------
    case : Case
    path : path
        Made if it is not there. Tables of an older case in it are replaced or removed; other files stay.
    format : {"csv", "parquet"}
        Of the tables. Parquet needs the extra ``parquet``.

    Raises
    ------
    OptionError
        Unknown format.
    OSError
        The folder cannot be written.
    """
    if format not in ("csv", "parquet"):
        raise OptionError(f"format is {format!r}; it can be 'csv' or 'parquet'")
    files = {
        GRID_FILE: write_pandapower_json(case.grid).encode(),
        CASE_FILE: settings_text(case, GRID_FILE).encode(),
    }
    for name in TABLES:
        if len(case.table(name)):
            files[f"{name}.{format}"] = table_bytes(case.table(name), name, format)
    stale = [
        f"{name}{suffix}" for name in TABLES for suffix in _TABLE_SUFFIXES if f"{name}{suffix}" not in files
    ]
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, files, seal=CASE_FILE, stale=stale)


def _file_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        what = f"{quoted(str(folder))}: {(error.strerror or 'cannot be read').lower()}"
        raise CaseError((Issue(CASE_FILE, "", "", what, "a case folder"),)) from error


def _read_grid(folder: Path, settings: Settings, faults: Faults) -> tuple[Grid | None, str]:
    """Read the grid; second is the name under which its faults are reported."""
    name = settings.grid
    if name is None:
        return None, GRID_FILE

    def fault(what: str, expected: str = 'the name of a file in the folder, such as "grid.json"') -> None:
        faults.add(CASE_FILE, settings.grid_row, "grid", what, expected)

    if name.startswith(_SIMBENCH):
        return _read_simbench(name, fault, faults), name
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a ring of links
        inside = False
    if not inside:
        fault(f"{quoted(name)} is outside the case folder")
    elif path.suffix.lower() in _CGMES_SUFFIXES:
        fault(f"{quoted(name)}: CGMES is not supported yet", "a grid in pandapower's JSON")
    elif not path.is_file():
        faults.add(name, "", "", "the file is missing", "the grid that case.toml names, in pandapower's JSON")
    else:
        text = read_text(path, faults)
        raw = None if text is None else read_pandapower_json(text, name, faults)
        return (None if raw is None or "bus" not in raw.tables else read_grid(raw, faults)), name
    return None, name


def _read_simbench(name: str, fault: Callable[[str, str], None], faults: Faults) -> Grid | None:
    code = name.removeprefix(_SIMBENCH)
    if not _SIMBENCH_CODE.fullmatch(code):
        fault(f"{quoted(code)} is no SimBench code", "a code such as 1-MV-rural--0-sw")
        return None
    try:
        import simbench  # noqa: PLC0415  an optional extra, and a slow one
    except ImportError:
        fault(f"{quoted(name)} needs simbench", "gridclear[data] installed, or a grid.json")
        return None
    if code not in simbench.collect_all_simbench_codes():
        fault(f"{quoted(code)} is no SimBench code", "a code such as 1-MV-rural--0-sw")
        return None
    return read_grid(raw_grid_from_net(simbench.get_simbench_net(code), name, faults), faults)


def _check_other_files(names: list[str], faults: Faults) -> None:
    """Refuse tables of unknown names: a misspelt one would silently not be there."""
    known = {f"{table}{suffix}" for table in TABLES for suffix in _TABLE_SUFFIXES}
    for name in names:
        is_table = name.lower().endswith(_TABLE_SUFFIXES) and not name.startswith(".")
        if is_table and name not in known:
            what = f"no table has that name{meant(name.rpartition('.')[0], TABLES)}"
            expected = "one of " + ", ".join(TABLES) + ", or the file in another folder"
            faults.add(name, "", "", what, expected)
