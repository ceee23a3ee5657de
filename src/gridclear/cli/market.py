"""Commands on the markets: activation of active power, clearing of reactive power, settlement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from gridclear.cli.frame import (
    algorithm_option,
    finish,
    folder_for,
    job_options,
    pricing_option,
    say,
    session_of,
    show_case,
    stacked,
    width,
    working,
    write,
    written,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gridclear.io.tables import TableFormat


@click.command(short_help="What the TSO activates: cheapest first, each bid with its light.")
@click.option(
    "--guarantee",
    type=click.Choice(["merit-order", "each", "any-subset"]),
    default="merit-order",
    show_default=True,
    help="How bids are qualified: on top of what is taken before; before the market, alone; in any company.",
)
@click.option(
    "--devices",
    type=click.Choice(["scheduled", "automatic", "optimised"]),
    default="scheduled",
    show_default=True,
    help="Tap changers and banks: frozen as in the base state; regulating; re-set to let more through.",
)
@click.option("--losses", is_flag=True, help="Count what each bid changes in losses, too.")
@click.option(
    "--settle",
    "with_bill",
    is_flag=True,
    help="Settle it, too, by what is metered: folder settlement.",
)
@job_options("result/activate")
def activate(
    case: Path,
    *,
    guarantee: Literal["merit-order", "each", "any-subset"],
    devices: Literal["scheduled", "automatic", "optimised"],
    losses: bool,
    with_bill: bool,
    out: Path | None,
    format_: TableFormat,
    threads: int | None,
    as_json: bool,
) -> None:
    """Cover the need of the TSO in CASE from the cheapest bids, each taken as far as the grid bears it."""
    with session_of(case, out, format_, as_json=as_json) as session:
        from gridclear import activate as run
        from gridclear import settle_activation
        from gridclear.io.results import SUMMARY_FILE
        from gridclear.jobs.carried import ACTIVATED
        from gridclear.report.market import describe_activation, describe_activation_bill

        with working("activation") as progress:
            result = run(
                session,
                guarantee=guarantee,
                devices=devices,
                losses=losses,
                threads=threads,
                progress=progress,
            )
        folder, bills = folder_for(out, "activate", as_json=as_json), {}
        if folder is not None:  # what was settled there before is none of this activation
            with written(folder):
                (folder / "settlement" / SUMMARY_FILE).unlink(missing_ok=True)
        write(result, folder, format_)
        show_case(session)
        say(describe_activation(session, result, width=width()))
        if with_bill and result.status not in ACTIVATED:
            say(f"\nnot settled: the activation is {result.status}")
        elif with_bill:
            bills["settlement"] = bill = settle_activation(session, result)
            write(bill, None if folder is None else folder / "settlement", format_)
            say("\n" + describe_activation_bill(bill, width=width()))
        finish(result, folder, as_json=as_json, beside=bills)


#: What a clearing can be told.
clearing_options = stacked(
    algorithm_option,
    click.option(
        "--devices",
        type=click.Choice(["optimised", "scheduled"]),
        default="optimised",
        show_default=True,
        help="Decide automatic tap changers, too, or leave them where they settle by themselves.",
    ),
    click.option(
        "--market",
        type=click.Choice(["reactive", "common"]),
        default="reactive",
        show_default=True,
        help="Take reactive bids only, or active ones, too.",
    ),
    click.option(
        "--deadline", "deadline_s", type=float, help="Seconds after which the best schedule so far is given."
    ),
    click.option("--bound", is_flag=True, help="Prove how low the cost could be at best; takes much longer."),
)


@click.command(short_help="Cheapest schedule that delivers the reactive profile.")
@clearing_options
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


@click.command(short_help="Who gets and who bears what: bids, operator, TSO, to the cent.")
@pricing_option
@click.option(
    "--tolerance",
    "tolerance_percent",
    type=float,
    help="Per cent of the schedule within which metering counts as delivered.  [default: as the case says]",
)
@click.option(
    "--penalty-mwh", type=float, help="EUR per MWh beyond the tolerance.  [default: as the case says]"
)
@click.option(
    "--penalty-mvarh", type=float, help="EUR per Mvarh beyond the tolerance.  [default: as the case says]"
)
@clearing_options
@job_options("result/settle")
def settle(
    case: Path,
    *,
    pricing: Literal["pay-as-bid", "pay-as-clear"] | None,
    tolerance_percent: float | None,
    penalty_mwh: float | None,
    penalty_mvarh: float | None,
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
    """Clear CASE with and without its reactive profile, and settle: payments, penalties, and who bears them.

    The deadline is that of each of the two clearings.
    """
    with session_of(case, out, format_, as_json=as_json) as session:
        from gridclear import clear as run_clearing
        from gridclear import settle as run
        from gridclear.report.market import describe_settlement

        with working("settlement"):
            clearing = run_clearing(
                session,
                algorithm=algorithm,
                devices=devices,
                market=market,
                deadline_s=deadline_s,
                bound=bound,
                threads=threads,
            )
            result = run(
                session,
                clearing,
                pricing=pricing,
                tolerance_percent=tolerance_percent,
                penalty_eur_mwh=penalty_mwh,
                penalty_eur_mvarh=penalty_mvarh,
                deadline_s=deadline_s,
                threads=threads,
            )
        folder = write(result, folder_for(out, "settle", as_json=as_json), format_)
        show_case(session)
        say(describe_settlement(result, width=width()))
        finish(result, folder, as_json=as_json)
