"""power-grid-model as the core of traffic lights: batches of power flows, limits looked at by numpy.

Written as one would write it today: all lanes (bid, period) whose search is still open are one batch, full
offers first, then bisection. The base states with their taps and limits are given, and cost nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pandapower.pypower.idx_bus import PD, QD

from benchmarks.peers.pgm import ALL_CORES, OUTPUT, convert
from benchmarks.registry import MissingPeerError

try:
    import power_grid_model
except ImportError:  # an extra
    power_grid_model = None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from pandapower import pandapowerNet
    from tests.oracle.plain_grid import Base

    Floats = NDArray[np.float64]
    Complexes = NDArray[np.complex128]
    Ints = NDArray[np.int64]

NEWTON, CURRENT = "newton_raphson", "iterative_current"
#: Error tolerances, p.u. of voltage, which leave both within 1e-9 p.u. of the solution, and iterations.
RULES = {NEWTON: (1e-6, 20), CURRENT: (1e-9, 60)}
CELLS = 2_000_000  # lanes × constraints of one batch
BISECTIONS = 10  # to a thousandth of the offer
EXCHANGES = ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva")
#: Differences to runpp at the base states, in tolerances of the limits, that are still the same grid.
SAME = 0.1


@dataclass(frozen=True, eq=False)
class _Grid:
    """One topology with its taps."""

    model: Any
    node: Ints  # of each bus
    percent: Floats  # of loading per A at either end, [2, branch]


@dataclass(frozen=True, eq=False)
class Reached:
    """How far each lane goes, as a share of its offer, and the power flows that it took."""

    share: Floats
    flows: Ints


class PgmLights:
    """power-grid-model set up for the base states of some periods.

    Parameters
    ----------
    bases : sequence of Base
        One per period, all solved, of one grid with a single external grid; they hold the effective limits.
    points : DataFrame
        ``connection_points`` of the case.
    method : str
        `NEWTON` or `CURRENT`; what the latter does not solve is tried again by the former.

    Attributes
    ----------
    ground : complex array [period, bus]
        Power of the base states in MW and Mvar, generation positive, in the order of ``net.bus``.

    Raises
    ------
    MissingPeerError
        It is not installed, has no model for the grid, or finds other base states than ``runpp``.
    """

    def __init__(self, bases: Sequence[Base], points: pd.DataFrame, method: str) -> None:
        if power_grid_model is None:
            raise MissingPeerError("pip install 'gridclear[bench]'")
        net, table = bases[0].net, bases[0].constraints
        if len(net.ext_grid) != 1 or len(net.trafo3w):
            raise MissingPeerError("several external grids and three-winding transformers are left out")
        self._method = method
        self._side, self._tolerance = table["side"].to_numpy(), table["tolerance"].to_numpy()
        self._effective = np.array([base.constraints["effective"].to_numpy() for base in bases])
        self._dead = np.array([base.constraints["base"].isna().to_numpy() for base in bases])
        self._traded = [i for i, what in enumerate(EXCHANGES) if points[what].notna().any()]
        self.ground = np.array([_power(base.net) for base in bases])
        grids: dict[bytes, _Grid] = {}
        self._grids = []
        for base in bases:
            key = _fingerprint(base.net)
            if key not in grids:
                grids[key] = _grid(base.net)
            self._grids.append(grids[key])
        self._compare(bases)

    def excess(self, period: Ints, power: Complexes) -> Floats:
        """Worst excess over the effective limits, in tolerances: a violation above 1, inf without solution.

        ``period``: [lane], position among the base states; ``power``: [lane, bus].
        """
        worst = np.empty(len(period))
        for lanes, over in self._scan(period, power):
            worst[lanes] = over.max(axis=1)
        return worst

    def excesses(self, period: Ints, power: Complexes) -> Floats:
        """As `excess`, of every constraint by itself, [lane, constraint]."""
        found = np.empty((len(period), len(self._side)))
        for lanes, over in self._scan(period, power):
            found[lanes] = over
        return found

    def reach(
        self, period: Ints, ground: Complexes, bus: Ints, full: Complexes, most: Floats | float = 1.0
    ) -> Reached:
        """Try every offer in full, and bisect what breaks something.

        Parameters
        ----------
        period : [lane]
        ground : [lane, bus]
            What is there without the offer.
        bus, full : [lane]
            Where the offer acts, and all of it in MW and Mvar.
        most : [lane] or float
            Excess in tolerances from which on a state counts as broken.
        """
        lanes = np.arange(len(period))
        share, high, flows = np.zeros(len(lanes)), np.ones(len(lanes)), np.ones(len(lanes), dtype=np.int64)
        most = np.broadcast_to(most, lanes.shape)

        def broken(lane: Ints, at: Floats) -> NDArray[np.bool_]:
            power = ground[lane]
            power[np.arange(len(lane)), bus[lane]] += at * full[lane]
            return self.excess(period[lane], power) > most[lane]

        free = ~broken(lanes, high)
        share[free] = 1.0
        left = lanes[~free]
        for _ in range(BISECTIONS if len(left) else 0):
            middle = (share[left] + high[left]) / 2
            over = broken(left, middle)
            high[left[over]], share[left[~over]] = middle[over], middle[~over]
            flows[left] += 1
        return Reached(share, flows)

    def _scan(self, period: Ints, power: Complexes) -> Iterator[tuple[Ints, Floats]]:
        """Excess of every constraint, lanes of one grid at a time and not too many."""
        at_once = max(1, CELLS // len(self._side))
        which = {id(grid): grid for grid in self._grids}
        grid_of = np.array([id(grid) for grid in self._grids])[period]
        for number, grid in which.items():
            lanes = np.flatnonzero(grid_of == number)
            for part in np.split(lanes, range(at_once, len(lanes), at_once)) if len(lanes) else []:
                values = self._solve(grid, power[part], self._method)
                over = self._side * (values - self._effective[period[part]]) / self._tolerance
                # A lane without solution is NaN all over.
                over[np.isnan(over)] = np.inf
                over[self._dead[period[part]] & (over < np.inf)] = -np.inf
                yield part, over

    def _solve(self, grid: _Grid, power: Complexes, method: str) -> Floats:
        """Values of the constraints, [lane, constraint], NaN without solution."""
        tolerance, iterations = RULES[method]
        out = grid.model.calculate_power_flow(
            update_data={
                "sym_load": {
                    "p_specified": np.ascontiguousarray(power.real) * -1e6,
                    "q_specified": np.ascontiguousarray(power.imag) * -1e6,
                }
            },
            error_tolerance=tolerance,
            max_iterations=iterations,
            calculation_method=method,
            threading=ALL_CORES,
            output_component_types={**OUTPUT, "source": ["p", "q"]},
            continue_on_batch_error=True,
        )
        vm_pu = out["node"]["u_pu"][:, grid.node]
        ends = [np.hstack([out["line"][i], out["generic_branch"][i]]) for i in ("i_from", "i_to")]
        loading = np.maximum(ends[0] * grid.percent[0], ends[1] * grid.percent[1])
        p_mw, q_mvar = (out["source"][quantity].sum(axis=1) / 1e6 for quantity in ("p", "q"))
        traded = np.stack([p_mw, p_mw, q_mvar, q_mvar, np.hypot(p_mw, q_mvar)], axis=1)
        values = np.hstack([vm_pu, vm_pu, loading, traded[:, self._traded]])
        error = grid.model.batch_error
        failed = np.array([] if error is None else error.failed_scenarios, dtype=np.int64)
        if len(failed):
            again = method == CURRENT
            values[failed] = self._solve(grid, power[failed], NEWTON) if again else np.nan
        return values

    def _compare(self, bases: Sequence[Base]) -> None:
        """Refuse a grid that is not ``runpp``'s."""
        periods = np.arange(len(bases))
        for lanes, over in self._scan(periods, self.ground):
            base = np.array([bases[i].constraints["base"].to_numpy() for i in lanes])
            theirs = self._side * (base - self._effective[lanes]) / self._tolerance
            worst = np.nanmax(np.abs(over - theirs))
            if not worst <= SAME:
                raise MissingPeerError(f"its base states differ from runpp's by {worst:.2g} tolerances")


