"""The base state: every period's topology, forecast and settled devices, and the limits that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.activations import Activations
from gridclear.powerflow.arrays import NEWTON, UNSETTLED
from gridclear.powerflow.laid_out import PeriodLimits
from gridclear.powerflow.regulators import settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.powerflow.arrays import Output
    from gridclear.powerflow.scenarios import Scenarios


@dataclass(frozen=True)
class BaseState:
    """One solved state per period.

    Attributes
    ----------
    setting : (period,)
        Number of each period's settled setting among the scenarios'.
    positions : (period, device)
        Settled positions: tap changers, then banks.
    hunting : (period,) of bool
        A regulator found no rest.
    unsettled : (period,) of bool
        There is a solution whatever the inverters give, but they found no rest on their curves: not solved.
    solved : (period,) of bool
    mismatch_mva : (period,)
    vm_pu, va_degree : (period, bus)
        NaN at dead buses and without solution.
    nodes : by topology, (period, node) complex
        Node voltages in p.u.; rows of other topologies or without solution are NaN.
    i_ka : by topology, (2, period, branch)
    loading : by topology, (period, branch)
        Fraction of the rated current.
    exchange : by topology, (period, point) complex
        Exchange of the fed connection points in p.u. of power.
    limits : PeriodLimits
        Effective limits: the worse of limit and base value.
    """

    setting: Ints
    positions: Ints
    hunting: NDArray[np.bool_]
    unsettled: NDArray[np.bool_]
    solved: NDArray[np.bool_]
    mismatch_mva: Floats
    vm_pu: Floats
    va_degree: Floats
    nodes: tuple[Complexes, ...]
    i_ka: tuple[Floats, ...]
    loading: tuple[Floats, ...]
    exchange: tuple[Complexes, ...]
    limits: PeriodLimits

    def lanes(self, period: Ints) -> BaseState:
        """Take the states of some of the periods, for ``Scenarios.lanes``."""
        return BaseState(
            setting=self.setting[period],
            positions=self.positions[period],
            hunting=self.hunting[period],
            unsettled=self.unsettled[period],
            solved=self.solved[period],
            mismatch_mva=self.mismatch_mva[period],
            vm_pu=self.vm_pu[period],
            va_degree=self.va_degree[period],
            nodes=tuple(part[period] for part in self.nodes),
            i_ka=tuple(part[:, period] for part in self.i_ka),
            loading=tuple(part[period] for part in self.loading),
            exchange=tuple(part[period] for part in self.exchange),
            limits=self.limits.lanes(period),
        )


def base_state(scenarios: Scenarios) -> BaseState:
    """Settle and solve every period; later scenarios then start from these voltages.

    Parameters
    ----------
    scenarios : Scenarios

    Returns
    -------
    BaseState
    """
    compiled = scenarios.compiled
    periods = len(compiled.topology)
    nothing = Activations.none(np.arange(periods, dtype=np.int64))
    scheduled = scenarios.setting(np.tile(compiled.positions, (periods, 1)))
    settled = settle(scenarios, nothing, scheduled)
    solved, unsettled = np.zeros(periods, dtype=bool), np.zeros(periods, dtype=bool)
    mismatch = np.full(periods, np.nan)
    buses = (periods, compiled.networks[0].n_bus)
    vm_pu, va_degree = np.full(buses, np.nan), np.full(buses, np.nan)
    nodes = [np.full((periods, network.n_node), np.nan, dtype=np.complex128) for network in compiled.networks]
    i_ka = [np.full((2, periods, network.n_branch), np.nan) for network in compiled.networks]
    exchange = [
        np.full((periods, len(limits.point)), np.nan, dtype=np.complex128) for limits in compiled.limits
    ]
    for topology, rows, out in scenarios.states(nothing, settled.setting):
        good = out.code <= NEWTON
        unsettled[rows] = out.code == UNSETTLED
        own = rows[good]
        solved[own] = True
        mismatch[own] = out.mismatch[good] * compiled.s_base_mva
        network, n_bus = compiled.networks[topology], vm_pu.shape[1]
        vm_pu[own], va_degree[own] = out.vm[good, :n_bus], out.va[good, :n_bus]
        nodes[topology][own] = (out.node_r + 1j * out.node_i)[good, : network.n_node]
        i_ka[topology][:, own] = out.i_from[good, : network.n_branch], out.i_to[good, : network.n_branch]
        exchange[topology][own] = point_powers(compiled, topology, out)[good]
    loading = tuple(
        np.maximum(current[0] / network.rated_ka[:, 0], current[1] / network.rated_ka[:, 1])
        for current, network in zip(i_ka, compiled.networks, strict=True)
    )
    scenarios.start_from(_starts(compiled, nodes))
    return BaseState(
        setting=settled.setting,
        positions=scenarios.positions(settled.setting),
        hunting=settled.hunting,
        unsettled=unsettled,
        solved=solved,
        mismatch_mva=mismatch,
        vm_pu=vm_pu,
        va_degree=va_degree,
        nodes=tuple(nodes),
        i_ka=tuple(i_ka),
        loading=loading,
        exchange=tuple(exchange),
        limits=_effective(compiled, nodes, loading, exchange),
    )


def point_powers(compiled: CompiledCase, topology: int, out: Output) -> Complexes:
    """Exchange of the fed connection points of one topology in p.u.

    Parameters
    ----------
    compiled : CompiledCase
    topology : int
    out : Output
        With the power of the slack nodes.

    Returns
    -------
    (scenario, point) complex
    """
    limits = compiled.limits[topology]
    slack = limits.point_node - compiled.networks[topology].n_free
    power: Complexes = (out.slack_p[:, slack] + 1j * out.slack_q[:, slack]) * limits.point_share
    return power


def _starts(compiled: CompiledCase, nodes: list[Complexes]) -> tuple[Complexes, ...]:
    """Collect the starting voltages of every period; a flat profile where the base has no solution."""
    starts = []
    for network, voltages in zip(compiled.networks, nodes, strict=True):
        flat = np.ones(network.n_node, dtype=np.complex128)
        flat[network.n_free :] = network.slack_voltage
        starts.append(np.where(np.isnan(voltages), flat, voltages))
    return tuple(starts)


def _effective(
    compiled: CompiledCase, nodes: list[Complexes], loading: tuple[Floats, ...], exchange: list[Complexes]
) -> PeriodLimits:
    """Take the worse of limit and base value; without base value, the limit (``fmin`` passes over NaN)."""
    vm_min, vm_max, most, traded = [], [], [], []
    for limits, voltages, load, power in zip(compiled.limits, nodes, loading, exchange, strict=True):
        magnitude = np.abs(voltages)
        vm_min.append(np.fmin(limits.vm_min, magnitude))
        vm_max.append(np.fmax(limits.vm_max, magnitude))
        most.append(np.fmax(limits.loading, load))
        p, q, s = power.real, power.imag, np.abs(power)
        low_p, high_p, low_q, high_q, high_s = np.moveaxis(limits.exchange, -1, 0)
        traded.append(
            np.stack(
                [
                    np.fmin(low_p, p),
                    np.fmax(high_p, p),
                    np.fmin(low_q, q),
                    np.fmax(high_q, q),
                    np.fmax(high_s, s),
                ],
                axis=-1,
            )
        )
    return PeriodLimits(
        tuple(map(np.ascontiguousarray, vm_min)),
        tuple(map(np.ascontiguousarray, vm_max)),
        tuple(map(np.ascontiguousarray, most)),
        tuple(map(np.ascontiguousarray, traded)),
    )
