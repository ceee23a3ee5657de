"""Every network that pandapower and SimBench publish, by a name that says how to make it."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import pandapower as pp
import pandapower.networks as networks

if TYPE_CHECKING:
    from collections.abc import Callable

#: Functions of pandapower.networks that make no network of their own.
NO_NETWORKS = {
    "create_dickert_lv_feeders": "adds feeders to a net that is there (create_dickert_lv_network calls it)",
    "sorted_from_json": "reads a file",
}
#: Calls with other than the default arguments.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "create_cigre_network_mv": [{"with_der": "pv_wind"}, {"with_der": "all"}],
    "create_dickert_lv_network": [
        {"feeders_range": "middle", "linetype": "cable", "customer": "multiple", "case": "bad"},
        {"feeders_range": "long", "linetype": "cable", "customer": "multiple", "case": "worse"},
        {"feeders_range": "middle", "linetype": "C&OHL", "customer": "multiple", "case": "average"},
        {"feeders_range": "long", "linetype": "C&OHL", "customer": "multiple", "case": "worse"},
    ],
    "create_kerber_landnetz_freileitung_1": [{"n_lines": 20, "std_type": "NAYY 4x50"}],
    "create_kerber_landnetz_kabel_1": [{"p_load_mw": 0.004, "q_load_mvar": 0.002}],
    "create_kerber_vorstadtnetz_kabel_1": [{"trafotype": "0.4 MVA 10/0.4 kV"}],
    "create_synthetic_voltage_control_lv_network": [
        {"network_class": name} for name in ("rural_2", "village_1", "village_2", "suburb_1")
    ],
    "ieee_european_lv_asymmetric": [{"scenario": "off_peak_1"}, {"scenario": "off_peak_1440"}],
    "lv_schutterwald": [{"include_heat_pumps": True}],
    "mv_oberrhein": [{"scenario": "generation"}, {"include_substations": True}],
}
SIMBENCH = (
    *(f"1-LV-{kind}--0-sw" for kind in ("rural1", "rural2", "rural3", "semiurb4", "semiurb5", "urban6")),
    *(f"1-MV-{kind}--0-sw" for kind in ("rural", "semiurb", "urban", "comm")),
    *(f"1-HV-{kind}--0-sw" for kind in ("mixed", "urban")),
    *(f"1-MVLV-{kind}-all-0-sw" for kind in ("rural", "semiurb", "urban", "comm")),
    *(f"1-HVMV-{kind}-all-0-sw" for kind in ("mixed", "urban")),
    "1-EHV-mixed--0-sw", "1-EHVHV-mixed-all-0-sw", "1-EHVHVMVLV-mixed-all-0-sw",
    "1-LV-rural1--2-no_sw", "1-MV-comm--1-no_sw", "1-MVLV-urban-5.303-1-sw", "1-HV-mixed--2-no_sw",
)  # fmt: skip


def functions() -> dict[str, Callable[..., Any]]:
    """Every public function of pandapower.networks."""
    return {
        name: function
        for name, function in inspect.getmembers(networks, inspect.isfunction)
        if function.__module__.startswith("pandapower.networks") and not name.startswith("_")
    }


def catalogue() -> dict[str, Callable[[], pp.pandapowerNet]]:
    """Name → maker; the separate parts of a network stand for themselves."""
    makers: dict[str, Callable[[], pp.pandapowerNet]] = {}
    for name, function in functions().items():
        if name in NO_NETWORKS:
            continue
        makers[name] = function
        for arguments in VARIANTS.get(name, []):
            shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            makers[f"{name}({shown})"] = partial(function, **arguments)
    for number in range(2):
        makers[f"mv_oberrhein(separation_by_sub=True)[{number}]"] = partial(
            lambda place: networks.mv_oberrhein(separation_by_sub=True)[place], number
        )
    return makers | {f"simbench:{code}": partial(_simbench, code) for code in SIMBENCH}


def _simbench(code: str) -> pp.pandapowerNet:
    import simbench  # noqa: PLC0415  an extra of the long tests

    net = simbench.get_simbench_net(code)
    # SimBench states taps and no type, so pandapower 3 would ignore them.
    for table in ("trafo", "trafo3w"):
        net[table]["tap_changer_type"] = "Ratio"
    return net
