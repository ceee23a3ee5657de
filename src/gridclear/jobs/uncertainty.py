"""The forecast error of a case → samples of the forecast.

Scenarios are taken as they are. Quantiles are joined by a Gaussian copula: the normal score of element e is

    z_e = sqrt(correlation) * common + sqrt(1 - correlation) * own_e,

where ``common`` is one standard normal number per sample for all elements of a grid table and ``own_e`` one
per element; the element's p_mw is its quantile function at the probability Phi(z_e), in every period the
same. docs/forecast-error.md says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from gridclear.case.needs import need_rows
from gridclear.errors import OptionError
from gridclear.network.injections import INJECTION_SIGN, forecast_powers
from gridclear.network.samples import ElementSamples, Samples

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.network.network import Floats, Ints

#: Samples that are drawn from quantiles if nobody says how many.
SAMPLES = 200
#: Share of the variance of the normal scores that the elements of one table have in common.
CORRELATION = 0.5
#: Grid tables in the order in which their common errors are drawn.
_TABLES = tuple(INJECTION_SIGN)


def forecast_samples(
    case: Case, *, samples: int | None = None, seed: int = 0, correlation: float = CORRELATION
) -> Samples:
    """Equally likely forecasts of a case.

    Parameters
    ----------
    case : Case
        With ``forecast_scenarios`` or ``forecast_quantiles``.
    samples : int, optional
        How many; by default all scenarios, or 200 drawn from quantiles. More of them change no earlier one.
    seed : int
        Of the draws from quantiles; not negative.
    correlation : float
        Of the normal scores of the elements of one grid table, 0 to 1; between tables there is none.

    Returns
    -------
    Samples
        The same whatever the order of rows is.

    Raises
    ------
    CaseError
        The case states no forecast error.
    OptionError
        ``samples`` is not positive or not the number of scenarios, or another option is out of range.
    """
    if samples is not None and samples < 1:
        raise OptionError(f"samples is {samples}; it must be at least 1")
    if seed < 0:
        raise OptionError(f"seed is {seed}; it must not be negative")
    if not 0.0 <= correlation <= 1.0:
        raise OptionError(f"correlation is {correlation}; it must be from 0 to 1")
    if len(case.forecast_scenarios):
        return _scenarios(case, samples)
    need_rows(case, "forecast_quantiles", "forecast_scenarios")
    return _draws(case, SAMPLES if samples is None else samples, seed, correlation)


def _scenarios(case: Case, samples: int | None) -> Samples:
    rows = case.forecast_scenarios
    names = sorted(rows["scenario"].unique())
    if samples not in (None, len(names)):
        raise OptionError(f"samples is {samples}; the case has {len(names)} scenarios, and all of them count")
    elements = []
    for table, own in _by_table(rows):
        element, column = _elements(case, table, own["element"])
        shape = (len(names), case.horizon.periods, len(element))
        cells = (
            pd.Index(names).get_indexer(pd.Index(own["scenario"])),
            case.horizon.position(own["start"]),
            column,
        )
        p, stated = np.empty(shape), np.empty(shape)
        p[cells], stated[cells] = own["p_mw"].to_numpy(), own["q_mvar"].to_numpy()
        q = np.where(np.isnan(stated), _following_q(case, table, element, p), stated)
        elements.append(ElementSamples(table, element, p, q))
    return Samples(len(names), tuple(elements))


def _draws(case: Case, samples: int, seed: int, correlation: float) -> Samples:
    tables = [
        (table, own, *_elements(case, table, own["element"]))
        for table, own in _by_table(case.forecast_quantiles)
    ]
    scores = len(_TABLES) + sum(len(element) for _, _, element, _ in tables)
    # Sample by sample, so that further samples leave the first ones what they were.
    normal = np.random.default_rng(seed).standard_normal((samples, scores))
    elements, first = [], len(_TABLES)
    for table, own, element, column in tables:
        common, last = normal[:, [_TABLES.index(table)]], first + len(element)
        score = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * normal[:, first:last]
        p = _from_quantiles(case, own, column, ndtr(score))
        elements.append(ElementSamples(table, element, p, _following_q(case, table, element, p)))
        first = last
    return Samples(samples, tuple(elements))


def _from_quantiles(case: Case, rows: pd.DataFrame, column: Ints, probability: Floats) -> Floats:
    """Quantile functions at the probabilities (sample, element) → (sample, period, element).

    Piecewise linear between the quantiles; beyond the outer two the outer pieces go on to the probabilities
    0 and 1, but not across zero where all quantiles are on one side of it.
    """
    stated, power = rows["probability"].to_numpy(), rows["p_mw"].to_numpy()
    cell = column * case.horizon.periods + case.horizon.position(rows["start"])
    order = np.lexsort((stated, cell))
    p = np.empty((len(probability), case.horizon.periods, probability.shape[1]))
    for mine in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        element, period = divmod(int(cell[mine[0]]), case.horizon.periods)
        x, y = stated[mine], power[mine]
        low = y[0] - (y[1] - y[0]) / (x[1] - x[0]) * x[0]
        high = y[-1] + (y[-1] - y[-2]) / (x[-1] - x[-2]) * (1.0 - x[-1])
        if y[0] >= 0.0:
            low = max(low, 0.0)
        if y[-1] <= 0.0:
            high = min(high, 0.0)
        p[:, period, element] = np.interp(probability[:, element], [0.0, *x, 1.0], [low, *y, high])
    return p


def _following_q(case: Case, table: str, element: Ints, p_mw: Floats) -> Floats:
    """Reactive power of the samples (sample, period, element) where only their active power is known.

    It keeps the forecast's ratio to the active power. Where the forecast has more reactive than active power
    it does not come from the active power and is left what it is.
    """
    forecast_p, forecast_q = (power[:, element] for power in forecast_powers(case, table))
    follows = np.abs(forecast_q) <= np.abs(forecast_p)
    ratio = np.divide(
        forecast_q, forecast_p, out=np.zeros_like(forecast_q), where=follows & (forecast_p != 0.0)
    )
    return np.where(follows, ratio * p_mw, forecast_q)


def _by_table(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    kinds = rows["element_type"].to_numpy()
    return [(table, rows[kinds == table]) for table in _TABLES if (kinds == table).any()]


def _elements(case: Case, table: str, names: pd.Series) -> tuple[Ints, Ints]:
    """Places in the grid table of the elements that are named, and the number of each row among them.

    They stand in the order of pandapower's index, which no order of rows changes.
    """
    index, column = np.unique(
        names.map(case.grid.lookup(table)).to_numpy(dtype=np.int64), return_inverse=True
    )
    return case.grid.tables[table].index.get_indexer(pd.Index(index)).astype(np.int64), column
