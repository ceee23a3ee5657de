"""Scenarios of a whole case: spread over topologies and settings, gathered back in their own order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import NEWTON, UNSETTLED, Columns, LimitArrays, Output, Starts
from gridclear.powerflow.factors import FactorStore
from gridclear.powerflow.laid_out import ground_columns, limit_arrays, node_changes, row_numbers
from gridclear.powerflow.lanes import (
    TOLERANCE_MVA,
    Lanes,
    no_changes,
    no_limits,
    no_starts,
    output,
    solve_lanes,
)
from gridclear.powerflow.reacting import react
from gridclear.powerflow.sensitivity import Controls, Solved, adjoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.network.reactions import Reactions
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Workspace

#: Tolerance in MVA at which states repeat to some 1e-13 p.u.
EXACT_MVA = 1e-12


@dataclass(frozen=True)
class PeriodLimits:
    """Limits per topology with a row per period, as the kernels scan them.

    Attributes
    ----------
    vm_min, vm_max, loading, exchange : tuples by topology
        (period, node), (period, node), (period, branch), (period, point, 5).
    """

    vm_min: tuple[Floats, ...]
    vm_max: tuple[Floats, ...]
    loading: tuple[Floats, ...]
    exchange: tuple[Floats, ...]

    def numbered(self, topology: int) -> Floats:
        """Limits of one topology in the kernels' numbering, (period, constraint)."""
        traded = self.exchange[topology].reshape(len(self.exchange[topology]), -1)
        return np.hstack([self.vm_min[topology], self.vm_max[topology], self.loading[topology], traded])

    def lanes(self, period: Ints) -> PeriodLimits:
        """Limits of some of the periods."""
        every = (self.vm_min, self.vm_max, self.loading, self.exchange)
        return PeriodLimits(*(tuple(part[period] for part in parts) for parts in every))


@dataclass(frozen=True)
class Scan:
    """What the limit scan of scenarios found.

    Attributes
    ----------
    solved : (scenario,) of bool
    high : (scenario,)
        Worst violation, NaN without solution.
    which : (scenario,) of int
        Constraint that has it, -1 without solution.
    probed : (scenario,)
        Value of the constraint that was asked for.
    """

    solved: NDArray[np.bool_]
    high: Floats
    which: Ints
    probed: Floats


