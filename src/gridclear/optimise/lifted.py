"""The clearing as a mixed-integer linear program in which only planes stand for the power flow.

``docs/bound.md`` derives it: what every schedule keeps is a row, and what is not linear in the columns
(powers and squared currents of the sources, squared voltages at banks and ratios) is a column of its own,
held from below by planes of ``forms``. Rows may leave out what a schedule must keep; they never ask for more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.circuit import NotCoveredError
from gridclear.optimise.extremes import Extremes
from gridclear.optimise.labelled import (
    Labelled,
    capability_rows,
    device_columns,
    items_columns,
    stores_columns,
)
from gridclear.optimise.problem import DELIVERED_MVA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.problem import Problem

#: Sides of the polygon around the circle of an exchange's apparent power.
_SIDES = 16


@dataclass(frozen=True, eq=False)
class Period:
    """Columns and injections of one period.

    Attributes
    ----------
    circuit : Circuit
    fed : (source,) of int
        Sources with branches.
    share : (offer,) of int
        Columns of the rows of offers.
    control : (control,) of int
        Those, then of charging, then of discharging.
    injected : (node,) complex
        Of the forecast in p.u., by the network's nodes.
    change : (control, node) complex
        By a full control.
    active, reactive, current : (fed,) of int
        Columns of the sources: MW, Mvar, and squared currents in p.u.
    square : mapping of (node, device) to (step,) of int
        Columns of squared voltages, by step of the device: that of the step taken is the node's, the rest
        are zero.
    """

    circuit: Circuit
    fed: Ints
    share: Ints
    control: Ints
    injected: Complexes
    change: Complexes
    active: Ints
    reactive: Ints
    current: Ints
    square: Mapping[tuple[int, int], Ints]


@dataclass(frozen=True, eq=False)
class Lifted:
    """A program and what its columns are.

    Attributes
    ----------
    program : Labelled
    periods : tuple of Period or None
        None where the plan has no state: nothing is asked for there, and nothing is counted.
    step : tuple by device, (period, step) of int
        Columns that say whether a device stands at a step.
    box : mapping of (period, fed) to ((2,), (2,))
        Ranges of the sources' active and reactive power in p.u.
    extremes : mapping of int to Extremes
        By the identity of the circuit.
    """

    program: Labelled
    periods: tuple[Period | None, ...]
    step: tuple[Ints, ...]
    box: Mapping[tuple[int, int], tuple[Floats, Floats]]
    extremes: Mapping[int, Extremes]


def build_lifted(point: Point, circuits: tuple[Circuit | None, ...]) -> Lifted:
    """Write out what every schedule keeps that delivers and cures as well as a plan.

    Parameters
    ----------
    point : Point
        The plan that is to be bounded.
    circuits : tuple of Circuit or None
        By period.

    Returns
    -------
    Lifted

    Raises
    ------
    NotCoveredError
        A tap stands where nothing limits the voltage.
    """
    problem, program = point.problem, Labelled()
    items = items_columns(problem, program)
    step = tuple(device_columns(problem, program, number) for number in range(len(problem.devices)))
    charge, discharge = stores_columns(problem, program)
    capability_rows(problem, program, items, charge, discharge)
    box: dict[tuple[int, int], tuple[Floats, Floats]] = {}
    periods: list[Period | None] = []
    extremes: dict[int, Extremes] = {}
    for number, circuit in enumerate(circuits):
        if circuit is None or point.local[number] is None:
            periods.append(None)
            continue
        if id(circuit) not in extremes:
            extremes[id(circuit)] = Extremes(circuit)
        own = _period(
            problem, program, number, circuit, items, (charge, discharge), step, extremes[id(circuit)]
        )
        for source, ranges in _exchange(problem, program, number, own).items():
            box[number, source] = ranges
        for source, most in enumerate(_most_power(problem, number, own).tolist()):
            ranges = box.get((number, source), (np.array([-np.inf, np.inf]), np.array([-np.inf, np.inf])))
            box[number, source] = (np.clip(ranges[0], -most, most), np.clip(ranges[1], -most, most))
        periods.append(own)
    return Lifted(program, tuple(periods), step, box, extremes)


def _period(
    problem: Problem,
    program: Labelled,
    number: int,
    circuit: Circuit,
    items: Ints,
    stored: tuple[Ints, Ints],
    step: tuple[Ints, ...],
    extremes: Extremes,
) -> Period:
    """Columns of one period; losses are what the sources give and the elements inject."""
    compiled, offers = problem.compiled, problem.offers
    base, free = compiled.s_base_mva, circuit.n_bus_node
    rows = np.flatnonzero(offers.period == number)
    injected, change = injections(problem, number, circuit, rows)
    share = items[rows]
    control = np.concatenate([share, stored[0][:, number], stored[1][:, number]])
    given = circuit.admittance[circuit.n_free :].tocsr()
    fed = np.array(
        [
            source
            for source in range(len(circuit.sources))
            if np.abs(given.data[given.indptr[source] : given.indptr[source + 1]]).sum() > 0.0
        ],
        dtype=np.int64,
    )
    active, reactive = (program.labelled(number, len(fed), -np.inf, np.inf) for _ in range(2))
    current = program.labelled(number, len(fed))
    low, high = kept_voltages(problem, number, circuit)
    most_power = np.abs(injected[:free]) + largest_change(problem, number, change[:, :free])
    most = base * extremes.losses(most_power, low, high)
    loss = program.labelled(number, 1, -np.inf, most, problem.loss_price / base)
    constant = base * float(injected[:free].real.sum())
    program.row(
        constant,
        constant,
        (loss, 1.0),
        (active, -1.0),
        (control, -base * change[:, :free].real.sum(axis=1)),
    )
    square: dict[tuple[int, int], Ints] = {}
    placed = [(bank.node, bank.device) for bank in circuit.banks]
    placed += [(ratio.node, ratio.device) for ratio in circuit.ratios]
    for node, device in dict.fromkeys(placed):
        if not np.isfinite(high[node]):
            raise NotCoveredError("nothing limits the voltage at a tap")
        own = step[device][number]
        column = program.labelled(number, len(own))
        for taken, squared in zip(own.tolist(), column.tolist(), strict=True):
            program.row(0.0, np.inf, (squared, 1.0), (taken, -(low[node] ** 2)))
            program.row(-np.inf, 0.0, (squared, 1.0), (taken, -(high[node] ** 2)))
        square[node, device] = column
    return Period(circuit, fed, share, control, injected, change, active, reactive, current, square)


def _most_power(problem: Problem, number: int, own: Period) -> Floats:
    """Largest apparent power of every source that the limits of its branches let pass, in p.u."""
    circuit, most = own.circuit, most_currents(problem, number, own.circuit)
    found = []
    for source in own.fed.tolist():
        at = circuit.n_free + source
        voltage = float(np.abs(circuit.sources[source].voltage).max())
        taken = abs(complex(circuit.shunt[at])) * voltage
        found.append(voltage * (taken + float(most[circuit.near == at].sum())))
    return np.array(found)


def injections(problem: Problem, number: int, circuit: Circuit, rows: Ints) -> tuple[Complexes, Complexes]:
    """Injections of the forecast in a period by node, and their change by every control at its full share."""
    compiled, offers, stores = problem.compiled, problem.offers, problem.stores
    node, buses = circuit.network.structure.node_of_bus, circuit.network.n_bus
    forecast = np.zeros(circuit.network.n_node, dtype=np.complex128)
    live = node >= 0
    np.add.at(forecast, node[live], (compiled.p[number] + 1j * compiled.q[number])[live])
    change = np.zeros((len(rows) + 2 * stores.count, circuit.network.n_node), dtype=np.complex128)
    own = offers.activations.part(rows)
    part, bus = np.divmod(own.cell, buses)
    control = np.repeat(np.arange(len(rows)), np.diff(own.first))
    works = node[bus] >= 0
    unit = np.where(part == 0, 1.0, 1j)
    np.add.at(change, (control[works], node[bus][works]), (own.value * unit)[works])
    for store, at in enumerate(node[stores.bus].tolist()):
        if at >= 0:
            forecast[at] += stores.scheduled[store, number]
            change[len(rows) + store, at] = -1.0
            change[len(rows) + stores.count + store, at] = 1.0
    return forecast, change


def kept_voltages(problem: Problem, number: int, circuit: Circuit) -> tuple[Floats, Floats]:
    """Lowest and highest voltage of every free node of the network in a period.

    A node that is no bus (the star point of three windings) has no limits of its own: what its neighbours
    keep, and the currents of the branches between, bound it from both sides.
    """
    nodes, free = circuit.network.n_node, circuit.n_bus_node
    limits = problem.limits[int(problem.compiled.topology[number])][number]
    low = np.maximum(limits[:free] - TOLERANCE, 0.0)
    high = limits[nodes : nodes + free] + TOLERANCE
    most = most_currents(problem, number, circuit)
    near, other = circuit.near, np.roll(circuit.near, circuit.network.n_branch)
    bounded = np.concatenate([np.isfinite(high), np.zeros(len(circuit.shunt) - free, dtype=bool)])
    for row in np.flatnonzero(np.isfinite(most) & bounded[near] & ~bounded[other] & (other < free)).tolist():
        one, far = int(near[row]), int(other[row])
        own, across = abs(circuit.current[row, one]), abs(circuit.current[row, far])
        if across > 0.0:
            high[far] = min(high[far], (most[row] + own * high[one]) / across)
            low[far] = max(low[far], (own * low[one] - most[row]) / across)
    return low, high


def most_currents(problem: Problem, number: int, circuit: Circuit) -> Floats:
    """Largest currents at all ends of branches that the limits let pass in a period, behind taps, in p.u."""
    topology = int(problem.compiled.topology[number])
    rated = problem.compiled.limits[topology].per_rated.T.ravel()
    nodes, branches = circuit.network.n_node, circuit.network.n_branch
    loading = np.tile(problem.limits[topology][number, 2 * nodes : 2 * nodes + branches] + TOLERANCE, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        most: Floats = np.where(rated > 0.0, loading / rated, np.inf)
    for row, _, factor in circuit.scaling:
        most[row] /= np.sqrt(factor.min())
    return most


def largest_change(problem: Problem, number: int, change: Complexes) -> Floats:
    """Largest magnitude of what the controls of a period change at every node."""
    found: Floats = np.abs(change).T @ largest(problem, number)
    return found


def reach(problem: Problem, number: int, moves: Floats) -> tuple[float, float]:
    """Range of what controls add up to in a period, by what each moves."""
    most = largest(problem, number)
    return float(np.minimum(moves * most, 0.0).sum()), float(np.maximum(moves * most, 0.0).sum())


def largest(problem: Problem, number: int) -> Floats:
    """Largest values of a period's controls."""
    offers, stores = problem.offers, problem.stores
    rows = offers.period == number
    return np.concatenate(
        [offers.most[offers.item[rows]], stores.most_charge[:, number], stores.most_discharge[:, number]]
    )


