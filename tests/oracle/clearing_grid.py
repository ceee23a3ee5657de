"""The grid of one period as admittances and injections, from pandapower's own tables of its last power flow.

Decided devices stand apart. A tap on one end of a branch is an ideal transformer before admittances that do
not change: with the ratio m(step) and V = m · V', the current is I = I' / m, the power that of V' and I'. So
a node V' per tapped branch keeps every equation quadratic. A bank is an admittance per position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pandapower.pypower.idx_brch import F_BUS, T_BUS
from pandapower.pypower.idx_bus import BASE_KV, PD, QD
from pandapower.pypower.idx_gen import GEN_BUS, PG
from pandapower.pypower.makeYbus import branch_vectors
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandapower as pp

    from .clearing_values import Clearing, Device

_SAME_PERCENT = 1e-4  # of loading, between these admittances and pandapower's own result


@dataclass(frozen=True)
class Tap:
    """A tap that is decided: ``ratio`` (at no step, per step) between ``node`` and the node ``inner``."""

    device: int
    node: int
    inner: int
    ratio: tuple[float, float]


@dataclass(frozen=True)
class Bank:
    """A bank that is decided: admittance per position in p.u., and the position at no step."""

    device: int
    node: int
    y: complex
    start: int


@dataclass(frozen=True, eq=False)
class Ends:
    """Currents ``y_own · V[own] + y_other · V[other]`` in p.u., one per end of a branch with a limit.

    ``limit``: row of ``Clearing.limits``; ``branch``: row of the internal table, times two, plus the end;
    ``percent``: loading of 1 p.u.; ``tap``: the current is divided by the ratio of this tap, -1 without.
    """

    limit: np.ndarray
    branch: np.ndarray
    own: np.ndarray
    other: np.ndarray
    y_own: np.ndarray
    y_other: np.ndarray
    percent: np.ndarray
    tap: np.ndarray


@dataclass(frozen=True, eq=False)
class Grid:
    """One period, p.u. of ``base_mva``.

    ``v``: voltages of the base state, (node,), those of ``ref`` are given; ``pv``: nodes of given magnitude.
    ``s``: injections of the forecast but for those at ``ref``. ``owner``: the node whose balance a node's
    power belongs to: itself, but for inner nodes of taps. ``node``: bus of pandapower → node, -1 without
    supply.
    """

    base_mva: float
    v: np.ndarray
    ref: np.ndarray
    pv: np.ndarray
    s: np.ndarray
    y: sparse.csr_array
    owner: np.ndarray
    node: np.ndarray
    ends: Ends
    taps: tuple[Tap, ...]
    banks: tuple[Bank, ...]

    def held(self, steps: np.ndarray) -> Grid:
        """The same with every device at these steps, (device,); no inner nodes."""
        size = len(self.v) - len(self.taps)
        scale = np.ones(len(self.v))
        shunt = np.zeros(size, dtype=complex)
        for tap in self.taps:
            scale[tap.inner] = 1.0 / (tap.ratio[0] + tap.ratio[1] * steps[tap.device])
        for bank in self.banks:
            shunt[bank.node] += bank.y * (bank.start + steps[bank.device])
        # V' = V / m in the columns, power of V' in the rows of V: V' · conj(I') = V · conj(I' / m)
        onto = sparse.csr_array((scale, (np.arange(len(scale)), self.owner)), shape=(len(scale), size))
        ends = self.ends
        divided = np.where(ends.tap >= 0, scale[[tap.inner for tap in self.taps] or [0]][ends.tap], 1.0)
        return replace(
            self,
            v=self.v[:size],
            s=self.s[:size],
            y=sparse.csr_array(onto.T @ self.y @ onto + sparse.diags_array(shunt)),
            owner=np.arange(size),
            ends=replace(
                ends,
                own=self.owner[ends.own],
                other=self.owner[ends.other],
                y_own=ends.y_own * scale[ends.own] * divided,
                y_other=ends.y_other * scale[ends.other] * divided,
                tap=np.full(len(ends.tap), -1),
            ),
            taps=(),
            banks=(),
        )


def grids_of(clearing: Clearing) -> list[Grid]:
    """The grid of every period, in which the devices of the clearing are free."""
    steps = clearing.base_steps
    return [_grid(clearing, t, steps[t]) for t in range(len(clearing.starts))]


def _grid(clearing: Clearing, period: int, steps: np.ndarray) -> Grid:
    net = clearing.bases[period].net
    inner = net["_ppc"]["internal"]
    base = float(inner["baseMVA"])
    _check_loads(net)
    bus, v = inner["bus"].real, inner["V"].astype(complex)
    s = -(bus[:, PD] + 1j * bus[:, QD]) / base
    pv = np.asarray(inner["pv"], dtype=int)
    for row in inner["gen"].real:
        if int(row[GEN_BUS]) in pv:
            s[int(row[GEN_BUS])] += row[PG] / base
    node = net["_pd2ppc_lookups"]["bus"].copy()
    node[node >= len(v)] = -1
    bare = Grid(
        base, v, np.asarray(inner["ref"], dtype=int), pv, s, sparse.csr_array(inner["Ybus"]),
        np.arange(len(v)), node, _ends(clearing, net), (), (),
    )  # fmt: skip
    _check_currents(clearing, period, bare)
    return _with_banks(_with_taps(bare, net, clearing.devices, steps), net, clearing.devices, steps)


def _check_loads(net: pp.pandapowerNet) -> None:
    constant = [column for column in net.load.columns if str(column).startswith("const_")]
    if (net.load[constant].fillna(0.0).to_numpy(dtype=float) != 0.0).any():
        raise NotImplementedError("loads that depend on the voltage")


def _place(net: pp.pandapowerNet, table: str, row: int, winding: int = 0) -> int | None:
    """Row of a branch in the internal table, None where it is dead; windings of ``trafo3w``: hv, mv, lv."""
    alive = net["_ppc"]["internal"]["branch_is"]
    place = net["_pd2ppc_lookups"]["branch"][table][0] + winding * len(net[table]) + row
    return int(np.count_nonzero(alive[:place])) if alive[place] else None


def _windings(net: pp.pandapowerNet, table: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """Winding of the table, its end of the internal branch, percent of loading per kA of every row."""
    frame = net[table]
    if table == "line":
        per_ka = 100.0 / (frame["max_i_ka"] * frame["df"] * frame["parallel"]).to_numpy(dtype=float)
        yield from ((0, end, per_ka) for end in (0, 1))
        return
    ends = {
        "trafo": ((0, 0, "hv", "sn_mva"), (0, 1, "lv", "sn_mva")),
        "trafo3w": ((0, 0, "hv", "sn_hv_mva"), (1, 1, "mv", "sn_mv_mva"), (2, 1, "lv", "sn_lv_mva")),
    }
    several = (frame["parallel"] * frame["df"]).to_numpy(dtype=float) if table == "trafo" else 1.0
    for winding, end, side, rating in ends[table]:
        kv, mva = (frame[column].to_numpy(dtype=float) for column in (f"vn_{side}_kv", rating))
        yield winding, end, 100.0 * kv * 3**0.5 / mva / several


def _ends(clearing: Clearing, net: pp.pandapowerNet) -> Ends:
    inner, limits = net["_ppc"]["internal"], clearing.limits
    branch, base = inner["branch"], float(inner["baseMVA"])
    ytt, yff, yft, ytf = branch_vectors(branch, len(branch))
    nodes = branch[:, [F_BUS, T_BUS]].real.astype(int)
    own_y, other_y = np.array([yff, ytt]), np.array([yft, ytf])
    kv = inner["bus"][:, BASE_KV].real
    found: list[tuple[int, int, int, int, complex, complex, float]] = []
    for table in ("line", "trafo", "trafo3w"):
        first = np.flatnonzero((limits["kind"] == "overload") & (limits["element_type"] == table))
        if not len(first):
            continue
        for winding, end, per_ka in _windings(net, table):
            for row in range(len(net[table])):
                k = _place(net, table, row, winding)
                if k is not None:
                    own, other = int(nodes[k, end]), int(nodes[k, 1 - end])
                    percent = per_ka[row] * base / (3**0.5 * kv[own])
                    here = own, other, own_y[end, k], other_y[end, k]
                    found.append((int(first[0]) + row, 2 * k + end, *here, float(percent)))
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return Ends(*columns, tap=np.full(len(found), -1))


def loadings(grid: Grid, v: np.ndarray, steps: np.ndarray, limits: int) -> np.ndarray:
    """Loading in per cent by row of ``Clearing.limits``, NaN where there is none; ``steps`` (device,)."""
    ends, highest = grid.ends, np.full(limits, np.nan)
    ratio = np.array([*(tap.ratio[0] + tap.ratio[1] * steps[tap.device] for tap in grid.taps), 1.0])
    amps = np.abs(ends.y_own * v[ends.own] + ends.y_other * v[ends.other]) / ratio[ends.tap]
    np.fmax.at(highest, ends.limit, amps * ends.percent)
    return highest


def _check_currents(clearing: Clearing, period: int, grid: Grid) -> None:
    """Raise where these currents are not those that pandapower found."""
    found = loadings(grid, grid.v, np.zeros(0), len(clearing.limits))
    if np.nanmax(np.abs(found - clearing.base[period]), initial=0.0) > _SAME_PERCENT:
        raise ValueError("loadings differ from those of pandapower")


def _ratio(net: pp.pandapowerNet, device: Device, member: int) -> tuple[float, float]:
    """Ratio at no step, and per step."""
    row = net[device.table].loc[device.elements[member]]
    plain = row["tap_changer_type"] == "Ratio" and not row["tap_dependency_table"]
    turned = np.nan_to_num(float(row["tap_step_degree"])) != 0.0
    if not plain or turned or bool(row.get("tap_at_star_point", False)):
        raise NotImplementedError(f"{device.names[member]}: a tap that does more than change the ratio")
    per_step = float(row["tap_step_percent"]) / 100.0
    return (
        1.0 + per_step * (device.start[member] - float(row["tap_neutral"])),
        per_step * device.sense[member],
    )


def _with_taps(grid: Grid, net: pp.pandapowerNet, devices: tuple[Device, ...], steps: np.ndarray) -> Grid:
    branch = net["_ppc"]["internal"]["branch"]
    ytt, yff, yft, ytf = branch_vectors(branch, len(branch))
    members = [
        (d, device, m) for d, device in enumerate(devices) if device.table != "shunt"
        for m in range(len(device.elements))
    ]  # fmt: skip
    y, ends = grid.y.tolil(), replace(grid.ends)
    y.resize((len(grid.v) + len(members), len(grid.v) + len(members)))
    v, owner, taps = list(grid.v), list(grid.owner), []
    for d, device, m in members:
        table, element = device.table, device.elements[m]
        side = str(net[table]["tap_side"].loc[element])
        winding = {"hv": 0, "mv": 1, "lv": 2}[side] if table == "trafo3w" else 0
        k = _place(net, table, net[table].index.get_loc(element), winding)
        if k is None:
            raise NotImplementedError(f"{device.names[m]} is out of service and decided")
        f, t = (int(n) for n in branch[k, [F_BUS, T_BUS]].real)
        end = 0 if side == "hv" else 1
        at, far = (f, t) if end == 0 else (t, f)
        own, out, back = (yff[k], yft[k], ytf[k]) if end == 0 else (ytt[k], ytf[k], yft[k])
        ratio = _ratio(net, device, m)
        now, inside = ratio[0] + ratio[1] * steps[d], len(v)
        for row, column, value in ((at, at, own), (at, far, out), (far, at, back)):
            y[row, column] -= value
        y[inside, inside], y[inside, far], y[far, inside] = own * now**2, out * now, back * now
        here, there = (np.flatnonzero(ends.branch == 2 * k + e) for e in (end, 1 - end))
        for name, rows, value in (
            ("own", here, inside), ("y_own", here, own * now**2), ("y_other", here, out * now),
            ("tap", here, len(taps)), ("other", there, inside), ("y_other", there, back * now),
        ):  # fmt: skip
            column = getattr(ends, name).copy()
            column[rows] = value
            ends = replace(ends, **{name: column})
        taps.append(Tap(d, at, inside, ratio))
        v.append(grid.v[at] / now)
        owner.append(at)
    return replace(
        grid,
        v=np.array(v),
        s=np.concatenate([grid.s, np.zeros(len(members))]),
        y=sparse.csr_array(y.tocsr()),
        owner=np.array(owner),
        ends=ends,
        taps=tuple(taps),
    )


def _with_banks(grid: Grid, net: pp.pandapowerNet, devices: tuple[Device, ...], steps: np.ndarray) -> Grid:
    banks, shunt = [], np.zeros(len(grid.v), dtype=complex)
    for d, device in enumerate(devices):
        if device.table != "shunt":
            continue
        row = net.shunt.loc[device.elements[0]]
        node = int(grid.node[int(row["bus"])])
        if node < 0 or not row["in_service"]:
            raise NotImplementedError(f"{device.names[0]} is out of service and decided")
        kv = float(net.bus["vn_kv"].loc[row["bus"]])
        y = complex(row["p_mw"], -row["q_mvar"]) * (kv / float(row["vn_kv"])) ** 2 / grid.base_mva
        shunt[node] += y * (device.start[0] + steps[d])
        banks.append(Bank(d, node, y, device.start[0]))
    return replace(grid, y=sparse.csr_array(grid.y - sparse.diags_array(shunt)), banks=tuple(banks))
