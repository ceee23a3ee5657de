"""Commands on a case as it stands: its faults, its base state, the lights of its bids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
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
    width,
    working,
    write,
)
from gridclear.errors import CaseError

if TYPE_CHECKING:
    from pathlib import Path

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


def _show_tlq(case: Case, result: Qualification) -> None:
    from gridclear.report.text import describe_qualification

    show_case(case)
    say(describe_qualification(case, result, colour=colour(), width=width()))