class Scenarios:
    """Solves scenarios of one compiled case; keeps factors and starting voltages for the time of a job.

    Parameters
    ----------
    compiled : CompiledCase
    threads : int or None
        As in ``solve_batch``.
    tolerance_mva : float
        As in ``solve_batch``; where rounding keeps a state from it, what is reached is proved as ever.

    Attributes
    ----------
    threads : int or None
    """

    def __init__(
        self, compiled: CompiledCase, threads: int | None, *, tolerance_mva: float = TOLERANCE_MVA
    ) -> None:
        self.compiled = compiled
        self._tolerance_mva = tolerance_mva
        self.threads = threads
        self._factors = FactorStore(compiled.networks)
        self._start: tuple[Complexes, ...] = ()
        self._rooms: dict[tuple[int, int, bool], list[Workspace]] = {}
        self._responses: dict[tuple[int, bytes], Floats] = {}
        self._settings = np.zeros((0, len(compiled.positions)), dtype=np.int64)

    def lanes(self, period: Ints) -> Scenarios:
        """Scenarios whose periods are some of these, with the same factors, settings and starts.

        Parameters
        ----------
        period : (lane,) of int
            Each as often as wanted.
        """
        part = Scenarios(self.compiled.lanes(period), self.threads, tolerance_mva=self._tolerance_mva)
        part._factors, part._settings = self._factors, self._settings
        part._start = tuple(voltages[period] for voltages in self._start)
        return part

    def start_from(self, voltages: tuple[Complexes, ...]) -> None:
        """Start every later scenario from its period's voltages: (period, node) by topology."""
        self._start = voltages

    def setting(self, positions: Ints) -> Ints:
        """Find the number of each row of positions, (scenario, device) → (scenario,); equal rows share it."""
        known = len(self._settings)
        stacked = np.vstack([self._settings, positions])
        member = row_numbers(stacked)
        _, first = np.unique(member, return_index=True)
        # Known settings keep their numbers: they are the first rows.
        order = np.argsort(first)
        place = np.empty(len(first), dtype=np.int64)
        place[order] = np.arange(len(first))
        self._settings = stacked[first[order]]
        return place[member[known:]]

    def positions(self, setting: Ints) -> Ints:
        """Positions of numbered settings, (scenario,) → (scenario, device)."""
        return self._settings[setting]

    def scan(
        self,
        activations: Activations,
        setting: Ints,
        limits: PeriodLimits,
        probe: Ints | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Scan:
        """Solve scenarios and look only at their limits.

        Parameters
        ----------
        activations : Activations
        setting : (scenario,) of int
            Number of every scenario's setting, from ``setting``.
        limits : PeriodLimits
        probe : (scenario,) of int, optional
            Constraint whose value is wanted.
        progress : callable, optional
            Called with (done, all).

        Returns
        -------
        Scan
        """
        count = len(activations.period)
        result = Scan(
            solved=np.zeros(count, dtype=bool),
            high=np.full(count, np.nan),
            which=np.full(count, -1, dtype=np.int64),
            probed=np.full(count, np.nan),
        )
        asked = np.full(count, -1, dtype=np.int64) if probe is None else probe
        done = 0
        for topology, positions, rows in self._groups(activations.period, setting):
            network, own = self.compiled.networks[topology], self.compiled.limits[topology]
            out = output(network, len(rows))
            arrays = limit_arrays(own, limits, topology, activations.period[rows], asked[rows])
            self._solve(topology, positions, activations.part(rows), arrays, out)
            result.solved[rows] = out.code <= NEWTON
            result.high[rows], result.which[rows], result.probed[rows] = out.high, out.which, out.probed
            done += len(rows)
            if progress is not None:
                progress(done, count)
        return result

    def states(self, activations: Activations, setting: Ints) -> list[tuple[int, Ints, Output]]:
        """Solve scenarios and keep node voltages, currents and slack power.

        Parameters
        ----------
        activations, setting
            As in ``scan``.

        Returns
        -------
        list of (topology, rows, Output)
            Results of the scenarios ``rows`` of each group.
        """
        groups = []
        for topology, positions, rows in self._groups(activations.period, setting):
            network = self.compiled.networks[topology]
            out = output(network, len(rows), voltages=True, nodes=True, currents=True, slack=True)
            self._solve(topology, positions, activations.part(rows), no_limits(network), out)
            groups.append((topology, rows, out))
        return groups

    def solved(self, activations: Activations, setting: Ints) -> list[tuple[int, Ints, Solved]]:
        """Solve scenarios, for their sensitivities.

        Parameters
        ----------
        activations, setting
            As in ``scan``.

        Returns
        -------
        list of (topology, rows, Solved)
            States of the scenarios ``rows`` of each group.
        """
        groups = []
        for topology, positions, rows in self._groups(activations.period, setting):
            network = self.compiled.networks[topology]
            out = output(network, len(rows), nodes=True)
            lanes = self._solve(topology, positions, activations.part(rows), no_limits(network), out)
            factors, n = self._factors.at(topology, positions), network.n_node
            groups.append(
                (
                    topology,
                    rows,
                    Solved(network, positions, factors, lanes, out.node_r[:, :n], out.node_i[:, :n]),
                )
            )
        return groups

    def pieces(self, activations: Activations, setting: Ints) -> Ints:
        """Find on which piece of its curve every inverter is, see ``Answer.piece``; -1 without solution.

        Parameters
        ----------
        activations, setting
            As in ``scan``.

        Returns
        -------
        (scenario, inverter) of int
            No columns where no inverter follows a curve.
        """
        reactions = self.compiled.reactions
        if reactions is None:
            return np.zeros((len(activations), 0), dtype=np.int64)
        piece = np.full((len(activations), len(reactions)), -1, dtype=np.int64)
        _, moved = activations.split(reactions.first_cell, len(reactions))
        for topology, rows, out in self.states(activations, setting):
            period, good = activations.period[rows], out.code <= NEWTON
            node = self.compiled.networks[topology].structure.node_of_bus[reactions.bus]
            vm = np.hypot(out.node_r, out.node_i)[:, np.maximum(node, 0)]
            works = reactions.works[period] & (node >= 0)
            answer = reactions.reactive(works, reactions.p[period] + moved[rows], np.where(works, vm, 1.0))
            piece[rows[good]] = answer.piece[good]
        return piece

    def _groups(self, period: Ints, setting: Ints) -> list[tuple[int, Ints, Ints]]:
        """Scenarios by topology and setting; in a group by period, so that neighbours share their limits."""
        if not len(period):
            return []
        topology = self.compiled.topology[period]
        group = topology * len(self._settings) + setting
        by_group = np.argsort(group * len(self.compiled.topology) + period, kind="stable")
        cuts = np.flatnonzero(np.diff(group[by_group])) + 1
        parts = np.split(by_group, cuts)
        return [(int(topology[rows[0]]), self._settings[setting[rows[0]]], rows) for rows in parts]

    def _solve(
        self, topology: int, positions: Ints, part: Activations, limits: LimitArrays, out: Output
    ) -> Lanes:
        if self.compiled.reactions is not None:
            return self._react(self.compiled.reactions, topology, positions, part, limits, out)
        lanes = self._lanes_of(topology, part)
        self._run(topology, positions, lanes, limits, out, self._tolerance_mva)
        return lanes

    def _lanes_of(self, topology: int, part: Activations, more: tuple[Columns, ...] = ()) -> Lanes:
        nodes = self.compiled.networks[topology].structure.node_of_bus
        ones = np.ones(len(nodes))
        starts = no_starts()
        if self._start:
            start = self._start[topology]
            starts = Starts(np.ascontiguousarray(start.real), np.ascontiguousarray(start.imag), part.period)
        return Lanes(
            count=len(part.period),
            columns=tuple(
                Columns(number, values, part.period, nodes, ones)
                for number, values in enumerate(self.compiled.parts)
            )
            + ground_columns(part, nodes)
            + more,
            changes=node_changes(part, nodes),
            starts=starts,
        )

    def _run(
        self,
        topology: int,
        positions: Ints,
        lanes: Lanes,
        limits: LimitArrays,
        out: Output,
        tolerance_mva: float,
    ) -> None:
        widest = max(columns.values.shape[1] for columns in lanes.columns)
        kept = self._rooms.setdefault((topology, widest, len(limits.row) > 0), [])
        solve_lanes(
            self.compiled.networks[topology], self._factors.at(topology, positions), lanes, limits, out,
            threads=self.threads, kept=kept, tolerance_mva=tolerance_mva,
        )  # fmt: skip

    def _react(
        self,
        reactions: Reactions,
        topology: int,
        positions: Ints,
        part: Activations,
        limits: LimitArrays,
        out: Output,
    ) -> Lanes:
        """Solve scenarios in which inverters follow their curves; see ``reacting.react``."""
        network, own_limits = self.compiled.networks[topology], self.compiled.limits[topology]
        factors = self._factors.at(topology, positions)
        given, moved = part.split(reactions.first_cell, len(reactions))
        node = network.structure.node_of_bus[reactions.bus]
        works = reactions.works[given.period] & (node >= 0)
        ones = np.ones(len(node))
        voltage = np.full((len(given), network.n_node), np.nan, dtype=np.complex128)

        def with_q(rows: Ints, q: Floats) -> Lanes:
            column = Columns(1, np.ascontiguousarray(q), np.arange(len(rows)), node, ones)
            return self._lanes_of(topology, given.part(rows), (column,))

        def solve(rows: Ints, q: Floats) -> Floats:
            scanned = limits
            if len(limits.row):
                scanned = limits._replace(row=limits.row[rows], probe=limits.probe[rows])
            found = output(
                network, len(rows), nodes=True,
                voltages=len(out.vm) > 0, currents=len(out.i_from) > 0, slack=len(out.slack_p) > 0,
            )  # fmt: skip
            # Curves are steep: what a state is off by comes back multiplied.
            self._run(topology, positions, with_q(rows, q), scanned, found, EXACT_MVA)
            for target, values in zip(out, found, strict=True):
                if len(target):
                    target[rows] = values[: len(rows)]
            voltage[rows] = (found.node_r + 1j * found.node_i)[: len(rows), : network.n_node]
            voltage[rows[found.code > NEWTON]] = np.nan
            return np.where(node >= 0, np.abs(voltage[rows][:, np.maximum(node, 0)]), 1.0)

        def response(rows: Ints, q: Floats) -> Floats:
            now = voltage[rows]
            return self._response(topology, Solved(
                network, positions, factors, with_q(rows, q), now.real.copy(), now.imag.copy()
            ), reactions, own_limits)  # fmt: skip

        vm = np.where(node >= 0, np.hypot(factors.wr, factors.wi)[np.maximum(node, 0)], 1.0)
        vm = np.broadcast_to(vm, moved.shape)
        if self._start:
            vm = np.where(node >= 0, np.abs(self._start[topology][given.period][:, np.maximum(node, 0)]), vm)
        known = self._known_response(topology, positions, reactions)
        p = reactions.p[given.period] + moved
        q, open_ = react(reactions, works, p, vm, solve, response, known, self.compiled.s_base_mva)
        for values in out:
            if len(values) and values.dtype == np.float64:
                values[np.flatnonzero(open_)] = np.nan
        out.code[open_] = UNSETTLED
        out.which[open_] = -1
        return with_q(np.arange(len(given)), q)

    def _known_response(self, topology: int, positions: Ints, reactions: Reactions) -> Floats:
        """Voltages of the inverters by their own reactive powers, in the grid without any injection."""
        key = (topology, positions.tobytes())
        if key not in self._responses:
            network, factors = self.compiled.networks[topology], self._factors.at(topology, positions)
            nothing = Columns(0, np.zeros((1, 1)), np.zeros(1, dtype=np.int64), np.full(1, -1), np.ones(1))
            lanes = Lanes(1, (nothing,), no_changes(1))
            idle = Solved(network, positions, factors, lanes, factors.wr[None], factors.wi[None])
            self._responses[key] = self._response(topology, idle, reactions, self.compiled.limits[topology])[
                0
            ]
        return self._responses[key]

    def _response(self, topology: int, states: Solved, reactions: Reactions, limits: NodeLimits) -> Floats:
        node = self.compiled.networks[topology].structure.node_of_bus[reactions.bus]
        asked = np.broadcast_to(node, (len(states.vr), len(node)))
        found = adjoint(states, limits, Controls.of(q=reactions.bus), asked, threads=self.threads)
        return np.where(np.isfinite(found.slope), found.slope, 0.0)
