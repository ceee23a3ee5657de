"""From pandapower's nodes and branches to the integer structure of the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from gridclear.network.network import Floats, Ints, Structure

if TYPE_CHECKING:
    from gridclear.network.convert import Conversion


@dataclass(frozen=True)
class Ordering:
    """How the converter's nodes and branch rows are numbered from here on.

    Attributes
    ----------
    node : (node of the converter,)
        New number of each node: free nodes in elimination order, then the slack nodes.
    n_free : int
        Number of free nodes.
    row : (branch,)
        Rows of the converter's branch table that carry current.
    """

    node: Ints
    n_free: int
    row: Ints


def order(conversion: Conversion) -> Ordering:
    """Order the nodes so that the factors of the admittance matrix stay sparse.

    SuperLU's minimum-degree ordering on the pattern of A + Aᵀ (Liu, ACM TOMS 11, 1985) does it; a diagonally
    dominant stand-in matrix keeps SuperLU from pivoting away from it.
    """
    n = len(conversion.base_kv)
    row = np.flatnonzero(conversion.alive)
    is_slack = np.zeros(n, dtype=bool)
    is_slack[conversion.reference] = True
    free = np.flatnonzero(~is_slack)
    place = np.full(n, -1)
    place[free] = np.arange(len(free))
    f, t = place[conversion.from_node[row]], place[conversion.to_node[row]]
    inner = (f >= 0) & (t >= 0) & (f != t)
    f, t = f[inner], t[inner]
    pattern = sparse.coo_array(
        (-np.ones(2 * len(f)), (np.r_[f, t], np.r_[t, f])), shape=(len(free), len(free))
    ).tocsc()
    if len(free):
        degree: Floats = -np.asarray(pattern.sum(axis=0)).ravel()
        factors = splu(
            sparse.csc_array(pattern + sparse.diags_array(degree + 1.0, format="csc")),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        elimination = np.asarray(factors.perm_c, dtype=np.int64)
    else:
        elimination = np.zeros(0, dtype=np.int64)
    node = np.empty(n, dtype=np.int64)
    node[free] = elimination
    node[conversion.reference] = len(free) + np.arange(len(conversion.reference))
    return Ordering(node, len(free), row.astype(np.int64))


def structure(conversion: Conversion, ordering: Ordering) -> Structure:
    """Pattern of the factors and the place of every branch in it.

    Row patterns of L come from the elimination tree (Davis, Direct Methods for Sparse Linear Systems, 2006,
    §4.1): row i holds each node on the tree paths from i's lower neighbours up to i.
    """
    n_free = ordering.n_free
    f = ordering.node[conversion.from_node[ordering.row]]
    t = ordering.node[conversion.to_node[ordering.row]]
    rows = rows_of_l(n_free, f, t)
    l_row = np.repeat(np.arange(n_free, dtype=np.int64), [len(r) for r in rows])
    l_col = np.array([k for r in rows for k in r], dtype=np.int64)
    by_column = np.lexsort((l_row, l_col))
    u_col = l_row[by_column]
    u_start = starts(l_col, n_free)
    fill = len(l_col)
    stem = np.full(n_free, -1, dtype=np.int64)
    alone = np.flatnonzero(np.diff(u_start) == 1)
    stem[alone] = u_col[u_start[alone]]
    hangs = stem[l_col] == l_row
    place = {(int(i), int(k)): slot for slot, (i, k) in enumerate(zip(l_row, l_col, strict=True))}
    upper = np.empty(fill, dtype=np.int64)
    upper[by_column] = fill + np.arange(fill)

    def slot(i: int, k: int) -> int:
        if i >= n_free or k >= n_free:
            return -1
        if i == k:
            return 2 * fill + i
        return place[i, k] if i > k else int(upper[place[k, i]])

    def slots(a: Ints, b: Ints) -> Ints:
        return np.array([slot(int(i), int(k)) for i, k in zip(a, b, strict=True)], dtype=np.int64)

    is_pv = np.zeros(n_free, dtype=np.int64)
    is_pv[ordering.node[conversion.pv]] = 1
    live = conversion.node_of_bus >= 0
    node_of_bus = np.where(live, ordering.node[np.where(live, conversion.node_of_bus, 0)], -1)
    return Structure(
        from_node=f,
        to_node=t,
        ff=slots(f, f),
        ft=slots(f, t),
        tf=slots(t, f),
        tt=slots(t, t),
        diagonal=2 * fill + np.arange(n_free, dtype=np.int64),
        l_start=starts(l_row, n_free),
        l_col=l_col,
        u_start=u_start,
        u_col=u_col,
        stem=stem,
        hung_start=starts(l_row[hangs], n_free),
        hung=np.flatnonzero(hangs),
        rest_start=starts(l_row[~hangs], n_free),
        rest=np.flatnonzero(~hangs),
        node_of_bus=node_of_bus.astype(np.int64),
        is_pv=is_pv,
        up_start=starts(np.minimum(f, t), len(ordering.node)),
        up=np.argsort(np.minimum(f, t), kind="stable"),
        down_start=starts(np.maximum(f, t), len(ordering.node)),
        down=np.argsort(np.maximum(f, t), kind="stable"),
    )


def starts(row: Ints, n: int) -> Ints:
    """Where each row begins in entries that are sorted by row, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.int64)


def rows_of_l(n_free: int, f: Ints, t: Ints) -> list[list[int]]:
    """Sorted columns of each row of L, by climbing the elimination tree.

    Parameters
    ----------
    n_free : int
    f, t : (entry,)
        Rows and columns of entries, on either side of the diagonal; those beyond ``n_free`` do not count.
    """
    lower: list[set[int]] = [set() for _ in range(n_free)]
    for a, b in zip(f.tolist(), t.tolist(), strict=True):
        low, high = min(a, b), max(a, b)
        if high < n_free and low != high:
            lower[high].add(low)
    parent = [-1] * n_free
    mark = [-1] * n_free
    rows: list[list[int]] = []
    for i in range(n_free):
        mark[i] = i
        reached: list[int] = []
        for start in lower[i]:
            node = start
            while mark[node] != i:
                mark[node] = i
                reached.append(node)
                if parent[node] == -1:
                    parent[node] = i
                node = parent[node]
        rows.append(sorted(reached))
    return rows
