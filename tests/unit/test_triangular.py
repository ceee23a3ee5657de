"""Scaled factors solve what the admittance matrix says; magnitudes are roots; vectors begin at lines."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest

import gridclear as gc
from gridclear.powerflow.factorise import scale
from gridclear.powerflow.factors import factors_at
from gridclear.powerflow.jit import kernel
from gridclear.powerflow.polar import SMALL, magnitude_of, root_and_inverse, small_angle
from gridclear.powerflow.simd import LANES, load, store
from gridclear.powerflow.workspace import workspace

GRIDS = {
    "radial": networks.case33bw,
    "closed rings": networks.mv_oberrhein,
    "many meshes": networks.case118,
    "three windings": networks.example_multivoltage,
}


def admittance_matrix(network: gc.Network, factors: gc.powerflow.arrays.Factors) -> np.ndarray:
    matrix = np.diag(factors.shunt)
    for (f, t), (ff, ft, tf, tt) in zip(
        np.c_[network.structure.from_node, network.structure.to_node], factors.admittance, strict=True
    ):
        for row, column, value in ((f, f, ff), (f, t, ft), (t, f, tf), (t, t, tt)):
            matrix[row, column] += value
    return matrix[: network.n_free, : network.n_free]


@pytest.mark.parametrize("name", GRIDS)
def test_scaled_factors_are_those_of_the_scaled_matrix(name: str) -> None:
    network = gc.compile_network(GRIDS[name]())
    factors, s, n = factors_at(network, network.positions), network.structure, network.n_free
    lu, fill = factors.lur + 1j * factors.lui, len(s.l_col)
    lower, upper = np.eye(n, dtype=complex), np.diag(1.0 / lu[2 * fill :])
    for i in range(n):
        lower[i, s.l_col[s.l_start[i] : s.l_start[i + 1]]] = lu[s.l_start[i] : s.l_start[i + 1]]
        row = slice(s.u_start[i], s.u_start[i + 1])
        upper[i, s.u_col[row]] = lu[fill:][row]
    wanted = factors.to_current[:, None] * admittance_matrix(network, factors) * factors.to_voltage
    np.testing.assert_allclose(lower @ upper, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())
    hanging = np.flatnonzero(s.stem >= 0)
    assert len(hanging) > 8
    np.testing.assert_allclose(lower[s.stem[hanging], hanging], -1.0, rtol=1e-12)
    np.testing.assert_allclose(upper[hanging, s.stem[hanging]] * lu[2 * fill + hanging], -1.0, rtol=1e-12)


def test_hanging_nodes_and_the_rest_are_all_of_l() -> None:
    s = gc.compile_network(networks.case118()).structure
    assert sorted([*s.hung, *s.rest]) == list(range(len(s.l_col)))
    rows = np.repeat(np.arange(len(s.stem)), np.diff(s.l_start))
    assert (np.repeat(np.arange(len(s.stem)), np.diff(s.hung_start)) == rows[s.hung]).all()
    assert (np.repeat(np.arange(len(s.stem)), np.diff(s.rest_start)) == rows[s.rest]).all()
    assert (s.stem[s.l_col[s.hung]] == rows[s.hung]).all()
    alone = np.flatnonzero(np.diff(s.u_start) == 1)
    assert sorted(s.l_col[s.hung]) == alone.tolist()
    assert (np.delete(s.stem, alone) == -1).all()


def test_radial_grids_hang_throughout() -> None:
    network = gc.compile_network(networks.case33bw())
    assert (network.structure.stem >= 0).sum() == network.n_free - 1
    assert not len(network.structure.rest)


def test_a_node_that_nothing_couples_to_its_stem_is_named() -> None:
    structure = gc.compile_network(networks.case33bw()).structure
    n = len(structure.diagonal)
    lu = np.ones(2 * len(structure.l_col) + n, dtype=complex)
    slot = structure.hung[5]
    lu[slot] = 0.0
    assert scale(structure, lu, np.empty(n, complex), np.empty(n, complex)) == 1 + structure.l_col[slot]


@kernel
def magnitudes(squares, found):  # type: ignore[no-untyped-def]
    for row in range(len(squares)):
        store(found, row, magnitude_of(load(squares, row)))


@kernel
def inverses(squares, found):  # type: ignore[no-untyped-def]
    for row in range(len(squares)):
        store(found, row, root_and_inverse(load(squares, row))[1])


@kernel
def angles(sines, found):  # type: ignore[no-untyped-def]
    for row in range(len(sines)):
        store(found, row, small_angle(load(sines, row)))


def in_lanes(function, values: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    block = np.resize(values, (-(-len(values) // LANES), LANES))
    found = np.empty_like(block)
    function(block, found)
    return found.ravel()[: len(values)]


def roots(squares: np.ndarray) -> np.ndarray:
    return in_lanes(magnitudes, squares)


def test_magnitudes_are_roots_to_the_last_digits() -> None:
    rng = np.random.default_rng(3)
    squares = np.r_[10.0 ** rng.uniform(-30, 30, 20_000), rng.uniform(0.5, 1.5, 20_000) ** 2]
    np.testing.assert_allclose(roots(squares), np.sqrt(squares), rtol=4e-16, atol=0)


def test_inverses_are_those_of_roots() -> None:
    squares = np.random.default_rng(4).uniform(0.05, 5.0, 20_000) ** 2
    np.testing.assert_allclose(in_lanes(inverses, squares), 1.0 / np.sqrt(squares), rtol=6e-16, atol=0)


def test_small_angles_are_arc_sines() -> None:
    sines = np.linspace(-1.0, 1.0, 20_001) * np.sqrt(1.0 - SMALL**2)
    np.testing.assert_allclose(in_lanes(angles, sines), np.arcsin(sines), rtol=4e-16, atol=0)


def test_nothing_is_nothing_and_nan_is_nan() -> None:
    found = roots(np.array([0.0, np.nan, 1e-60, 1.0]))
    assert found[0] == 0.0
    assert np.isnan(found[1])
    assert 0.0 <= found[2] < 1e-18
    assert found[3] == 1.0


def test_lanes_of_the_workspace_begin_at_lines_of_memory() -> None:
    room = workspace(gc.compile_network(pp.networks.case33bw()), parts=6, columns=40, points=1, scan=True)
    arrays = [value for value in room if value.dtype.kind == "f" and value.ndim > 1]
    assert len(arrays) > 20
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
