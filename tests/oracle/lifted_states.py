"""Plans as points of the program behind a lower bound, from pandapower's voltages and the definitions alone.

What stands in a program's columns follows from a plan and its state. A column without a definition here
(whether an offer is taken, moves, energies, losses) is whatever the rows allow: `least_excess` finds how far
the rows must give way for a point to fit in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandapower as pp

    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.highs import Plane
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.problem import Plan
    from gridclear.optimise.relaxation import Relaxation


def circuit_voltages(circuit: Circuit, net: pp.pandapowerNet, steps: np.ndarray) -> np.ndarray:
    """Voltages of a circuit's nodes in pandapower's state of a net; ``steps`` of the devices.

    Nodes that are no bus follow from their neighbours: nothing is injected there.
    """
    setting, network = circuit.setting(steps.astype(float)), circuit.network
    buses, free, size = circuit.n_bus_node, circuit.n_free, len(circuit.shunt)
    factor = np.concatenate([np.ones(buses), setting.ratio, np.ones(size - free)])
    owner = [*range(buses), *(ratio.node for ratio in circuit.ratios), *range(buses, buses + size - free)]
    onto = sparse.csr_array((factor, (np.arange(size), owner)), shape=(size, buses + size - free))
    joined = sparse.csr_array(onto.conj().T @ circuit.admittance @ onto)
    voltage = np.full(joined.shape[0], np.nan, dtype=complex)
    voltage[buses:] = setting.source
    vm, va = net.res_bus["vm_pu"].to_numpy(), np.deg2rad(net.res_bus["va_degree"].to_numpy())
    for bus, node in enumerate(network.structure.node_of_bus.tolist()):
        if 0 <= node < buses:
            voltage[node] = vm[bus] * np.exp(1j * va[bus])
    inner = np.flatnonzero(np.isnan(voltage))
    if len(inner):
        known = np.flatnonzero(~np.isnan(voltage))
        pushed = joined[inner][:, known] @ voltage[known]
        voltage[inner] = np.linalg.solve(joined[inner][:, inner].toarray(), -pushed)
    return onto @ voltage


def balance_error(own: Period, voltage: np.ndarray, x: np.ndarray) -> float:
    """Largest power in p.u. by which a circuit's free nodes miss what a plan injects."""
    circuit = own.circuit
    into = voltage * np.conj(circuit.admittance @ voltage)
    missed = into[: circuit.n_bus_node].copy()
    for number, ratio in enumerate(circuit.ratios):
        missed[ratio.node] += into[circuit.n_bus_node + number]
    for bank in circuit.banks:
        steps = float(bank.steps[x[own.square[bank.node, bank.device]] > 0.0][0])
        missed[bank.node] += np.conj(bank.admittance) * steps * abs(voltage[bank.node]) ** 2
    missed -= (own.injected + x[own.control] @ own.change)[: circuit.n_bus_node]
    return float(np.abs(missed).max())


def lifted_columns(
    relaxation: Relaxation, number: int, own: Period, plan: Plan, voltage: np.ndarray
) -> dict[int, float]:
    """Values of the columns of a period that are known."""
    problem, circuit, found = relaxation.problem, own.circuit, {}
    free, base = circuit.n_free, relaxation.problem.compiled.s_base_mva

    def take(columns: np.ndarray, values: np.ndarray) -> None:
        found.update(zip(np.ravel(columns).tolist(), np.ravel(values).tolist(), strict=True))

    shares = plan.share[problem.offers.item[problem.offers.period == number]]
    take(own.control, np.concatenate([shares, plan.charge[:, number], plan.discharge[:, number]]))
    for device, columns in enumerate(relaxation.lifted.step):
        steps = np.arange(problem.devices[device].lowest, problem.devices[device].highest + 1)
        take(columns[number], steps == plan.steps[device, number])
    drawn = circuit.admittance[free:] @ voltage
    power = (base * voltage[free:] * np.conj(drawn))[own.fed]
    take(own.active, power.real)
    take(own.reactive, power.imag)
    take(own.current, np.abs(drawn[own.fed]) ** 2)
    for (node, device), columns in own.square.items():
        steps = np.arange(problem.devices[device].lowest, problem.devices[device].highest + 1)
        take(columns, np.where(steps == plan.steps[device, number], abs(voltage[node]) ** 2, 0.0))
    return found


def least_excess(relaxation: Relaxation, known: dict[int, float], planes: Sequence[Plane]) -> float:
    """Least that the rows of a program and further planes must give way for a point to fit in."""
    program = relaxation.lifted.program
    lower, upper = program.lower.copy(), program.upper.copy()
    place, value = np.array(list(known)), np.array(list(known.values()))
    lower[place], upper[place] = value, value
    more = sparse.csr_array(
        (
            np.concatenate([np.zeros(0), *(plane.value for plane in planes)]),
            (
                np.repeat(np.arange(len(planes)), [len(plane.column) for plane in planes]),
                np.concatenate([np.zeros(0, dtype=int), *(plane.column for plane in planes)]),
            ),
        ),
        shape=(len(planes), program.n_column),
    )
    rows = sparse.vstack([program.matrix, -program.matrix, more]).tocsr()
    most = np.concatenate([program.row_upper, -program.row_lower, [plane.upper for plane in planes]])
    some = np.isfinite(most)
    rows = sparse.hstack([rows[some], -np.ones((int(some.sum()), 1))])
    aim = np.append(np.zeros(program.n_column), 1.0)
    bounds = np.column_stack([np.append(lower, 0.0), np.append(upper, np.inf)])
    found = linprog(aim, A_ub=rows, b_ub=most[some], bounds=bounds, method="highs")
    assert found.status == 0, found.message
    # What is known must itself lie within the columns' own bounds.
    outside = np.maximum(program.lower[place] - value, value - program.upper[place]).max(initial=0.0)
    return max(float(found.fun), float(outside))
