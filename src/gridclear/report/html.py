"""A market session as one page that needs nothing else: no scripts, no other files, no network."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gridclear.io.files import whole_folder, write_atomic
from gridclear.jobs.activate import Activation
from gridclear.jobs.clear import Clearing
from gridclear.report.session import TITLES, describe_part, describe_session
from gridclear.report.text import describe_case

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from gridclear.case import Case, Horizon
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.result import Result
    from gridclear.jobs.session import Session

REPORT_FILE = "report.html"
_COLUMNS = 120
#: Colours of a terminal, as classes of the page.
_CLASSES = {"\x1b[32m": "g", "\x1b[33m": "y", "\x1b[31m": "r"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; }
pre { font: 13px/1.35 ui-monospace, monospace; overflow-x: auto; background: #f7f7f7; padding: 0.8rem; }
.g { color: #1a7f37; } .y { color: #b58900; } .r { color: #c0261b; }
svg { max-width: 100%; } svg text { font: 11px system-ui, sans-serif; }
"""
#: Size of a chart and its margins.
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 200, 60, 24, 22
#: Colour, dashes and place of the name of each line.
_LINES = (("#0b5fa5", "none", 100.0), ("#c0261b", "5 4", 10.0))


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


def write_session(case: Case, session: Session, folder: str | Path, format: TableFormat = "csv") -> None:  # noqa: A002  as Result.write
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

    Raises
    ------
    OSError
        It cannot be written.
    """
    with whole_folder(folder) as part:
        session.write(part, format)
        write_report(case, session, part)


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
        f"<h2>{escape(TITLES[job])}</h2>\n{_charts(case, part)}"
        + _text(describe_part(case, part, colour=True, width=_COLUMNS))
        for job, part in session.parts.items()
    ]
    name = escape(case.name)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f"<title>{name}: market session</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{name}</h1>\n<p>{escape(describe_case(case).strip())}</p>",
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


def _charts(case: Case, part: Result) -> str:
    """Draw what a job says of every period."""
    if isinstance(part, Clearing):
        return "".join(
            _chart(
                f"Exchange at {point}, Mvar",
                case.horizon,
                own["start"],
                {"delivered": own["q_mvar"], "asked for": own["requested_q_mvar"]},
            )
            for point, own in part.exchange.groupby("connection_point", sort=False)
        )
    if isinstance(part, Activation):
        return "".join(
            _chart(
                f"Need {direction}, MW",
                case.horizon,
                own["start"],
                {"supplied": own["supplied_mw"], "need": own["need_mw"]},
            )
            for direction, own in part.prices.groupby("direction", sort=False)
        )
    return ""


def _chart(title: str, horizon: Horizon, starts: pd.Series, lines: Mapping[str, pd.Series]) -> str:
    """Draw two lines over the periods, as SVG; periods without a number are left out."""
    values = {name: column.to_numpy(dtype=np.float64) for name, column in lines.items()}
    known = np.concatenate(list(values.values()))
    known = known[np.isfinite(known)]
    if not len(known):
        return ""
    low, high = float(min(known.min(), 0.0)), float(max(known.max(), 0.0))
    span = high - low or 1.0
    x = _LEFT + (horizon.position(starts) + 0.5) * (_WIDTH - _LEFT) / horizon.periods

    def height(value: float) -> float:
        return _TOP + (high - value) / span * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_label(_LEFT, 12, title, "start")]
    for level in sorted({low, 0.0, high}):
        y = height(level)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
        parts.append(_label(_LEFT - 6, y + 4.0, f"{level:.4g}", "end"))
    for (name, line), (colour, dash, place) in zip(values.items(), _LINES, strict=True):
        points = " ".join(
            f"{a:.1f},{height(b):.1f}"
            for a, b in zip(x.tolist(), line.tolist(), strict=True)
            if np.isfinite(b)
        )
        style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{points}" {style}/>')
        parts.append(_label(_WIDTH - place, 12, name, "end", colour))
    for place, anchor, stamp in ((_LEFT, "start", horizon.start), (_WIDTH, "end", horizon.end)):
        parts.append(_label(place, _HEIGHT - 6, f"{stamp:%d %b %H:%M}", anchor))
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>\n"


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
