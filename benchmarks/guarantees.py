"""Traffic lights under each guarantee: gridclear against the same lights by power-grid-model and ``runpp``."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
from tests.oracle.plain_grid import base_state, problem_of

import gridclear
from benchmarks.lights import COLOURS, ROOT, SAME, THREADS, one_flow
from benchmarks.made_bids import made_bids
from benchmarks.peers.pgm_lights import CURRENT, NEWTON, PgmLights, Reached
from benchmarks.registry import (
    Benchmark,
    Cell,
    MissingPeerError,
    Result,
    Settings,
    Target,
    interleaved,
    timed,
)
from benchmarks.year import SMOKE_CASE, load_year, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from tests.oracle.plain_grid import Base

    Floats = NDArray[np.float64]
    Complexes = NDArray[np.complex128]
    Ints = NDArray[np.int64]

GUARANTEES = ("each", "merit-order", "any-subset")
PGM = {"pgm Newton-Raphson": NEWTON, "pgm iterative current": CURRENT}
RUNPP = "runpp, lean search"
PERIODS = 28
LEAST = 1e-3  # of the offer: less is nothing
#: Excess in tolerances from which on the peers call a limit broken; what was accepted before may rest at 1.
EDGE, ROUNDING = 1.01, 1e-3
RANDOM_CORNERS, PRESSED = 200, 60  # corners of a period's box: drawn, and by constraint


@dataclass(frozen=True)
class Asked:
    """What is asked of one case.

    Parameters
    ----------
    seconds : mapping
        Guarantee → most seconds it may take with `bids`; inf: no target.
    bids : int
        Most bids.
    sizes_mw : (float, float)
        Smallest and largest offer.
    judged : int
        Periods that the peers judge, spread evenly.
    """

    seconds: Mapping[str, float]
    bids: int = 1_000
    sizes_mw: tuple[float, float] = (0.05, 10.0)
    judged: int = PERIODS


LARGE = "1-MVLV-rural-all-0-sw"
ANY = dict.fromkeys(GUARANTEES, math.inf)
ASKED = {
    "grids/mv-rural": Asked({"each": math.inf, "merit-order": 3.0, "any-subset": 10.0}),
    LARGE: Asked({"each": 20.0}, bids=500, sizes_mw=(0.005, 1.0), judged=4),
    SMOKE_CASE: Asked(ANY, judged=4),
}
TERMS = (
    "s: wall time of one qualify, reading the case apart, its compilation and base states included; peers: the "
    "searches alone, base states and limits given.",
    f"peers: full offer first, bisection to a thousandth of it where it breaks something; {', '.join(PGM)}: all "
    "open searches in one batch on all cores; limits by numpy.",
    "merit-order by the peers: bids one after another, all periods in one batch; each sampled bid on top of what "
    "was published for those before it, so that one difference makes no others.",
    "any-subset: no peer; power-grid-model solves corners of the published box instead, in every judged period: "
    f"all bids up, all down, {RANDOM_CORNERS} random subsets of random density, and for the {PRESSED} "
    "constraints that come nearest by their slopes the corner that presses most.",
)


@dataclass(frozen=True, eq=False)
class Session:
    """A case with made bids, and what the peers know of it.

    Parameters
    ----------
    case : Case
    net : pandapowerNet
        Its grid.
    periods : (judged,) of int
        Periods that the peers judge.
    bases : list of Base
        Their base states, by ``runpp``.
    bus : (bid,) of int
        Position in ``net.bus``.
    full : (bid,) complex
        Full activation in MW and Mvar.
    least : (bid,)
        Smallest share that is accepted.
    order : (bid,) of int
        Bids in merit order.
    """

    case: gridclear.Case
    net: pp.pandapowerNet
    periods: Ints
    bases: list[Base]
    bus: Ints
    full: Complexes
    least: Floats
    order: Ints

    @classmethod
    def of(cls, name: str, asked: Asked, settings: Settings) -> Session:
        """Load a case, make its bids and its base states."""
        bare, net = _load(name, settings.seed)
        bids = min(settings.bids, asked.bids)
        case = replace(bare, active_bids=made_bids(bare, bids, settings.seed, asked.sizes_mw))
        periods = positions(case.horizon.periods, asked.judged)
        problem = problem_of(case, net)
        bases = [base_state(problem, case.horizon.starts[period]) for period in periods]
        rows = case.active_bids.iloc[:: case.horizon.periods]  # the same in every period
        place = {bus: i for i, bus in enumerate(net.bus.index)}
        index = [case.grid.lookup(t)[e] for t, e in zip(rows["element_type"], rows["element"], strict=True)]
        bus = [place[net[t]["bus"].loc[i]] for t, i in zip(rows["element_type"], index, strict=True)]
        sign = np.where(rows["direction"] == "up", 1.0, -1.0)
        return cls(
            case=case,
            net=net,
            periods=periods,
            bases=bases,
            bus=np.array(bus),
            full=sign * rows["p_mw"].to_numpy() * (1.0 + 1j * rows["tan_phi"].fillna(0.0).to_numpy()),
            least=np.fmax((rows["min_p_mw"] / rows["p_mw"]).to_numpy() * (1.0 - 1e-9), LEAST),
            order=np.lexsort([rows["bid"].to_numpy(dtype=str), rows["price_eur_mwh"].to_numpy()]),
        )

    def shares(self, lights: pd.DataFrame) -> Floats:
        """Published shares, [bid, judged period]."""
        share = (lights["accepted_mw"] / lights["offered_mw"]).to_numpy()
        return share.reshape(len(self.bus), -1)[:, self.periods]

    def ground(self, model: PgmLights, share: Floats, place: int) -> Complexes:
        """Power with the shares of all bids before a place in merit order, [judged period, bus]."""
        before, power = self.order[:place], model.ground.copy()
        np.add.at(power.T, self.bus[before], self.full[before, None] * share[before])
        return power


def _load(name: str, seed: int) -> tuple[gridclear.Case, pp.pandapowerNet]:
    """Read a shipped case, or make one of quarter-hours spread over a SimBench year."""
    folder = ROOT / name
    if folder.is_dir():
        return gridclear.read_case(str(folder)), pp.from_json(str(folder / "grid.json"))
    year = load_year(name, PERIODS, seed)
    net = year.net
    if "name" not in net.bus or net.bus["name"].duplicated().any() or net.load["name"].isna().any():
        raise ValueError(f"{name}: its elements need names of their own")
    starts = pd.date_range("2016-01-01", periods=PERIODS, freq="15min", tz="UTC")
    forecast = pd.concat(
        pd.DataFrame(
            {
                "element_type": e.table,
                "element": np.tile(net[e.table]["name"].to_numpy(), PERIODS),
                "start": starts.repeat(len(e.bus)),
                "p_mw": e.p_mw.ravel(),
                "q_mvar": np.zeros(e.p_mw.size) if e.q_mvar is None else e.q_mvar.ravel(),
            }
        )
        for e in year.elements
    )
    forecast = forecast.reset_index(drop=True)
    return gridclear.Case.from_pandapower(net, name=name, forecast=forecast, periods=PERIODS), net


def each(session: Session, model: PgmLights, sample: Ints) -> Reached:
    """Judge the sampled bids alone, [bid, period] in one batch."""
    periods = len(session.periods)
    period = np.tile(np.arange(periods), len(sample))
    bid = sample.repeat(periods)
    found = model.reach(period, model.ground[period], session.bus[bid], session.full[bid])
    return Reached(found.share.reshape(-1, periods), found.flows.reshape(-1, periods))


def merit_order(
    session: Session, model: PgmLights, sample: Ints, grounds: list[Complexes], most: Floats
) -> Reached:
    """Judge the sampled bids one after another on their grounds, all periods in one batch."""
    period, found = np.arange(len(session.periods)), []
    for k, bid in enumerate(sample.tolist()):
        bus, full = session.bus[[bid]].repeat(len(period)), session.full[[bid]].repeat(len(period))
        found.append(model.reach(period, grounds[k], bus, full, most[k]))
    return Reached(np.array([f.share for f in found]), np.array([f.flows for f in found]))


@dataclass(frozen=True)
class Compared:
    """Sampled lights of one guarantee: how many differ, those where the peer's search is at fault, in words."""

    lights: int
    differ: tuple[str, ...]
    jumped: int


