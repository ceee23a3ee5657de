"""What a schedule is worth: its devices and amounts on pandapower's net, period by period, and every rule.

Nothing of the engine's own states is believed: amounts and positions are read from ``clr.schedule`` and
``clr.devices``, everything else is computed here. In ``schedule`` a row without bid is a storage's own
operation: its change of injection against the forecast.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.powerflow import LoadflowNotConverged

from .clearing_problem import clearing_of
from .clearing_values import CURE_UNIT, Clearing, Device, Store
from .headroom import beyond_their_ends
from .plain_grid import find, given, number, rows, stamps

if TYPE_CHECKING:
    from collections.abc import Iterator

    import gridclear

AMOUNT = 1e-6  # MW, Mvar or MVA
ENERGY = 1e-6  # MWh
MONEY = 1e-6  # EUR


@dataclass(frozen=True)
class Fault:
    """A broken rule: its name, the period, what breaks it."""

    rule: str
    start: pd.Timestamp | None
    what: str


@dataclass(frozen=True, eq=False)
class Verdict:
    """All that a schedule comes to.

    ``over`` (period, constraint): excess beyond the effective limit in tolerances; more than 1 breaks it.
    ``cure``: what is beyond the true limits, p.u. of voltage, fraction of loading, exchange in 10 MVA.
    ``q_mvar``, ``shortfall_mvar`` (point, period); ``losses_mw`` (period,). ``faults``: every broken rule.
    """

    over: np.ndarray
    violations: pd.DataFrame
    cure: float
    q_mvar: np.ndarray
    shortfall_mvar: np.ndarray
    losses_mw: np.ndarray
    bids_eur: float
    moves_eur: float
    losses_eur: float
    faults: tuple[Fault, ...]

    @property
    def worst(self) -> float:
        """Largest excess beyond an effective limit, in tolerances."""
        return float(np.nanmax(self.over, initial=-np.inf))

    @property
    def cost_eur(self) -> float:
        """Bids, moves and losses."""
        return self.bids_eur + self.moves_eur + self.losses_eur

    @property
    def rules(self) -> set[str]:
        """Names of the broken rules."""
        return {fault.rule for fault in self.faults}


@dataclass
class Plan:
    """A schedule in numbers, and what is wrong with it."""

    p_mw: np.ndarray  # (element, period): change of injection
    q_mvar: np.ndarray
    share: np.ndarray  # (offer,)
    cost_eur: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    def fault(self, rule: str, start: pd.Timestamp | None, what: str) -> None:
        self.faults.append(Fault(rule, start, what))


def judge(
    case: gridclear.Case, schedule: pd.DataFrame, devices: pd.DataFrame, clearing: Clearing | None = None
) -> Verdict:
    """Judge one result of a case; several of one case are judged faster by one `Judge`."""
    return Judge(clearing_of(case) if clearing is None else clearing)(schedule, devices)


class Judge:
    """Judges schedules of one problem; a call costs one power flow per period."""

    def __init__(self, clearing: Clearing) -> None:
        self.clearing = clearing
        offers = clearing.offers.table
        keys = list(zip(offers["element_type"], offers["element"], strict=True))
        stores = [("storage", store.element) for store in clearing.stores]
        self.elements = {key: k for k, key in enumerate(dict.fromkeys([*keys, *stores]))}
        self.place = np.array([self.elements[key] for key in keys], dtype=int)
        self.offer = {
            (row.market, row.bid, row.start, row.direction): k for k, row in enumerate(offers.itertuples())
        }
        self.nets = [copy.deepcopy(base.net) for base in clearing.bases]
        buses = [int(self.nets[0][t]["bus"].loc[find(self.nets[0], t, e)]) for t, e in self.elements]
        self.extra = [pp.create_sgens(net, buses, p_mw=0.0) if buses else [] for net in self.nets]
        self.wanted = exchange_limits(self.clearing)

    def __call__(self, schedule: pd.DataFrame, devices: pd.DataFrame) -> Verdict:
        c = self.clearing
        plan = self._read(schedule)
        steps, moves_eur = self._devices(devices, plan)
        self._shares(plan)
        self._capability(plan)
        for start, what in beyond_their_ends(c, self.elements, plan.p_mw):
            plan.fault("power", start, what)
        self._stores(devices, plan)
        values = np.full(c.base.shape, np.nan)
        exchange = np.full((2, len(c.points), len(c.starts)), np.nan)
        losses = np.full(len(c.starts), np.nan)
        for t, net in enumerate(self.nets):
            self._apply(t, plan, steps)
            if not _solve(net):
                plan.fault("no-solution", c.starts[t], "the power flow does not converge")
                continue
            exchange[:, :, t] = self._exchange(net)
            values[t] = self._values(net, exchange[:, :, t])
            inner = net["_ppc"]["internal"]
            into = inner["V"] * np.conj(inner["Ybus"] @ inner["V"])
            losses[t] = float(into.real.sum()) * inner["baseMVA"]
        return self._verdict(plan, values, exchange[1], losses, moves_eur)

    def _read(self, schedule: pd.DataFrame) -> Plan:
        """Amounts by element and period, each row of the schedule against its bid."""
        c, shape = self.clearing, (len(self.elements), len(self.clearing.starts))
        plan = Plan(np.zeros(shape), np.zeros(shape), np.zeros(len(c.offers.unit)))
        for row in schedule.assign(start=stamps(schedule["start"])).to_dict("records"):
            p, q = (float(row[column]) if given(row[column]) else 0.0 for column in ("p_mw", "q_mvar"))
            start, element = row["start"], (row["element_type"], row["element"])
            if not (np.isfinite(p) and np.isfinite(q)) or start not in c.starts:
                plan.fault("number", start, f"{row['bid']}: {p} MW, {q} Mvar")
            elif not given(row["bid"]):
                if element not in [("storage", store.element) for store in c.stores]:
                    plan.fault("unknown", start, f"{element} is no storage that is optimised")
                else:
                    self._add(plan, element, start, p, q)
                    if abs(q) > AMOUNT:
                        plan.fault("amount", start, f"{element} has {q} Mvar without a bid")
            elif max(abs(p), abs(q)) > 1e-12:
                self._accept(plan, row, p, q)
            elif given(row["cost_eur"]) and abs(row["cost_eur"]) > MONEY:
                plan.fault("cost", start, f"{row['bid']} costs {row['cost_eur']} for nothing")
        return plan

    def _accept(self, plan: Plan, row: dict[str, object], p: float, q: float) -> None:
        offers, start = self.clearing.offers, row["start"]
        market = "active" if p else "reactive"
        direction = ("up" if p > 0 else "down") if p else "inject" if q > 0 else "absorb"
        k = self.offer.get((market, row["bid"], start, direction))
        if k is None:
            plan.fault("unknown", start, f"{row['bid']}: no {market} bid to {direction}")
            return
        element = tuple(offers.table.loc[k, ["element_type", "element"]])
        if element != (row["element_type"], row["element"]):
            plan.fault("unknown", start, f"{row['bid']} is at {element}, not at {row['element']}")
        if plan.share[k]:
            plan.fault("unknown", start, f"{row['bid']} twice")
        share = p / offers.p_mw[k] if p else q / offers.q_mvar[k]
        plan.share[k] = share
        if abs(share * offers.q_mvar[k] - q) > AMOUNT:
            plan.fault("amount", start, f"{row['bid']}: {q} Mvar do not go with {p} MW")
        cost = share * offers.cost_eur[k]
        if abs(number(row, "cost_eur") - cost) > MONEY * max(1.0, abs(cost)):
            plan.fault("cost", start, f"{row['bid']} costs {cost}, not {row['cost_eur']}")
        plan.cost_eur += cost
        self._add(plan, element, start, p, q)

    def _add(self, plan: Plan, element: tuple[str, str], start: pd.Timestamp, p: float, q: float) -> None:
        at = self.elements[element], int(self.clearing.starts.get_loc(start))
        plan.p_mw[at] += p
        plan.q_mvar[at] += q

    def _shares(self, plan: Plan) -> None:
        """Offers, smallest amounts, blocks, dead elements, exclusive groups."""
        offers, share = self.clearing.offers, plan.share
        size = np.maximum(np.abs(offers.p_mw), np.abs(offers.q_mvar))
        slack = AMOUNT / np.maximum(size, AMOUNT)
        low = (share > slack) & (share < offers.least - slack)
        top = np.zeros(offers.unit.max(initial=-1) + 1)
        np.maximum.at(top, offers.unit, share)
        for rule, wrong in (
            ("amount", (share > 1.0 + slack) | (share < -slack)),
            ("minimum", low),
            ("block", share < top[offers.unit] - slack) if len(top) else ("block", low & False),
            ("dead", (share > slack) & ~offers.live),
        ):
            for k in np.flatnonzero(wrong):
                row = offers.table.loc[k]
                plan.fault(rule, row["start"], f"{row['bid']} {row['direction']} has share {share[k]:.7f}")
        taken = offers.exclusive[(share > slack) & (offers.exclusive >= 0)]
        for group in np.flatnonzero(np.bincount(taken) > 1) if len(taken) else []:
            k = int(np.flatnonzero(offers.exclusive == group)[0])
            plan.fault("exclusive", offers.table["start"].loc[k], f"several of the group of row {k}")

    def _capability(self, plan: Plan) -> None:
        c = self.clearing
        for cap in c.capabilities:
            k = self.elements[cap.element_type, cap.element]
            for t, start in enumerate(c.starts):
                if not plan.p_mw[k, t] and not plan.q_mvar[k, t]:
                    continue
                p, q = cap.p_mw[t] + plan.p_mw[k, t], cap.q_mvar[t] + plan.q_mvar[k, t]
                low, high = cap.q_range(t, p)
                if not low - AMOUNT <= q <= high + AMOUNT:
                    plan.fault("capability", start, f"{cap.element}: {q} Mvar outside of {low}, {high}")
                if abs(p) > max(cap.s_max_mva, abs(cap.p_mw[t])) + AMOUNT:
                    plan.fault("capability", start, f"{cap.element}: {p} MW beyond {cap.s_max_mva} MVA")

    def _devices(self, table: pd.DataFrame, plan: Plan) -> tuple[np.ndarray, float]:
        """Positions by period and member of each device, and what the moves cost."""
        c, said = self.clearing, {}
        for row in table.assign(start=stamps(table["start"])).to_dict("records"):
            said[row["element_type"], row["element"], row["start"]] = row
        cost = 0.0
        found = []
        decided = {(d.table, name) for d in c.devices for name in d.names}
        for device in c.devices:
            positions = np.tile(np.array(device.start, dtype=float), (len(c.starts), 1))
            for t, start in enumerate(c.starts):
                for m, name in enumerate(device.names):
                    row = said.get((device.table, name, start))
                    if row is None or not given(row["position"]) or row["position"] != round(row["position"]):
                        plan.fault("position", start, f"{name} has no whole position")
                        positions[t, m] = positions[t - 1, m] if t else device.start[m]
                    else:
                        positions[t, m] = row["position"]
            found.append(positions)
            cost += self._moves(device, positions, said, plan)
        for (kind, name, start), row in said.items():
            if (kind, name) not in decided and given(row.get("position")):
                self._undecided(kind, name, start, float(row["position"]), plan)
        return np.hstack(found) if found else np.zeros((len(c.starts), 0)), cost

    def _moves(
        self,
        device: Device,
        positions: np.ndarray,
        said: dict[tuple[str, str, pd.Timestamp], dict],
        plan: Plan,
    ) -> float:
        """Range, group, budgets of one device; returns the cost of its moves."""
        c = self.clearing
        steps = (positions - device.start) * device.sense
        change = np.abs(np.diff(positions, axis=0, prepend=[device.start]))
        name = "+".join(device.names)
        for t, start in enumerate(c.starts):
            if np.ptp(steps[t]):
                plan.fault("group", start, f"{name} at {positions[t]}")
            if steps[t].min() < min(device.lowest, 0) or steps[t].max() > max(device.highest, 0):
                plan.fault("range", start, f"{name} at {positions[t]}")
            for m, member in enumerate(device.names):
                row = said.get((device.table, member, start), {})
                if given(row.get("moves")) and row["moves"] != change[t, m]:
                    plan.fault("moves", start, f"{member} makes {change[t, m]} moves, not {row['moves']}")
        if change.sum(axis=0).max() > device.max_moves:
            plan.fault("max-moves", None, f"{name} makes {change.sum(axis=0)} moves")
        for date, most in enumerate(device.by_day):
            if change[c.dates == date].sum(axis=0).max(initial=0.0) > most:
                plan.fault("max-moves-day", c.starts[c.dates == date][0], f"{name} makes more than {most}")
        return float(change.mean(axis=1).sum() * device.cost_eur)

    def _undecided(self, kind: str, name: str, start: pd.Timestamp, position: float, plan: Plan) -> None:
        if kind not in ("trafo", "trafo3w", "shunt") or start not in self.clearing.starts:
            return
        net = self.clearing.bases[int(self.clearing.starts.get_loc(start))].net
        stays = net[kind]["step" if kind == "shunt" else "tap_pos"].loc[find(net, kind, name)]
        if stays != position:
            plan.fault("fixed", start, f"{name} stays at {stays}, not {position}")

    def _stores(self, devices: pd.DataFrame, plan: Plan) -> None:
        """Power and energy of the storages that are optimised."""
        c = self.clearing
        told = {(row["element"], row["start"]): row
                for row in devices.assign(start=stamps(devices["start"])).to_dict("records")
                if row["element_type"] == "storage"}  # fmt: skip
        for store in c.stores:
            own = plan.p_mw[self.elements["storage", store.element]]
            power = store.p_mw - own
            energy = energies(store, power, c.hours)
            for t, start in enumerate(c.starts):
                inside = store.p_min_mw - AMOUNT <= power[t] <= store.p_max_mw + AMOUNT
                if not inside or (not store.live[t] and abs(own[t]) > AMOUNT):
                    plan.fault("storage-power", start, f"{store.element} at {power[t]} MW")
                if not store.e_min_mwh - ENERGY <= energy[t] <= store.e_max_mwh + ENERGY:
                    plan.fault("storage-energy", start, f"{store.element} has {energy[t]} MWh")
                row = told.get((store.element, start), {})
                if abs(number(row, "energy_mwh", np.nan) - energy[t]) > ENERGY:
                    plan.fault(
                        "energy", start, f"{store.element} has {energy[t]} MWh, not {row['energy_mwh']}"
                    )
            if energy[-1] < store.e_end_min_mwh - ENERGY:
                plan.fault("storage-end", c.starts[-1], f"{store.element} ends with {energy[-1]} MWh")

    def _apply(self, t: int, plan: Plan, positions: np.ndarray) -> None:
        net = self.nets[t]
        net.sgen.loc[self.extra[t], "p_mw"] = plan.p_mw[:, t]
        net.sgen.loc[self.extra[t], "q_mvar"] = plan.q_mvar[:, t]
        first = 0
        for device in self.clearing.devices:
            column = "step" if device.table == "shunt" else "tap_pos"
            last = first + len(device.elements)
            now = positions[t, first:last].astype(net[device.table][column].dtype)
            net[device.table].loc[list(device.elements), column] = now
            first = last

    def _exchange(self, net: pp.pandapowerNet) -> np.ndarray:
        grids = net.res_ext_grid[["p_mw", "q_mvar"]].fillna(0.0)
        return np.array([grids.loc[list(members)].sum() for members in self.clearing.points.values()]).T

    def _values(self, net: pp.pandapowerNet, exchange: np.ndarray) -> np.ndarray:
        """What `measure` measures."""
        volts = net.res_bus["vm_pu"].to_numpy()
        loading = [
            net[f"res_{t}"]["loading_percent"].to_numpy() for t in ("line", "trafo", "trafo3w") if len(net[t])
        ]
        at = {"p": exchange[0], "q": exchange[1], "s": np.hypot(*exchange)}
        return np.concatenate([volts, volts, *loading, [at[letter][k] for k, letter in self.wanted]])

    def _verdict(
        self, plan: Plan, values: np.ndarray, q_mvar: np.ndarray, losses: np.ndarray, moves_eur: float
    ) -> Verdict:
        c = self.clearing
        side, limit = c.limits["side"].to_numpy(float), c.limits["limit"].to_numpy()
        unit = np.array([CURE_UNIT[kind] for kind in c.limits["kind"]])
        over = side * (values - c.effective) / c.limits["tolerance"].to_numpy()
        lost = np.isnan(values) & np.isfinite(c.base)
        over = np.where(lost, np.inf, over)
        beyond = np.nan_to_num(np.maximum(side * (values - limit), 0.0)) / unit
        shortfall = np.nan_to_num(np.maximum(np.abs(q_mvar - c.profile) - c.tolerance, 0.0))
        return Verdict(
            over=over,
            violations=pd.DataFrame(self._violations(over, values)),
            cure=float(beyond.sum()),
            q_mvar=q_mvar,
            shortfall_mvar=np.where(np.isnan(q_mvar) & ~np.isnan(c.profile), np.inf, shortfall),
            losses_mw=losses,
            bids_eur=plan.cost_eur,
            moves_eur=moves_eur,
            losses_eur=float(losses.sum()) * c.hours * c.losses_eur_mwh,
            faults=tuple(plan.faults),
        )

    def _violations(self, over: np.ndarray, values: np.ndarray) -> Iterator[dict[str, object]]:
        c = self.clearing
        for t, k in zip(*np.nonzero(over > 1.0), strict=True):
            row = c.limits.iloc[k]
            yield {
                "start": c.starts[t],
                **{column: row[column] for column in ("kind", "element_type", "element", "limit")},
                "effective": c.effective[t, k],
                "value": values[t, k],
                "over": over[t, k],
            }


def energies(store: Store, power: np.ndarray, hours: float) -> np.ndarray:
    """Energy at the end of each period, MWh; power in MW is positive when charging."""
    stored = np.where(power > 0.0, power * store.charge, power / store.discharge)
    return store.e_start_mwh + hours * np.cumsum(stored)


def _solve(net: pp.pandapowerNet) -> bool:
    """Power flow from a DC start, as tight as it goes."""
    for tolerance in (1e-9, 1e-8):
        try:
            pp.runpp(net, init="dc", calculate_voltage_angles=True, tolerance_mva=tolerance, max_iteration=30)
        except LoadflowNotConverged:
            continue
        return True
    return False


def exchange_limits(clearing: Clearing) -> list[tuple[int, str]]:
    """Point and quantity of every exchange limit, in the order of `measure`."""
    table = clearing.problem.connection_points
    columns = ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva")
    return [
        (k, column[0])
        for k, name in enumerate(clearing.points)
        for column in columns
        if any(column in row for row in rows(table[table["connection_point"] == name]))
    ]
