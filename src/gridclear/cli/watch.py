"""The command that works off a drop folder."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridclear.cli.frame import exit_codes, say, threads_option, working, written
from gridclear.errors import CaseError, Issue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridclear.io.inbox import Arrival, Inbox, Process


@click.command(short_help="A session for every case that is dropped into FOLDER/in.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--once", is_flag=True, help="Work off what is there, and leave.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.05),
    default=2.0,
    show_default=True,
    help="Seconds between two looks; what has changed in between is not taken yet.",
)
@click.option(
    "--late-minutes",
    type=float,
    help="Refuse a case that is taken later than so long after its start.  [default: never]",
)
@click.option("--map-periods", type=click.IntRange(min=0), default=1, show_default=True, help="As session.")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Seconds for each of the two clearings.",
)
@threads_option
def watch(
    folder: Path,
    *,
    once: bool,
    every_s: float,
    late_minutes: float | None,
    map_periods: int,
    deadline_s: float | None,
    threads: int | None,
) -> None:
    """Hold a session for every case folder or zip that arrives whole in FOLDER/in, once each.

    Results are in FOLDER/results; what was worked off is in FOLDER/done, what could not be in FOLDER/error
    with a text that says why. Ends on SIGTERM after the case at hand.
    """
    with exit_codes(as_json=False):
        from gridclear import read_case, run_session
        from gridclear.io.inbox import Inbox
        from gridclear.report.html import write_session

        def process(case_folder: Path, result: Path) -> str:
            case = read_case(case_folder)
            _check_time(case.horizon.start.timestamp(), late_minutes)
            with working("session") as progress:
                session = run_session(
                    case,
                    map_periods=map_periods,
                    deadline_s=deadline_s,
                    threads=threads,
                    progress=progress,
                )
            with written(result):
                write_session(case, session, result)
            return session.status

        inbox = Inbox.at(folder)
        with inbox.held(), _until_terminated() as ended:
            _work_off(inbox, process, ended, every_s, once=once)


def _work_off(inbox: Inbox, process: Process, ended: threading.Event, every_s: float, *, once: bool) -> None:
    """Work off what earlier runs left, then what arrives, until the end."""
    for name in inbox.left():
        if ended.is_set():
            return
        say(f"{name}: {inbox.work_off(name, process)} (begun by an earlier run)")
    waiting: dict[str, Arrival] = {one.name: one for one in inbox.arrivals()}
    told, refused = set[str](), set[str]()
    while not ended.wait(every_s):
        for now in inbox.arrivals():
            if now.name in waiting and inbox.is_whole(waiting[now.name], now):
                try:
                    name = inbox.begin(now.name)
                except OSError as fault:  # it is somebody else's: the others do not wait for it
                    if now.name not in refused:
                        say(f"{now.name}: cannot be taken, left in 'in': {fault.strerror or fault}")
                        refused.add(now.name)
                    continue
                del waiting[now.name]
                told.discard(now.name)
                refused.discard(now.name)
                say(f"{name}: {inbox.work_off(name, process)}")
                if ended.is_set():
                    return
            else:
                if now.name not in told:
                    say(f"{now.name}: not whole yet, or no case at all: left in 'in'")
                    told.add(now.name)
                waiting[now.name] = now
        if once:
            return


def _check_time(start: float, late_minutes: float | None) -> None:
    """Refuse a case whose first period began too long ago."""
    late = (time.time() - start) / 60.0
    if late_minutes is not None and late > late_minutes:
        what = f"it was taken {late:.1f} min after its start"
        raise CaseError((Issue("case.toml", "", "start", what, f"at most {late_minutes:g} min"),))


@contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """Give an event that SIGTERM sets."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)