def _grid(net: pandapowerNet) -> _Grid:
    """One load per bus, as different topologies join different buses to nodes."""
    node = np.unique(net["_pd2ppc_lookups"]["bus"][net.bus.index], return_inverse=True)[1]
    model = power_grid_model.PowerGridModel(convert(net, node, node), system_frequency=net.f_hz)
    line, trafo = net.line, net.trafo
    line_ka = (line["max_i_ka"] * line["df"] * line["parallel"]).to_numpy()
    trafo_mva = (trafo["sn_mva"] * trafo["df"] * trafo["parallel"]).to_numpy()
    percent = [
        np.concatenate([0.1 / line_ka, np.sqrt(3.0) * 0.1 * trafo[kv].to_numpy() / trafo_mva])
        for kv in ("vn_hv_kv", "vn_lv_kv")
    ]
    return _Grid(model, node, np.array(percent))


def _fingerprint(net: pandapowerNet) -> bytes:
    """Gather what two periods have in common if one model serves both."""
    lookup, ppc = net["_pd2ppc_lookups"]["bus"][net.bus.index], net["_ppc"]
    status = net.line["in_service"].to_numpy(), net.switch["closed"].to_numpy(), net.shunt["step"].to_numpy()
    low, high = net["_pd2ppc_lookups"]["branch"]["trafo"]
    parts = (lookup, *status, ppc["branch"][low:high, :11].real)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def _power(net: pandapowerNet) -> Complexes:
    """Power at every bus, of all buses of a node at its first."""
    place, first = np.unique(net["_pd2ppc_lookups"]["bus"][net.bus.index], return_index=True)
    power = np.zeros(len(net.bus), dtype=np.complex128)
    bus = net["_ppc"]["bus"][place].real
    power[first] = -(bus[:, PD] + 1j * bus[:, QD])
    return power
