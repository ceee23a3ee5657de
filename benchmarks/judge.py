"""Published lights judged by power-grid-model: bids one by one on their grounds, boxes at their corners."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.pgm_lights import PgmLights, Reached
from benchmarks.year import positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.session import Session

    Floats = NDArray[np.float64]
    Complexes = NDArray[np.complex128]
    Ints = NDArray[np.int64]

SAME = 2e-3  # of the offer
#: Excess in tolerances from which on a limit counts as broken; what was accepted before may rest at 1.
EDGE, ROUNDING = 1.01, 1e-3
#: Part of a tolerance that a published share may leave unused, 2e-8 p.u. of voltage, if it costs no more
#: than this part of the offer.
RESERVE, SLIVER = 0.02, 0.05
SAME_LIGHT = "the same"
RESERVED = f"less by what the last {RESERVE:.0%} of a tolerance let through"
JUMPED = "nearer, at a limit that the bisection jumped over"
RANDOM_CORNERS, PRESSED = 200, 60  # corners of a period's box: drawn, and by constraint


@dataclass(frozen=True, eq=False)
class Peer:
    """power-grid-model on a session: sampled bids of one guarantee, each on its ground.

    Parameters
    ----------
    sample : (sampled,) of int
        Bids, in merit order.
    grounds : list of complex arrays [judged period, bus]
        What each of them finds on the grid.
    most : (sampled, judged period)
        Excess in tolerances from which on a state counts as broken.
    """

    session: Session
    model: PgmLights
    sample: Ints
    grounds: list[Complexes]
    most: Floats

    @classmethod
    def of(cls, session: Session, model: PgmLights, guarantee: str, share: Floats, count: int) -> Peer:
        """Spread the sample evenly over the merit order; ``share`` is what is published."""
        places = positions(len(session.order), count)
        period = np.arange(len(session.periods))
        if guarantee == "each":
            grounds, most = [model.ground] * len(places), np.ones((len(places), len(period)))
        else:
            grounds = [session.ground(model, share, place) for place in places.tolist()]
            rest = np.array([model.excess(period, ground) for ground in grounds])
            most = np.clip(rest + ROUNDING, 1.0, EDGE)
        return cls(session, model, session.order[places], grounds, most)

    def search(self, guarantee: str) -> Reached:
        """Judge the sample: bids alone in one batch, else one after another; [sampled, judged period]."""
        if guarantee == "each":
            return self._judge(np.arange(len(self.sample)))
        found = [self._judge(np.array([k])) for k in range(len(self.sample))]
        return Reached(np.vstack([f.share for f in found]), np.vstack([f.flows for f in found]))

    def _judge(self, these: Ints) -> Reached:
        periods = len(self.session.periods)
        bid = self.sample[these].repeat(periods)
        found = self.model.reach(
            np.tile(np.arange(periods), len(these)),
            np.concatenate([self.grounds[k] for k in these]),
            self.session.bus[bid],
            self.session.full[bid],
            self.most[these].ravel(),
        )
        supplied = self.session.supplied[self.sample[these]]
        share = np.where(supplied, found.share.reshape(-1, periods), 0.0)
        return Reached(share, found.flows.reshape(-1, periods))

    def compare(self, share: Floats, found: Floats) -> Counter[str]:
        """Count lights by what they have in common, and tell of those that are not the same."""
        wanted = np.where(found < self.session.least[self.sample, None], 0.0, found)
        words: Counter[str] = Counter()
        for k, t in np.ndindex(wanted.shape):
            said, mine = float(share[self.sample[k], t]), float(wanted[k, t])
            same = abs(said - mine) <= SAME
            words[SAME_LIGHT if same else self._judged(k, t, said, mine)] += 1
        return words

    def _judged(self, k: int, t: int, said: float, mine: float) -> str:
        """Say who is right where a published share is another than what the search found."""
        session, bid = self.session, int(self.sample[k])
        beyond = min(1.0, (said if said > 0.0 else float(session.least[bid])) + SAME)
        sliver = min(1.0, said + SLIVER)
        at = np.concatenate([np.linspace(0.0, said, 9), np.linspace(said, beyond, 9)])
        at = np.concatenate([at, np.linspace(said, sliver, 26)])
        power = np.repeat(self.grounds[k][[t]], len(at), axis=0)
        power[:, session.bus[bid]] += at * session.full[bid]
        over = self.model.excess(np.full(len(at), t), power)
        safe, broken, soon = over[:9].max(), over[9:18].max(), over[18:].max()
        if safe <= max(EDGE, self.most[k, t]) and broken > self.most[k, t]:
            return JUMPED
        spent = 1.0 - RESERVE <= safe <= EDGE
        if spent and (said < mine <= sliver or soon > self.most[k, t]):
            return RESERVED
        name = session.case.active_bids["bid"].iloc[bid * session.case.horizon.periods]
        where = f"differs: {name} in period {session.periods[t]}"
        shares = f"published {said:.5f} of the offer, here {mine:.5f}"
        return f"{where}: {shares}; up to there {safe:.4g} tolerances, just beyond {broken:.4g}"


@dataclass(frozen=True)
class Corners:
    """Corners of published boxes: how many, how many of them break a limit, largest excess in tolerances."""

    solved: int
    broken: int
    worst: float


def corners(session: Session, model: PgmLights, share: Floats, seed: int) -> Corners:
    """Solve corners of the published boxes of all judged periods."""
    rng, worst = np.random.default_rng(seed), []
    for t in range(len(session.periods)):
        bid = np.flatnonzero(share[:, t] > 0.0)
        power = np.zeros((len(bid), len(session.net.bus)), dtype=np.complex128)
        power[np.arange(len(bid)), session.bus[bid]] = session.full[bid] * share[bid, t]
        up = session.full[bid].real > 0.0
        density = rng.random((RANDOM_CORNERS, 2))
        drawn = rng.random((RANDOM_CORNERS, len(bid))) < np.where(up, density[:, :1], density[:, 1:])
        chosen = np.vstack([up, ~up, drawn, _pressing(model, t, power)])
        worst.append(model.excess(np.full(len(chosen), t), model.ground[t] + chosen @ power))
    found = np.concatenate(worst)
    return Corners(len(found), int((found > EDGE).sum()), float(found.max()))


def _pressing(model: PgmLights, period: int, power: Complexes) -> NDArray[np.bool_]:
    """Corners that press most on a constraint, by what each bid alone does to it; the nearest constraints."""
    alone = model.ground[period] + np.vstack([np.zeros_like(power[:1]), power])
    over = model.excesses(np.full(len(alone), period), alone)
    live = np.isfinite(over).all(axis=0)
    effect = over[1:, live] - over[0, live]
    reached = over[0, live] + np.maximum(effect, 0.0).sum(axis=0)
    return np.unique(effect[:, np.argsort(-reached)[:PRESSED]].T > 0.0, axis=0)
