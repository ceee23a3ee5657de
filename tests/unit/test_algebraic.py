"""Clearing by algebra: models against the default algorithm and against power flows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandapower as pp
import pandas as pd
import pyomo.environ as pyo
import pytest
from algebraic_support import STARTS, problem_of, small_case, small_net, small_problem

import gridclear as gc
from gridclear.errors import CaseError, OptionError, SolverError
from gridclear.optimise.algebraic.ac import Ac
from gridclear.optimise.algebraic.branches import FROM, TO, steps_of
from gridclear.optimise.algebraic.decisions import HULL, SMOOTH, decision_model
from gridclear.optimise.algebraic.grid import period_grids
from gridclear.optimise.algebraic.lindistflow import LinDistFlow
from gridclear.optimise.algebraic.relax_and_round import RelaxAndRound
from gridclear.optimise.algebraic.rounding import nearest_plan
from gridclear.optimise.algebraic.soc import Soc
from gridclear.optimise.algebraic.solvers import ModelSolver
from gridclear.optimise.algorithms import ALGORITHMS, Deadline, find_algorithm
from gridclear.optimise.linearise import assess
from gridclear.optimise.successive import successive
from gridclear.optimise.weights import Weights

ALGEBRAIC = ("lindistflow", "soc", "ac", "relax-and-round")


def merit(problem, plan):
    return Weights.of(problem).merit(assess(problem, plan))


def voltages_off(problem, solution):
    """Largest difference of a solution's voltages from those of its plan's power flows."""
    off, told = [], dict(solution.vm)
    setting = problem.scenarios.setting(problem.positions(solution.plan))
    for topology, rows, out in problem.scenarios.states(problem.activations(solution.plan), setting):
        count = problem.compiled.networks[topology].n_node
        vm = np.hypot(out.node_r[:, :count], out.node_i[:, :count])
        off += [np.abs(told[period] - vm[row]).max() for row, period in enumerate(rows.tolist())]
    assert len(off) == len(told)
    return max(off)


@pytest.fixture(scope="module")
def optimum():
    """What SCIP proves for the radial case."""
    return Ac(gap=2e-4).solve(small_problem(), Deadline.after(100.0))


def test_the_default_algorithm_finds_the_optimum_that_scip_proves(optimum):
    problem = small_problem()
    found = merit(problem, successive(problem, Deadline()).plan)
    assert optimum.complete
    assert optimum.bound <= found * (1.0 + 1e-6)
    assert abs(optimum.objective - found) <= 1e-3 * found


def test_the_states_of_the_ac_model_are_those_of_power_flow(optimum):
    problem = small_problem()
    assert voltages_off(problem, optimum) <= 1e-6
    assert abs(merit(problem, optimum.plan) - optimum.objective) <= 1e-5 * optimum.objective


def test_cones_relax_the_ac_equations(optimum):
    found = Soc().solve(small_problem(), Deadline())
    divisible = Soc(whole=False).solve(small_problem(), Deadline())
    assert divisible.objective <= found.objective * (1.0 + 1e-6)
    # Losses in place of offers: the second period pays for currents that do not flow.
    assert found.objective < 0.99 * optimum.objective


def test_planes_find_what_a_solver_of_cones_finds():
    planes = Soc(whole=False).solve(small_problem(), Deadline())
    cones = Soc(solver="ipopt", whole=False).solve(small_problem(), Deadline())
    assert cones.objective == pytest.approx(planes.objective, rel=1e-4)


@pytest.mark.parametrize("ring", [False, True])
def test_relaxed_and_rounded_is_a_true_state_near_the_optimum(ring):
    problem = small_problem(ring=ring)
    found = RelaxAndRound().solve(problem, Deadline())
    best = merit(problem, successive(problem, Deadline()).plan)
    assert voltages_off(problem, found) <= 1e-6
    assert merit(problem, found.plan) == pytest.approx(found.objective, rel=1e-5)
    assert best * (1.0 - 1e-3) <= found.objective <= 1.05 * best


@pytest.mark.parametrize("ring", [False, True])
def test_linear_voltages_are_near_those_of_power_flow(ring):
    problem = small_problem(ring=ring)
    found = LinDistFlow().solve(problem, Deadline())
    assert voltages_off(problem, found) <= 1e-3
    assert assess(problem, found.plan).cost == pytest.approx(found.objective, rel=0.01)
    assert np.nansum(assess(problem, found.plan).shortfall) <= 0.1


@pytest.mark.parametrize("algorithm", ["lindistflow", "relax-and-round"])
def test_plans_are_judged_by_power_flows_of_their_own(algorithm):
    clearing = gc.clear(small_case(), algorithm=algorithm)
    short = clearing.exchange["shortfall_mvar"].sum()
    assert clearing.status == ("confirmed" if short == 0.0 else "closest")
    assert clearing.provenance["options"]["algorithm"] == algorithm
    assert np.isnan(clearing.bound_eur)


def wide_net():
    """Three windings, a generator that holds its voltage, loads that follow theirs, two slacks, a loop."""
    net = small_net(ring=True)
    far = pp.create_bus(net, 110.0, name="HV2")
    low, mid = pp.create_bus(net, 10.0, name="N6"), net.bus.index[net.bus["name"] == "N5"][0]
    pp.create_ext_grid(net, far, vm_pu=1.0, name="TSO2")
    pp.create_transformer3w(net, far, mid, low, std_type="63/25/38 MVA 110/20/10 kV", name="W")
    pp.create_load(net, low, 2.0, 0.5, const_z_p_percent=30, const_i_q_percent=40, name="L6")
    pp.create_gen(net, net.bus.index[net.bus["name"] == "N3"][0], 1.0, vm_pu=1.01, name="G")
    net.trafo3w[["shift_mv_degree", "shift_lv_degree"]] = 150.0
    net.trafo3w["tap_changer_type"] = "Ratio"
    return net


def test_meshes_windings_generators_and_loads_are_those_of_power_flow():
    clearing = small_case(wide_net())
    problem = problem_of(clearing)
    plan = dataclasses.replace(
        problem.nothing(), steps=np.array([[1, 2], [0, 1]]), share=np.full(len(problem.offers.most), 0.9)
    )
    found = Ac(solver="ipopt").solve(problem, Deadline(), held=plan)
    assert (found.plan.steps == plan.steps).all()
    assert voltages_off(problem, found) <= 1e-6
    linear = LinDistFlow().solve(problem, Deadline())
    assert voltages_off(problem, linear) <= 5e-3


def test_branches_are_taken_apart_exactly_at_every_step():
    problem = problem_of(small_case(wide_net()))
    network = problem.compiled.networks[0]
    grid = period_grids(problem, 1.0)[0]
    (tap,), device = grid.taps, problem.devices[0]
    position = problem.compiled.positions[device.device[0]] + device.step[0] * np.array(steps_of(device, 2))
    table = network.taps.admittance[0][position - network.taps.lowest[0], 0]
    t, z, ground = grid.ratio[tap.branch], grid.z[tap.branch], grid.ground[tap.branch]
    made = [
        (1.0 / z + ground[FROM]) / np.abs(t * tap.ratio) ** 2,
        -1.0 / (z * np.conj(t * tap.ratio)),
        -1.0 / (z * t * tap.ratio),
        np.full(len(position), 1.0 / z + ground[TO]),
    ]
    assert tap.end == FROM
    assert np.allclose(np.transpose(made), table, rtol=1e-9, atol=0.0)


def test_what_conducts_in_one_direction_only_is_refused():
    net = small_net()
    buses = net.bus.index[net.bus["name"].isin(["N3", "N5"])]
    pp.create_impedance(net, *buses, 0.02, 0.05, 25.0, rtf_pu=0.01, xtf_pu=0.05, name="Z")
    problem = problem_of(small_case(net))
    for name in ALGEBRAIC:
        with pytest.raises(CaseError, match="impedance Z: it conducts otherwise in one direction"):
            find_algorithm(name)(problem, Deadline())


def test_loads_of_constant_current_are_not_convex():
    with pytest.raises(CaseError, match="loads at bus N6 are partly of constant current"):
        Soc().solve(problem_of(small_case(wide_net())), Deadline())


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (Ac(solver="highs"), "need one of nonconvex programs"),
        (Ac(solver="ipopt"), "which knows no whole variables"),
        (LinDistFlow(solver="gurobi_direct"), "which Pyomo does not find"),
        (LinDistFlow(solver="abacus"), "which Pyomo does not find"),
        (Soc(solver="knitro_direct"), "which Pyomo does not find"),
    ],
)
def test_a_solver_that_is_missing_or_does_not_fit_is_named(algorithm, message):
    with pytest.raises(OptionError, match=message):
        algorithm(small_problem(), Deadline())


@pytest.mark.parametrize("name", ALGEBRAIC)
def test_without_time_nothing_is_taken_and_it_is_said(name):
    problem = small_problem()
    found = find_algorithm(name)(problem, Deadline.after(1e-9))
    assert not found.complete
    assert merit(problem, found.plan) < np.inf
    assert set(ALGEBRAIC) < set(ALGORITHMS)


def test_an_end_without_answer_is_named():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0.0, 1.0))
    m.never = pyo.Constraint(expr=m.x >= 2.0)
    m.objective = pyo.Objective(expr=m.x)
    for solver, end in (
        ("highs", "provenInfeasible"),
        ("scip_direct", "provenInfeasible"),
        ("ipopt", "Infeas"),
    ):
        with pytest.raises(SolverError, match=f"{solver} ended with '.*{end}"):
            ModelSolver(solver).solve(m, seconds=np.inf, gap=1e-4)


def test_a_solver_that_ignores_whole_variables_is_found_out():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(domain=pyo.Integers, bounds=(0, 3), initialize=1.0)
    m.objective = pyo.Objective(expr=(m.x - 1.5) ** 2)
    with pytest.raises(SolverError, match=r"ipopt left the whole variable x at 1\.5"):
        ModelSolver("ipopt").solve(m, seconds=np.inf, gap=1e-4)


def test_the_nearest_whole_plan_keeps_the_conditions():
    problem = small_problem()
    for wholes in (SMOOTH, HULL):
        m = decision_model(problem, wholes)
        rng = np.random.default_rng(1)
        for variable in (m.share, m.steps, m.charge, m.discharge):
            for key in variable:
                variable[key].set_value(rng.uniform(-3.0, 3.0), skip_validation=True)
        plan = nearest_plan(m, problem, Deadline())
        offers = problem.offers
        assert ((plan.share == 0.0) | (plan.share >= offers.least)).all()
        assert (plan.share <= offers.most).all()
        for device, moves, steps in zip(problem.devices, problem.moves(plan), plan.steps, strict=True):
            assert device.lowest <= steps.min() <= steps.max() <= device.highest
            assert all(moves[begin:end].sum() <= most for begin, end, most in device.budgets)
        energy = problem.stores.energy(plan.charge, plan.discharge, 0.25)
        assert energy[0, -1] >= problem.stores.end[0] - 1e-9


def test_of_an_exclusive_group_one_is_taken_in_the_common_market():
    active = pd.DataFrame(
        {
            "bid": ["U", "V"],
            "element_type": "sgen",
            "element": ["wind", "sun"],
            "start": STARTS[0],
            "direction": "down",
            "p_mw": 2.0,
            "price_eur_mwh": -300.0,
            "tan_phi": 0.1,
            "exclusive": "either",
        }
    )
    problem = problem_of(small_case(active_bids=active), "common")
    mine = problem.offers.item[problem.offers.exclusive >= 0]
    assert len(mine) == 2
    shares = {name: find_algorithm(name)(problem, Deadline()).plan.share[mine] for name in ("lindistflow",)}
    shares["successive"] = successive(problem, Deadline()).plan.share[mine]
    for share in shares.values():
        assert sorted(share > 0.0) == [False, True]
