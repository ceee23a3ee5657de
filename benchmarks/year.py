"""A grid and a year of quarter-hours of its loads and generators: the input that all peers share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numba
import numpy as np
import pandapower as pp
import pandapower.networks as grids
from numpy.typing import NDArray

from .registry import MissingPeerError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]
SMOKE_CASE = "cigre-mv"
MADE: dict[str, Callable[[], pp.pandapowerNet]] = {
    SMOKE_CASE: partial(grids.create_cigre_network_mv, with_der="pv_wind"),
    "kerber-vorstadt": grids.create_kerber_vorstadtnetz_kabel_1,
}
SIZE = 12_000_000  # largest scenarios × buses: a batch of all outputs then stays below half a gigabyte


@dataclass(frozen=True, eq=False)
class Elements:
    """Profiles of one element table.

    Parameters
    ----------
    table : str
        ``load`` or ``sgen``.
    bus : integer array [element]
        Position of the element's bus in ``net.bus``.
    sign : float
        +1 where the element generates, -1 where it consumes.
    p_mw, q_mvar : float array [scenario, element]
        Profiles as pandapower writes them, contiguous by scenario; ``q_mvar`` is None where all is 0.
    """

    table: str
    bus: NDArray[np.int64]
    sign: float
    p_mw: Floats
    q_mvar: Floats | None


@dataclass(frozen=True, eq=False)
class Year:
    """A pandapower net (never changed by the peers) and the profiles of its elements."""

    name: str
    net: pp.pandapowerNet
    elements: tuple[Elements, ...]

    @property
    def scenarios(self) -> int:
        """Number of power flows."""
        return len(self.elements[0].p_mw)

    def evenly(self, count: int) -> Year:
        """Return the same year with ``count`` scenarios at most, evenly spread, each time the same ones."""
        keep = positions(self.scenarios, count)
        chosen = tuple(
            replace(e, p_mw=e.p_mw[keep], q_mvar=None if e.q_mvar is None else e.q_mvar[keep])
            for e in self.elements
        )
        return replace(self, elements=chosen)


@dataclass(frozen=True, eq=False)
class States:
    """What every peer has to deliver, in the order of ``net.bus`` and of ``net.line`` then ``net.trafo``.

    ``vm_pu``, ``va_degree``: [scenario, bus]; ``i_from_ka``, ``i_to_ka``: [scenario, branch].
    """

    vm_pu: Floats
    va_degree: Floats
    i_from_ka: Floats
    i_to_ka: Floats

    def __getitem__(self, keep: NDArray[np.int64]) -> States:
        return States(self.vm_pu[keep], self.va_degree[keep], self.i_from_ka[keep], self.i_to_ka[keep])

    def complex_voltage(self) -> NDArray[np.complex128]:
        """Bus voltages as phasors, p.u."""
        return np.asarray(self.vm_pu * np.exp(1j * np.deg2rad(self.va_degree)))


def positions(scenarios: int, count: int) -> NDArray[np.int64]:
    """``count`` positions at most, evenly spread over the scenarios."""
    return np.unique(np.linspace(0, scenarios - 1, min(count, scenarios)).round().astype(np.int64))


def load_year(case: str, scenarios: int, seed: int) -> Year:
    """Load a SimBench year by its code, or one of the seeded cases (`MADE`) that need no data.

    SimBench grids arrive with ``tap_changer_type`` empty, which makes pandapower ignore the tap positions
    that the same grids state; here it is set to "Ratio", for all peers alike. Of a large grid fewer scenarios
    are taken (`SIZE`), spread evenly over the year before the elements' profiles are made of the shared ones.
    """
    if case in MADE:
        return _made(case, scenarios, seed)
    try:
        import simbench  # noqa: PLC0415 - heavy, and only an extra
    except ImportError as fault:
        raise MissingPeerError(f"case {case}: pip install 'gridclear[data]'") from fault
    net = simbench.get_simbench_net(case)
    net.trafo["tap_changer_type"] = "Ratio"
    for kind, shared in net.profiles.items():
        keep = positions(len(shared), min(scenarios, SIZE // len(net.bus)))
        net.profiles[kind] = shared.iloc[keep].reset_index(drop=True)
    values = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    del net["profiles"]  # large, and the peers copy the net
    return _year(case, net, {key: frame.to_numpy(dtype=np.float64) for key, frame in values.items()})


def _made(case: str, scenarios: int, seed: int) -> Year:
    net = MADE[case]()
    net.trafo["tap_changer_type"] = "Ratio"
    rng = np.random.default_rng(seed)
    profiles = {}
    for table, column in (("load", "p_mw"), ("load", "q_mvar"), ("sgen", "p_mw")):
        shape = (scenarios, len(net[table]))
        profiles[table, column] = net[table][column].to_numpy() * rng.uniform(0.3, 1.0, shape)
    return _year(case, net, profiles)


def _year(name: str, net: pp.pandapowerNet, profiles: dict[tuple[str, str], Floats]) -> Year:
    position = {bus: i for i, bus in enumerate(net.bus.index)}
    elements = []
    for table, sign in (("load", -1.0), ("sgen", 1.0)):
        frame = net[table]
        if frame.empty:
            continue
        if not (frame["scaling"] == 1.0).all() or not frame["in_service"].all():
            raise ValueError(f"{name}: scaled or idle {table}s are not part of this comparison")
        shape = (len(profiles[table, "p_mw"]), len(frame))
        q_mvar = profiles.get(
            (table, "q_mvar"), np.broadcast_to(frame["q_mvar"].to_numpy(dtype=float), shape)
        )
        elements.append(
            Elements(
                table,
                np.array([position[bus] for bus in frame["bus"]]),
                sign,
                np.ascontiguousarray(profiles[table, "p_mw"]),
                np.ascontiguousarray(q_mvar) if q_mvar.any() else None,
            )
        )
    # everything that the batch does not set stays at zero, so that all peers agree on what is there
    for table in (
        "gen",
        "storage",
        "ward",
        "xward",
        "motor",
        "asymmetric_load",
        "asymmetric_sgen",
        "trafo3w",
    ):
        if len(net[table]):
            raise ValueError(f"{name}: {table} is not part of this comparison")
    pp.runpp(net, calculate_voltage_angles=True)  # fills the tables that the peers' converters read
    return Year(name, net, tuple(elements))


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _add(values: Floats, target: NDArray[np.int64], factor: float, out: Floats) -> None:
    for scenario in range(values.shape[0]):
        for element in range(values.shape[1]):
            out[scenario, target[element]] += factor * values[scenario, element]


def aggregate(year: Year, target: NDArray[np.int64], size: int, factor: float) -> tuple[Floats, Floats]:
    """Injections [scenario, target] times ``factor``, from the element profiles; ``target`` is by bus.

    The peers that want injections by node share this loop: it takes a sixth of the time of a product with a
    sparse matrix.
    """
    p, q = np.zeros((year.scenarios, size)), np.zeros((year.scenarios, size))
    for e in year.elements:
        _add(e.p_mw, target[e.bus], factor * e.sign, p)
        if e.q_mvar is not None:
            _add(e.q_mvar, target[e.bus], factor * e.sign, q)
    return p, q
