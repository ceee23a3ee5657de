"""The commands for whole market sessions: one, one after the other, and one to look at."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
    algorithm_option,
    colour,
    exit_codes,
    finish,
    folder_for,
    job_options,
    pricing_option,
    say,
    session_of,
    show_case,
    stacked,
    threads_option,
    width,
    working,
    write,
    written,
)
from gridclear.errors import CaseError

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.session import Session


_terms = stacked(
    click.option(
        "--guarantee",
        type=click.Choice(["each", "merit-order", "any-subset"]),
        default="each",
        show_default=True,
        help="What a light promises: the bid is safe alone; on top of all cheaper ones; in any company.",
    ),
    click.option(
        "--devices",
        type=click.Choice(["scheduled", "automatic", "optimised"]),
        default="scheduled",
        show_default=True,
        help="Devices of lights and activation: frozen; regulating; re-set to let more through.",
    ),
    algorithm_option,
    pricing_option,
    click.option(
        "--map-periods",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        help="PQ maps of so many periods, from the first on.",
    ),
    click.option("--deadline", "deadline_s", type=float, help="Seconds for each of the two clearings."),
    click.option("--bound", is_flag=True, help="Prove how low costs could be at best; takes much longer."),
)


@click.command(short_help="Every job that CASE has the data for, and a page that shows all.")
@_terms
@job_options("result/session")
def session(
    case: Path,
    *,
    guarantee: Literal["each", "merit-order", "any-subset"],
    devices: Literal["scheduled", "automatic", "optimised"],
    algorithm: str,
    pricing: Literal["pay-as-bid", "pay-as-clear"] | None,
    map_periods: int,
    deadline_s: float | None,
    bound: bool,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Do every job that CASE has the data for: a folder of tables for each, and report.html."""
    with session_of(case, out, format_, as_json=as_json) as read:
        from gridclear import run_session
        from gridclear.report.html import write_report
        from gridclear.report.session import describe_session

        with working("session") as progress:
            result = run_session(
                read,
                guarantee=guarantee,
                devices=devices,
                algorithm=algorithm,
                pricing=pricing,
                map_periods=map_periods,
                bound=bound,
                deadline_s=deadline_s,
                threads=threads,
                progress=progress,
            )
        folder = write(result, folder_for(out, "session", as_json=as_json), format_)
        if folder is not None:
            write_report(read, result, folder)
        show_case(read)
        say(describe_session(result, width=width()))
        finish(result, folder, as_json=as_json)


@click.command(short_help="A session at the start of every period, each going on from the one before.")
@click.option("--sessions", type=click.IntRange(min=1), required=True, help="How many.")
@click.option(
    "--periods",
    type=click.IntRange(min=1),
    default=28,
    show_default=True,
    help="Horizon of a session; towards the end of the case it shrinks.",
)
@_terms
@job_options("result/roll")
def roll(
    case: Path,
    *,
    sessions: int,
    periods: int,
    guarantee: Literal["each", "merit-order", "any-subset"],
    devices: Literal["scheduled", "automatic", "optimised"],
    algorithm: str,
    pricing: Literal["pay-as-bid", "pay-as-clear"] | None,
    map_periods: int,
    deadline_s: float | None,
    bound: bool,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Hold sessions one period after the other: a folder for each, and tables of what they decided.

    Sessions that an earlier run of the same CASE with the same options has left whole in the folder are not
    held again.
    """
    with session_of(case, out, format_, as_json=as_json) as read, ExitStack() as stack:
        from gridclear import roll as hold
        from gridclear.io.lock import alone_in, remove_parts
        from gridclear.jobs.delivery import Delivery
        from gridclear.report.html import DELIVERY, write_session
        from gridclear.report.session import describe_rolling

        folder = folder_for(out, "roll", as_json=as_json)

        def place(start: pd.Timestamp) -> Path | None:
            return None if folder is None else folder / f"{start:%Y%m%dT%H%M%SZ}"

        def earlier(start: pd.Timestamp) -> Delivery | None:
            path = place(start)
            if path is None:
                return None
            if start == read.horizon.start:  # asked for first, when nothing speaks against the run any more
                with written(path.parent):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(alone_in(path.parent))
                remove_parts(path.parent)
            return Delivery.read(path / DELIVERY)

        def keep(own: Case, session: Session, delivery: Delivery) -> None:
            path = place(own.horizon.start)
            if path is not None:
                with written(path):
                    write_session(own, session, path, format_, delivery=delivery)

        with working("sessions") as progress:
            result = hold(
                read,
                sessions=sessions,
                periods=periods,
                guarantee=guarantee,
                devices=devices,
                algorithm=algorithm,
                pricing=pricing,
                map_periods=map_periods,
                bound=bound,
                deadline_s=deadline_s,
                threads=threads,
                each=keep,
                earlier=earlier,
                progress=progress,
            )
        write(result, folder, format_)
        show_case(read)
        say(describe_rolling(result, width=width()))
        finish(result, folder, as_json=as_json)


@click.command(short_help="All jobs on the real grid that comes with gridclear, and a page that shows them.")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("result"),
    show_default=True,
    help="Folder for the results.",
)
@threads_option
def demo(*, out: Path, threads: int | None) -> None:
    """Check the real medium-voltage grid that comes with gridclear, and hold a market session on it.

    Shows what every job says: base state, forecasts, lights, activation, PQ map, clearing, settlement. The
    first time kernels are compiled, which takes longer than the session.
    """
    with exit_codes(as_json=False):
        from gridclear import check_case, read_case, run_session
        from gridclear.io.shipped import shipped_case
        from gridclear.report.html import REPORT_FILE, write_report
        from gridclear.report.session import TITLES, describe_part, describe_session

        case = shipped_case("mv-rural")
        shown = os.path.relpath(case) if case.is_relative_to(Path.cwd()) else case
        say(_bold(f"$ gridclear check {shown}"))
        issues = check_case(case)
        if issues:
            raise CaseError(tuple(issues))
        say("no issues\n")

        say(_bold(f"$ gridclear session {shown} -o {out}"))
        read = read_case(case)
        with working("session") as progress:
            result = run_session(read, threads=threads, progress=progress)
        write(result, out, "csv")
        with written(out):
            write_report(read, result, out)
        show_case(read)
        for job, part in result.parts.items():
            say(_bold(TITLES[job]) + "\n" + describe_part(read, part, colour=colour(), width=width()) + "\n")
        say(describe_session(result, width=width()))
        say(f"\nall of it on one page: {out / REPORT_FILE}")
        finish(result, out, as_json=False)


def _bold(text: str) -> str:
    return click.style(text, bold=True) if colour() else text
