"""Seeded random pandapower grids: realistic in their data, nasty in their structure.

A grid is made of areas, one per voltage level and place: a random tree of stations with some meshes. Stations
have one to three busbars, joined by bus-bus switches. Areas hang on their parent by two- or three-winding
transformers, parallel ones at different taps. Every area has a phase, so the vector groups around every
mesh add
up; what an ideal or symmetrical tap changer adds to that drives a circulating flow, as in life.

Buses and rows are numbered at random: neither contiguous nor sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .net_tables import from_rows, renumbered

if TYPE_CHECKING:
    import pandapower as pp

Station = list[int]

#: Chains of voltage levels in kV.
CHAINS = ((20.0,), (0.4,), (110.0,), (110.0, 20.0), (20.0, 0.4), (110.0, 10.0), (110.0, 20.0, 0.4),
          (380.0, 110.0, 20.0))  # fmt: skip
#: Per level: ranges of r and x in Ω/km, c in nF/km, length in km; power of a usual load in MW.
LEVELS = {
    380.0: ((0.02, 0.03), (0.25, 0.33), (10.0, 14.0), (10.0, 60.0), 60.0),
    110.0: ((0.05, 0.15), (0.35, 0.42), (8.0, 10.0), (3.0, 25.0), 8.0),
    20.0: ((0.12, 0.6), (0.10, 0.36), (10.0, 300.0), (0.2, 4.0), 0.4),
    10.0: ((0.12, 0.6), (0.10, 0.36), (10.0, 300.0), (0.2, 2.0), 0.2),
    0.4: ((0.15, 0.65), (0.07, 0.09), (100.0, 800.0), (0.02, 0.15), 0.003),
}
#: Rated power in MVA of the transformer between two levels.
RATED = {(380.0, 110.0): 300.0, (110.0, 20.0): 40.0, (110.0, 10.0): 31.5, (20.0, 0.4): 0.63}
TERTIARY_KV = 10.0


@dataclass(frozen=True)
class Kinds:
    """What may occur in a grid beside lines, two-winding transformers, switches, loads and external grids.

    ``voltage_control``: gens, slack gens among them. ``asymmetric``: impedances that differ by direction.
    """

    voltage_control: bool = True
    three_windings: bool = True
    asymmetric: bool = True
    xward: bool = True
    zip_loads: bool = False
    second_tap: bool = True
    characteristics: bool = True


#: What gridclear represents.
TODAY = Kinds()


@dataclass
class _Area:
    kv: float
    phase: float
    stations: list[Station] = field(default_factory=list)


def random_grid(seed: int, kinds: Kinds = TODAY) -> pp.pandapowerNet:
    """A grid of 3 to about 60 buses; the same for the same seed and kinds. It may lack a solution."""
    rng = np.random.default_rng(seed)
    builder = Builder(rng, kinds)
    builder.build()
    net = from_rows(
        builder.rows, f_hz=builder.pick([50.0, 50.0, 60.0]), sn_mva=builder.pick([1.0, 0.1, 10.0, 100.0])
    )
    if builder.characteristics:
        net["trafo_characteristic_table"] = pd.DataFrame(builder.characteristics)
    return renumbered(net, rng)


class Builder:
    """Rows of all tables, with contiguous indices."""

    def __init__(self, rng: np.random.Generator, kinds: Kinds) -> None:
        self.rng, self.kinds = rng, kinds
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.areas: list[_Area] = []
        self.characteristics: list[dict[str, Any]] = []
        self.load_factor = float(rng.choice([0.3, 1.0, 2.0]))
        self.conductance = rng.random() < 0.4
        self.vm_pu, self.va_degree = (
            float(rng.uniform(0.99, 1.04)),
            float(rng.choice([0.0, rng.uniform(-90, 90)])),
        )

    # -- small helpers -------------------------------------------------------------------------------------

    def add(self, table: str, **columns: Any) -> int:
        self.rows.setdefault(table, []).append(columns)
        return len(self.rows[table]) - 1

    def between(self, limits: tuple[float, float]) -> float:
        return float(self.rng.uniform(*limits))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, items: list[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def works(self, probability: float = 0.93) -> bool:
        return self.chance(probability)

    def bus(self, area: _Area) -> int:
        """A busbar of a random station of the area."""
        return int(self.pick(self.pick(area.stations)))

    # -- structure -----------------------------------------------------------------------------------------

    def build(self) -> None:
        chain = self.pick(list(CHAINS))
        left = int(self.rng.integers(3, 56))
        first = self.new_area(chain[0], self.pick([0.0, 30.0, -150.0]), max(1, left // len(chain)))
        parents = [first]
        for high, low in pairwise(chain):
            shift = float(self.pick([0.0, 30.0, 150.0, -30.0, 150.0, 180.0, 330.0]))
            siblings = []
            for _ in range(int(self.rng.integers(1, 3))):
                parent = self.pick(parents)
                child = self.new_area(low, parent.phase - shift, max(1, left // len(chain) // 2))
                self.connect(parent, child, RATED[high, low])
                siblings.append(child)
            if len(siblings) == 2 and siblings[0].phase == siblings[1].phase and self.chance(0.5):
                self.line(self.bus(siblings[0]), self.bus(siblings[1]), low, mesh=True)
            parents = siblings
        if self.chance(0.3):
            self.dead_part()
        self.sources(first)
        for area in list(self.areas):
            self.equipment(area)

    def new_area(self, kv: float, phase: float, stations: int) -> _Area:
        area = _Area(kv, phase)
        self.areas.append(area)
        chain_like = self.rng.random()
        for k in range(stations):
            area.stations.append(self.station(kv))
            if k:
                other = area.stations[k - 1 if self.chance(chain_like) else int(self.rng.integers(k))]
                self.line(self.pick(other), self.pick(area.stations[k]), kv, mesh=False)
        for _ in range(int(self.rng.integers(0, 1 + stations // 4)) if self.chance(0.6) else 0):
            one, other = self.bus(area), self.bus(area)
            if one != other:
                self.line(one, other, kv, mesh=True)
        return area

    def station(self, kv: float) -> Station:
        bars = [self.add("bus", vn_kv=kv, in_service=self.works(0.98))]
        while len(bars) < 3 and self.chance(0.12):
            bars.append(self.add("bus", vn_kv=kv, in_service=self.works(0.98)))
            impedance = self.between((0.005, 0.05)) * (0.1 if kv < 1.0 else 1.0) if self.chance(0.2) else 0.0
            for _ in range(1 + self.chance(0.2)):
                self.add(
                    "switch", bus=bars[-2], element=bars[-1], et="b", closed=self.chance(0.8), z_ohm=impedance
                )
        return bars

    def line(self, one: int, other: int, kv: float, *, mesh: bool) -> None:
        r, x, c, length, _ = LEVELS[kv]
        for _ in range(1 + self.chance(0.08)):
            line = self.add(
                "line", from_bus=one, to_bus=other, length_km=self.between(length),
                r_ohm_per_km=self.between(r),
                x_ohm_per_km=self.between(x), c_nf_per_km=0.0 if self.chance(0.2) else self.between(c),
                g_us_per_km=self.between((0.0, 3.0)) if self.conductance else 0.0,
                max_i_ka=self.between((0.2, 0.6)), df=1.0, parallel=1 + self.chance(0.15),
                in_service=self.works(0.97),
            )  # fmt: skip
            self.end_switches("l", line, [one, other], 0.35 if mesh else 0.02)

    def end_switches(self, et: str, element: int, buses: list[int], open_probability: float) -> None:
        """No switch, a switch at one end, or at every end."""
        for bus in buses:
            if self.chance(0.35):
                closed = not self.chance(open_probability)
                self.add("switch", bus=bus, element=element, et=et, closed=closed, z_ohm=0.0)

    def connect(self, parent: _Area, child: _Area, rated: float) -> None:
        """One to three transformers; the second and third go between the same or other busbars."""
        shift = (parent.phase - child.phase + 180.0) % 360.0 - 180.0
        one, other = self.bus(parent), self.bus(child)
        for k in range(self.pick([1, 1, 2, 2, 3])):
            if k and self.chance(0.3):
                one, other = self.bus(parent), self.bus(child)
            if self.kinds.three_windings and child.kv >= 10.0 and self.chance(0.4):
                self.three_windings(parent, child, one, other, rated)
            else:
                self.two_windings(parent.kv, child.kv, one, other, rated, shift)

    def two_windings(self, high: float, low: float, one: int, other: int, rated: float, shift: float) -> None:
        vk = self.between((4.0, 16.0))
        trafo = self.add(
            "trafo", hv_bus=one, lv_bus=other, sn_mva=rated * self.between((0.6, 1.4)),
            vn_hv_kv=high * self.pick([1.0, 1.0, 1.05]), vn_lv_kv=low * self.pick([1.0, 1.0, 1.02]),
            vk_percent=vk,
            vkr_percent=vk * self.between((0.02, 0.4)), pfe_kw=rated * self.between((0.0, 1.5)),
            i0_percent=self.pick([0.0, self.between((0.02, 0.5))]), shift_degree=shift,
            parallel=1 + self.chance(0.15),
            df=1.0, in_service=self.works(0.95), **self.tap(), **self.second_tap(),
        )  # fmt: skip
        if self.kinds.characteristics and self.chance(0.5):
            self.characteristic(trafo)
        self.end_switches("t", trafo, [one, other], 0.08)

    def three_windings(self, parent: _Area, child: _Area, one: int, other: int, rated: float) -> None:
        shift = float(self.pick([0.0, 30.0, 150.0]))
        tertiary = _Area(TERTIARY_KV, parent.phase - shift, [self.station(TERTIARY_KV)])
        self.areas.append(tertiary)
        bus = self.bus(tertiary)
        tap = self.tap(("hv", "mv", "lv"))
        # runpp refuses an ideal phase shifter there, and ignores a step without angle.
        at_star_point = self.chance(0.3) and tap.get("tap_changer_type") != "Ideal"
        if at_star_point and np.isnan(tap.get("tap_step_degree", 0.0)):
            tap["tap_step_degree"] = 0.0
        vk = [self.between((8.0, 16.0)) for _ in range(3)]
        trafo = self.add(
            "trafo3w", hv_bus=one, mv_bus=other, lv_bus=bus, sn_hv_mva=rated, sn_mv_mva=rated * 0.8,
            sn_lv_mva=rated * 0.4, vn_hv_kv=parent.kv, vn_mv_kv=child.kv * self.pick([1.0, 1.03]),
            vn_lv_kv=TERTIARY_KV,
            vk_hv_percent=vk[0], vk_mv_percent=vk[1], vk_lv_percent=vk[2], vkr_hv_percent=0.03 * vk[0],
            vkr_mv_percent=0.05 * vk[1], vkr_lv_percent=0.04 * vk[2], pfe_kw=rated * self.between((0.0, 1.5)),
            i0_percent=self.between((0.0, 0.3)),
            shift_mv_degree=parent.phase - child.phase, shift_lv_degree=shift,
            tap_at_star_point=at_star_point, in_service=self.works(0.95), **tap,
        )  # fmt: skip
        self.end_switches("t3", trafo, [one, other, bus], 0.12)

    def tap(self, sides: tuple[str, ...] = ("hv", "lv")) -> dict[str, Any]:
        kind = self.pick(["Ratio", "Ratio", "Ratio", "Symmetrical", "Ideal", None])
        if kind is None:
            return {}
        reach = int(self.rng.integers(1, 10))
        percent, degree = self.between((0.4, 2.0)), self.pick([0.0, np.nan, 0.0, 60.0, 180.0])
        if kind == "Symmetrical":
            percent, degree = self.between((0.2, 0.5)), self.pick([90.0, 60.0, -90.0])
        if kind == "Ideal":
            percent, degree = self.pick([(0.0, self.between((0.05, 0.4))), (self.between((0.1, 0.6)), 0.0)])
        neutral = int(self.rng.integers(-2, 3))
        return {
            "tap_side": str(self.pick(list(sides))), "tap_neutral": float(neutral),
            "tap_min": float(neutral - reach),
            "tap_max": float(neutral + reach), "tap_step_percent": percent, "tap_step_degree": degree,
            "tap_pos": float(neutral + int(self.rng.integers(-reach, reach + 1)) // (1 + (reach > 5))),
            "tap_changer_type": kind,
        }  # fmt: skip

    def second_tap(self) -> dict[str, Any]:
        if not (self.kinds.second_tap and self.chance(0.5)):
            return {}
        return {name.replace("tap_", "tap2_"): value for name, value in self.tap().items()}

    def characteristic(self, trafo: int) -> None:
        """A table of ratio, angle and impedance by position, for a changer that has positions."""
        row = self.rows["trafo"][trafo]
        if row.get("tap_changer_type") != "Ratio":
            return
        number = len({entry["id_characteristic"] for entry in self.characteristics})
        row.update(tap_changer_type="Tabular", tap_dependency_table=True, id_characteristic_table=number)
        for step in range(int(row["tap_min"]), int(row["tap_max"]) + 1):
            away = step - row["tap_neutral"]
            vk = row["vk_percent"] * (1.0 + 0.01 * away)
            self.characteristics.append(
                {"id_characteristic": number, "step": step, "voltage_ratio": 1.0 + 0.007 * away,
                "angle_deg": 0.05 * away,
                 "vk_percent": vk, "vkr_percent": 0.1 * vk}
            )  # fmt: skip

    def dead_part(self) -> None:
        """Stations that nothing supplies."""
        area = self.new_area(self.areas[0].kv, 0.0, int(self.rng.integers(1, 4)))
        if self.chance(0.5):  # behind an open switch rather than nowhere
            self.add(
                "switch", bus=self.bus(self.areas[0]), element=self.bus(area), et="b", closed=False, z_ohm=0.0
            )

    def sources(self, area: _Area) -> None:
        """One to three external grids: at one busbar, at one node, at other nodes with other voltages."""
        station = self.pick(area.stations)
        bus = self.pick(station)
        self.rows["bus"][bus]["in_service"] = True
        self.ext_grid(area, bus, self.vm_pu, self.va_degree, in_service=True)
        self.held = {id(station): self.vm_pu}
        if self.chance(0.15):
            self.ext_grid(area, bus, self.vm_pu, self.va_degree, in_service=self.works(0.7))
        if self.chance(0.1):
            self.ext_grid(area, self.pick(station), self.vm_pu, self.va_degree, in_service=self.works())
        if self.chance(0.3):
            area = self.pick(self.areas)
            station = self.pick(area.stations)
            if id(station) not in self.held:
                vm, turn = self.vm_pu + self.between((-0.01, 0.01)), self.between((-0.5, 0.5))
                self.held[id(station)] = vm
                self.ext_grid(area, self.pick(station), vm, self.va_degree + turn, in_service=self.works())

    def ext_grid(self, area: _Area, bus: int, vm: float, va: float, *, in_service: bool) -> None:
        degree = va + area.phase - self.areas[0].phase
        self.add("ext_grid", bus=bus, vm_pu=vm, va_degree=degree, slack_weight=1.0, in_service=in_service)

    # -- equipment -----------------------------------------------------------------------------------------

    def equipment(self, area: _Area) -> None:
        mw = LEVELS[area.kv][4] * self.load_factor
        if area.kv == TERTIARY_KV and len(area.stations) == 1:
            mw *= 5.0
        for station in area.stations:
            self.injections(station, mw)
            self.admittances(station, area.kv, mw)
            if self.kinds.voltage_control and area.kv >= 10.0 and self.chance(0.08):
                self.gens(station, mw)
        if len(area.stations) > 2 and self.chance(0.3):
            self.impedance(self.bus(area), self.bus(area), mw)

    def injections(self, station: Station, mw: float) -> None:
        common = {"scaling": 1.0, "in_service": True}

        def varied() -> dict[str, Any]:
            return {"bus": self.pick(station), "scaling": self.pick([1.0, self.between((0.2, 1.3))]),
                    "in_service": self.works(0.9)}  # fmt: skip

        while self.chance(0.6):
            self.add("load", p_mw=mw * self.between((-0.1, 1.0)), q_mvar=mw * self.between((-0.2, 0.4)),
                     **self.zip_shares(), **varied())  # fmt: skip
        if self.chance(0.25):
            self.add(
                "sgen", p_mw=mw * self.between((0.0, 1.5)), q_mvar=mw * self.between((-0.3, 0.3)), **varied()
            )
        if self.chance(0.1):
            self.add("storage", p_mw=mw * self.between((-0.5, 0.5)), q_mvar=mw * self.between((-0.1, 0.1)),
                     max_e_mwh=1.0, **varied())  # fmt: skip
        if self.chance(0.06):
            self.add(
                "motor",
                pn_mech_mw=mw * self.between((0.1, 0.5)),
                loading_percent=self.between((30.0, 100.0)),
                cos_phi=self.between((0.8, 1.0)),
                efficiency_percent=self.between((80.0, 98.0)),
                **varied(),
            )
        for table in ("asymmetric_load", "asymmetric_sgen"):
            if self.chance(0.04):
                phases = {f"{letter}_{phase}_{unit}": mw * self.between((0.0, 0.15))
                          for phase in "abc" for letter, unit in (("p", "mw"), ("q", "mvar"))}  # fmt: skip
                self.add(table, type="wye", **phases, **(varied() | common))

    def zip_shares(self) -> dict[str, float]:
        if not (self.kinds.zip_loads and self.chance(0.5)):
            return {}
        return {
            f"const_{kind}_{letter}_percent": self.between((0.0, 50.0)) for kind in "zi" for letter in "pq"
        }

    def admittances(self, station: Station, kv: float, mw: float) -> None:
        if self.chance(0.1):
            steps = int(self.rng.integers(1, 5))
            self.add("shunt", bus=self.pick(station), q_mvar=mw * self.between((-0.5, 0.3)),
                     p_mw=mw * self.between((0.0, 0.05)),
                     vn_kv=kv * self.pick([1.0, 1.05]), step=float(self.rng.integers(0, steps + 1)),
                     max_step=steps,
                     in_service=self.works(0.9))  # fmt: skip
        for table in ("ward", "xward"):
            if self.chance(0.07) and (table == "ward" or self.kinds.xward):
                powers = {f"{letter}{kind}_{unit}": mw * self.between((-0.2, 0.4))
                          for kind in "sz" for letter, unit in (("p", "mw"), ("q", "mvar"))}  # fmt: skip
                inner = {"r_ohm": 0.1 * kv**2 / mw, "x_ohm": kv**2 / mw, "vm_pu": self.between((0.98, 1.02)),
                         "slack_weight": 0.0}  # fmt: skip
                self.add(table, bus=self.pick(station), in_service=self.works(0.9), **powers,
                         **(inner if table == "xward" else {}))  # fmt: skip

    def gens(self, station: Station, mw: float) -> None:
        """One or two at one station, so at one voltage; rarely a slack."""
        vm = self.held.setdefault(id(station), self.vm_pu + self.between((-0.01, 0.01)))
        slack = self.chance(0.1) and station in self.areas[0].stations
        for _ in range(1 + self.chance(0.2)):
            self.add("gen", bus=self.pick(station), p_mw=mw * self.between((0.0, 2.0)), vm_pu=vm,
                     slack=slack, slack_weight=0.0,
                     scaling=self.pick([1.0, 0.7]), in_service=self.works(0.9))  # fmt: skip

    def impedance(self, one: int, other: int, mw: float) -> None:
        if one == other:
            return
        r, x = self.between((0.01, 0.1)), self.between((0.05, 0.3))
        there = (self.between((0.8, 1.2)), self.between((0.8, 1.2))) if self.kinds.asymmetric else (1.0, 1.0)
        shunts = {f"{letter}{end}_pu": self.between((0.0, 0.01)) for letter in "gb" for end in "ft"}
        if self.chance(0.5):
            shunts = dict.fromkeys(shunts, 0.0)
        self.add("impedance", from_bus=one, to_bus=other, rft_pu=r, xft_pu=x, rtf_pu=r * there[0],
                 xtf_pu=x * there[1],
                 sn_mva=10.0 * mw, in_service=self.works(0.9), **shunts)  # fmt: skip
