"""``case.toml``: the name, the grid, the horizon, the limits, the prices and the terms of a case."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridclear.case.cells import Faults, meant, quoted
from gridclear.case.horizon import (
    MOST_PERIODS,
    Horizon,
    make_horizon,
    parse_resolution,
    parse_stamp,
    resolution_text,
)
from gridclear.case.limits import Limits, check_limits
from gridclear.case.prices import Prices
from gridclear.case.settings_schema import SETTINGS
from gridclear.case.settlement_terms import SettlementTerms
from gridclear.io.tables import read_text, stamp_text

if TYPE_CHECKING:
    from pathlib import Path

    from gridclear.case.attributes import Column
    from gridclear.case.case import Case

CASE_FILE = "case.toml"
_QUARTER_HOUR = pd.Timedelta(minutes=15)
_SEVEN_HOURS = 28
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Settings:
    """What ``case.toml`` says.

    Attributes
    ----------
    name : str
        By default that of the folder.
    grid : str or None
        File or SimBench code; None where the key is missing or wrong.
    grid_row : str
        Line in which it stands.
    horizon : Horizon or None
        None where a key of it is missing or wrong.
    limits : Limits
    prices : Prices
    settlement : SettlementTerms
    """

    name: str
    grid: str | None
    grid_row: str
    horizon: Horizon | None
    limits: Limits
    prices: Prices
    settlement: SettlementTerms


#: What a key has to be, where the attribute table says less.
_EXPECTED = {
    "name": "a text that is not empty",
    "grid": 'the name of a file in the folder, such as "grid.json", or "simbench:CODE"',
    "resolution": "an ISO 8601 duration such as PT15M",
    "start": "a date-time with offset, such as 2016-06-19T10:00:00Z",
    "periods": f"a whole number from 1 to {MOST_PERIODS}",
}


def settings_text(case: Case, grid_file: str) -> str:
    """Write ``case.toml``.

    Parameters
    ----------
    case : Case
    grid_file : str
        Name of the file of the grid.

    Returns
    -------
    str
    """
    horizon, limits, terms = case.horizon, case.limits, case.settlement
    return "\n".join(
        [
            "[case]",
            f"name = {_toml_text(case.name)}",
            f"grid = {_toml_text(grid_file)}",
            f"start = {stamp_text(horizon.start)}",
            f'resolution = "{resolution_text(horizon.resolution)}"',
            f"periods = {horizon.periods}",
            "",
            "[limits]",
            f"vm_min_pu = {float(limits.vm_min_pu)!r}",
            f"vm_max_pu = {float(limits.vm_max_pu)!r}",
            f"loading_percent = {float(limits.loading_percent)!r}",
            "",
            "[prices]",
            f"losses_eur_mwh = {float(case.prices.losses_eur_mwh)!r}",
            "",
            "[settlement]",
            f"pricing = {_toml_text(terms.pricing)}",
            f"tolerance_percent = {float(terms.tolerance_percent)!r}",
            f"penalty_eur_mwh = {float(terms.penalty_eur_mwh)!r}",
            f"penalty_eur_mvarh = {float(terms.penalty_eur_mvarh)!r}",
            "",
        ]
    )


def _toml_text(text: str) -> str:
    """Quote a text; TOML wants quotation marks and control characters escaped."""
    signs = (
        rf"\{sign}" if sign in '"\\' else sign if sign.isprintable() else f"\\U{ord(sign):08x}"
        for sign in text
    )
    return '"' + "".join(signs) + '"'


def read_settings(folder: Path, faults: Faults) -> Settings:
    """Read ``case.toml``.

    Parameters
    ----------
    folder : Path
    faults : Faults
        Takes what is found.

    Returns
    -------
    Settings
    """
    name = folder.resolve().name or "case"
    nothing = Settings(name, None, "", None, Limits(), Prices(), SettlementTerms())
    if not (folder / CASE_FILE).is_file():
        faults.add(CASE_FILE, "", "", "the file is missing", "case.toml with a section [case]")
        return nothing
    text = read_text(folder / CASE_FILE, faults)
    if text is None:
        return nothing
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"line (\d+)", str(error))
        faults.add(
            CASE_FILE, line.group(1) if line else "", "", f"no TOML: {error}", "TOML, see https://toml.io"
        )
        return nothing
    lines = _key_lines(text)
    case = _read_section("case", content.get("case"), lines, faults)
    limits = replace(Limits(), **_read_optional("limits", content, lines, faults))
    prices = replace(Prices(), **_read_optional("prices", content, lines, faults))
    terms = replace(SettlementTerms(), **_read_optional("settlement", content, lines, faults))
    for section in content:
        if section not in SETTINGS:
            what = f"the section is unknown{meant(section, SETTINGS)}"
            faults.add(
                CASE_FILE, lines.get((section, ""), ""), section, what, "one of " + ", ".join(SETTINGS)
            )
    faults.issues += check_limits(limits, CASE_FILE)
    horizon = _read_horizon(case, lines, faults)
    grid_row = lines.get(("case", "grid"), "")
    return Settings(case.get("name") or name, case.get("grid"), grid_row, horizon, limits, prices, terms)


def _read_horizon(
    case: Mapping[str, Any], lines: Mapping[tuple[str, str], str], faults: Faults
) -> Horizon | None:
    """Make the horizon; None if a key of it is wrong, or missing while an unknown key may stand for it."""
    keys = {"start": None, "resolution": _QUARTER_HOUR, "periods": _SEVEN_HOURS}
    misspelt = any(key not in _names("case") for section, key in lines if section == "case" and key)
    if misspelt and any(key not in case for key in keys):
        return None
    start, resolution, periods = (case.get(key, default) for key, default in keys.items())
    if start is None or resolution is None or periods is None:
        return None
    horizon = make_horizon(start, resolution, periods)
    if horizon is None:
        row = lines.get(("case", "periods"), "")
        faults.add(CASE_FILE, row, "periods", "the horizon ends too late", "an end before 2262")
    return horizon


def _names(section: str) -> list[str]:
    return [column.name for column in SETTINGS[section]]


def _key_lines(text: str) -> dict[tuple[str, str], str]:
    """Find the line of each section, under (section, ""), and of each of its keys."""
    lines: dict[tuple[str, str], str] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        head, key = re.match(r"\s*\[\s*(\w+)\s*\]", line), re.match(r"\s*([\w-]+)\s*=", line)
        if head:
            section = head.group(1)
        name = (section, "") if head else (section, key.group(1)) if key else None
        if name is not None:
            lines.setdefault(name, str(number))
    return lines


def _read_section(
    section: str, content: object, lines: Mapping[tuple[str, str], str], faults: Faults
) -> dict[str, Any]:
    """Read the keys that are there, with None for a wrong value."""
    keys = {column.name: column for column in SETTINGS[section]}
    if not isinstance(content, Mapping):
        what = "the section is missing" if content is None else f"{quoted(content)} is no section"
        faults.add(CASE_FILE, "", section, what, f"[{section}] with " + ", ".join(keys))
        return {}
    values: dict[str, Any] = {}
    for name, value in content.items():
        row = lines.get((section, name), "")
        if name not in keys:
            faults.add(
                CASE_FILE, row, name, f"the key is unknown{meant(name, keys)}", "one of " + ", ".join(keys)
            )
            continue
        values[name] = _read_value(keys[name], value)
        if values[name] is None:
            expected = _EXPECTED.get(name, keys[name].expectation)
            faults.add(CASE_FILE, row, name, f"{quoted(value)} is not allowed", expected)
    for name, column in keys.items():
        if column.required and name not in content:
            expected = _EXPECTED.get(name, column.expectation)
            faults.add(CASE_FILE, lines.get((section, ""), ""), name, "the key is missing", expected)
    return values


def _read_optional(
    section: str, content: Mapping[str, object], lines: Mapping[tuple[str, str], str], faults: Faults
) -> dict[str, Any]:
    """Read the keys of an optional section that are there and right."""
    values = _read_section(section, content.get(section, {}), lines, faults)
    return {name: value for name, value in values.items() if value is not None}


def _read_value(column: Column, value: object) -> object:
    """Read the value of a key; None if it is not what it has to be."""
    if column.name == "resolution":
        return parse_resolution(value)
    if column.kind == "time":
        return parse_stamp(value)
    if column.choices:
        return value if isinstance(value, str) and value in column.choices else None
    if column.kind == "text":
        is_name = isinstance(value, str) and value.strip() and len(value) <= _LONGEST_NAME
        return value if is_name and "\0" not in str(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if column.kind == "whole":
        return value if isinstance(value, int) and 1 <= value <= MOST_PERIODS else None
    inside = (value > column.low if column.above else value >= column.low) and value <= column.high
    return float(value) + 0.0 if inside and value < _LARGEST_NUMBER else None


#: No limit in p.u. or per cent and no price is larger; a whole number of TOML may be too large for a float.
_LARGEST_NUMBER = 1e9
