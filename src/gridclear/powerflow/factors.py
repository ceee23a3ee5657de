"""Values of a topology at one setting of taps and banks, made once per setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import Factors
from gridclear.powerflow.factorise import factorise, scale

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints, Network


def branch_admittance(network: Network, positions: Ints) -> Complexes:
    """Branch admittances (branch, 4) in p.u. with every tap changer at its position.

    Parameters
    ----------
    network : Network
    positions : (changer + bank,) int
        Whole positions; taps first.

    Returns
    -------
    (branch, 4) complex
    """
    taps = network.taps
    values = network.admittance.copy()
    for changer, (branches, table) in enumerate(zip(taps.branches, taps.admittance, strict=True)):
        values[branches] = table[positions[changer] - taps.lowest[changer]]
    return values


def node_shunt(network: Network, positions: Ints) -> Complexes:
    """Admittance to ground (node,) in p.u. with every bank at its step."""
    banks = network.banks
    values = network.shunt.copy()
    live = banks.node >= 0
    steps = positions[len(network.taps.initial) :]
    np.add.at(values, banks.node[live], (banks.per_step * steps)[live])
    return values


def factors_at(network: Network, positions: Ints, *, reactive_limits: bool = False) -> Factors:
    """Factorise one topology at one setting.

    Parameters
    ----------
    network : Network
    positions : (changer + bank,) int
        Inside the range of each device; the caller has checked.
    reactive_limits : bool
        Voltage-controlled nodes give up their voltage where their generators' reactive power ends.

    Returns
    -------
    Factors

    Raises
    ------
    ArithmeticError
        A pivot vanished: the admittance matrix is singular, which a connected grid with finite impedances is
        not.
    """
    admittance = branch_admittance(network, positions)
    shunt = node_shunt(network, positions)
    lu, no_load, failed = _factorise(network, admittance, shunt, network.slack_voltage)
    to_current, to_voltage = np.empty((2, network.n_free), dtype=np.complex128)
    failed = failed or scale(network.structure, lu, to_current, to_voltage)
    if failed:
        raise ArithmeticError(f"the admittance matrix is singular at node {failed - 1}")
    sent = no_load[: network.n_free] / to_voltage
    dc, dc_angle, dc_shift = _dc_power_flow(network, shunt)
    return Factors(
        admittance=admittance,
        shunt=shunt,
        lur=np.ascontiguousarray(lu.real),
        lui=np.ascontiguousarray(lu.imag),
        wr=np.ascontiguousarray(no_load.real),
        wi=np.ascontiguousarray(no_load.imag),
        w_unit=no_load / np.abs(no_load),
        w_angle=np.degrees(np.angle(no_load)),
        to_current=to_current,
        to_voltage=to_voltage,
        lur_single=lu.real.astype(np.float32),
        lui_single=lu.imag.astype(np.float32),
        start_single=sent.astype(np.complex64),
        from_voltage_single=(1.0 / to_voltage).astype(np.complex64),
        turn_single=(to_current.conj() / to_voltage).astype(np.complex64),
        dc=dc,
        dc_angle=dc_angle,
        dc_shift=dc_shift,
        set_voltage=network.set_voltage,
        q_min=network.q_min if reactive_limits else np.full(network.n_free, -np.inf),
        q_max=network.q_max if reactive_limits else np.full(network.n_free, np.inf),
        any_pv=bool(network.structure.is_pv.any()),
    )


def _factorise(
    network: Network, admittance: Complexes, shunt: Complexes, slack: Complexes
) -> tuple[Complexes, Complexes, int]:
    """Factors, what the slack nodes alone make of every node, and 1 + the node whose pivot vanished, or 0."""
    lu = np.empty(2 * len(network.structure.l_col) + network.n_free, dtype=np.complex128)
    no_load = np.empty(network.n_node, dtype=np.complex128)
    failed = factorise(network.structure, admittance, shunt, slack, lu, no_load)
    return lu, no_load, int(failed)


def _dc_power_flow(network: Network, shunt: Complexes) -> tuple[Floats, Floats, Floats]:
    """Factors of B, the angles without injection, and the injections that stand for shifts and shunts.

    A branch carries P = (θ_f - θ_t - shift)·b; the grid's own tap positions will do for a start.
    """
    b, shift = network.susceptance, network.shift
    # Shunts draw their conductance at 1 p.u.
    dc_shift = -shunt.real
    np.add.at(dc_shift, network.structure.from_node, b * shift)
    np.add.at(dc_shift, network.structure.to_node, -b * shift)
    matrix = np.ascontiguousarray((b[:, None] * np.array([1.0, -1.0, -1.0, 1.0])).astype(np.complex128))
    angles = np.angle(network.slack_voltage).astype(np.complex128)
    lu, no_load, failed = _factorise(network, matrix, np.zeros(network.n_node, np.complex128), angles)
    if failed:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    n = network.n_free
    return np.ascontiguousarray(lu.real), np.ascontiguousarray(no_load.real[:n]), dc_shift[:n]


class FactorStore:
    """Factors of several topologies by setting, made when first asked for; lives as long as one job."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks
        self._made: dict[tuple[int, bytes], Factors] = {}

    def at(self, topology: int, positions: Ints) -> Factors:
        """Factors of topology number ``topology`` at ``positions``; raises as ``factors_at``."""
        key = (topology, np.ascontiguousarray(positions, dtype=np.int64).tobytes())
        if key not in self._made:
            self._made[key] = factors_at(self._networks[topology], positions)
        return self._made[key]
