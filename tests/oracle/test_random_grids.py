"""The random grids hold what they promise, and the comparer sees what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest

import gridclear as gc

from .against_runpp import agreement, gaps, injections, reference_grid, solve_reference, worst
from .random_grids import Kinds, random_grid, renumbered

ALL = Kinds(xward=True, zip_loads=True, second_tap=True, characteristics=True)


def test_the_same_seed_gives_the_same_grid() -> None:
    assert pp.toolbox.nets_equal(random_grid(7), random_grid(7))
    assert not pp.toolbox.nets_equal(random_grid(7), random_grid(8))


def test_everything_occurs() -> None:
    seen: set[str] = set()
    sizes = []
    for seed in range(80):
        net = random_grid(seed, ALL)
        sizes.append(len(net.bus))
        for table in ("line", "trafo", "trafo3w", "impedance", "load", "sgen", "storage", "motor", "asymmetric_load",
                      "asymmetric_sgen", "gen", "ext_grid", "shunt", "ward", "xward", "bus"):  # fmt: skip
            seen |= {f"{table} {on}" for on in net[table]["in_service"]}
        seen |= {f"switch {et} {closed} {z > 0}" for et, closed, z in net.switch[["et", "closed", "z_ohm"]].to_numpy()}
        for table in ("trafo", "trafo3w"):
            seen |= {f"{table} {kind} {side}" for kind, side in net[table][["tap_changer_type", "tap_side"]].to_numpy()}
        pairs = net.trafo.groupby(["hv_bus", "lv_bus"])["tap_pos"].nunique()
        seen |= {"parallel transformers at different taps"} if (pairs > 1).any() else set()
        seen |= {"several voltages of slacks"} if net.ext_grid["vm_pu"].nunique() > 1 else set()
        seen |= {"unsorted buses"} if not net.bus.index.is_monotonic_increasing else set()
        seen |= {f"base {net.sn_mva}"}
    expected = {f"{table} {on}" for on in (True, False)
                for table in ("line", "trafo", "trafo3w", "impedance", "load", "sgen", "gen", "shunt", "ward", "xward",
                              "ext_grid", "bus")}  # fmt: skip
    expected |= {f"switch {et} {closed} False" for et in ("l", "t", "t3", "b") for closed in (True, False)}
    expected |= {"switch b True True", "storage True", "motor True", "asymmetric_load True", "asymmetric_sgen True"}
    expected |= {f"trafo {kind} {side}" for kind in ("Ratio", "Symmetrical", "Ideal", "Tabular") for side in ("hv", "lv")}
    expected |= {f"trafo3w {kind} {side}" for kind in ("Ratio", "Symmetrical", "Ideal") for side in ("hv", "mv", "lv")}
    expected |= {"parallel transformers at different taps", "several voltages of slacks", "unsorted buses"}
    expected |= {f"base {base}" for base in (0.1, 1.0, 10.0, 100.0)}
    assert not expected - seen, expected - seen
    assert min(sizes) <= 6
    assert max(sizes) >= 50


@pytest.mark.parametrize("seed", [1, 4, 20])
def test_renumbering_changes_nothing_for_runpp(seed: int) -> None:
    net = reference_grid(seed)
    other = renumbered(net, np.random.default_rng(seed))
    solve_reference(other)
    expected = net.res_bus.loc[[other.original["bus"][bus] for bus in other.bus.index]]
    np.testing.assert_allclose(other.res_bus["vm_pu"], expected["vm_pu"], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("field", "change", "quantity"),
    [("vm_pu", 2e-8, "vm_pu"), ("va_degree", 2e-6, "va_degree"), ("i_to_ka", 2e-7, "i_ka"),
     ("slack_mva", 2e-5j, "slack_mva"), ("vm_pu", np.nan, "vm_pu")],
)  # fmt: skip
def test_the_comparer_sees_a_small_difference(field: str, change: complex, quantity: str) -> None:
    net = reference_grid(0)
    network = gc.compile_network(net)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], threads=1)
    assert worst(gaps(net, network, states)) == []
    wrong = getattr(states, field).copy()
    live = int(np.flatnonzero(~np.isnan(wrong[0]))[0])
    wrong[0, live] += change
    found = worst(gaps(net, network, replace(states, **{field: wrong})))
    assert [gap.quantity for gap in found] == [quantity]
    assert "actual" in str(found[0])
    assert "expected" in str(found[0])


def test_a_grid_that_is_not_the_solved_one_is_seen() -> None:
    net = reference_grid(0)
    net.line["length_km"] *= 1.0001
    assert agreement(net)
