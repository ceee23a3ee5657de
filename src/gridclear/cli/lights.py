"""Commands on a case as it stands: its faults, its base state, the lights of its bids; the demonstration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
    NO_ANSWER,
    allotment_option,
    as_json_option,
    case_argument,
    colour,
    exit_codes,
    finish,
    folder_for,
    job_options,
    print_json,
    say,
    session_of,
    show_case,
    threads_option,
    width,
    working,
    write,
)
from gridclear.errors import CaseError

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.qualify import Qualification


@click.command(short_help="List everything that is wrong with CASE.")
@case_argument
@as_json_option
def check(case: Path, *, as_json: bool) -> None:
    """List everything that is wrong with CASE: file, row, column, what is wrong, what would be right."""
    with exit_codes(as_json=as_json):
        from gridclear import check_case

        issues = check_case(case)
        if issues:
            raise CaseError(tuple(issues))
        say(f"{case}: no issues")
        if as_json:
            print_json({"status": "no-issues", "issues": []})


@click.command(short_help="Base state: voltages, loadings, exchange, broken limits.")
@job_options("result/flow")
def flow(case: Path, *, out: Path | None, format_: TableFormat, threads: int | None, as_json: bool) -> None:
    """Compute the base state of CASE: voltages, loadings, exchange, devices and broken limits."""
    with session_of(case, out, format_, as_json=as_json) as session:
        result = _flow(session, threads)
        folder = write(result, folder_for(out, "flow", as_json=as_json), format_)
        _show_flow(session, result)
        finish(result, folder, as_json=as_json)


@click.command(short_help="Traffic light of every bid: green, yellow or red, and why.")
@click.option(
    "--guarantee",
    type=click.Choice(["each", "merit-order", "any-subset"]),
    default="each",
    show_default=True,
    help="What a light promises: the bid is safe alone; on top of all cheaper ones; in any company.",
)
@allotment_option("merit-order")
@click.option(
    "--devices",
    type=click.Choice(["scheduled", "automatic", "optimised"]),
    default="scheduled",
    show_default=True,
    help="Tap changers and banks: frozen as in the base state; regulating; re-set to let more through.",
)
@job_options("result/tlq")
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
    with session_of(case, out, format_, as_json=as_json) as session:
        result = _tlq(session, guarantee, allotment, devices, threads)
        folder = write(result, folder_for(out, "tlq", as_json=as_json), format_)
        _show_tlq(session, result)
        finish(result, folder, as_json=as_json)


@click.command(short_help="All of it on the real grid that comes with gridclear.")
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
    """Run check, flow and tlq on the real medium-voltage grid that comes with gridclear."""
    with exit_codes(as_json=False):
        from gridclear import check_case, read_case
        from gridclear.io.shipped import shipped_case

        case = shipped_case("mv-rural")
        shown = os.path.relpath(case) if case.is_relative_to(Path.cwd()) else case
        say(_heading(f"gridclear check {shown}"))
        issues = check_case(case)
        if issues:
            raise CaseError(tuple(issues))
        say("no issues\n")
        session = read_case(case)

        say(_heading(f"gridclear flow {shown} -o {out / 'flow'}"))
        base = _flow(session, threads)
        written = [write(base, out / "flow", "csv")]
        _show_flow(session, base)

        say("\n" + _heading(f"gridclear tlq {shown} --guarantee each -o {out / 'tlq'}"))
        lights = _tlq(session, "each", "merit-order", "scheduled", threads)
        written.append(write(lights, out / "tlq", "csv"))
        _show_tlq(session, lights, with_base=False)

        say("\n" + "\n".join(f"written: {folder}" for folder in written))
        if not (base.complete and lights.complete):
            raise SystemExit(NO_ANSWER)


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

    with working("lights") as progress:
        return qualify(
            case,
            guarantee=guarantee,
            allotment=allotment,
            devices=devices,
            threads=threads,
            progress=progress,
        )


def _show_flow(case: Case, result: Flow) -> None:
    from gridclear.report.text import describe_flow

    show_case(case)
    say(describe_flow(result, width=width()))


def _show_tlq(case: Case, result: Qualification, *, with_base: bool = True) -> None:
    from gridclear.report.text import describe_qualification

    if with_base:
        show_case(case)
    say(describe_qualification(case, result, with_base=with_base, colour=colour(), width=width()))


def _heading(command: str) -> str:
    text = f"$ {command}"
    return click.style(text, bold=True) if colour() else text
