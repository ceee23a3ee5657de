"""A market session as one page that needs nothing else: no scripts, no other files, no network."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from gridclear.io.files import whole_folder, write_atomic
from gridclear.report.charts import charts
from gridclear.report.session import TITLES, describe_part, describe_session
from gridclear.report.text import describe_case

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.delivery import Delivery
    from gridclear.jobs.session import Session

REPORT_FILE = "report.html"
#: Folder of what a session leaves to the next one.
DELIVERY = "delivery"
_COLUMNS = 120
#: Colours of a terminal, as classes of the page.
_CLASSES = {"\x1b[32m": "g", "\x1b[33m": "y", "\x1b[31m": "r"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; }
pre { font: 13px/1.35 ui-monospace, monospace; overflow-x: auto; background: #f7f7f7; padding: 0.8rem; }
.g { color: #1a7f37; } .y { color: #b58900; } .r { color: #c0261b; }
svg { display: block; width: 760px; max-width: 100%; margin: 0.8rem 0; }
svg text { font: 11px system-ui, sans-serif; }
"""


def write_report(case: Case, session: Session, folder: str | Path) -> Path:
    """Write ``report.html`` into a folder, whole or not at all.

    Parameters
    ----------
    case : Case
        The case of the session.
    session : Session
    folder : path
        Has to exist.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        It cannot be written.
    """
    path = Path(folder) / REPORT_FILE
    write_atomic(path, session_page(case, session))
    return path


def write_session(
    case: Case,
    session: Session,
    folder: str | Path,
    format: TableFormat = "csv",  # noqa: A002  as Result.write
    *,
    delivery: Delivery | None = None,
) -> None:
    """Write a session and its page as a folder that is there whole or not at all.

    Parameters
    ----------
    case : Case
        The case of the session.
    session : Session
    folder : path
        Made with its parents; one that is there is replaced.
    format : {"csv", "parquet"}
        Of the tables.
    delivery : Delivery, optional
        What it leaves to the next session: in the folder ``delivery``.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with whole_folder(folder) as part:
        session.write(part, format)
        write_report(case, session, part)
        if delivery is not None:
            delivery.write(part / DELIVERY, format)


def session_page(case: Case, session: Session) -> str:
    """Write a session as HTML; whatever stands in the case is text there, never markup.

    Parameters
    ----------
    case : Case
        The case of the session.
    session : Session

    Returns
    -------
    str
    """
    sections = [
        f"<h2>{escape(TITLES[job])}</h2>\n{charts(case, part)}"
        + _text(describe_part(case, part, colour=True, width=_COLUMNS))
        for job, part in session.parts.items()
    ]
    name, size = escape(case.name), describe_case(case).strip().removeprefix(f"{case.name}: ")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f"<title>{name}: market session</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{name}</h1>\n<p>{escape(size)}</p>",
            _text(describe_session(session, width=_COLUMNS)),
            *sections,
            f"<p>Case {escape(case.content_hash)}</p>\n</body>\n</html>\n",
        ]
    )


def _text(text: str) -> str:
    """Set a terminal's text, its colours kept."""
    marked = escape(text)
    for code, name in _CLASSES.items():
        marked = marked.replace(code, f'<span class="{name}">')
    return "<pre>" + marked.replace("\x1b[0m", "</span>") + "</pre>\n"
