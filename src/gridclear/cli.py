"""The command line: arguments → one call of a job → tables. Nothing is computed here.

Exit codes: 0 done; 1 the case is wrong; 2 usage; 3 no complete answer (what there is has been written).
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gridclear.errors import CaseError, Issue, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.qualify import Qualification
    from gridclear.jobs.result import Result

_CASE_WRONG, _NO_ANSWER, _INTERRUPTED = 1, 3, 130
_COMPLETE = ("solved", "qualified")


_case = click.argument("case", type=click.Path(exists=True, file_okay=False, path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
_threads = click.option("--threads", type=click.IntRange(min=1), help="Threads to use.  [default: all cores]")
_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Files of the result tables.",
)


def _job(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what every job takes: the case, where and how to write, threads."""
    out = click.option(
        "-o",
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder for the result.  [default: {default}; none with --json]",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        return _case(out(_format(_threads(_json(command)))))

    return decorate


def _allotment(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--allotment",
        type=click.Choice(["merit-order", "pro-rata", "most-mw"]),
        default=default,
        show_default=True,
        help="Who gets the room that any subset leaves: the cheapest, all alike, or whoever brings most MW.",
    )


_p_max = click.option(
    "--p-max-mw",
    type=float,
    help="What every resource can do in a direction.  [default: what grid and forecast say of it]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gridclear")
def main() -> None:
    r"""Say which flexibility bids the TSO may activate without hurting the distribution grid.

    CASE is a case folder: case.toml, the grid and the tables of one market session. Tables for people and
    progress go to standard error; standard output carries data, and only with --json.

    \b
    Exit codes: 0  done
                1  the case is wrong: every issue is listed
                2  wrong usage
                3  no complete answer: what there is has been written
    """


@main.command(short_help="List everything that is wrong with CASE.")
@_case
@_json
def check(case: Path, *, as_json: bool) -> None:
    """List everything that is wrong with CASE: file, row, column, what is wrong, what would be right."""
    with _exit_codes(as_json=as_json):
        from gridclear import check_case

        issues = check_case(case)
        if issues:
            raise CaseError(tuple(issues))
        _say(f"{case}: no issues")
        if as_json:
            _print_json({"status": "no-issues", "issues": []})


@main.command(short_help="Base state: voltages, loadings, exchange, broken limits.")
@_job("result/flow")
def flow(case: Path, *, out: Path | None, format_: TableFormat, threads: int | None, as_json: bool) -> None:
    """Compute the base state of CASE: voltages, loadings, exchange, devices and broken limits."""
    with _session(case, out, format_, as_json=as_json) as session:
        result = _flow(session, threads)
        folder = _write(result, _folder(out, "flow", as_json=as_json), format_)
        _show_flow(session, result)
        _finish(result, folder, as_json=as_json)


@main.command(short_help="Traffic light of every bid: green, yellow or red, and why.")
@click.option(
    "--guarantee",
    type=click.Choice(["each", "merit-order", "any-subset"]),
    default="each",
    show_default=True,
    help="What a light promises: the bid is safe alone; on top of all cheaper ones; in any company.",
)
@_allotment("merit-order")
@click.option(
    "--devices",
    type=click.Choice(["scheduled", "automatic", "optimised"]),
    default="scheduled",
    show_default=True,
    help="Tap changers and banks: frozen as in the base state; regulating; re-set to let more through.",
)
@_job("result/tlq")
def tlq(
    case: Path,
    *,
    guarantee: Literal["each", "merit-order", "any-subset"],
    allotment: Literal["merit-order", "pro-rata", "most-mw"],
    devices: Literal["scheduled", "automatic", "optimised"],
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Give every bid of CASE its traffic light per period: green, yellow or red, with the safe MW and why."""
    with _session(case, out, format_, as_json=as_json) as session:
        result = _tlq(session, guarantee, allotment, devices, threads)
        folder = _write(result, _folder(out, "tlq", as_json=as_json), format_)
        _show_tlq(session, result)
        _finish(result, folder, as_json=as_json)


@main.command(short_help="Largest product that each resource may register.")
@_p_max
@click.option("--every-sample", is_flag=True, help="Safe in every sample of the forecast error too.")
@_job("result/prequalify")
def prequalify(
    case: Path,
    *,
    p_max_mw: float | None,
    every_sample: bool,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Find the largest product per resource and direction that is safe alone in every period of CASE."""
    with _session(case, out, format_, as_json=as_json) as session:
        from gridclear import prequalify as run
        from gridclear.report.text import describe_prequalification

        with _working("products") as progress:
            result = run(
                session, p_max_mw=p_max_mw, every_sample=every_sample, threads=threads, progress=progress
            )
        folder = _write(result, _folder(out, "prequalify", as_json=as_json), format_)
        _show_case(session)
        _say(describe_prequalification(result, width=_width()))
        _finish(result, folder, as_json=as_json)


@main.command(short_help="Range in which each resource may move, whatever the others do.")
@_p_max
@_allotment("pro-rata")
@_job("result/envelopes")
def envelopes(
    case: Path,
    *,
    p_max_mw: float | None,
    allotment: Literal["pro-rata", "merit-order", "most-mw"],
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Give every resource of CASE a range of injection per period: every combination of them is safe."""
    with _session(case, out, format_, as_json=as_json) as session:
        from gridclear import operating_envelopes
        from gridclear.report.text import describe_envelopes

        with _working("envelopes") as progress:
            result = operating_envelopes(
                session, p_max_mw=p_max_mw, allotment=allotment, threads=threads, progress=progress
            )
        folder = _write(result, _folder(out, "envelopes", as_json=as_json), format_)
        _show_case(session)
        _say(describe_envelopes(session, result, width=_width()))
        _finish(result, folder, as_json=as_json)


@main.command(short_help="All of it on the real grid that comes with gridclear.")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("result"),
    show_default=True,
    help="Folder for the results.",
)
@_threads
def demo(*, out: Path, threads: int | None) -> None:
    """Run check, flow and tlq on the real medium-voltage grid that comes with gridclear."""
    with _exit_codes(as_json=False):
        from gridclear import check_case
        from gridclear.io.shipped import shipped_case

        case = shipped_case("mv-rural")
        shown = os.path.relpath(case) if case.is_relative_to(Path.cwd()) else case
        _say(_heading(f"gridclear check {shown}"))
        issues = check_case(case)
        if issues:
            raise CaseError(tuple(issues))
        _say("no issues\n")
        session = _read(case)

        _say(_heading(f"gridclear flow {shown} -o {out / 'flow'}"))
        base = _flow(session, threads)
        written = [_write(base, out / "flow", "csv")]
        _show_flow(session, base)

        _say("\n" + _heading(f"gridclear tlq {shown} --guarantee each -o {out / 'tlq'}"))
        lights = _tlq(session, "each", "merit-order", "scheduled", threads)
        written.append(_write(lights, out / "tlq", "csv"))
        _show_tlq(session, lights, with_base=False)

        _say("\n" + "\n".join(f"written: {folder}" for folder in written))
        if base.status not in _COMPLETE or lights.status not in _COMPLETE:
            raise SystemExit(_NO_ANSWER)


@contextmanager
def _exit_codes(*, as_json: bool) -> Iterator[None]:
    """Turn the faults of a user into a message and an exit code; a fault of ours keeps its traceback."""
    try:
        yield
    except CaseError as fault:
        _list_issues(fault.issues)
        if as_json:
            fields = ("file", "row", "column", "what", "expected")
            issues = [{field: getattr(issue, field) for field in fields} for issue in fault.issues]
            _print_json({"status": "case-error", "issues": issues})
        raise SystemExit(_CASE_WRONG) from fault
    except OptionError as fault:
        raise click.UsageError(str(fault)) from fault
    except KeyboardInterrupt as fault:
        _say("interrupted")
        raise SystemExit(_INTERRUPTED) from fault


@contextmanager
def _session(case: Path, out: Path | None, format_: TableFormat, *, as_json: bool) -> Iterator[Case]:
    """Give a job its case; its faults become exit codes, also those of what is to be written."""
    with _exit_codes(as_json=as_json):
        _check_output(case, out, format_)
        yield _read(case)


def _check_output(case: Path, out: Path | None, format_: TableFormat) -> None:
    """Refuse before the work what could not be written after it."""
    from importlib.util import find_spec

    if format_ == "parquet" and find_spec("pyarrow") is None:
        msg = "--format parquet needs pyarrow: pip install 'gridclear[parquet]'"
        raise OptionError(msg)
    if out is not None and out.resolve() == case.resolve():
        msg = f"'{out}' is the case folder itself; name another one for the result"
        raise OptionError(msg)


def _read(path: Path) -> Case:
    from gridclear import read_case

    return read_case(path)


def _flow(case: Case, threads: int | None) -> Flow:
    from gridclear import power_flow

    return power_flow(case, threads=threads)


def _tlq(
    case: Case,
    guarantee: Literal["each", "merit-order", "any-subset"],
    allotment: Literal["merit-order", "pro-rata", "most-mw"],
    devices: Literal["scheduled", "automatic", "optimised"],
    threads: int | None,
) -> Qualification:
    from gridclear import qualify

    with _working("lights") as progress:
        return qualify(
            case,
            guarantee=guarantee,
            allotment=allotment,
            devices=devices,
            threads=threads,
            progress=progress,
        )


@contextmanager
def _working(what: str) -> Iterator[Callable[[int, int], None]]:
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


def _folder(out: Path | None, job: str, *, as_json: bool) -> Path | None:
    """Where to write: where the user says; else the default, unless the answer goes to standard output."""
    return out if out is not None or as_json else Path("result", job)


def _write(result: Result, folder: Path | None, format_: TableFormat) -> Path | None:
    if folder is None:
        return None
    try:
        result.write(folder, format_)
    except OSError as fault:
        msg = f"cannot write to '{folder}': {fault.strerror or fault}"
        raise OptionError(msg) from fault
    return folder


def _finish(result: Result, folder: Path | None, *, as_json: bool) -> None:
    """Say where the files are, print the data if asked to, and leave with 3 if the answer is not complete."""
    from gridclear.io.results import jsonable, records

    if folder is not None:
        _say(f"\nwritten: {folder}")
    if as_json:
        data = {name: records(table) for name, table in result.tables.items()}
        _print_json({"status": result.status, **data, "provenance": jsonable(result.provenance)})
    if result.status not in _COMPLETE:
        _say(f"no complete answer: {result.status}")
        raise SystemExit(_NO_ANSWER)


def _show_case(case: Case) -> None:
    from gridclear.report.text import describe_case

    _say(describe_case(case))


def _show_flow(case: Case, result: Flow) -> None:
    from gridclear.report.text import describe_flow

    _show_case(case)
    _say(describe_flow(result, width=_width()))


def _show_tlq(case: Case, result: Qualification, *, with_base: bool = True) -> None:
    from gridclear.report.text import describe_qualification

    if with_base:
        _show_case(case)
    _say(describe_qualification(case, result, with_base=with_base, colour=_colour(), width=_width()))


def _list_issues(issues: Sequence[Issue]) -> None:
    _say(f"{len(issues)} issue{'s' if len(issues) != 1 else ''} found")
    for issue in issues:
        _say(f"  {issue}")


def _heading(command: str) -> str:
    text = f"$ {command}"
    return click.style(text, bold=True) if _colour() else text


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print_json(data: Mapping[str, object]) -> None:
    click.echo(json.dumps(data, allow_nan=False))


def _colour() -> bool:
    encoding = (getattr(sys.stderr, "encoding", None) or "").lower().replace("-", "")
    return sys.stderr.isatty() and encoding == "utf8" and not os.environ.get("NO_COLOR")


def _width() -> int:
    return min(shutil.get_terminal_size((120, 40)).columns, 160)
