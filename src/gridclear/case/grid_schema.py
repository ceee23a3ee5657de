"""Columns of pandapower's element tables that enter a power flow or its limits.

Names, units and meanings are pandapower's (https://pandapower.readthedocs.io, "Datastructure and
Elements", version 3.5). A column that is not listed is kept if its cells are plain scalars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

GridKind = Literal["bus", "number", "whole", "flag", "text"]


@dataclass(frozen=True)
class GridColumn:
    """One column of an element table.

    Attributes
    ----------
    name : str
    kind : {"bus", "number", "whole", "flag", "text"}
        ``bus`` is an index of the bus table.
    empty : bool
        Whether a cell may be empty (NaN, None).
    default : float, bool, str or None
        Value of an absent column, as pandapower assumes it; None and not ``empty``: it has to be there.
    low, high : float
        Allowed range; ``above`` excludes ``low`` itself.
    unit : str
    """

    name: str
    kind: GridKind
    empty: bool = False
    default: float | bool | None = None
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    unit: str = ""

    @property
    def expectation(self) -> str:
        """What a cell has to be, as the end of "expected ..."."""
        if self.kind == "bus":
            return "the index of a bus"
        if self.kind == "flag":
            return "true or false"
        if self.kind == "text":
            return "a text"
        noun = "a whole number" if self.kind == "whole" else "a finite number"
        if math.isfinite(self.low):
            noun += f" {'>' if self.above else '>='} {self.low:g}"
        if math.isfinite(self.high):
            noun += f"{' and' if math.isfinite(self.low) else ''} <= {self.high:g}"
        return noun + (f" in {self.unit}" if self.unit else "")


def _bus(*names: str) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "bus", low=0) for name in names)


def _text(*names: str) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "text", empty=True) for name in names)


def _flag(name: str, *, default: bool | None = None) -> GridColumn:
    return GridColumn(name, "flag", empty=default is not None, default=default)


def _need(*names: str, unit: str = "", default: float | None = None) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "number", default=default, unit=unit) for name in names)


def _least(low: float, *names: str, unit: str = "", default: float | None = None) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "number", default=default, low=low, unit=unit) for name in names)


def _positive(*names: str, unit: str = "", default: float | None = None) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "number", default=default, low=0, above=True, unit=unit) for name in names)


def _maybe(*names: str, unit: str = "") -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "number", empty=True, unit=unit) for name in names)


def _set_point(*names: str) -> tuple[GridColumn, ...]:
    return tuple(GridColumn(name, "number", low=0.5, high=1.5, unit="p.u.") for name in names)


_NAME = _text("name")
_IN_SERVICE = (_flag("in_service"),)
_SCALING = _need("scaling", default=1.0)
_PQ = (*_need("p_mw", unit="MW"), *_need("q_mvar", unit="Mvar", default=0.0))
_VOLTAGE_DEPENDENCE = ("const_z_p_percent", "const_z_q_percent", "const_i_p_percent", "const_i_q_percent")
_MAX_LOADING = (GridColumn("max_loading_percent", "number", empty=True, low=0, above=True, unit="%"),)
_TAP = (
    *_text("tap_side"),
    *_maybe("tap_neutral", "tap_min", "tap_max", "tap_step_percent", "tap_step_degree", "tap_pos"),
    *_text("tap_changer_type"),
    *_maybe("id_characteristic_table"),
    _flag("tap_dependency_table", default=False),
)
_TAP2 = (
    *_text("tap2_side"),
    *_maybe("tap2_neutral", "tap2_min", "tap2_max", "tap2_step_percent", "tap2_step_degree", "tap2_pos"),
    *_text("tap2_changer_type"),
)
_PARALLEL = (GridColumn("parallel", "whole", default=1, low=1),)
_PHASES = ("p_a_mw", "p_b_mw", "p_c_mw", "q_a_mvar", "q_b_mvar", "q_c_mvar")

#: Element tables that gridclear represents.
GRID_TABLES: Mapping[str, tuple[GridColumn, ...]] = {
    "bus": (
        *_NAME,
        *_positive("vn_kv", unit="kV"),
        *_text("type", "zone"),
        *_IN_SERVICE,
        *_text("geo"),
        GridColumn("min_vm_pu", "number", empty=True, low=0, unit="p.u."),
        GridColumn("max_vm_pu", "number", empty=True, low=0, above=True, unit="p.u."),
    ),
    "load": (
        *_NAME,
        *_bus("bus"),
        *_PQ,
        *_need(*_VOLTAGE_DEPENDENCE, unit="%", default=0.0),
        *_maybe("sn_mva", unit="MVA"),
        *_SCALING,
        *_IN_SERVICE,
        *_text("type"),
    ),
    "sgen": (
        *_NAME,
        *_bus("bus"),
        *_PQ,
        *_maybe("sn_mva", unit="MVA"),
        *_SCALING,
        *_IN_SERVICE,
        *_text("type"),
    ),
    "gen": (
        *_NAME,
        *_bus("bus"),
        *_need("p_mw", unit="MW"),
        *_set_point("vm_pu"),
        *_maybe("sn_mva", unit="MVA"),
        *_maybe("min_q_mvar", "max_q_mvar", unit="Mvar"),
        *_SCALING,
        _flag("slack", default=False),
        *_need("slack_weight", default=0.0),
        *_IN_SERVICE,
        *_text("type"),
    ),
    "storage": (
        *_NAME,
        *_bus("bus"),
        *_PQ,
        *_maybe("sn_mva", unit="MVA"),
        *_maybe("soc_percent", "min_e_mwh", "max_e_mwh"),
        *_SCALING,
        *_IN_SERVICE,
        *_text("type"),
    ),
    "motor": (
        *_NAME,
        *_bus("bus"),
        *_need("pn_mech_mw", unit="MW"),
        *_need("loading_percent", unit="%"),
        GridColumn("cos_phi", "number", low=0, high=1, above=True),
        *_positive("efficiency_percent", unit="%"),
        *_SCALING,
        *_IN_SERVICE,
    ),
    "asymmetric_load": (*_NAME, *_bus("bus"), *_need(*_PHASES), *_SCALING, *_IN_SERVICE, *_text("type")),
    "asymmetric_sgen": (*_NAME, *_bus("bus"), *_need(*_PHASES), *_SCALING, *_IN_SERVICE, *_text("type")),
    "ward": (*_NAME, *_bus("bus"), *_need("ps_mw", "qs_mvar", "pz_mw", "qz_mvar"), *_IN_SERVICE),
    "xward": (
        *_NAME,
        *_bus("bus"),
        *_need("ps_mw", "qs_mvar", "pz_mw", "qz_mvar"),
        *_need("r_ohm", "x_ohm", unit="ohm"),
        *_set_point("vm_pu"),
        *_need("slack_weight", default=0.0),
        *_IN_SERVICE,
    ),
    "dcline": (
        *_NAME,
        *_bus("from_bus", "to_bus"),
        *_need("p_mw", unit="MW"),
        *_need("loss_percent", unit="%"),
        *_need("loss_mw", unit="MW"),
        *_set_point("vm_from_pu", "vm_to_pu"),
        *_maybe("max_p_mw", unit="MW"),
        *_maybe("min_q_from_mvar", "min_q_to_mvar", "max_q_from_mvar", "max_q_to_mvar", unit="Mvar"),
        *_IN_SERVICE,
    ),
    "shunt": (
        *_NAME,
        *_bus("bus"),
        *_need("q_mvar", unit="Mvar"),
        *_need("p_mw", unit="MW", default=0.0),
        GridColumn("vn_kv", "number", empty=True, low=0, above=True, unit="kV"),
        *_least(0, "step", default=1.0),
        GridColumn("max_step", "whole", default=1, low=0),
        *_maybe("id_characteristic_table"),
        _flag("step_dependency_table", default=False),
        *_IN_SERVICE,
    ),
    "ext_grid": (
        *_NAME,
        *_bus("bus"),
        *_set_point("vm_pu"),
        *_need("va_degree", unit="degree", default=0.0),
        *_need("slack_weight", default=1.0),
        *_IN_SERVICE,
    ),
    "line": (
        *_text("name", "std_type"),
        *_bus("from_bus", "to_bus"),
        *_positive("length_km", unit="km"),
        # Of either sign: equivalents of transmission grids hold negative resistances and capacitances.
        *_need("r_ohm_per_km", "x_ohm_per_km", unit="ohm/km"),
        *_need("c_nf_per_km", unit="nF/km"),
        *_least(0, "g_us_per_km", unit="uS/km", default=0.0),
        *_positive("max_i_ka", unit="kA"),
        *_positive("df", default=1.0),
        *_PARALLEL,
        *_MAX_LOADING,
        *_text("type"),
        *_IN_SERVICE,
        *_text("geo"),
    ),
    "trafo": (
        *_text("name", "std_type"),
        *_bus("hv_bus", "lv_bus"),
        *_positive("sn_mva", unit="MVA"),
        *_positive("vn_hv_kv", "vn_lv_kv", unit="kV"),
        # Of either sign: a winding between a terminal and the star point can have a negative reactance.
        *_need("vk_percent", "vkr_percent", unit="%"),
        *_least(0, "pfe_kw", unit="kW"),
        *_need("i0_percent", unit="%"),
        *_need("shift_degree", unit="degree", default=0.0),
        *_TAP,
        *_TAP2,
        *_PARALLEL,
        *_positive("df", default=1.0),
        *_MAX_LOADING,
        *_IN_SERVICE,
    ),
    "trafo3w": (
        *_text("name", "std_type"),
        *_bus("hv_bus", "mv_bus", "lv_bus"),
        *_positive("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", unit="MVA"),
        *_positive("vn_hv_kv", "vn_mv_kv", "vn_lv_kv", unit="kV"),
        *_positive("vk_hv_percent", "vk_mv_percent", "vk_lv_percent", unit="%"),
        *_least(0, "vkr_hv_percent", "vkr_mv_percent", "vkr_lv_percent", unit="%"),
        *_least(0, "pfe_kw", unit="kW"),
        *_least(0, "i0_percent", unit="%"),
        *_need("shift_mv_degree", "shift_lv_degree", unit="degree", default=0.0),
        *_TAP,
        _flag("tap_at_star_point", default=False),
        *_MAX_LOADING,
        *_IN_SERVICE,
    ),
    "impedance": (
        *_NAME,
        *_bus("from_bus", "to_bus"),
        *_need("rft_pu", "xft_pu", "rtf_pu", "xtf_pu", unit="p.u."),
        *_need("gf_pu", "bf_pu", "gt_pu", "bt_pu", unit="p.u.", default=0.0),
        *_positive("sn_mva", unit="MVA"),
        *_IN_SERVICE,
    ),
    "switch": (
        *_bus("bus"),
        GridColumn("element", "whole", low=0),
        GridColumn("et", "text"),
        *_text("type"),
        _flag("closed"),
        *_NAME,
        *_least(0, "z_ohm", unit="ohm", default=0.0),
        *_maybe("in_ka", unit="kA"),
    ),
}

#: Element tables that gridclear cannot represent yet: refused where an element is in service.
UNSUPPORTED_TABLES = (
    "svc", "tcsc", "ssc", "vsc", "vsc_stacked", "vsc_bipolar", "bus_dc", "line_dc", "source_dc", "load_dc",
)  # fmt: skip

_STEP = (
    GridColumn("id_characteristic", "whole", low=0),
    GridColumn("step", "number"),
)
#: Tables that elements may point to for what their taps or steps do; further columns are kept as they are.
AUXILIARY_TABLES: Mapping[str, tuple[GridColumn, ...]] = {
    "trafo_characteristic_table": (
        *_STEP,
        GridColumn("voltage_ratio", "number", empty=True, low=0, above=True),
        *_maybe("angle_deg", unit="degree"),
        *_maybe("vk_percent", "vkr_percent", unit="%"),
        *(
            GridColumn(f"{vk}_{pair}_percent", "number", empty=True, low=0, above=vk == "vk", unit="%")
            for pair in ("hv", "mv", "lv")
            for vk in ("vk", "vkr")
        ),
    ),
    "shunt_characteristic_table": (
        *_STEP,
        *_maybe("q_mvar", unit="Mvar"),
        *_maybe("p_mw", unit="MW"),
    ),
}
