"""Batches of power flows: numpy in, numpy out."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.powerflow.batch import STATUS, Factors, Lanes, LimitArrays, Output, run
from gridclear.powerflow.factors import factors_at
from gridclear.powerflow.kernels import NEWTON
from gridclear.powerflow.simd import LANES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from gridclear.network.network import Complexes, Floats, Ints, Network

#: Where an iteration stops, and what every published state is proved to keep, in MVA.
TOLERANCE_MVA = 1e-8
PROVED_MVA = 1e-6
#: Iterations of the fixed point; a lane that still gains after so many goes to Newton.
_MAX_ITERATIONS = 200
#: Scenarios of one piece of work: enough to forget its overhead, few enough to share out and show progress.
_PIECE = 32 * LANES


@dataclass(frozen=True)
class States:
    """Solved scenarios. Rows of scenarios without solution are NaN in every array but ``code``.

    Attributes
    ----------
    code : (scenario,) int
        Outcome; ``status`` says it in words.
    mismatch_mva : (scenario,)
        Largest nodal power mismatch, found anew from branch currents.
    iterations : (scenario,) int
        Fixed-point iterations.
    vm_pu, va_degree : (scenario, bus)
        Bus voltages in the order of the grid's bus table; NaN at dead buses.
    i_from_ka, i_to_ka : (scenario, branch)
        Currents at both ends in the order of ``Network.labels``.
    slack_mva : (scenario, slack node) complex
        Power that each slack node feeds into the grid.
    """

    code: Ints
    mismatch_mva: Floats
    iterations: Ints
    vm_pu: Floats
    va_degree: Floats
    i_from_ka: Floats
    i_to_ka: Floats
    slack_mva: Complexes

    @property
    def status(self) -> NDArray[np.str_]:
        """``solved``, ``no-solution`` or ``bad-input`` per scenario."""
        words = np.array([STATUS[code] for code in range(len(STATUS))])
        return words[self.code]

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Scenarios with a proved state."""
        return self.code <= NEWTON

    @property
    def v_pu(self) -> Complexes:
        """Voltages as phasors (scenario, bus)."""
        angle = np.deg2rad(self.va_degree)
        return np.asarray(self.vm_pu * (np.cos(angle) + 1j * np.sin(angle)), dtype=np.complex128)


def solve_batch(
    network: Network,
    p_mw: ArrayLike,
    q_mvar: ArrayLike,
    *,
    positions: ArrayLike | None = None,
    currents: bool = True,
    threads: int | None = None,
    tolerance_mva: float = TOLERANCE_MVA,
    progress: Callable[[int, int], None] | None = None,
) -> States:
    """Solve the power flow of many scenarios on one topology.

    Parameters
    ----------
    network : Network
        From ``compile_network``.
    p_mw, q_mvar : (scenario, bus) array-like
        Net injections, generation positive, in the order of the grid's bus table.
    positions : (changer + bank,) array-like of int, optional
        Tap positions, then bank steps; the grid's own if not given.
    currents : bool
        Also give branch currents.
    threads : int, optional
        Threads that share the scenarios; all cores if not given. Results do not depend on it, bit for bit.
    tolerance_mva : float
        The iteration stops at this nodal power mismatch and, in p.u., at this step of the voltages; at
        most 1e-6, which every state is proved to keep as mismatch.
    progress : callable, optional
        Called with (scenarios done, scenarios in all) after each piece of work.

    Returns
    -------
    States

    Raises
    ------
    OptionError
        Shapes do not fit the network, a position is outside its range, or an option makes no sense.

    Notes
    -----
    The implicit Z-bus method, V ← w + Y_LL⁻¹ conj(S/V) with sparse factors made once (T.-H. Chen et al.,
    "Distribution system power flow analysis — a rigid approach", IEEE Trans. Power Delivery 6(3), 1991);
    scenarios that do not contract go to Newton.
    """
    p, q = _injections(network, p_mw, q_mvar)
    if not 0.0 < tolerance_mva <= PROVED_MVA:
        raise OptionError(f"tolerance_mva is {tolerance_mva}; it must be positive and at most {PROVED_MVA}")
    setting = _setting(network, positions)
    count = len(p)
    lanes = Lanes(
        p=p,
        q=q,
        unit=1.0 / network.s_base_mva,
        row=np.arange(count, dtype=np.int64),
        delta_start=np.zeros(count + 1, dtype=np.int64),
        delta_node=np.zeros(0, dtype=np.int64),
        delta_p=np.zeros(0),
        delta_q=np.zeros(0),
        start_r=np.zeros((0, 0)),
        start_i=np.zeros((0, 0)),
        start=np.zeros(0, dtype=np.int64),
    )
    out = output(network, count, voltages=True, currents=currents, slack=True)
    solve_lanes(
        network, factors_at(network, setting), lanes, no_limits(network), out,
        threads=threads, tolerance_mva=tolerance_mva, progress=progress,
    )  # fmt: skip
    return States(
        code=out.code,
        mismatch_mva=out.mismatch * network.s_base_mva,
        iterations=out.iterations,
        vm_pu=out.vm,
        va_degree=out.va,
        i_from_ka=out.current[0],
        i_to_ka=out.current[1],
        slack_mva=np.asarray(out.slack_power * network.s_base_mva, dtype=np.complex128),
    )


