"""Regions of maps: what is asked for, the work, and its proof by power flows of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.mapped import mark_dropped, programs_lost, prove
from gridclear.jobs.region_tables import Regions, region_rows, region_tables
from gridclear.jobs.tasks import shared_out
from gridclear.optimise.maps import map_singles
from gridclear.optimise.regions import survey_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from gridclear.jobs.region_tables import Want
    from gridclear.network.compiled import CompiledCase
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.maps import MapChoice
    from gridclear.optimise.region import Region
    from gridclear.optimise.singles import Singles


@dataclass(frozen=True)
class Asked:
    """Regions that are wanted of one market.

    Attributes
    ----------
    market : {"reactive", "common"}
        Whether active bids are taken, too.
    wanted : tuple of (period, points)
        P and Q of one point, or Q of two.
    lattice : int
        Places along each axis.
    """

    market: str
    wanted: tuple[Want, ...]
    lattice: int


@dataclass(frozen=True, eq=False)
class Surveyed:
    """Regions that are proved.

    Attributes
    ----------
    regions : Regions
    state : tuple of str
        Of each.
    dropped : int
        Places that were found and not confirmed.
    lost : int
        Programs on which the solver lost its way; their regions are ``partial``.
    """

    regions: Regions
    state: tuple[str, ...]
    dropped: int
    lost: int


def survey(
    singles: Singles,
    choice: MapChoice,
    asked: Asked,
    deadline: Deadline,
    executor: Executor | None,
    done: Callable[[], None],
    threads: int | None,
) -> Surveyed:
    """Survey regions, and prove every place of them.

    Parameters
    ----------
    singles : Singles
        In the market that is asked for.
    choice : MapChoice
    asked : Asked
    deadline : Deadline
    executor : Executor or None
        Whose workers share the regions.
    done : callable
        Called after each.
    threads : int or None
        For the proof.

    Returns
    -------
    Surveyed

    Raises
    ------
    SolverError
        A solver ended in a way that is no answer.
    """
    found: list[tuple[str, Region | None]] = []
    for one in _found(singles, choice, asked, deadline, executor):
        found.append(one)
        done()
    return _proved(singles, asked.wanted, found, threads)


def _found(
    singles: Singles,
    choice: MapChoice,
    asked: Asked,
    deadline: Deadline,
    executor: Executor | None,
) -> Iterator[tuple[str, Region | None]]:
    if executor is None:
        yield from survey_regions(singles, asked.wanted, choice.others, asked.lattice, deadline)
    else:
        task = partial(_task, singles.problem.compiled, choice, asked.market, asked.lattice)
        yield from shared_out(task, asked.wanted, deadline, executor)


def _task(
    compiled: CompiledCase,
    choice: MapChoice,
    market: str,
    lattice: int,
    wanted: Sequence[Want],
    deadline: Deadline,
) -> list[tuple[str, Region | None]]:
    singles = map_singles(compiled, choice, market)
    return list(survey_regions(singles, wanted, choice.others, lattice, deadline))


def _proved(
    singles: Singles,
    wanted: Sequence[Want],
    found: Sequence[tuple[str, Region | None]],
    threads: int | None,
) -> Surveyed:
    """Solve every place anew, from nothing, and write down those that keep every limit."""
    every = [row for number, (_, region) in enumerate(found) for row in region_rows(number, region)]
    spots = [(place, row.spot) for place, row in enumerate(every) if row.spot is not None]
    exchange = np.full((len(every), len(singles.problem.compiled.case.connection_points)), np.nan + 0j)
    kept, state = np.ones(len(every), dtype=bool), [word for word, _ in found]
    if spots:
        at = np.array([place for place, _ in spots])
        period = np.array([wanted[every[place].number][0] for place in at])
        proof = prove(singles, period, [spot.single for _, spot in spots], threads)
        kept[at], exchange[at] = proof.kept, proof.exchange
    mark_dropped(state, np.array([row.number for row in every], dtype=np.int64), kept)
    rows = [row for row, good in zip(every, kept, strict=True) if good]
    regions = region_tables(singles, wanted, found, state, rows, exchange[kept])
    return Surveyed(regions, tuple(state), int((~kept).sum()), programs_lost(found))
