"""The attribute table of every table of a case: the checks and the documentation both read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gridclear.case.attributes import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Grid tables whose elements inject power and can be named in a forecast or a bid.
INJECTING = ("load", "sgen", "gen", "storage")
#: Grid tables of transformers with tap changers.
TAPPED = ("trafo", "trafo3w")
#: Grid tables whose elements an outage can switch.
SWITCHABLE = (
    "bus", "line", "trafo", "trafo3w", "impedance", "switch", "ext_grid", *INJECTING,
    "shunt", "ward", "motor", "asymmetric_load", "asymmetric_sgen",
)  # fmt: skip


_START = Column("start", "time", "start of the period", required=True)
_MODE = Column(
    "mode", "text", "who sets the position", required=True, choices=("fixed", "automatic", "optimised")
)
_POSITION = Column("position", "whole", "position at the start", default="the grid's")
_MAX_MOVES = Column(
    "max_moves", "whole", "most moves within the horizon; a move is one step", low=0, default="no limit"
)
_MAX_MOVES_DAY = Column("max_moves_day", "whole", "most moves within one UTC day", low=0, default="no limit")
_MOVES_TODAY = Column(
    "moves_today",
    "whole",
    "moves made before the horizon on the UTC day of its start: they count towards `max_moves_day`",
    low=0,
    default="0",
)
_MOVE_COST = Column(
    "cost_per_move_eur", "number", "cost of one move of this device", unit="EUR", low=0, default="0"
)
_DIRECTION = Column("direction", "text", "change of injection", required=True, choices=("up", "down"))
_PRICE = Column("price_eur_mwh", "number", "price", required=True, unit="EUR/MWh")
_BLOCK = Column("block", "text", "bids of one block stand or fall together", default="no block")


def _number(name: str, unit: str, meaning: str, default: str = "no limit", low: float = -math.inf) -> Column:
    return Column(name, "number", meaning, unit=unit, low=low, default=default)


def _element(
    what: str, meaning: str = "name or origin_id of the element", *, required: bool = True
) -> Column:
    return Column("element", "text", f"{meaning} ({what})", required=required)


def _element_type(choices: tuple[str, ...], *, required: bool = True, default: str = "") -> Column:
    return Column("element_type", "text", "grid table", required=required, choices=choices, default=default)


_FORECAST = (_element_type(INJECTING), _element("load, sgen, gen, storage"), _START)
_P_MW = Column("p_mw", "number", "active power, sign as in pandapower", required=True, unit="MW")
_Q_MEANING = "reactive power, sign as in pandapower"
_Q_FOLLOWS = "in the forecast's ratio to `p_mw`; the forecast's where that exceeds the active power"

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            "forecast",
            "What loads, generators and storages are expected to take or give: stands in for `p_mw` and"
            " `q_mvar` of the grid table (whose `scaling` still applies); an element without forecast keeps"
            " the grid's value.",
            (*_FORECAST, _P_MW, _number("q_mvar", "Mvar", _Q_MEANING, "the grid's")),
            ("element_type", "element", "start"),
            "complete",
        ),
        Table(
            "forecast_scenarios",
            "What may come instead of `forecast`, as equally likely scenarios of the whole grid. An element"
            " that is here has a row for every scenario and period; one that is not keeps its forecast.",
            (
                Column("scenario", "text", "its name", required=True),
                *_FORECAST,
                _P_MW,
                _number("q_mvar", "Mvar", _Q_MEANING, _Q_FOLLOWS),
            ),
            ("scenario", "element_type", "element", "start"),
        ),
        Table(
            "forecast_quantiles",
            "What may come instead of `forecast`, as quantiles of each element's active power. An element"
            " that is here has at least two for every period; one that is not keeps its forecast. Reactive"
            f" power: {_Q_FOLLOWS}.",
            (
                *_FORECAST,
                Column(
                    "probability",
                    "number",
                    "probability of `p_mw` or less",
                    required=True,
                    low=0,
                    high=1,
                    above=True,
                    below=True,
                ),
                _P_MW,
            ),
            ("element_type", "element", "start", "probability"),
        ),
        Table(
            "outages",
            "Planned switching: within [start, end) the element has the state.",
            (
                _element_type(SWITCHABLE),
                _element("any table"),
                Column("start", "time", "first moment", required=True),
                Column("end", "time", "first moment after", required=True),
                Column(
                    "state",
                    "text",
                    "`out`/`in` of service; `open`/`closed` for switches only",
                    required=True,
                    choices=("out", "in", "open", "closed"),
                ),
            ),
            (),
        ),
        Table(
            "connection_points",
            "Where distribution meets transmission. Without this table every ext_grid in service is one.",
            (
                Column("connection_point", "text", "its name", required=True),
                _element("ext_grid"),
                _number("p_min_mw", "MW", "least exchange"),
                _number("p_max_mw", "MW", "most exchange"),
                _number("q_min_mvar", "Mvar", "least exchange"),
                _number("q_max_mvar", "Mvar", "most exchange"),
                Column(
                    "s_max_mva",
                    "number",
                    "most apparent power",
                    unit="MVA",
                    low=0,
                    above=True,
                    default="no limit",
                ),
            ),
            ("connection_point",),
        ),
        Table(
            "tap_changers",
            "On-load tap changers that somebody sets.",
            (
                _element_type(TAPPED, required=False, default="trafo"),
                _element("trafo, trafo3w"),
                _MODE,
                _POSITION,
                Column("tap_min", "whole", "lowest position", default="the grid's"),
                Column("tap_max", "whole", "highest position", default="the grid's"),
                Column(
                    "vm_set_pu", "number", "voltage that `automatic` holds", unit="p.u.", low=0.5, high=1.5
                ),
                Column(
                    "deadband_pu",
                    "number",
                    "full width of the dead band",
                    unit="p.u.",
                    low=0,
                    high=0.5,
                    above=True,
                ),
                Column("group", "text", "transformers of one group move together", default="alone"),
                _MAX_MOVES,
                _MAX_MOVES_DAY,
                _MOVES_TODAY,
                _MOVE_COST,
            ),
            ("element_type", "element"),
        ),
        Table(
            "capacitor_banks",
            "Shunts with steps that somebody sets.",
            (
                _element("shunt"),
                _MODE,
                Column("position", "whole", "steps in at the start", low=0, default="the grid's"),
                Column("max_step", "whole", "number of steps", low=1, default="the grid's"),
                _MAX_MOVES,
                _MAX_MOVES_DAY,
                _MOVES_TODAY,
                _MOVE_COST,
            ),
            ("element",),
        ),
        Table(
            "storage",
            "Storages and what they can do.",
            (
                _element("storage"),
                _number("p_min_mw", "MW", "least power (charging is positive)"),
                _number("p_max_mw", "MW", "most power (charging is positive)"),
                Column(
                    "s_max_mva", "number", "apparent power", unit="MVA", low=0, above=True, default="no limit"
                ),
                _number("e_min_mwh", "MWh", "least energy", "0", 0),
                _number("e_max_mwh", "MWh", "most energy", low=0),
                _number("e_start_mwh", "MWh", "energy at the start", "unknown", 0),
                _number("e_end_min_mwh", "MWh", "least energy at the end", "no limit", 0),
                Column(
                    "efficiency_charge",
                    "number",
                    "share that is stored",
                    low=0,
                    high=1,
                    above=True,
                    default="1",
                ),
                Column(
                    "efficiency_discharge",
                    "number",
                    "share that comes out",
                    low=0,
                    high=1,
                    above=True,
                    default="1",
                ),
                Column(
                    "p_mode",
                    "text",
                    "who sets its active power",
                    choices=("scheduled", "optimised"),
                    default="scheduled",
                ),
            ),
            ("element",),
        ),
        Table(
            "inverters",
            "What inverters can do with reactive power.",
            (
                _element("sgen or storage"),
                Column(
                    "s_max_mva", "number", "apparent power", unit="MVA", low=0, above=True, default="no limit"
                ),
                Column(
                    "min_power_factor",
                    "number",
                    "power factor",
                    low=0,
                    high=1,
                    above=True,
                    default="no limit",
                ),
                Column("curve", "text", "name of a curve of table `capability_curves`", default="none"),
                Column(
                    "reaction",
                    "text",
                    "name of a curve of table `reaction_curves` that the inverter of an sgen follows: it then"
                    " sets the reactive power, not the grid and no forecast",
                    default="none",
                ),
            ),
            ("element",),
        ),
        Table(
            "reaction_curves",
            "How much reactive power an inverter gives by itself, Q(V) or cosφ(P), a row per point: straight"
            " between the points of a curve, flat beyond. Every point of a curve states `vm_pu`, the voltage"
            " at the inverter's bus, or every point states `p_pu`. What the apparent power leaves at the"
            " present active power is never passed.",
            (
                Column("curve", "text", "its name", required=True),
                Column(
                    "vm_pu", "number", "voltage", unit="p.u.", low=0.5, high=1.5, default="a curve of `p_pu`"
                ),
                Column(
                    "p_pu",
                    "number",
                    "active power injected, over the inverter's `s_max_mva`",
                    unit="p.u.",
                    low=-1,
                    high=1,
                    default="a curve of `vm_pu`",
                ),
                Column(
                    "q_pu",
                    "number",
                    "reactive power injected, over the inverter's `s_max_mva`",
                    unit="p.u.",
                    required=True,
                    low=-1,
                    high=1,
                ),
            ),
            ("curve", "vm_pu", "p_pu"),
        ),
        Table(
            "capability_curves",
            "How much reactive power an inverter can give at each active power, a row per point: straight"
            " between the points of a curve. Injection into the grid is positive, of storage, too.",
            (
                Column("curve", "text", "its name", required=True),
                Column("p_mw", "number", "active power injected", required=True, unit="MW"),
                Column("q_min_mvar", "number", "least reactive power injected", required=True, unit="Mvar"),
                Column("q_max_mvar", "number", "most reactive power injected", required=True, unit="Mvar"),
            ),
            ("curve", "p_mw"),
        ),
        Table(
            "active_bids",
            "Offers of active power. `up` is more generation or less consumption.",
            (
                Column("bid", "text", "its id", required=True),
                _element_type(INJECTING, required=False, default="needed where element is given"),
                _element(
                    "load, sgen, gen, storage; empty: connected to transmission",
                    "name or origin_id",
                    required=False,
                ),
                _START,
                _DIRECTION,
                Column("p_mw", "number", "offered change of injection", required=True, unit="MW", low=0),
                _PRICE,
                Column("min_p_mw", "number", "least amount taken", unit="MW", low=0, default="0"),
                _BLOCK,
                Column("tan_phi", "number", "reactive power that moves with the active power", default="0"),
                Column(
                    "exclusive",
                    "text",
                    "at most one bid of an exclusive group is activated in a period",
                    default="no group",
                ),
            ),
            ("bid", "start", "direction"),
        ),
        Table(
            "active_need",
            "What the TSO needs.",
            (_START, _DIRECTION, Column("p_mw", "number", "need", required=True, unit="MW", low=0)),
            ("start", "direction"),
        ),
        Table(
            "reactive_bids",
            "Offers of reactive power. `inject` raises the voltage.",
            (
                Column("bid", "text", "its id", required=True),
                _element_type(INJECTING),
                _element("load, sgen, gen, storage"),
                _START,
                Column(
                    "direction", "text", "change of injection", required=True, choices=("inject", "absorb")
                ),
                Column("q_mvar", "number", "offered change of injection", required=True, unit="Mvar", low=0),
                Column("price_eur_mvarh", "number", "price", required=True, unit="EUR/Mvarh"),
                Column("min_q_mvar", "number", "least amount taken", unit="Mvar", low=0, default="0"),
                _BLOCK,
            ),
            ("bid", "start", "direction"),
        ),
        Table(
            "reactive_profile",
            "The reactive power asked for at a connection point, from transmission into distribution.",
            (
                Column("connection_point", "text", "its name", required=True),
                _START,
                Column("q_mvar", "number", "exchange", required=True, unit="Mvar"),
                Column(
                    "tolerance_mvar", "number", "allowed distance either way", unit="Mvar", low=0, default="0"
                ),
            ),
            ("connection_point", "start"),
        ),
        Table(
            "metered",
            "What was measured, for the settlement.",
            (
                Column("bid", "text", "id of an active or reactive bid", required=True),
                _START,
                _number("p_mw", "MW", "metered change of injection", "not metered"),
                _number("q_mvar", "Mvar", "metered change of injection", "not metered"),
            ),
            ("bid", "start"),
        ),
    )
}
