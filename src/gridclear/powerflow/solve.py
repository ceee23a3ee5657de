"""Batches of power flows: numpy in, numpy out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.network.limits import grid_limits
from gridclear.powerflow.columns import injection_columns
from gridclear.powerflow.factors import factors_at
from gridclear.powerflow.lanes import (
    PROVED_MVA,
    Lanes,
    Stretch,
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
    from gridclear.network.network import Ints, Network
    from gridclear.powerflow.columns import Profile


def solve_batch(
    network: Network,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    profiles: Sequence[Profile] = (),
    positions: ArrayLike | None = None,
    outputs: Collection[str] = ("voltages", "currents", "slack"),
    reactive_limits: bool = False,
    limits: NodeLimits | None = None,
    out: States | None = None,
    threads: int | None = None,
    tolerance_mva: float = 1e-10,
    progress: Callable[[int, int], None] | None = None,
) -> States:
    """Solve the power flow of many scenarios on one topology.

    Parameters
    ----------
    network : Network
        From ``compile_network``.
    p_mw, q_mvar : (scenario, bus) array-like, optional
        Net injections, generation positive, in the order of the grid's bus table. At buses whose loads depend
        on the voltage (``const_z_p_percent`` …) they divide as in ``runpp``, which takes everything for load
        but generators with voltage control and DC lines; what is not to divide can be given as a profile.
    profiles : sequence of Profile
        More injections, by element: added up inside the kernel, which is cheaper than before it.
    positions : (changer + bank,) array-like of int, optional
        Tap positions, then bank steps; the grid's own if not given.
    outputs : collection of {"voltages", "currents", "slack", "limits"}
        What the result holds; what is not asked for costs nothing.
    reactive_limits : bool
        Generators give up their voltage where their reactive power ends (``runpp(enforce_q_lims=True)``).
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
    columns = injection_columns(network, p_mw, q_mvar, profiles)
    if not 0.0 < tolerance_mva <= PROVED_MVA:
        raise OptionError(f"tolerance_mva is {tolerance_mva}; it must be positive and at most {PROVED_MVA}")
    setting = _setting(network, positions)
    count = len(columns[0].row)
    states = States.room(network, count, outputs) if out is None else out
    if not states.fits(network, count, outputs):
        raise OptionError(
            f"out does not fit {count} scenarios of this network with outputs {sorted(outputs)}"
        )
    scanned = no_limits(network)
    if "limits" in outputs:
        scanned = one_row(grid_limits(network) if limits is None else limits, count)
    factors = factors_at(network, setting, reactive_limits=reactive_limits)
    solve_lanes(
        network, (Stretch(setting, factors, 0, count),), Lanes(count, columns, no_changes(count)),
        scanned, states.output,
        threads=threads, tolerance_mva=tolerance_mva, progress=progress,
    )  # fmt: skip
    for per_unit in (states.mismatch_mva, states.slack_p_mw, states.slack_q_mvar):
        np.multiply(per_unit, network.s_base_mva, out=per_unit)
    return states


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
