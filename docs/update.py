"""Bring the reference part of case-folder.md in step with the attribute tables: ``make docs``."""

from pathlib import Path

from gridclear.case.schema_page import schema_markdown

MARK = "<!-- Below: made from the attribute tables by `make docs`. -->\n\n"
PAGE = Path(__file__).parent / "case-folder.md"


def up_to_date(page: str) -> str:
    """Return the page with its part below the mark made anew."""
    return page[: page.index(MARK) + len(MARK)] + schema_markdown().rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(up_to_date(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
