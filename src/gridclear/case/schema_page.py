"""The page that documents a case folder, made of its attribute tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridclear.case.schema import TABLES
from gridclear.case.settings_schema import SETTINGS

if TYPE_CHECKING:
    from gridclear.case.attributes import Column


def schema_markdown() -> str:
    """Document ``case.toml`` and every table of a case folder in Markdown.

    Returns
    -------
    str
        Sections with one table each, made from the same attributes that the checks read.
    """
    lines = ["## `case.toml`", ""]
    for section, keys in SETTINGS.items():
        lines += [f"### `[{section}]`", "", *_rows("key", keys), ""]
    lines += ["## Tables", "", "CSV or Parquet under these names; columns with * are required.", ""]
    for table in TABLES.values():
        lines += [f"### `{table.name}`", "", table.meaning, "", *_rows("column", table.columns), ""]
        if table.key:
            lines += ["One row per " + ", ".join(f"`{name}`" for name in table.key) + ".", ""]
    return "\n".join(lines)


def _rows(head: str, columns: tuple[Column, ...]) -> list[str]:
    rows = [f"| {head} | kind | unit | allowed | empty means | meaning |", "|---|---|---|---|---|---|"]
    for column in columns:
        allowed = ", ".join(f"`{choice}`" for choice in column.choices) or column.range_text.strip()
        name = f"`{column.name}`" + (" *" if column.required else "")
        rows.append(
            f"| {name} | {column.kind} | {column.unit} | {allowed} | {column.default} | {column.meaning} |"
        )
    return rows
