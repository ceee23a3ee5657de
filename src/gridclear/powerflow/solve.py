"""Batches of power flows: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.network.limits import grid_limits
from gridclear.powerflow.arrays import Columns
from gridclear.powerflow.factors import factors_at
from gridclear.powerflow.lanes import (
    PROVED_MVA,
    Lanes,
    no_changes,
    no_limits,
    one_row,
    solve_lanes,
)
from gridclear.powerflow.states import States

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import ArrayLike

    from gridclear.network.limits import NodeLimits
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


def solve_batch(
    network: Network,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    profiles: Sequence[Profile] = (),
    positions: ArrayLike | None = None,
    outputs: Collection[str] = ("voltages", "currents", "slack"),
    limits: NodeLimits | None = None,
    out: States | None = None,
    threads: int | None = None,
    tolerance_mva: float = 1e-9,
    progress: Callable[[int, int], None] | None = None,
) -> States:
    """Solve the power flow of many scenarios on one topology.

    Parameters
    ----------
    network : Network
        From ``compile_network``.
    p_mw, q_mvar : (scenario, bus) array-like, optional
        Net injections, generation positive, in the order of the grid's bus table.
    profiles : sequence of Profile
        More injections, by element: added up inside the kernel, which is cheaper than before it.
    positions : (changer + bank,) array-like of int, optional
        Tap positions, then bank steps; the grid's own if not given.
    outputs : collection of {"voltages", "currents", "slack", "limits"}
        What the result holds; what is not asked for costs nothing.
    limits : NodeLimits, optional
        Limits that are scanned if "limits" is asked for; ``grid_limits(network)`` if not given.
    out : States, optional
        Arrays to fill, from ``States.room``, made with the same outputs.
    threads : int, optional
        Threads that share the scenarios; all cores if not given. Results do not depend on it, bit for bit.
    tolerance_mva : float
        The iteration stops at this nodal power mismatch; at most 1e-6, which every state is proved to keep.
    progress : callable, optional
        Called with (scenarios done, scenarios in all) after each piece of work.

    Returns
    -------
    States
        ``out`` if it was given.

    Raises
    ------
    OptionError
        Shapes do not fit the network or each other, a position is outside its range, a profile names an
        unknown bus, or an option makes no sense.

    Notes
    -----
    The implicit Z-bus method, V ← w + Y_LL⁻¹ conj(S/V) with sparse factors made once (T.-H. Chen et al.,
    "Distribution system power flow analysis — a rigid approach", IEEE Trans. Power Delivery 6(3), 1991);
    scenarios that do not contract and grids with voltage control go to Newton.

    Batches may be larger than memory: float64 arrays in C order are read where they lie and only a piece of
    scenarios at a time, so they can be memory-mapped, and so can ``out``.
    """
    columns = _columns(network, p_mw, q_mvar, profiles)
    if not 0.0 < tolerance_mva <= PROVED_MVA:
        raise OptionError(f"tolerance_mva is {tolerance_mva}; it must be positive and at most {PROVED_MVA}")
    setting = _setting(network, positions)
    count = len(columns[0].row)
    states = States.room(network, count, outputs) if out is None else out
    if out is not None and not out.fits(States.room(network, count, outputs)):
        raise OptionError(
            f"out does not fit {count} scenarios of this network with outputs {sorted(outputs)}"
        )
    scanned = no_limits(network)
    if "limits" in outputs:
        scanned = one_row(grid_limits(network) if limits is None else limits, count)
    solve_lanes(
        network, factors_at(network, setting), Lanes(count, columns, no_changes(count)), scanned,
        states.as_output(), threads=threads, tolerance_mva=tolerance_mva, progress=progress,
    )  # fmt: skip
    for per_unit in (states.mismatch_mva, states.slack_p_mw, states.slack_q_mvar):
        np.multiply(per_unit, network.s_base_mva, out=per_unit)
    return states


def _columns(
    network: Network, p_mw: ArrayLike | None, q_mvar: ArrayLike | None, profiles: Sequence[Profile]
) -> tuple[Columns, ...]:
    """Collect all that is injected, with what no forecast moves; shapes checked."""
    if (p_mw is None) != (q_mvar is None) or (p_mw is None and not profiles):
        raise OptionError("give p_mw and q_mvar, or profiles, or all of them")
    nodes, unit = network.structure.node_of_bus, 1.0 / network.s_base_mva
    found: list[Columns] = []
    if p_mw is not None and q_mvar is not None:
        p, q = _matrix(p_mw), _matrix(q_mvar)
        if p.ndim != 2 or p.shape != q.shape or p.shape[1] != network.n_bus:
            raise OptionError(
                f"p_mw has shape {p.shape}, q_mvar {q.shape}; "
                f"both must be (scenario, bus) with {network.n_bus} buses"
            )
        found += [_part(part, values, nodes, unit) for part, values in enumerate((p, q))]
    for number, profile in enumerate(profiles):
        found += _profile(network, profile, number)
    counts = {len(columns.values) for columns in found}
    if len(counts) > 1:
        raise OptionError(f"the numbers of scenarios differ: {sorted(counts)}; they must be the same")
    constant, count = network.constant_power, counts.pop()
    for part, values in enumerate((constant.real, constant.imag)):
        if values.any():
            once = np.ascontiguousarray(values)[None]
            found.append(_part(part, once, nodes, unit)._replace(row=np.zeros(count, dtype=np.int64)))
    return tuple(found)


def _matrix(values: ArrayLike) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float64)


def _part(part: int, values: Floats, nodes: Ints, factor: float) -> Columns:
    rows = np.arange(len(values), dtype=np.int64)
    return Columns(part, values, rows, nodes, np.full(len(nodes), factor))


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
        nodes = network.structure.node_of_bus[place]
        parts.append(_part(part + 2 * profile.exponent, matrix, nodes, profile.sign / network.s_base_mva))
    return parts


def _setting(network: Network, positions: ArrayLike | None) -> Ints:
    if positions is None:
        return network.positions
    setting = np.asarray(positions, dtype=np.int64)
    low = np.concatenate([network.taps.lowest, np.zeros_like(network.banks.highest)])
    high = np.concatenate([network.taps.highest, network.banks.highest])
    if setting.shape != low.shape or (setting < low).any() or (setting > high).any():
        raise OptionError(
            f"positions are {setting.tolist()}; they must lie in {low.tolist()} … {high.tolist()}"
        )
    return setting
