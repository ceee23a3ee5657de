"""What every command shares: its options, its case, exit codes, progress and how an answer leaves."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridclear.errors import CaseError, Issue, OptionError, SolverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.result import Result

_CASE_WRONG, NO_ANSWER, _INTERRUPTED = 1, 3, 130


case_argument = click.argument("case", type=click.Path(exists=True, file_okay=False, path_type=Path))
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads to use.  [default: all cores]"
)
_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Files of the result tables.",
)


def stacked(
    *options: Callable[[Callable[..., None]], Callable[..., None]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make one decorator of several options, which help then lists in this order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


algorithm_option = click.option(
    "--algorithm", default="successive", show_default=True, help="How the schedule is searched for."
)
pricing_option = click.option(
    "--pricing",
    type=click.Choice(["pay-as-bid", "pay-as-clear"]),
    help="Bids are paid their own price, or that of the dearest accepted one.  [default: as the case says]",
)


def job_options(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what every job takes: the case, where and how to write, threads."""
    out = click.option(
        "-o",
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder for the result.  [default: {default}; none with --json]",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        return case_argument(out(_format(threads_option(as_json_option(command)))))

    return decorate


def allotment_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the policy by which the room that any subset leaves is shared."""
    return click.option(
        "--allotment",
        type=click.Choice(["merit-order", "pro-rata", "most-mw"]),
        default=default,
        show_default=True,
        help="Who gets the room that any subset leaves: the cheapest, all alike, or whoever brings most MW.",
    )


@contextmanager
def exit_codes(*, as_json: bool) -> Iterator[None]:
    """Turn the faults of a user into a message and an exit code; a fault of ours keeps its traceback."""
    try:
        yield
    except CaseError as fault:
        _list_issues(fault.issues)
        if as_json:
            fields = ("file", "row", "column", "what", "expected")
            issues = [{field: getattr(issue, field) for field in fields} for issue in fault.issues]
            print_json({"status": "case-error", "issues": issues})
        raise SystemExit(_CASE_WRONG) from fault
    except SolverError as fault:
        say(f"no answer: {fault}")
        if as_json:
            print_json({"status": "solver-error", "what": str(fault)})
        raise SystemExit(NO_ANSWER) from fault
    except OptionError as fault:
        raise click.UsageError(str(fault)) from fault
    except KeyboardInterrupt as fault:
        say("interrupted")
        raise SystemExit(_INTERRUPTED) from fault


@contextmanager
def session_of(case: Path, out: Path | None, format_: TableFormat, *, as_json: bool) -> Iterator[Case]:
    """Give a job its case; its faults become exit codes, also those of what is to be written."""
    with exit_codes(as_json=as_json):
        from gridclear import read_case

        _check_output(case, out, format_)
        yield read_case(case)


def _check_output(case: Path, out: Path | None, format_: TableFormat) -> None:
    """Refuse before the work what could not be written after it."""
    from importlib.util import find_spec

    if format_ == "parquet" and find_spec("pyarrow") is None:
        msg = "--format parquet needs pyarrow: pip install 'gridclear[parquet]'"
        raise OptionError(msg)
    if out is not None and out.resolve() == case.resolve():
        msg = f"'{out}' is the case folder itself; name another one for the result"
        raise OptionError(msg)


@contextmanager
def working(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress, and send what solvers print by themselves to standard error, too.

    Standard output is for data.
    """
    from gridclear.report.progress import progress_on

    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with progress_on(sys.stderr, what) as progress:
            yield progress
    finally:
        # Their lines may still wait in the buffer of the C library.
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


def folder_for(out: Path | None, job: str, *, as_json: bool) -> Path | None:
    """Where to write: where the user says; else the default, unless the answer goes to standard output."""
    return out if out is not None or as_json else Path("result", job)


def write(result: Result, folder: Path | None, format_: TableFormat) -> Path | None:
    """Write the result, if anywhere; what the system refuses is a fault of usage."""
    if folder is None:
        return None
    with written(folder):
        result.write(folder, format_)
    return folder


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Turn what the system refuses to write into a fault of usage."""
    try:
        yield
    except OSError as fault:
        msg = f"cannot write to '{folder}': {fault.strerror or fault}"
        raise OptionError(msg) from fault


def finish(
    result: Result, folder: Path | None, *, as_json: bool, beside: Mapping[str, Result] | None = None
) -> None:
    """Say where the files are, print the data if asked to, and leave with 3 if the answer is not complete.

    ``beside``: what else was done, by its name.
    """
    others = beside or {}
    if folder is not None:
        say(f"\nwritten: {folder}")
    if as_json:
        print_json(_data(result) | {name: _data(part) for name, part in others.items()})
    lacking = [part.status for part in (result, *others.values()) if not part.complete]
    if lacking:
        say(f"no complete answer: {', '.join(lacking)}")
        raise SystemExit(NO_ANSWER)


def _data(result: Result) -> dict[str, object]:
    """Give everything that a result holds, as JSON knows it."""
    from gridclear.io.results import jsonable, records

    tables = {name: records(table) for name, table in result.tables.items()}
    nested = {job: _data(part) for job, part in result.nested.items()}
    return {"status": result.status, **tables, **nested, "provenance": jsonable(result.provenance)}


def show_case(case: Case) -> None:
    """Say which case it is, in a few lines."""
    from gridclear.report.text import describe_case

    say(describe_case(case))


def _list_issues(issues: Sequence[Issue]) -> None:
    say(f"{len(issues)} issue{'s' if len(issues) != 1 else ''} found")
    for issue in issues:
        say(f"  {issue}")


def say(text: str) -> None:
    """Say something to people."""
    click.echo(text, err=True)


def print_json(data: Mapping[str, object]) -> None:
    """Print data for programs."""
    click.echo(json.dumps(data, allow_nan=False))


def colour() -> bool:
    """Whether people see colours and signs beyond ASCII."""
    encoding = (getattr(sys.stderr, "encoding", None) or "").lower().replace("-", "")
    return sys.stderr.isatty() and encoding == "utf8" and not os.environ.get("NO_COLOR")


def width() -> int:
    """Columns of the screen, within reason."""
    return min(shutil.get_terminal_size((120, 40)).columns, 160)
