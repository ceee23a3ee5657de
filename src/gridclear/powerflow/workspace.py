"""Room that kernels work in, made once per thread, and how much work is done in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import Workspace
from gridclear.powerflow.simd import GROUP, LANES

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Network

#: Bytes of injections in one piece of work: enough to forget the overhead of a call, few enough for a cache.
_PIECE_BYTES = 2**21
#: Most blocks of a piece: few enough to share out and to show progress.
_MOST_BLOCKS = 32


def blocks_of_piece(network: Network, parts: int) -> int:
    """Blocks of LANES scenarios in one piece of work."""
    return min(_MOST_BLOCKS, max(1, _PIECE_BYTES // (8 * LANES * parts * network.n_node)))


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
        return np.empty((count, LANES))

    def single() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return np.empty((free, LANES), dtype=np.float32)

    # Dead buses read the row behind the nodes.
    yr, yi = rows(n + 1), rows(n + 1)
    yr[n], yi[n] = np.nan, np.nan
    return Workspace(
        injection=np.empty((blocks_of_piece(network, parts), parts, n, LANES)),
        columns=rows(columns),
        vr=rows(n),
        vi=rows(n),
        xr=rows(n),
        xi=rows(n),
        yr=yr,
        yi=yi,
        size=rows(n),
        hr=single(),
        hi=single(),
        ar=single(),
        ai=single(),
        br=single(),
        bi=single(),
        square=rows(2 * m),
        held=rows(free),
        packed=np.empty((parts, n, LANES)),
        low=rows(n if scan else 0),
        high=rows(n if scan else 0),
        loading=rows(m if scan else 0),
        exchange=rows(5 * points),
        jacobian=np.empty((2 * fill + free, 4, GROUP)),
        line=np.empty((n, 4, GROUP)),
        step=np.empty((free, 2, GROUP)),
        spare_q=np.empty((free, GROUP)),
        angle=np.empty(free),
        bus_row=np.where(network.structure.node_of_bus >= 0, network.structure.node_of_bus, n),
        branch_row=np.arange(2 * m, dtype=np.int64),
        node_row=np.arange(n, dtype=np.int64),
        slack_row=np.arange(free, n, dtype=np.int64),
    )
