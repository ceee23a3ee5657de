"""Megawatts of each bid that are safe with a probability, under the forecast error of the case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.chance import Chance, safe_with_probability
from gridclear.jobs.each import judge_each
from gridclear.jobs.lights import accepted_shares
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.jobs.uncertainty import CORRELATION, forecast_samples
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.network.samples import Samples, sampled_case
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gridclear.case import Case
    from gridclear.network.network import Floats

#: So many numbers of one kind (voltages, currents, rays) are held at once: samples are taken in parts.
_ROOM = 2_000_000


@dataclass(frozen=True, eq=False)
class ProbableLights(Result):
    """What of the marked bids is safe with a probability.

    ``status`` is ``qualified``, ``partial`` (some periods of some samples have no base solution: their bids
    are unsafe there; ``provenance["unsolved"]`` counts them) or ``no-solution`` (none has one).

    Attributes
    ----------
    probable : DataFrame
        start, bid, offered_mw, safe_mw, safe_low_mw, safe_high_mw, probability_full, probability_full_low,
        probability_full_high, samples; one row per bid row of the case, in its order. See ``chance.Chance``.
    """

    probable: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"probable": self.probable}


def probable_lights(
    case: Case,
    *,
    probability: float = 0.95,
    confidence: float = 0.95,
    samples: int | None = None,
    seed: int = 0,
    correlation: float = CORRELATION,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ProbableLights:
    """Say of every marked bid how many MW are safe with a probability, the guarantee being ``each``.

    Parameters
    ----------
    case : Case
        With ``active_bids`` and either ``forecast_scenarios`` or ``forecast_quantiles``. Not changed.
    probability : float
        With which an amount is to be safe, between 0 and 1.
    confidence : float
        Of the intervals that state the sampling error, between 0 and 1.
    samples, seed, correlation
        See ``forecast_samples``.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    progress : callable, optional
        Called with (samples done, all).

    Returns
    -------
    ProbableLights

    Raises
    ------
    CaseError
        The case has no bids or states no forecast error, or holds what gridclear does not represent.
    OptionError
        An option is out of range.

    Notes
    -----
    In every sample the bids are judged as ``qualify`` would, had the sample been the forecast: with its own
    base state, settled regulators and effective limits, and under the conditions of the bids. A block is safe
    in a sample as far as its worst row is, so its probability is that of the whole block.
    """
    watch = Stopwatch()
    with watch.phase("compile"):
        compiled = compile_case(case)
        bids = resolve_bids(compiled)
        drawn = forecast_samples(case, samples=samples, seed=seed, correlation=correlation)
        # Says at once what is wrong with the options.
        safe_with_probability(np.zeros((drawn.count, 0)), probability, confidence)
    with watch.phase("lights"):
        shares, unsolved = sampled_shares(compiled, bids, drawn, threads, progress)
    with watch.phase("tables"):
        options: dict[str, object] = {
            "guarantee": "each",
            "probability": probability,
            "confidence": confidence,
            "samples": drawn.count,
            "seed": seed,
            "correlation": correlation,
        }
        states = drawn.count * case.horizon.periods
        return ProbableLights(
            status="qualified" if not unsolved else "partial" if unsolved < states else "no-solution",
            provenance=provenance("probable", case, options, watch) | {"unsolved": unsolved},
            probable=_table(case, bids, safe_with_probability(shares, probability, confidence), drawn.count),
        )


def sampled_shares(
    compiled: CompiledCase,
    bids: Bids,
    drawn: Samples,
    threads: int | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Floats, int]:
    """Judge every bid row in every sample.

    Parameters
    ----------
    compiled : CompiledCase
    bids : Bids
        Of the case itself.
    drawn : Samples
    threads : int or None
    progress : callable or None
        Called with (samples done, all).

    Returns
    -------
    share : (sample, row)
        Safe share under the sample.
    unsolved : int
        How many periods of samples have no base solution.
    """
    rows, periods = len(bids.offered), len(compiled.topology)
    at_once = samples_at_once(compiled, rows)
    shares, unsolved = np.zeros((drawn.count, rows)), 0
    for first in range(0, drawn.count, at_once):
        part = drawn.part(first, first + at_once)
        own, solved = safe_shares(sampled_case(compiled, part), repeated(bids, part.count, periods), threads)
        shares[first : first + part.count] = own.reshape(part.count, rows)
        unsolved += int((~solved).sum())
        if progress is not None:
            progress(first + part.count, drawn.count)
    return shares, unsolved


def safe_shares(compiled: CompiledCase, bids: Bids, threads: int | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Accept a share of every bid row by itself, as ``qualify`` does, and say which periods are solved.

    Parameters
    ----------
    compiled : CompiledCase
    bids : Bids
        Whose periods are those of ``compiled``.
    threads : int or None

    Returns
    -------
    share : (row,)
        Nothing without a base solution.
    solved : (period,) of bool
    """
    scenarios = Scenarios(compiled, threads)
    base = base_state(scenarios)
    verdict = judge_each(Search(scenarios, base, base.setting, reacts=False), bids)
    return accepted_shares(bids, verdict)[bids.unit], base.solved


def samples_at_once(compiled: CompiledCase, rows: int) -> int:
    """How many samples of a case with so many bid rows fit into memory together."""
    widest = max(max(network.n_bus, network.n_node, network.n_branch) for network in compiled.networks)
    return max(1, _ROOM // max(len(compiled.topology) * widest, rows))


def repeated(bids: Bids, count: int, periods: int) -> Bids:
    """Set the same bids in every sample, items apart."""
    units, items, own = len(bids.item), len(bids.least_share), bids.activations

    def each(values: NDArray[Any], step: int = 0) -> NDArray[Any]:
        return (values + step * np.arange(count)[:, None]).ravel() if step else np.tile(values, count)

    activations = own.part(each(np.arange(units)))
    return replace(
        bids,
        offered=each(bids.offered),
        unit=each(bids.unit, units),
        connected=each(bids.connected),
        least=each(bids.least),
        activations=replace(activations, period=each(own.period, periods)),
        item=each(bids.item, items),
        marked=each(bids.marked),
        supplied=each(bids.supplied),
        exclusive=each(bids.exclusive),
        least_share=each(bids.least_share),
    )


def _table(case: Case, bids: Bids, chance: Chance, samples: int) -> pd.DataFrame:
    # What no forecast touches is known for certain: transmission's bids, and those without supply.
    certain = ~bids.supplied[bids.unit]

    def bound(value: Floats, estimate: Floats) -> Floats:
        return np.where(certain, estimate, value)

    rows = case.active_bids
    return pd.DataFrame(
        {
            "start": rows["start"].array,
            "bid": rows["bid"].to_numpy(dtype=object),
            "offered_mw": bids.offered,
            "safe_mw": chance.safe * bids.offered,
            "safe_low_mw": bound(chance.safe_low, chance.safe) * bids.offered,
            "safe_high_mw": bound(chance.safe_high, chance.safe) * bids.offered,
            "probability_full": chance.full,
            "probability_full_low": bound(chance.full_low, chance.full),
            "probability_full_high": bound(chance.full_high, chance.full),
            "samples": samples,
        }
    )