def compare(
    session: Session, model: PgmLights, sample: Ints, share: Floats, found: Floats, grounds: list[Complexes],
    most: Floats,
) -> Compared:  # fmt: skip
    """Compare shares [sampled bid, judged period]; where they differ, power flows say who is right.

    A bisection may jump over a limit that is broken on the way and kept in full: then the published share is
    right if all up to it is safe, and a little beyond it is not.
    """
    wanted = np.where(found < session.least[sample, None], 0.0, found)
    differ, jumped = [], 0
    for k, t in np.argwhere(np.abs(share[sample] - wanted) > SAME).tolist():
        bid, said = int(sample[k]), float(share[sample[k], t])
        beyond = min(1.0, (said if said > 0.0 else float(session.least[bid])) + SAME)
        at = np.concatenate([np.linspace(0.0, said, 9), np.linspace(said, beyond, 9)])
        power = np.repeat(grounds[k][[t]], len(at), axis=0)
        power[:, session.bus[bid]] += at * session.full[bid]
        over = model.excess(np.full(len(at), t), power)
        if over[:9].max() <= max(EDGE, most[k, t]) and over[9:].max() > most[k, t]:
            jumped += 1
            continue
        name = session.case.active_bids["bid"].iloc[bid * session.case.horizon.periods]
        differ.append(
            f"{name} in period {session.periods[t]}: published {said:.5f}, pgm {wanted[k, t]:.5f} of the offer; "
            f"up to the published share {over[:9].max():.4g} tolerances, just beyond {over[9:].max():.4g}"
        )
    return Compared(wanted.size, tuple(differ), jumped)


