"""Values of a topology at one setting of taps and banks, made once per setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.batch import Factors
from gridclear.powerflow.kernels import factorise

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Ints, Network


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


def factors_at(network: Network, positions: Ints) -> Factors:
    """Factorise one topology at one setting.

    Parameters
    ----------
    network : Network
    positions : (changer + bank,) int
        Inside the range of each device; the caller has checked.

    Returns
    -------
    Factors

    Raises
    ------
    ArithmeticError
        A pivot vanished: the admittance matrix is singular, which a connected grid with finite impedances is
        not.
    """
    fill = len(network.structure.l_col)
    admittance = branch_admittance(network, positions)
    shunt = node_shunt(network, positions)
    lu = np.empty(2 * fill + network.n_free, dtype=np.complex128)
    no_load = np.empty(network.n_node, dtype=np.complex128)
    failed = factorise(network.structure, admittance, shunt, network.slack_voltage, lu, no_load)
    if failed:
        raise ArithmeticError(f"the admittance matrix is singular at node {failed - 1}")
    return Factors(
        admittance=admittance,
        shunt=shunt,
        lur=np.ascontiguousarray(lu.real),
        lui=np.ascontiguousarray(lu.imag),
        wr=np.ascontiguousarray(no_load.real),
        wi=np.ascontiguousarray(no_load.imag),
        w_angle=np.degrees(np.angle(no_load)),
        set_voltage=network.set_voltage,
        amperes_ka=network.amperes_ka,
        any_pv=bool(network.structure.is_pv.any()),
    )


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