def _injections(network: Network, p_mw: ArrayLike, q_mvar: ArrayLike) -> tuple[Floats, Floats]:
    """Injections in MW and Mvar with the elements that no forecast moves, shapes checked."""
    p, q = np.ascontiguousarray(p_mw, dtype=np.float64), np.ascontiguousarray(q_mvar, dtype=np.float64)
    if p.ndim != 2 or p.shape != q.shape or p.shape[1] != network.n_bus:
        raise OptionError(
            f"p_mw has shape {p.shape}, q_mvar {q.shape}; "
            f"both must be (scenario, bus) with {network.n_bus} buses"
        )
    constant = network.constant_power
    return (p + constant.real, q + constant.imag) if constant.any() else (p, q)


def _setting(network: Network, positions: ArrayLike | None) -> Ints:
    if positions is None:
        return network.positions
    setting = np.asarray(positions, dtype=np.int64)
    low = np.concatenate([network.taps.lowest, np.zeros_like(network.banks.highest)])
    high = np.concatenate([network.taps.highest, network.banks.highest])
    if setting.shape != low.shape or (setting < low).any() or (setting > high).any():
        raise OptionError(
            f"positions are {setting.tolist()}; they must lie in {low.tolist()} … {high.tolist()}"
        )
    return setting


def output(
    network: Network,
    count: int,
    *,
    voltages: bool = False,
    nodes: bool = False,
    currents: bool = False,
    slack: bool = False,
) -> Output:
    """Arrays for ``count`` scenarios; what is not asked for has no rows and costs nothing."""

    def rows(wanted: bool) -> int:  # noqa: FBT001
        return count if wanted else 0

    return Output(
        code=np.zeros(count, dtype=np.int64),
        mismatch=np.full(count, np.nan),
        iterations=np.zeros(count, dtype=np.int64),
        vm=np.empty((rows(voltages), network.n_bus)),
        va=np.empty((rows(voltages), network.n_bus)),
        node_v=np.empty((rows(nodes), network.n_node), dtype=np.complex128),
        current=np.empty((2, rows(currents), network.n_branch)),
        slack_power=np.empty((rows(slack), network.n_node - network.n_free), dtype=np.complex128),
        high=np.full(count, np.nan),
        which=np.full(count, -1, dtype=np.int64),
        probed=np.full(count, np.nan),
    )


def no_limits(network: Network) -> LimitArrays:
    """Limits for a pass that scans none."""
    return LimitArrays(
        vm_min=np.zeros((0, network.n_node)),
        vm_max=np.zeros((0, network.n_node)),
        loading=np.zeros((0, network.n_branch)),
        per_rated=np.zeros((network.n_branch, 2)),
        point_node=np.zeros(0, dtype=np.int64),
        point_share=np.zeros(0),
        exchange=np.zeros((0, 0, 5)),
        exchange_scale=1.0,
        row=np.zeros(0, dtype=np.int64),
        probe=np.zeros(0, dtype=np.int64),
    )


def solve_lanes(
    network: Network,
    factors: Factors,
    lanes: Lanes,
    limits: LimitArrays,
    out: Output,
    *,
    threads: int | None = None,
    tolerance_mva: float = TOLERANCE_MVA,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run the kernel over all scenarios, pieces of work shared among threads; fills ``out``."""
    count = len(lanes.row)
    tolerance, proved = tolerance_mva / network.s_base_mva, PROVED_MVA / network.s_base_mva
    least = 1.0 / network.s_base_mva**2

    def piece(first: int) -> None:
        last = min(first + _PIECE, count)
        run(
            network.structure,
            factors,
            lanes,
            limits,
            out,
            first,
            last,
            tolerance,
            least,
            proved,
            _MAX_ITERATIONS,
        )

    share_out(piece, range(0, count, _PIECE), threads=threads, progress=progress, total=count)


def share_out(
    work: Callable[[int], None],
    starts: Sequence[int],
    *,
    threads: int | None,
    progress: Callable[[int, int], None] | None,
    total: int,
) -> None:
    """Do ``work(start)`` for every start, in threads if there is more than one piece."""
    workers = available_threads() if threads is None else threads
    if workers < 1:
        raise OptionError(f"threads is {workers}; it must be at least 1")
    if workers == 1 or len(starts) <= 1:
        for done, start in enumerate(starts, 1):
            work(start)
            if progress is not None:
                progress(min(done * _PIECE, total), total)
        return
    pool: Executor
    with ThreadPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(work, starts), 1):
            if progress is not None:
                progress(min(done * _PIECE, total), total)


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
