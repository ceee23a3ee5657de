"""Commands on the reactive market: its clearing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
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


@click.command(short_help="Cheapest schedule that delivers the reactive profile.")
@click.option(
    "--algorithm", default="successive", show_default=True, help="How the schedule is searched for."
)
@click.option(
    "--devices",
    type=click.Choice(["optimised", "scheduled"]),
    default="optimised",
    show_default=True,
    help="Decide automatic tap changers, too, or leave them where they settle by themselves.",
)
@click.option(
    "--market",
    type=click.Choice(["reactive", "common"]),
    default="reactive",
    show_default=True,
    help="Take reactive bids only, or active ones, too.",
)
@click.option(
    "--deadline", "deadline_s", type=float, help="Seconds after which the best schedule so far is given."
)
@click.option("--bound", is_flag=True, help="Prove how low the cost could be at best; takes much longer.")
@job_options("result/clear")
def clear(
    case: Path,
    *,
    algorithm: str,
    devices: Literal["optimised", "scheduled"],
    market: Literal["reactive", "common"],
    deadline_s: float | None,
    bound: bool,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Schedule bids, taps, banks and storage of CASE so that its reactive profile is met at least cost."""
    with session_of(case, out, format_, as_json=as_json) as session:
        from gridclear import clear as run
        from gridclear.report.clearing import describe_clearing

        with working("clearing") as progress:
            result = run(
                session,
                algorithm=algorithm,
                devices=devices,
                market=market,
                deadline_s=deadline_s,
                bound=bound,
                threads=threads,
                progress=progress,
            )
        folder = write(result, folder_for(out, "clear", as_json=as_json), format_)
        show_case(session)
        say(describe_clearing(result, width=width()))
        finish(result, folder, as_json=as_json)
