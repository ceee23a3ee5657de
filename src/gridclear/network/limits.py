"""Limits as arrays with labels: what must not be exceeded, in per unit, and each constraint's name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.network.network import Floats, Ints, Network

#: A violation counts beyond this: 1e-6 p.u. of voltage, 1e-4 % of loading.
TOLERANCE = 1e-6
#: MVA of exchange that weigh as much as 1 p.u. of voltage: the tolerance of an exchange is 1e-5 MVA.
EXCHANGE_SCALE_MVA = 10.0
#: Columns of exchange limits, in the order of the kernels.
EXCHANGE_COLUMNS = ("p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar", "s_max_mva")


@dataclass(frozen=True)
class NodeLimits:
    """Limits of one topology, before a base state widens them.

    Attributes
    ----------
    vm_min, vm_max : (node,)
        Tightest limit of the live buses of each node; infinite at nodes that are no bus (open line ends).
    low_bus, high_bus : (node,) of int
        Place in the bus table of the bus that states the tightest limit, -1 where none does.
    loading : (branch,)
        Limit as a fraction of the rated current; infinite where the branch has no rating.
    per_rated : (branch, 2)
        Fraction of the rated current per p.u. of current at each end.
    point : (point,) of int
        Rows of the case's connection points that are fed in this topology.
    point_node, point_share : (point,)
        Slack node of each, and its share where several external grids feed one node.
    exchange : (point, 5)
        p_min, p_max, q_min, q_max, s_max in p.u. of power; infinite where not stated.
    exchange_scale : float
        p.u. of power that weigh as much as 1 p.u. of voltage.
    """

    vm_min: Floats
    vm_max: Floats
    low_bus: Ints
    high_bus: Ints
    loading: Floats
    per_rated: Floats
    point: Ints
    point_node: Ints
    point_share: Floats
    exchange: Floats
    exchange_scale: float

    @property
    def numbered(self) -> Floats:
        """Limits in the kernels' numbering, (constraint,)."""
        return np.concatenate([self.vm_min, self.vm_max, self.loading, self.exchange.ravel()])


@dataclass(frozen=True)
class Constraint:
    """One constraint in the words of the result tables.

    Attributes
    ----------
    kind : str
        ``undervoltage``, ``overvoltage``, ``overload`` or ``exchange``.
    element_type, element : str
        pandapower table and label; ``connection_point`` and its name for an exchange.
    detail : str
        What of the element: ``hv``, ``from`` …, or the limited column of the exchange.
    factor : float
        Kernel value × factor = value of the result tables (p.u., %, MW/Mvar/MVA).
    """

    kind: str
    element_type: str
    element: str
    detail: str
    factor: float


def grid_limits(
    network: Network, *, vm_min_pu: float = 0.95, vm_max_pu: float = 1.05, loading_percent: float = 100.0
) -> NodeLimits:
    """Limits of voltages and loadings of one topology, without exchanges.

    Parameters
    ----------
    network : Network
    vm_min_pu, vm_max_pu, loading_percent : float
        Fill in where the grid states none.

    Returns
    -------
    NodeLimits
    """
    vm_min, low_bus = _tightest(network, np.where(np.isnan(network.vm_min), vm_min_pu, network.vm_min), 1.0)
    vm_max, high_bus = _tightest(network, np.where(np.isnan(network.vm_max), vm_max_pu, network.vm_max), -1.0)
    stated = np.where(np.isnan(network.max_loading), loading_percent / 100.0, network.max_loading)
    rated = np.isfinite(network.rated_ka).any(axis=1)
    return NodeLimits(
        vm_min=vm_min,
        vm_max=vm_max,
        low_bus=low_bus,
        high_bus=high_bus,
        loading=np.where(rated, stated, np.inf),
        per_rated=network.amperes_ka / network.rated_ka,
        point=np.zeros(0, dtype=np.int64),
        point_node=np.zeros(0, dtype=np.int64),
        point_share=np.zeros(0),
        exchange=np.zeros((0, 5)),
        exchange_scale=EXCHANGE_SCALE_MVA / network.s_base_mva,
    )


