"""Commands on what resources may do beyond single bids: products and operating envelopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
    allotment_option,
    finish,
    folder_for,
    job_options,
    say,
    session_of,
    show_case,
    width,
    working,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gridclear.io.tables import TableFormat

_p_max = click.option(
    "--p-max-mw",
    type=float,
    help="What every resource can do in a direction.  [default: what grid and forecast say of it]",
)


@click.command(short_help="Largest product that each resource may register.")
@_p_max
@click.option("--every-sample", is_flag=True, help="Safe in every sample of the forecast error too.")
@job_options("result/prequalify")
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
    with session_of(case, out, format_, as_json=as_json) as session:
        from gridclear import prequalify as run
        from gridclear.report.text import describe_prequalification

        with working("products") as progress:
            result = run(
                session, p_max_mw=p_max_mw, every_sample=every_sample, threads=threads, progress=progress
            )
        folder = write(result, folder_for(out, "prequalify", as_json=as_json), format_)
        show_case(session)
        say(describe_prequalification(result, width=width()))
        finish(result, folder, as_json=as_json)


@click.command(short_help="Range in which each resource may move, whatever the others do.")
@_p_max
@allotment_option("pro-rata")
@job_options("result/envelopes")
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
    with session_of(case, out, format_, as_json=as_json) as session:
        from gridclear import operating_envelopes
        from gridclear.report.text import describe_envelopes

        with working("envelopes") as progress:
            result = operating_envelopes(
                session, p_max_mw=p_max_mw, allotment=allotment, threads=threads, progress=progress
            )
        folder = write(result, folder_for(out, "envelopes", as_json=as_json), format_)
        show_case(session)
        say(describe_envelopes(session, result, width=width()))
        finish(result, folder, as_json=as_json)