def corners(session: Session, model: PgmLights, share: Floats, seed: int) -> tuple[int, float]:
    """Solve corners of the published boxes; how many, and the largest excess of each, in tolerances."""
    rng, solved, worst = np.random.default_rng(seed), 0, []
    for t in range(len(session.periods)):
        bid = np.flatnonzero(share[:, t] > 0.0)
        power = np.zeros((len(bid), len(session.net.bus)), dtype=np.complex128)
        power[np.arange(len(bid)), session.bus[bid]] = session.full[bid] * share[bid, t]
        up = session.full[bid].real > 0.0
        density = rng.random((RANDOM_CORNERS, 2))
        drawn = rng.random((RANDOM_CORNERS, len(bid))) < np.where(up, density[:, :1], density[:, 1:])
        pressed = _pressing(model, t, power)
        chosen = np.vstack([up, ~up, drawn, pressed])
        over = model.excess(np.full(len(chosen), t), model.ground[t] + chosen @ power)
        solved, worst = solved + len(chosen), [*worst, over]
    found = np.concatenate(worst)
    return solved, int((found > EDGE).sum()), float(found.max())


def _pressing(model: PgmLights, period: int, power: Complexes) -> NDArray[np.bool_]:
    """Corners that press most on a constraint, by what each bid alone does to it, nearest constraints first."""
    alone = model.ground[period] + np.vstack([np.zeros_like(power[:1]), power])
    over = model.excesses(np.full(len(alone), period), alone)
    effect = over[1:] - over[0]
    reached = over[0] + np.maximum(effect, 0.0).sum(axis=0)
    nearest = np.argsort(-np.nan_to_num(reached, nan=-np.inf, neginf=-np.inf))[:PRESSED]
    return np.unique(effect[:, nearest].T > 0.0, axis=0)


def run(name: str, settings: Settings) -> Result:
    """Time the guarantees of one case, gridclear and its peers in turns, and compare lights; see `Settings`."""
    asked = ASKED.get(name, Asked(ANY, judged=PERIODS))
    session = Session.of(name, asked, settings)
    share = {}
    for guarantee in asked.seconds:  # these calls compile the grid and the kernels, too
        answer = gridclear.qualify(session.case, guarantee=guarantee)
        share[guarantee] = answer.lights
    raise NotImplementedError


BENCHMARK = Benchmark(
    name="guarantees",
    question="Traffic lights that hold alone, in merit order and for any subset",
    cases=("grids/mv-rural", LARGE),
    extra_cases=("grids/mv-urban", "grids/hv-mixed"),
    smoke_case=SMOKE_CASE,
    peers=(*THREADS, *PGM, RUNPP),
    phases=("qualify",),
    run=run,
)
