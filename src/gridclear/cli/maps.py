"""The command on PQ maps."""

from __future__ import annotations

from contextlib import contextmanager
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
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from gridclear.io.tables import TableFormat


@click.command(short_help="Reactive power that connection points can give and take, and its price.")
@click.option(
    "--connection-point",
    "connection_points",
    multiple=True,
    help="Map this one; again for more.  [default: all]",
)
@click.option(
    "--devices",
    type=click.Choice(["optimised", "scheduled", "fixed"]),
    default="optimised",
    show_default=True,
    help="Decide automatic tap changers, too; leave them where they settle; or decide no device at all.",
)
@click.option("--points", type=int, default=41, show_default=True, help="Points of a cost curve, about.")
@click.option(
    "--others",
    "others_mvar",
    type=float,
    help="Mvar by which the exchange at other connection points may change.  [default: any]",
)
@click.option("--max-moves", type=int, help="Steps that every device may go from its position.")
@click.option("--area", is_flag=True, help="Map P and Q together, too, by active and reactive bids.")
@click.option(
    "--joint",
    nargs=2,
    metavar="A B",
    help="Map the reactive power of these two connection points against each other, too.",
)
@click.option(
    "--lattice",
    type=int,
    default=6,
    show_default=True,
    help="Places along each axis of --area and --joint where the least cost is found.",
)
@click.option("--deadline", "deadline_s", type=float, help="Seconds after which what there is is given.")
@job_options("result/pq-map")
def pq_map(
    case: Path,
    *,
    connection_points: tuple[str, ...],
    devices: Literal["optimised", "scheduled", "fixed"],
    points: int,
    others_mvar: float | None,
    max_moves: int | None,
    area: bool,
    joint: tuple[str, str] | None,
    lattice: int,
    deadline_s: float | None,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Map what reactive power the connection points of CASE can give and take in every period."""
    # Workers start while this process is still importing and reading.
    with _workers(threads) as executor, session_of(case, out, format_, as_json=as_json) as session:
        with working("maps") as progress:
            from gridclear import pq_map as run
            from gridclear.report.maps import describe_map

            result = run(
                session,
                connection_points=list(connection_points) or None,
                devices=devices,
                points=points,
                others_mvar=others_mvar,
                max_moves=max_moves,
                area=area,
                joint=joint,
                lattice=lattice,
                deadline_s=deadline_s,
                threads=threads,
                executor=executor,
                progress=progress,
            )
        folder = write(result, folder_for(out, "pq-map", as_json=as_json), format_)
        show_case(session)
        say(describe_map(result, width=width()))
        finish(result, folder, as_json=as_json)


@contextmanager
def _workers(threads: int | None) -> Iterator[Executor | None]:
    """Give a process per core, or none where one is enough."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from gridclear.cores import available_threads
    from gridclear.jobs.tasks import get_ready

    count = available_threads() if threads is None else threads
    if count == 1:
        yield None
        return
    # Processes that are forked would share the locks of threads that they do not have.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as executor:
        for _ in range(count):
            executor.submit(get_ready)
        yield executor
