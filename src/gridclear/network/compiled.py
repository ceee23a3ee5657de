"""A whole case as arrays: its topologies, injections, limits and devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import CaseError, Issue
from gridclear.network.injections import base_injections, element_powers
from gridclear.network.limits import NodeLimits, node_limits
from gridclear.network.outages import topologies
from gridclear.network.reactions import compile_reactions, reacting
from gridclear.network.store import stored_topologies

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.network.injections import Injections
    from gridclear.network.network import Floats, Ints, Network
    from gridclear.network.reactions import Reactions
    from gridclear.network.shares import Shares


@dataclass(frozen=True)
class Regulators:
    """The automatic tap changers of a case.

    Attributes
    ----------
    device : (regulator,)
        Place of each among the devices (tap changers, then banks).
    lowest, highest : (regulator,)
        Range of positions of the real regulator.
    target, half_band : (regulator,)
        Set point and half the dead band in p.u.
    group : (regulator,)
        Regulators with the same number move together.
    direction, regulated : (regulator,)
        As in ``TapTable``.
    """

    device: Ints
    lowest: Ints
    highest: Ints
    target: Floats
    half_band: Floats
    group: Ints
    direction: Ints
    regulated: Ints


@dataclass(frozen=True)
class CompiledCase:
    """A case ready for power flows.

    Attributes
    ----------
    case : Case
    networks : tuple of Network
        One per distinct topology of the horizon.
    limits : tuple of NodeLimits
        In the same order.
    topology : (period,)
        Which network stands in each period.
    p, q : (period, bus)
        Net injections in p.u., everything that no bid moves and that does not depend on the voltage.
    p_current, q_current, p_impedance, q_impedance : (period, bus) or None
        What grows with the voltage and with its square, at 1 p.u.; None if nothing does.
    shares : Shares or None
        How a change of a load, sgen or storage divides into the three kinds; None if nothing depends on the
        voltage.
    reactions : Reactions or None
        Inverters that set their reactive power, which is not in ``q``, by a curve; None if there are none.
    positions : (device,)
        Scheduled positions: tap changers, then banks.
    regulators : Regulators
    """

    case: Case
    networks: tuple[Network, ...]
    limits: tuple[NodeLimits, ...]
    topology: Ints
    p: Floats
    q: Floats
    p_current: Floats | None
    q_current: Floats | None
    p_impedance: Floats | None
    q_impedance: Floats | None
    shares: Shares | None
    reactions: Reactions | None
    positions: Ints
    regulators: Regulators

    @property
    def parts(self) -> tuple[Floats, ...]:
        """P and Q of constant power and, where anything depends on the voltage, of current and impedance."""
        found = (self.p, self.q, self.p_current, self.q_current, self.p_impedance, self.q_impedance)
        return tuple(part for part in found if part is not None)

    @property
    def s_base_mva(self) -> float:
        """Power base of ``p`` and ``q``."""
        return self.networks[0].s_base_mva

    def lanes(self, period: Ints) -> CompiledCase:
        """Take some of the periods, in any order and any of them as often as wanted; the case stays whole."""

        def own(part: Floats | None) -> Floats | None:
            return None if part is None else np.ascontiguousarray(part[period])

        return replace(
            self,
            topology=self.topology[period],
            p=np.ascontiguousarray(self.p[period]),
            q=np.ascontiguousarray(self.q[period]),
            p_current=own(self.p_current),
            q_current=own(self.q_current),
            p_impedance=own(self.p_impedance),
            q_impedance=own(self.q_impedance),
            shares=None if self.shares is None else self.shares.of(period),
            reactions=None if self.reactions is None else self.reactions.of(period),
        )


def compile_case(case: Case) -> CompiledCase:
    """Compile a case: every topology of its horizon once.

    Parameters
    ----------
    case : Case

    Returns
    -------
    CompiledCase

    Raises
    ------
    CaseError
        The grid holds elements that gridclear does not represent, or a device is outside its range.
    """
    changes, topology = topologies(case)
    networks = tuple(stored_topologies(case.grid, changes))
    base = networks[0]
    injections = base_injections(case)
    for number, network in enumerate(networks):
        _add_constants(injections, network, np.flatnonzero(topology == number))
    depends = injections.shares is not None

    def per_unit(power: Floats) -> Floats:
        return np.ascontiguousarray(power / base.s_base_mva)

    return CompiledCase(
        case=case,
        networks=networks,
        limits=tuple(node_limits(network, case) for network in networks),
        topology=topology,
        p=per_unit(injections.p_mw),
        q=per_unit(injections.q_mvar),
        p_current=per_unit(injections.p_current_mw) if depends else None,
        q_current=per_unit(injections.q_current_mvar) if depends else None,
        p_impedance=per_unit(injections.p_impedance_mw) if depends else None,
        q_impedance=per_unit(injections.q_impedance_mvar) if depends else None,
        shares=injections.shares,
        reactions=(
            compile_reactions(case, element_powers(case, "sgen")[0], base.s_base_mva)
            if len(reacting(case))
            else None
        ),
        positions=_positions(case, base),
        regulators=_regulators(case, base),
    )


def _add_constants(injections: Injections, network: Network, periods: Ints) -> None:
    """Add what no forecast moves to the periods of one topology, in place."""
    if not network.constant_power.any():
        return
    injections.p_mw[periods] += network.dc_power.real
    demand = np.broadcast_to(network.constant_power - network.dc_power, (len(periods), network.n_bus))
    if injections.shares is None:
        injections.p_mw[periods] += demand.real
        injections.q_mvar[periods] += demand.imag
        return
    shares = injections.shares.of(periods)
    own = (injections.p_mw, injections.p_current_mw, injections.p_impedance_mw)
    for total, part in zip(own, shares.divide_p(demand.real), strict=True):
        total[periods] += part
    own = (injections.q_mvar, injections.q_current_mvar, injections.q_impedance_mvar)
    for total, part in zip(own, shares.divide_q(demand.imag), strict=True):
        total[periods] += part


def device_place(case: Case, network: Network, table: str, element: str) -> int:
    """Place of a device among tap changers and banks, -1 if the grid gives it no positions."""
    index = case.grid.lookup(table)[element]
    if table == "shunt":
        found = np.flatnonzero(network.banks.element == index)
        return len(network.taps.element) + int(found[0]) if len(found) else -1
    found = np.flatnonzero((network.taps.element_type == table) & (network.taps.element == index))
    return int(found[0]) if len(found) else -1


def _positions(case: Case, network: Network) -> Ints:
    positions = network.positions.copy()
    tables = ((case.tap_changers, "tap_changers"), (case.capacitor_banks, "capacitor_banks"))
    highest = np.concatenate([network.taps.highest, network.banks.highest])
    lowest = np.concatenate([network.taps.lowest, np.zeros_like(network.banks.highest)])
    issues = []
    for frame, name in tables:
        for row, position in zip(frame.itertuples(), frame["position"].to_numpy(np.float64), strict=True):
            table = "shunt" if name == "capacitor_banks" else str(row.element_type)
            device = device_place(case, network, table, str(row.element))
            if device < 0:
                what = f"the {table} has no whole steps between which it could move"
                expected = "a whole position in a range of whole positions, each of them known"
                issues.append(Issue(name, str(row.element), "element", what, expected))
                continue
            if np.isnan(position):
                continue
            positions[device] = int(position)
            if not lowest[device] <= positions[device] <= highest[device]:
                range_ = f"{lowest[device]} … {highest[device]}, the grid's range"
                issues.append(
                    Issue(name, str(row.element), "position", f"{positions[device]} is out of range", range_)
                )
    if issues:
        raise CaseError(tuple(issues))
    return positions


def _regulators(case: Case, network: Network) -> Regulators:
    rows = case.tap_changers[case.tap_changers["mode"] == "automatic"]
    device = np.array(
        [device_place(case, network, str(row.element_type), str(row.element)) for row in rows.itertuples()],
        dtype=np.int64,
    )
    idle = rows["element"][network.taps.direction[device] == 0]
    if len(idle):
        what = "the tap changer does not move the voltage of the side that it is to hold"
        expected = "fixed or optimised"
        raise CaseError(tuple(Issue("tap_changers", str(name), "mode", what, expected) for name in idle))
    lowest, highest = network.taps.lowest[device], network.taps.highest[device]
    stated_low, stated_high = rows["tap_min"].to_numpy(np.float64), rows["tap_max"].to_numpy(np.float64)
    # An empty group is a group of one.
    names = [str(name) or f"\0{place}" for place, name in enumerate(rows["group"])]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return Regulators(
        device=device,
        lowest=np.where(np.isnan(stated_low), lowest, stated_low).astype(np.int64),
        highest=np.where(np.isnan(stated_high), highest, stated_high).astype(np.int64),
        target=rows["vm_set_pu"].to_numpy(np.float64),
        half_band=rows["deadband_pu"].to_numpy(np.float64) / 2.0,
        group=np.array([number[name] for name in names], dtype=np.int64),
        direction=network.taps.direction[device],
        regulated=network.taps.regulated[device],
    )
