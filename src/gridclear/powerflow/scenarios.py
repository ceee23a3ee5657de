"""Scenarios of a whole case: spread over topologies and settings, gathered back in their own order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import NEWTON, Columns, LimitArrays, Output, Starts
from gridclear.powerflow.factors import FactorStore
from gridclear.powerflow.followers import FollowerStore
from gridclear.powerflow.laid_out import (
    PeriodLimits,
    Scan,
    lanes_of,
    limit_arrays,
    limits_of,
    rows_of,
)
from gridclear.powerflow.lanes import (
    TOLERANCE_MVA,
    Lanes,
    Stretch,
    no_limits,
    no_starts,
    output,
    share_out,
    solve_lanes,
    worker_count,
)
from gridclear.powerflow.rays import Crossing
from gridclear.powerflow.sensitivity import Kept, Solved
from gridclear.powerflow.settings import Settings
from gridclear.powerflow.tracks import climb_tracks, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.network.reactions import Reactions
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Workspace

#: Tolerance in MVA at which states repeat to some 1e-13 p.u.
EXACT_MVA = 1e-12


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
        self._passed: dict[int, Kept] = {}
        self._followers = FollowerStore(compiled, threads)
        self._settings = Settings(len(compiled.positions))

    def lanes(self, period: Ints) -> Scenarios:
        """Scenarios whose periods are some of these, with the same factors, settings, starts and room.

        Parameters
        ----------
        period : (lane,) of int
            Each as often as wanted.
        """
        part = Scenarios(self.compiled.lanes(period), self.threads, tolerance_mva=self._tolerance_mva)
        part._factors, part._settings = self._factors, self._settings
        part._rooms, part._passed = self._rooms, self._passed
        part._start = tuple(voltages[period] for voltages in self._start)
        return part

    def at(self, tolerance_mva: float) -> Scenarios:
        """Give the same scenarios, solved to another tolerance."""
        other = Scenarios(self.compiled, self.threads, tolerance_mva=tolerance_mva)
        other._factors, other._settings, other._start = self._factors, self._settings, self._start
        return other

    def start_from(self, voltages: tuple[Complexes, ...]) -> None:
        """Start every later scenario from its period's voltages: (period, node) by topology."""
        self._start = voltages

    def setting(self, positions: Ints) -> Ints:
        """Find the number of each row of positions, (scenario, device) → (scenario,); equal rows share it."""
        return self._settings.number(positions)

    def positions(self, setting: Ints) -> Ints:
        """Positions of numbered settings, (scenario,) → (scenario, device)."""
        return self._settings.positions(setting)

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
        for topology, rows, stretches in self._groups(activations.period, setting):
            network, own = self.compiled.networks[topology], self.compiled.limits[topology]
            out = output(network, len(rows))
            arrays = limit_arrays(own, limits, topology, activations.period[rows], asked[rows])
            self._solve(topology, stretches, activations.part(rows), arrays, out)
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
        for topology, rows, stretches in self._groups(activations.period, setting):
            network = self.compiled.networks[topology]
            out = output(network, len(rows), voltages=True, nodes=True, currents=True, slack=True)
            self._solve(topology, stretches, activations.part(rows), no_limits(network), out)
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
        for topology, rows, stretches in self._groups(activations.period, setting):
            network = self.compiled.networks[topology]
            out = output(network, len(rows), nodes=True)
            lanes = self._solve(topology, stretches, activations.part(rows), no_limits(network), out)
            vr, vi = out.node_r[:, : network.n_node], out.node_i[:, : network.n_node]
            kept = self._passed.setdefault(topology, Kept())
            groups.append((topology, rows, Solved(network, stretches, lanes, vr, vi, kept)))
        return groups

    def climb(
        self,
        begin: Activations,
        rays: Activations,
        first: Ints,
        setting: Ints,
        limits: PeriodLimits,
        least: Floats,
    ) -> Crossing:
        """Search tracks of rays: each ray from what was taken of those before it on its track.

        Parameters
        ----------
        begin : Activations
            Where each track begins.
        rays : Activations
            Full activation of each; a ground of theirs is not looked at.
        first : (track + 1,) of int
            Where the rays of each track begin; a track stays in its period.
        setting : (track,) of int
        limits : PeriodLimits
        least : (ray,)
            Smallest share that is taken; less that is safe is left.

        Returns
        -------
        Crossing
            Of every ray at its turn.
        """
        crossing = Crossing(np.zeros(len(rays)), np.full(len(rays), -1, dtype=np.int64))
        groups = [
            (topology, stretch.factors, rows[stretch.first : stretch.last])
            for topology, rows, stretches in self._groups(begin.period, setting)
            for stretch in stretches
        ]
        pieces = pieces_of(groups, worker_count(self.threads))
        nothing = np.zeros(0, dtype=np.int64)

        def climb_piece(number: int, room: None) -> int:
            del room
            topology, factors, tracks = pieces[number]
            network = self.compiled.networks[topology]
            count = np.diff(first)[tracks]
            place = np.concatenate([[0], np.cumsum(count)])
            rows = np.repeat(first[tracks] - place[:-1], count) + np.arange(place[-1])
            found = climb_tracks(
                network,
                factors,
                self.compiled.parts,
                self._starts(topology, nothing),
                limit_arrays(self.compiled.limits[topology], limits, topology, nothing, nothing),
                begin.part(tracks), rays.part(rows), place, least[rows],
                tolerance_mva=self._tolerance_mva,
                kept=self._kept(topology, self.compiled.p.shape[1], scan=True),
            )  # fmt: skip
            crossing.safe[rows], crossing.which[rows] = found.safe, found.which
            return len(rows)

        share_out(climb_piece, lambda: None, range(len(pieces)), self.threads, None, len(rays))
        return crossing

    def pieces(self, activations: Activations, setting: Ints) -> tuple[Ints, Floats]:
        """Find on which piece of its curve every inverter is, and where there.

        Parameters
        ----------
        activations, setting
            As in ``scan``.

        Returns
        -------
        piece : (scenario, inverter) of int
            See ``Answer.piece``; -1 without solution, and no columns where no inverter follows a curve.
        place : (scenario, place)
            See ``Reactions.places``; NaN without solution.
        """
        reactions = self.compiled.reactions
        if reactions is None:
            return np.zeros((len(activations), 0), dtype=np.int64), np.zeros((len(activations), 0))
        place = np.full((len(activations), sum(x.shape[1] + 1 for x in reactions.curves)), np.nan)
        piece = np.full((len(activations), len(reactions)), -1, dtype=np.int64)
        _, moved = activations.split(reactions.first_cell, len(reactions))
        for topology, rows, stretches in self._groups(activations.period, setting):
            network = self.compiled.networks[topology]
            followers = self._followers.at(topology, stretches[0])
            out = output(network, len(rows), nodes=True)
            self._solve(topology, stretches, activations.part(rows), no_limits(network), out)
            period, good = activations.period[rows], out.code <= NEWTON
            vm = followers.vm((out.node_r + 1j * out.node_i)[: len(rows)])
            works = reactions.works[period] & (followers.node >= 0)
            p = reactions.p[period] + moved[rows]
            piece[rows[good]] = reactions.reactive(works, p, vm).piece[good]
            place[rows[good]] = reactions.places(works, p, vm)[good]
        return piece, place

    def _groups(self, period: Ints, setting: Ints) -> list[tuple[int, Ints, tuple[Stretch, ...]]]:
        """Scenarios by topology, each with stretches of one setting, and in these by period."""
        return [
            (
                topology,
                rows,
                tuple(Stretch(at, self._factors.at(topology, at), *ends) for at, *ends in stretches),
            )
            for topology, rows, stretches in self._settings.groups(
                self.compiled.topology[period], period, setting
            )
        ]

    def _solve(
        self,
        topology: int,
        stretches: tuple[Stretch, ...],
        part: Activations,
        limits: LimitArrays,
        out: Output,
    ) -> Lanes:
        if self.compiled.reactions is not None:
            return self._react(self.compiled.reactions, topology, stretches, part, limits, out)
        lanes = self._lanes_of(topology, part)
        self._run(topology, stretches, lanes, limits, out, self._tolerance_mva)
        return lanes

    def _lanes_of(self, topology: int, part: Activations, more: tuple[Columns, ...] = ()) -> Lanes:
        return lanes_of(self.compiled, topology, part, self._starts(topology, part.period), more)

    def _run(
        self,
        topology: int,
        stretches: tuple[Stretch, ...],
        lanes: Lanes,
        limits: LimitArrays,
        out: Output,
        tolerance_mva: float,
    ) -> None:
        widest = max(columns.values.shape[1] for columns in lanes.columns)
        solve_lanes(
            self.compiled.networks[topology], stretches, lanes, limits, out,
            threads=self.threads, kept=self._kept(topology, widest, scan=len(limits.row) > 0),
            tolerance_mva=tolerance_mva,
        )  # fmt: skip

    def _starts(self, topology: int, period: Ints) -> Starts:
        if not self._start:
            return no_starts()
        start = self._start[topology]
        return Starts(np.ascontiguousarray(start.real), np.ascontiguousarray(start.imag), period)

    def _kept(self, topology: int, widest: int, *, scan: bool) -> list[Workspace]:
        """Room of earlier passes; ``widest`` is the number of columns that it has room for."""
        return self._rooms.setdefault((topology, widest, scan), [])

    def _react(
        self,
        reactions: Reactions,
        topology: int,
        stretches: tuple[Stretch, ...],
        part: Activations,
        limits: LimitArrays,
        out: Output,
    ) -> Lanes:
        """Solve scenarios in which inverters follow their curves."""
        given, moved = part.split(reactions.first_cell, len(reactions))
        q = np.empty((len(part), len(reactions)))
        for stretch in stretches:
            rows = np.arange(stretch.first, stretch.last)
            own_limits, own_out = limits_of(limits, rows), rows_of(out, stretch.first, stretch.last)
            q[rows] = self._follow(
                reactions, topology, stretch, given.part(rows), moved[rows], own_limits, own_out
            )
        column = self._followers.at(topology, stretches[0]).column(q)
        return self._lanes_of(topology, given, (column,))

    def _follow(
        self,
        reactions: Reactions,
        topology: int,
        stretch: Stretch,
        given: Activations,
        moved: Floats,
        limits: LimitArrays,
        out: Output,
    ) -> Floats:
        """Solve a stretch; reactive powers of its inverters, (scenario, inverter)."""
        followers = self._followers.at(topology, stretch)

        def lanes_of(rows: Ints, q: Floats) -> Lanes:
            return self._lanes_of(topology, given.part(rows), (followers.column(q),))

        def run(lanes: Lanes, limits: LimitArrays, out: Output) -> None:
            # Curves are steep: what a state is off by comes back multiplied.
            whole = stretch._replace(first=0, last=lanes.count)
            self._run(topology, (whole,), lanes, limits, out, EXACT_MVA)

        start = self._start[topology][given.period] if self._start else followers.idle
        own, p = reactions.of(given.period), reactions.p[given.period] + moved
        return followers.follow(own, p, start, lanes_of, run, limits, out)
