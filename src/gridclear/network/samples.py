"""Samples of the forecast → one compiled case whose periods are all samples of all periods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.injections import INJECTION_SIGN, element_powers, element_scaling
from gridclear.network.outages import bus_positions, in_service

if TYPE_CHECKING:
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class ElementSamples:
    """Samples of the forecast of some elements of one grid table.

    Attributes
    ----------
    table : str
        ``load``, ``sgen``, ``gen`` or ``storage``.
    element : (element,) of int
        Place of each in the grid table.
    p_mw, q_mvar : (sample, period, element)
        What stands in for the forecast, sign as in pandapower, before the grid's ``scaling``.
    """

    table: str
    element: Ints
    p_mw: Floats
    q_mvar: Floats


@dataclass(frozen=True, eq=False)
class Samples:
    """Equally likely forecasts of a whole case.

    Attributes
    ----------
    count : int
    elements : tuple of ElementSamples
        The elements whose forecast is uncertain; all others keep theirs.
    """

    count: int
    elements: tuple[ElementSamples, ...]

    def part(self, first: int, last: int) -> Samples:
        """Pick the samples from ``first`` up to ``last``, which is outside."""
        chosen = slice(first, last)
        return Samples(
            len(range(*chosen.indices(self.count))),
            tuple(replace(own, p_mw=own.p_mw[chosen], q_mvar=own.q_mvar[chosen]) for own in self.elements),
        )


def sampled_case(compiled: CompiledCase, samples: Samples) -> CompiledCase:
    """All samples of all periods as the periods of one compiled case.

    Parameters
    ----------
    compiled : CompiledCase
    samples : Samples
        Of the same case.

    Returns
    -------
    CompiledCase
        Its period ``sample * periods + period`` is that period under that sample: topology, injections and
        shares are laid out so. ``case`` is still the one of ``periods`` periods: whatever asks it for a
        stamp or an outage has to ask for the period, not for the state.
    """
    every = np.tile(np.arange(len(compiled.topology), dtype=np.int64), samples.count)
    parts = [np.ascontiguousarray(part[every]) for part in compiled.parts]
    shares = None if compiled.shares is None else compiled.shares.of(every)
    buses = bus_positions(compiled.case.grid)
    reactions = None if compiled.reactions is None else compiled.reactions.of(every)
    for own in samples.elements:
        bus = buses.loc[compiled.case.grid.tables[own.table]["bus"]].to_numpy()[own.element]
        p, q = (np.zeros(parts[0].shape) for _ in range(2))
        more = _changes(compiled, own)
        if reactions is not None and own.table == "sgen":
            # What follows a curve takes its active power from the sample, and no reactive power from anyone.
            reactions = reactions.with_more(own.element, more[0].T)
            more[1][np.isin(own.element, reactions.element)] = 0.0
        for column, (more_p, more_q) in enumerate(zip(*more, strict=True)):
            p[:, bus[column]] += more_p
            q[:, bus[column]] += more_q
        if shares is None or own.table == "gen":
            divided: tuple[Floats, ...] = (p, q)
        else:
            by_kind = zip(shares.divide_p(p), shares.divide_q(q), strict=True)
            divided = tuple(part for kind in by_kind for part in kind)
        for total, added in zip(parts, divided, strict=False):
            np.add(total, added, out=total)
    depends = shares is not None
    return replace(
        compiled,
        topology=compiled.topology[every],
        p=parts[0],
        q=parts[1],
        p_current=parts[2] if depends else None,
        q_current=parts[3] if depends else None,
        p_impedance=parts[4] if depends else None,
        q_impedance=parts[5] if depends else None,
        shares=shares,
        reactions=reactions,
    )


def _changes(compiled: CompiledCase, own: ElementSamples) -> tuple[Floats, Floats]:
    """Change of injection of each element against the forecast in p.u.: P and Q, (element, state)."""
    case, table = compiled.case, own.table
    scaling = element_scaling(case, table)
    factor = INJECTION_SIGN[table] / compiled.s_base_mva * in_service(case, table)[:, own.element]
    p, q = (
        ((power * scaling[own.element] - forecast[:, own.element]) * factor).reshape(-1, len(own.element)).T
        for power, forecast in zip((own.p_mw, own.q_mvar), element_powers(case, table), strict=True)
    )
    return p, q
