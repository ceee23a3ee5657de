"""The command line: arguments → one call of a job → tables. Nothing is computed here.

Exit codes: 0 done; 1 the case is wrong; 2 usage; 3 no complete answer (what there is has been written).
"""

from __future__ import annotations

import click

from gridclear.cli.lights import check, flow, tlq
from gridclear.cli.maps import pq_map
from gridclear.cli.market import activate, clear, settle
from gridclear.cli.products import envelopes, prequalify
from gridclear.cli.session import demo, roll, session
from gridclear.cli.watch import watch


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


for _command in (
    check,
    flow,
    tlq,
    activate,
    pq_map,
    clear,
    settle,
    prequalify,
    envelopes,
    session,
    roll,
    watch,
    demo,
):
    main.add_command(_command)
