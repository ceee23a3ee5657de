"""Many scenarios through the kernels: pieces of work, threads, and the arrays they fill."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gridclear.cores import available_threads
from gridclear.errors import OptionError
from gridclear.powerflow.arrays import Changes, Columns, LimitArrays, Output, Sources, Starts
from gridclear.powerflow.batch import run
from gridclear.powerflow.simd import LANES
from gridclear.powerflow.workspace import blocks_of_piece, padded_rows, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Ints, Network
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Factors, Workspace

#: Mismatch at which an iteration stops, and what every published state is proved to keep, in MVA.
TOLERANCE_MVA = 1e-8
PROVED_MVA = 1e-6
#: Sweeps of the fixed point; a lane that still gains after so many goes to Newton.
MAX_ITERATIONS = 200
#: Blocks that are worth the start of a thread.
_FEWEST_BLOCKS = 8
#: Pieces of work for each thread, if there are blocks enough.
_TURNS = 4

#: What a thread works in.
_Room = TypeVar("_Room")


class Stretch(NamedTuple):
    """Scenarios first … last - 1 of a pass, which have one setting of taps and banks."""

    positions: Ints
    factors: Factors
    first: int
    last: int


def no_changes(count: int) -> Changes:
    """No scenario differs from its columns."""
    nothing = np.zeros(0, dtype=np.int64)
    return Changes(np.zeros(count + 1, dtype=np.int64), nothing, nothing, np.zeros(0))


def changes_by_node(activations: Activations, nodes: Ints) -> Changes:
    """Take changes by node, given the node of every bus; what acts on a dead bus is nothing."""
    number, bus = np.divmod(activations.cell, len(nodes))
    node = nodes[bus]
    value = np.where(node >= 0, activations.value, 0.0)
    return Changes(activations.first, number, np.maximum(node, 0), value)


def no_starts() -> Starts:
    """Every scenario starts from the voltages without injection."""
    return Starts(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0, dtype=np.int64))


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


def one_row(limits: NodeLimits, count: int) -> LimitArrays:
    """Give every scenario the same limits."""
    return LimitArrays(
        vm_min=limits.vm_min[None],
        vm_max=limits.vm_max[None],
        loading=limits.loading[None],
        per_rated=limits.per_rated,
        point_node=limits.point_node,
        point_share=limits.point_share,
        exchange=limits.exchange[None],
        exchange_scale=limits.exchange_scale,
        row=np.zeros(count, dtype=np.int64),
        probe=np.full(count, -1, dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class Lanes:
    """The scenarios of one pass.

    Attributes
    ----------
    count : int
        Number of scenarios.
    columns : tuple of Columns
        Injections, added up.
    changes : Changes
        What each scenario changes of them.
    starts : Starts
        Where each scenario starts.
    """

    count: int
    columns: tuple[Columns, ...]
    changes: Changes
    starts: Starts = field(default_factory=no_starts)

    @property
    def parts(self) -> int:
        """Parts of the injections: two, or six where they depend on the voltage."""
        return 6 if any(columns.part > 1 for columns in self.columns) else 2

    def room(self, network: Network, *, points: int = 0, scan: bool = False) -> Workspace:
        """Room for one thread; see ``workspace``."""
        columns = max((columns.values.shape[1] for columns in self.columns), default=0)
        return workspace(network, parts=self.parts, columns=columns, points=points, scan=scan)

    @cached_property
    def sources(self) -> Sources:
        """The columns as kernels take them; the arrays must outlive what is given."""
        for columns in self.columns:
            if not columns.values.flags.c_contiguous or columns.values.dtype != np.float64:
                raise TypeError("kernels read doubles by their place alone: values must be C-contiguous")
        width = np.array([columns.values.shape[1] for columns in self.columns], dtype=np.int64)
        nothing = np.zeros(0)
        return Sources(
            address=np.array([columns.values.ctypes.data for columns in self.columns], dtype=np.int64),
            width=width,
            part=np.array([columns.part for columns in self.columns], dtype=np.int64),
            first=np.cumsum(width) - width,
            row=np.array([columns.row for columns in self.columns], dtype=np.int64).reshape(
                len(width), self.count
            ),
            node=np.concatenate([nothing, *(columns.node for columns in self.columns)]).astype(np.int64),
            factor=np.concatenate([nothing, *(columns.factor for columns in self.columns)]),
        )


def output(
    network: Network,
    count: int,
    *,
    voltages: bool = False,
    nodes: bool = False,
    currents: bool = False,
    slack: bool = False,
) -> Output:
    """Make padded arrays for ``count`` scenarios; what is not asked for has no rows and costs nothing."""
    nothing = np.zeros((0, 0))

    def rows(width: int, *, wanted: bool) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return padded_rows(count, width) if wanted else nothing

    return Output(
        code=np.zeros(count, dtype=np.int64),
        mismatch=np.full(count, np.nan),
        iterations=np.zeros(count, dtype=np.int64),
        vm=rows(network.n_bus, wanted=voltages),
        va=rows(network.n_bus, wanted=voltages),
        node_r=rows(network.n_node, wanted=nodes),
        node_i=rows(network.n_node, wanted=nodes),
        i_from=rows(network.n_branch, wanted=currents),
        i_to=rows(network.n_branch, wanted=currents),
        slack_p=rows(network.n_node - network.n_free, wanted=slack),
        slack_q=rows(network.n_node - network.n_free, wanted=slack),
        high=np.full(count, np.nan),
        which=np.full(count, -1, dtype=np.int64),
        probed=np.full(count, np.nan),
    )


def solve_lanes(
    network: Network,
    stretches: Sequence[Stretch],
    lanes: Lanes,
    limits: LimitArrays,
    out: Output,
    *,
    threads: int | None = None,
    tolerance_mva: float = TOLERANCE_MVA,
    progress: Callable[[int, int], None] | None = None,
    kept: list[Workspace] | None = None,
) -> None:
    """Run the kernels over all scenarios, pieces of work shared among threads; fills ``out``.

    ``stretches`` says for all of them which factors they have.
    ``kept`` holds room of earlier passes with the same network, parts, columns and limits, and keeps what is
    made now.
    """
    tolerance, proved = tolerance_mva / network.s_base_mva, PROVED_MVA / network.s_base_mva
    workers = worker_count(threads)
    sources, every = lanes.sources, max(-(-lanes.count // LANES), 1)
    # Every thread has something to do, if it is worth its start, and none waits long for the last.
    fair = every if workers == 1 else max(-(-every // (_TURNS * workers)), _FEWEST_BLOCKS)
    turns = -(-every // min(blocks_of_piece(network), fair))
    pieces = cut(stretches, -(-every // turns) * LANES)

    def piece(number: int, work: Workspace) -> int:
        stretch, first, last = pieces[number]
        run(
            network.structure, stretch.factors, sources, lanes.changes, lanes.starts, limits, out, work,
            first, last, tolerance, proved, MAX_ITERATIONS,
        )  # fmt: skip
        return last - first

    ready = iter(list(kept or ()))

    def room() -> Workspace:
        found = next(ready, None)
        if found is None:
            found = lanes.room(network, points=len(limits.point_node), scan=len(limits.row) > 0)
            if kept is not None:
                kept.append(found)
        return found

    share_out(piece, room, range(len(pieces)), threads, progress, lanes.count)


def cut(stretches: Sequence[Stretch], most: int) -> list[tuple[Stretch, int, int]]:
    """Cut stretches into pieces (stretch, first, last) of so many scenarios at most."""
    return [
        (stretch, first, min(first + most, stretch.last))
        for stretch in stretches
        for first in range(stretch.first, stretch.last, most)
    ]


def share_out(
    work: Callable[[int, _Room], int],
    room: Callable[[], _Room],
    starts: Sequence[int],
    threads: int | None,
    progress: Callable[[int, int], None] | None,
    total: int,
) -> None:
    """Do ``work(start, room())`` for every start, in threads if there is more than one piece.

    Each thread has one room; after each piece, one thread at a time tells progress (scenarios done, all).
    """
    workers = worker_count(threads)
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for start in starts:
        todo.put(start)
    telling = threading.Lock()
    done = 0

    def worker() -> None:
        nonlocal done
        own = room()
        while True:
            try:
                start = todo.get_nowait()
            except queue.Empty:
                return
            finished = work(start, own)
            if progress is not None:
                with telling:
                    done += finished
                    progress(done, total)

    workers = min(workers, len(starts))
    if workers <= 1:
        worker()
        return
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(worker) for _ in range(workers)]:
            future.result()


def worker_count(threads: int | None) -> int:
    """Threads that are asked for, or one for each core; refuses less than one."""
    if threads is not None and threads < 1:
        raise OptionError(f"threads is {threads}; it must be at least 1")
    return available_threads() if threads is None else threads
