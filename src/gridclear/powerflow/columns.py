"""What users inject, bus by bus and element by element, as columns for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.powerflow.arrays import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from gridclear.network.network import Floats, Ints, Network


@dataclass(frozen=True, eq=False)
class Profile:
    """Power of some elements over the scenarios, a column each.

    Attributes
    ----------
    bus : (element,) array-like of int
        pandapower index of each element's bus; several elements may share one.
    p_mw : (scenario, element) array-like
    q_mvar : (scenario, element) array-like, optional
        Zero if not given.
    sign : float
        1 where positive power is generation, -1 where it is consumption (loads, storage).
    exponent : {0, 1, 2}
        The power is drawn as stated (0), or is the power at 1 p.u. of an element of constant current (1) or
        constant impedance (2).
    """

    bus: ArrayLike
    p_mw: ArrayLike
    q_mvar: ArrayLike | None = None
    sign: float = 1.0
    exponent: int = 0


def injection_columns(
    network: Network, p_mw: ArrayLike | None, q_mvar: ArrayLike | None, profiles: Sequence[Profile]
) -> tuple[Columns, ...]:
    """Collect all that is injected, with what no forecast moves.

    Parameters
    ----------
    network, p_mw, q_mvar, profiles
        As in ``solve_batch``.

    Returns
    -------
    tuple of Columns
        At least one.

    Raises
    ------
    OptionError
        Nothing is given, or shapes do not fit.
    """
    if (p_mw is None) != (q_mvar is None) or (p_mw is None and not profiles):
        raise OptionError("give p_mw and q_mvar, or profiles, or all of them")
    found: list[Columns] = []
    if p_mw is not None and q_mvar is not None:
        p, q = _matrix(p_mw), _matrix(q_mvar)
        if p.ndim != 2 or p.shape != q.shape or p.shape[1] != network.n_bus:
            raise OptionError(
                f"p_mw has shape {p.shape}, q_mvar {q.shape}; "
                f"both must be (scenario, bus) with {network.n_bus} buses"
            )
        found += _divided(network, p, q)
    for number, profile in enumerate(profiles):
        found += _profile(network, profile, number)
    counts = {len(columns.values) for columns in found}
    if len(counts) > 1:
        raise OptionError(f"the numbers of scenarios differ: {sorted(counts)}; they must be the same")
    once = np.zeros(counts.pop(), dtype=np.int64)
    demand = (network.constant_power - network.dc_power)[None]
    constant = [
        *_divided(network, np.ascontiguousarray(demand.real), np.ascontiguousarray(demand.imag)),
        _by_bus(network, 0, np.ascontiguousarray(network.dc_power.real)[None], 1.0),
    ]
    return (*found, *(columns._replace(row=once) for columns in constant if columns.values.any()))


def _matrix(values: ArrayLike) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)


def _divided(network: Network, p: Floats, q: Floats) -> list[Columns]:
    """P and Q by bus, divided where loads depend on the voltage: the same values, other factors."""
    if not len(network.load_shares):
        return [_by_bus(network, part, values, 1.0) for part, values in enumerate((p, q))]
    current_p, current_q, impedance_p, impedance_q = network.load_shares
    shares = (
        (0, p, 1.0 - current_p - impedance_p),
        (1, q, 1.0 - current_q - impedance_q),
        (2, p, current_p),
        (3, q, current_q),
        (4, p, impedance_p),
        (5, q, impedance_q),
    )
    return [_by_bus(network, part, values, share) for part, values, share in shares]


def _by_bus(network: Network, part: int, values: Floats, share: Floats | float) -> Columns:
    factor = np.broadcast_to(share / network.s_base_mva, network.n_bus)
    return Columns(part, values, _rows(values), network.structure.node_of_bus, np.ascontiguousarray(factor))


def _rows(values: Floats) -> Ints:
    return np.arange(len(values), dtype=np.int64)


def _profile(network: Network, profile: Profile, number: int) -> list[Columns]:
    what = f"profiles[{number}]"
    bus = np.asarray(profile.bus, dtype=np.int64)
    unknown = np.setdiff1d(bus, network.bus)
    if len(unknown):
        raise OptionError(
            f"{what}: there is no bus {unknown[0]}; it must be an index of the grid's bus table"
        )
    if profile.exponent not in (0, 1, 2):
        raise OptionError(f"{what}: exponent is {profile.exponent}; it must be 0, 1 or 2")
    by_index = np.argsort(network.bus)
    place = by_index[np.searchsorted(network.bus, bus, sorter=by_index)]
    parts = []
    for part, values in ((0, profile.p_mw), (1, profile.q_mvar)):
        if values is None:
            continue
        matrix = _matrix(values)
        if matrix.ndim != 2 or matrix.shape[1] != len(bus):
            raise OptionError(
                f"{what}: shape {matrix.shape} must be (scenario, element) with {len(bus)} elements"
            )
        factor = np.full(len(bus), profile.sign / network.s_base_mva)
        nodes = network.structure.node_of_bus[place]
        parts.append(Columns(part + 2 * profile.exponent, matrix, _rows(matrix), nodes, factor))
    return parts