def _exchange(
    problem: Problem, program: Labelled, number: int, own: Period
) -> dict[int, tuple[Floats, Floats]]:
    """Limits and requests of the connection points; ranges of the power of sources that feed alone."""
    circuit = own.circuit
    compiled, requests = problem.compiled, problem.requests
    base, topology = compiled.s_base_mva, int(compiled.topology[number])
    limits = compiled.limits[topology]
    room = TOLERANCE * limits.exchange_scale
    first = 2 * circuit.network.n_node + circuit.network.n_branch
    slack = np.array([circuit.sources[source].slack for source in own.fed])
    found: dict[int, tuple[Floats, Floats]] = {}
    for place, (name, node, share) in enumerate(
        zip(limits.point.tolist(), limits.point_node.tolist(), limits.point_share.tolist(), strict=True)
    ):
        effective = problem.limits[topology][number, first + 5 * place : first + 5 * place + 5]
        mine = np.flatnonzero(slack == node)
        ranges: list[Floats] = []
        for part, column, moved, given in (
            (0, own.active, own.change[:, node].real, own.injected[node].real),
            (1, own.reactive, own.change[:, node].imag, own.injected[node].imag),
        ):
            low, high = effective[2 * part] - room, effective[2 * part + 1] + room
            terms = ((column[mine], share), (own.control, -share * base * moved))
            shift = share * base * given
            low, high = low * base, high * base
            mine_asked = (requests.period == number) & (requests.point == name)
            asked = np.flatnonzero(mine_asked).tolist() if part else []
            for request in asked:
                band = requests.tolerance[request]
                low = max(low, base * (requests.q[request] - band) - DELIVERED_MVA)
                high = min(high, base * (requests.q[request] + band) + DELIVERED_MVA)
            program.row(low + shift, high + shift, *terms)
            low, high = low / base, high / base
            less, more = reach(problem, number, moved)
            ranges.append(np.array([low / share + given + less, high / share + given + more]))
        _circle(program, own, mine, node, share, float(effective[4] + room), base)
        if len(mine) == 1:
            found[int(mine[0])] = (ranges[0], ranges[1])
    return found


def _circle(
    program: Labelled, own: Period, mine: Ints, node: int, share: float, most: float, base: float
) -> None:
    """Keep an exchange inside the polygon around its largest apparent power."""
    if not np.isfinite(most):
        return
    for angle in 2.0 * np.pi * np.arange(_SIDES) / _SIDES:
        turn = complex(np.cos(angle), -np.sin(angle))
        along = share * base * (turn * own.change[:, node]).real
        shift = share * base * float((turn * own.injected[node]).real)
        program.row(
            -np.inf,
            most * base + shift,
            (own.active[mine], share * turn.real),
            (own.reactive[mine], -share * turn.imag),
            (own.control, -along),
        )