def node_limits(network: Network, case: Case) -> NodeLimits:
    """Limits of one topology of a case, exchanges of its connection points included.

    Parameters
    ----------
    network : Network
    case : Case
        Its ``limits`` fill in where the grid states none.

    Returns
    -------
    NodeLimits
    """
    general = case.limits
    limits = grid_limits(
        network,
        vm_min_pu=general.vm_min_pu,
        vm_max_pu=general.vm_max_pu,
        loading_percent=general.loading_percent,
    )
    points = case.connection_points
    lookup = case.grid.lookup("ext_grid")
    grids = {
        int(i): node
        for i, node, t in zip(network.slack, network.slack_node, network.slack_table, strict=True)
        if t == "ext_grid"
    }
    fed = [row for row, name in enumerate(points["element"]) if lookup[name] in grids]
    node = np.array([grids[lookup[points["element"].iloc[row]]] for row in fed], dtype=np.int64)
    ext_grid_node = network.slack_node[network.slack_table == "ext_grid"]
    share = np.array([1.0 / max(1, int((ext_grid_node == k).sum())) for k in node])
    exchange = points[list(EXCHANGE_COLUMNS)].to_numpy(dtype=np.float64)[fed] / network.s_base_mva
    absent = np.array([-np.inf, np.inf, -np.inf, np.inf, np.inf])
    return replace(
        limits,
        point=np.array(fed, dtype=np.int64),
        point_node=node,
        point_share=share,
        exchange=np.where(np.isnan(exchange), absent, exchange).reshape(len(fed), 5),
    )


def _tightest(network: Network, limit: Floats, sign: float) -> tuple[Floats, Ints]:
    """Largest ``sign · limit`` over the live buses of each node, and the bus that has it."""
    best = np.full(network.n_node, -np.inf)
    owner = np.full(network.n_node, -1, dtype=np.int64)
    for bus, node in enumerate(network.structure.node_of_bus):
        if node >= 0 and sign * limit[bus] > best[node]:
            best[node] = sign * limit[bus]
            owner[node] = bus
    return sign * best, owner


def describe(network: Network, limits: NodeLimits, constraint: int, case: Case | None = None) -> Constraint:
    """Name one constraint of the kernels' numbering.

    Parameters
    ----------
    network, limits
        What the number belongs to.
    constraint : int
        See ``powerflow.evaluate.worst_limit``.
    case : Case, optional
        Gives the elements' names; without it they are called by their pandapower index.

    Returns
    -------
    Constraint

    Raises
    ------
    OptionError
        There is no such constraint.
    """
    n, m = network.n_node, network.n_branch
    count = 2 * n + m + limits.exchange.size
    if not 0 <= constraint < count:
        raise OptionError(f"{constraint} is no constraint; they are numbered 0 … {count - 1}")
    if constraint < 2 * n:
        low = constraint < n
        bus = int((limits.low_bus if low else limits.high_bus)[constraint % n])
        label = str(network.bus[bus] if case is None else case.grid.labels("bus").iloc[bus])
        return Constraint("undervoltage" if low else "overvoltage", "bus", label, "", 1.0)
    if constraint < 2 * n + m:
        branch = constraint - 2 * n
        table = str(network.labels.element_type[branch])
        index = network.labels.element[branch]
        label = str(index if case is None else case.grid.labels(table).loc[index])
        winding = (
            "/".join(side for side in network.labels.sides[branch] if side) if table == "trafo3w" else ""
        )
        return Constraint("overload", table, label, winding, 100.0)
    point, column = divmod(constraint - 2 * n - m, 5)
    row = int(limits.point[point])
    name = str(row if case is None else case.connection_points["connection_point"].iloc[row])
    return Constraint("exchange", "connection_point", name, EXCHANGE_COLUMNS[column], network.s_base_mva)


def sides(network: Network, limits: NodeLimits, constraint: Ints) -> tuple[Floats, Floats]:
    """Tell how violations follow from values: violation = sign · (value - limit) / unit.

    Parameters
    ----------
    network, limits
        What the numbers belong to.
    constraint : (n,) of int

    Returns
    -------
    sign, unit : (n,)
        -1 for lower limits; units of ``exchange_scale`` for exchanges.
    """
    traded = constraint - 2 * network.n_node - network.n_branch
    lower = (constraint < network.n_node) | ((traded >= 0) & np.isin(traded % 5, (0, 2)))
    return np.where(lower, -1.0, 1.0), np.where(traded >= 0, limits.exchange_scale, 1.0)
