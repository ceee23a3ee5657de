"""Room that kernels work in, made once per thread, and how much work is done in one call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gridclear.powerflow.arrays import Workspace
from gridclear.powerflow.simd import GROUP, LANES
from gridclear.powerflow.tiles import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Network

#: Entries of one block's arrays in one piece of work: enough to forget the overhead of a call.
_PIECE = 2**20
#: Most blocks of a piece: few enough to share out and to show progress.
_MOST_BLOCKS = 512
#: Bytes of a line of memory.
_LINE = 64

_Number = TypeVar("_Number", np.float32, np.float64)
_Entry = TypeVar("_Entry", np.int64, np.float64)


def blocks_of_piece(network: Network) -> int:
    """Blocks of LANES scenarios in one piece of work."""
    return min(_MOST_BLOCKS, max(1, _PIECE // (LANES * network.n_node)))


def workspace(network: Network, *, parts: int, columns: int, points: int, scan: bool) -> Workspace:
    """Room for one thread.

    Parameters
    ----------
    network : Network
    parts : int
        Parts of the injections: two, or six where they depend on the voltage.
    columns : int
        Most columns of any of ``arrays.Columns``.
    points : int
        Connection points with limits.
    scan : bool
        Limits are scanned.
    """
    n, m, free, fill = network.n_node, network.n_branch, network.n_free, len(network.structure.l_col)

    def rows(count: int) -> Floats:
        return aligned((count, LANES), np.float64)

    def single() -> NDArray[np.float32]:
        return aligned((free, LANES), np.float32)

    # Dead buses read the row behind the nodes.
    magnitude, va = rows(n + 1), rows(n + 1)
    magnitude[n], va[n] = np.nan, np.nan
    return Workspace(
        injection=aligned((parts, n, LANES), np.float64),
        columns=rows(columns),
        fed=np.zeros((parts, n), dtype=np.bool_),
        vr=rows(n),
        vi=rows(n),
        xr=rows(n),
        xi=rows(n),
        yr=rows(n),
        yi=rows(n),
        size=rows(n),
        hr=single(),
        hi=single(),
        ar=single(),
        ai=single(),
        br=single(),
        bi=single(),
        magnitude=magnitude,
        va=va,
        current=rows(2 * m),
        far_r=rows(m),
        far_i=rows(m),
        held=rows(free),
        lane=rows(4),
        lane_single=aligned((2, LANES), np.float32),
        row=np.zeros(LANES, dtype=np.int64),
        low=rows(n if scan else 0),
        high=rows(n if scan else 0),
        loading=rows(m if scan else 0),
        exchange=rows(5 * points),
        jacobian=aligned((2 * fill + free, 4, GROUP), np.float64),
        line=aligned((n, 4, GROUP), np.float64),
        step=aligned((free, 2, GROUP), np.float64),
        spare_q=aligned((free, GROUP), np.float64),
        angle=np.empty(free),
        bus_row=_padded(np.where(network.structure.node_of_bus >= 0, network.structure.node_of_bus, n)),
        from_row=_padded(np.arange(m, dtype=np.int64)),
        to_row=_padded(np.arange(m, 2 * m, dtype=np.int64)),
        node_row=_padded(np.arange(n, dtype=np.int64)),
        slack_row=_padded(np.arange(free, n, dtype=np.int64)),
        from_ka=_padded(network.amperes_ka[:, 0]),
        to_ka=_padded(network.amperes_ka[:, 1]),
        ones=np.ones(padded_width(max(network.n_bus, n))),
    )


def _padded(columns: NDArray[_Entry]) -> NDArray[_Entry]:
    """Something of each column of the output, for a whole number of tiles: the padding repeats the last."""
    return columns[np.minimum(np.arange(padded_width(len(columns))), len(columns) - 1)]


def padded_width(width: int) -> int:
    """Columns of a row that is a whole number of tiles; one that is less than a tile stays as it is."""
    return width if width < SIDE else -(-width // SIDE) * SIDE


def padded_rows(count: int, width: int) -> Floats:
    """Make room (count, width and a little more), every row of it a whole number of lines of memory."""
    return aligned((count, padded_width(width)), np.float64)


def aligned(shape: tuple[int, ...], kind: type[_Number]) -> NDArray[_Number]:
    """Room that begins at a line of memory: a vector that straddles two lines costs twice as much."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.empty(size + _LINE, dtype=np.uint8)
    first = -memory.ctypes.data % _LINE
    return memory[first : first + size].view(kind).reshape(shape)
