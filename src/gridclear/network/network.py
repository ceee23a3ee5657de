"""The grid as arrays: structure (which node hangs on which) apart from values (admittances, set points).

Nodes are what pandapower makes of buses: buses joined by closed bus–bus switches are one node, lines with
an open end get a node of their own. Nodes stand in elimination order: the free nodes first, the slack nodes
last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Structure(NamedTuple):
    """What never changes while a topology stands; the integer half of every kernel's input.

    The factors of the free nodes' admittance matrix have a symmetric pattern, so one set of pointers serves
    L (by rows, strictly lower) and U (by rows, strictly upper).

    Attributes
    ----------
    from_node, to_node : (branch,)
        Nodes at the two ends of each branch.
    ff, ft, tf, tt : (branch,)
        Slot of each of the four branch admittances in the factors' value array, -1 if an end is a slack node.
    diagonal : (free,)
        Slot of each free node's diagonal.
    l_start, l_col : (free + 1,), (fill,)
        Rows of L; slot of entry k is k.
    u_start, u_col : (free + 1,), (fill,)
        Rows of U; slot of entry k is fill + k.
    stem : (free,)
        The one node in a node's row of U: what it hangs on once all before it are eliminated, as every node
        of a radial grid does. -1 where the row has several entries, or none.
    hung_start, hung : (free + 1,), (hanging node,)
        Slots of L of the nodes that hang on each node.
    rest_start, rest : (free + 1,), (fill - hanging node,)
        The other slots of each row of L.
    node_of_bus : (bus,)
        Node of each bus of the grid, -1 where the bus is dead (out of service or without supply).
    is_pv : (free,)
        1 where the voltage magnitude is held by a generator.
    up_start, up : (node + 1,), (branch,)
        Branches from each node to nodes that come later, or to itself.
    down_start, down : (node + 1,), (branch,)
        Branches from each node to nodes that come earlier, or to itself.
    """

    from_node: Ints
    to_node: Ints
    ff: Ints
    ft: Ints
    tf: Ints
    tt: Ints
    diagonal: Ints
    l_start: Ints
    l_col: Ints
    u_start: Ints
    u_col: Ints
    stem: Ints
    hung_start: Ints
    hung: Ints
    rest_start: Ints
    rest: Ints
    node_of_bus: Ints
    is_pv: Ints
    up_start: Ints
    up: Ints
    down_start: Ints
    down: Ints


@dataclass(frozen=True)
class BranchLabels:
    """What each branch of the arrays is in the grid.

    Attributes
    ----------
    element_type : (branch,) of str
        pandapower table: ``line``, ``trafo``, ``trafo3w``, ``impedance``, ``xward``, ``switch``.
    element : (branch,) of int
        pandapower index in that table.
    sides : (branch, 2) of str
        Names of the two ends: ``from``/``to``, ``hv``/``lv``, ``bus``; empty where an end is an inner point.
    """

    element_type: NDArray[np.str_]
    element: Ints
    sides: NDArray[np.str_]


@dataclass(frozen=True)
class TapTable:
    """Branch admittances for every tap position of every tapped transformer, as pandapower models them.

    Attributes
    ----------
    element_type, element : (changer,)
        pandapower table and index of each tap changer.
    direction : (changer,)
        +1 where a higher position raises the regulated voltage, -1 where it lowers it (the usual changer on
        the high-voltage winding), 0 where it does neither (a phase shifter).
    regulated : (changer,)
        Place in the bus table of the bus whose voltage a regulator holds: the low-voltage side of two
        windings, the medium-voltage side of three.
    lowest, highest, initial : (changer,)
        Range of whole positions, and the position that the grid states.
    branches : tuple of (k,) arrays
        Branches that a changer alters: one for two windings, three for three.
    admittance : tuple of (position, k, 4) arrays
        y_ff, y_ft, y_tf, y_tt in p.u. of those branches by position.
    """

    element_type: NDArray[np.str_]
    element: Ints
    direction: Ints
    regulated: Ints
    lowest: Ints
    highest: Ints
    initial: Ints
    branches: tuple[Ints, ...]
    admittance: tuple[Complexes, ...]


@dataclass(frozen=True)
class BankTable:
    """Shunts that are switched in equal steps; one with a table of its steps stays where the grid has it.

    Attributes
    ----------
    element : (bank,)
        pandapower index in table ``shunt``.
    node : (bank,)
        Node, -1 where the shunt is dead.
    per_step : (bank,) complex
        Admittance of one step in p.u.
    highest, initial : (bank,)
        Number of steps there are, and the number that the grid switches on.
    """

    element: Ints
    node: Ints
    per_step: Complexes
    highest: Ints
    initial: Ints


@dataclass(frozen=True)
class Network:
    """One topology of a grid, ready for power flows.

    Attributes
    ----------
    s_base_mva : float
        Power base of the per-unit values.
    bus : (bus,) of int
        pandapower indices, in the order of the bus table: the columns of every bus-wise array.
    structure : Structure
        Integer arrays of the kernels.
    n_node, n_free : int
        Number of nodes, and of those whose voltage is not a slack's.
    base_kv : (node,)
        Voltage base.
    labels : BranchLabels
        What each branch is.
    admittance : (branch, 4) complex
        y_ff, y_ft, y_tf, y_tt in p.u. at the grid's own tap positions.
    susceptance, shift : (branch,)
        Series susceptance 1/(x·|t|) in p.u. and phase shift in rad, for a DC power flow that gives a start.
    shunt : (node,) complex
        Admittance of shunts and wards to ground in p.u., without the banks of ``banks``.
    constant_power : (bus,) complex
        Injection in MVA of elements that no forecast moves: wards, extended wards, motors, asymmetric loads
        and generators, the ends of dclines.
    dc_power : (bus,) complex
        The part of it that the ends of dclines give: as a generator's, it never depends on the voltage.
    slack : (slack,) of int
        pandapower indices of the external grids, in the order of their nodes.
    slack_table : (slack,) of str
        ``ext_grid`` or ``gen`` (a generator that is slack).
    slack_node : (slack,)
        Node of each of them.
    slack_voltage : (n_node - n_free,) complex
        Voltages of the slack nodes in p.u.
    set_voltage : (free,)
        Voltage set points of nodes with ``is_pv``; zero elsewhere.
    q_min, q_max : (free,)
        Summed reactive limits in p.u. of the generators in service at nodes with ``is_pv``, infinite where
        one of them states none; zero elsewhere. Extended wards and dclines count as generators.
    amperes_ka : (branch, 2)
        Current base at the two ends, kA per p.u.
    rated_ka : (branch, 2)
        Current that counts as 100 % at the two ends; infinite where nothing is stated or asked.
    max_loading : (branch,)
        Limit of loading that the grid states, as a fraction; NaN where it states none.
    vm_min, vm_max : (bus,)
        Limits of voltage that the grid states in p.u.; NaN where it states none.
    taps, banks : TapTable, BankTable
        Devices that move in whole steps.
    load_shares : (4, bus)
        Fractions of P and of Q that are a constant current, then a constant impedance, in the grid's own
        state; no rows if nothing depends on the voltage. Filled by ``compile_network``: cases have theirs.
    """

    s_base_mva: float
    bus: Ints
    structure: Structure
    n_node: int
    n_free: int
    base_kv: Floats
    labels: BranchLabels
    admittance: Complexes
    susceptance: Floats
    shift: Floats
    shunt: Complexes
    constant_power: Complexes
    dc_power: Complexes
    slack: Ints
    slack_table: NDArray[np.str_]
    slack_node: Ints
    slack_voltage: Complexes
    set_voltage: Floats
    q_min: Floats
    q_max: Floats
    amperes_ka: Floats
    rated_ka: Floats
    max_loading: Floats
    vm_min: Floats
    vm_max: Floats
    taps: TapTable
    banks: BankTable
    load_shares: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def n_bus(self) -> int:
        """Number of buses of the grid, dead ones included."""
        return len(self.bus)

    @property
    def n_branch(self) -> int:
        """Number of branches that carry current."""
        return len(self.structure.from_node)

    @property
    def positions(self) -> Ints:
        """Initial positions, (changer + bank,): the grid's own setting of its devices."""
        return np.concatenate([self.taps.initial, self.banks.initial])
