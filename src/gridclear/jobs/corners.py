"""Points of the boxes: their worst corners, what is next to these, random ones; and what they inject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints

#: Boxes are drawn up to this violation, inside the tolerance, so that what is left of curvature fits.
AIM = 0.99 * TOLERANCE
#: Corners this near to their limits have their neighbours looked at: so many, each with one unit turned.
_BINDING, _FLIPPED = 1e-4, 24
#: Random points per period that the box must stand.
_POINTS = 96

#: Constraint and point of view of a line.
Key = tuple[int, int]


@dataclass
class Cut:
    """One constraint of one period as a linear function of the shares, newest at its worst corner.

    Attributes
    ----------
    constraint : int
    offset : float
        Violation at share 0 by this line.
    gain : (column,)
        Its slope by the shares.
    over : float
        Violation that the power flow found at the last corner; NaN before.
    at : (column,) or None
        Of a line where curves bend: shares from which on units press no further, infinite where they do.
    point : (column,) or None
        Where it was drawn first, and always goes through.
    drawn : int
        How often it was drawn.
    """

    constraint: int
    offset: float
    gain: Floats
    over: float
    at: Floats | None = None
    point: Floats | None = None
    drawn: int = 1

    def through(self, x: Floats, over: float) -> Cut:
        """Turn a line around its first point until it goes through another one, at most by half.

        The slopes at the other point would claim too much of what is between: where units are taken back a
        limit mostly becomes steeper.
        """
        if self.point is None:
            return self
        top = self.offset + float(self.gain @ self.point)
        fall = float(self.gain @ (self.point - x))
        turn = min(max((top - over) / fall, 0.5), 1.5) if fall > 0.0 else 1.0
        gain = turn * self.gain
        offset = top - float(gain @ self.point)
        return replace(self, offset=offset, gain=gain, over=over, drawn=self.drawn + 1)


class Corners:
    """Units of every period, and points of their shares, (column,) in the order of the members of a period.

    Parameters
    ----------
    search : Search
    bids : Bids
    units : (n,) of int
        Units that can be activated.

    Attributes
    ----------
    cells : (cell,) of int
        Cells that any of the bids changes.
    members : list of (column,) of int
        Units of every period.
    column : (unit,) of int
        Place of every unit among the members of its period; -1: it cannot be activated.
    power : list of (column, cell) sparse
        What full units change.
    """

    def __init__(self, search: Search, bids: Bids, units: Ints) -> None:
        self._search, self._bids = search, bids
        self.cells = np.unique(bids.activations.cell)
        period = bids.activations.period
        self.members = [units[period[units] == t] for t in range(len(search.base.solved))]
        self.column = np.full(len(bids.item), -1, dtype=np.int64)
        self.power: list[sparse.csr_array] = []
        self._groups: list[list[Ints]] = []
        for members in self.members:
            self.column[members] = np.arange(len(members))
            own = bids.activations.part(members)
            place = np.searchsorted(self.cells, own.cell)
            shape = (len(members), len(self.cells))
            self.power.append(sparse.csr_array((own.value, place, own.first), shape=shape))
            group = bids.exclusive[members]
            self._groups.append([np.flatnonzero(group == number) for number in np.unique(group[group >= 0])])

    def views(self, period: int, share: Floats) -> Floats:
        """Choose where constraints are looked at from: everything on, everything up, everything down."""
        members = self.members[period]
        own = share[members]
        up = (
            self.power[period][:, self.cells < self._search.scenarios.compiled.networks[0].n_bus].sum(axis=1)
            > 0
        )
        return np.array([own, np.where(up, own, 0.0), np.where(up, 0.0, own)])

    def corner(self, period: int, cut: Cut, share: Floats) -> Floats:
        """Shares at which a line is highest; of exclusive units the one that lifts it most."""
        members = self.members[period]
        own = share[members]
        x: Floats = np.where(cut.gain > 0.0, own, 0.0) if cut.at is None else np.minimum(cut.at, own)
        for mine in self._groups[period]:
            lift = np.maximum(cut.gain[mine], np.finfo(float).tiny) * x[mine]
            best = mine[np.argmax(lift)]
            x[mine[mine != best]] = 0.0
        return x

    def points(
        self, share: Floats, seed: int, cuts: Sequence[Mapping[Key, Cut]]
    ) -> tuple[list[int], list[Floats]]:
        """Periods and shares of random points, of half the worst corners and of their neighbours."""
        periods: list[int] = []
        points: list[Floats] = []
        for period, members in enumerate(self.members):
            if not len(members):
                continue
            rng = np.random.default_rng([seed, period])
            part = rng.random((_POINTS, len(members)))
            active = rng.random((_POINTS, len(members))) < rng.random((_POINTS, 1))
            whole = np.arange(_POINTS)[:, None] % 2 == 0
            x = np.where(active, np.where(whole, 1.0, part), 0.0) * share[members]
            half = [0.5 * self.corner(period, cut, share) for cut in cuts[period].values()]
            x = np.vstack(
                [self.one_of_each(period, x, rng), *half, *self._flips(period, share, cuts[period])]
            )
            periods += [period] * len(x)
            points += list(x)
        return periods, points

    def _flips(self, period: int, share: Floats, cuts: Mapping[Key, Cut]) -> list[Floats]:
        """Corners next to the worst ones: what presses little there may press more when it is turned.

        A current bends upwards, so that a unit whose slope says that it relieves may still load when it is
        taken as a whole.
        """
        own = share[self.members[period]]
        points = []
        for cut in cuts.values():
            if not cut.over > -_BINDING:
                continue
            corner = self.corner(period, cut, share)
            usable = np.flatnonzero((own > 0.0) & (self._bids.exclusive[self.members[period]] < 0))
            weakest = usable[np.argsort(np.abs(cut.gain[usable]) * own[usable], kind="stable")][:_FLIPPED]
            for column in weakest.tolist():
                turned = corner.copy()
                turned[column] = own[column] - corner[column]
                points.append(turned)
        return points

    def one_of_each(self, period: int, x: Floats, rng: np.random.Generator) -> Floats:
        """Keep one random unit of every exclusive group in random points."""
        for mine in self._groups[period]:
            kept = mine[rng.integers(len(mine), size=len(x))]
            x[:, mine] = np.where(mine == kept[:, None], x[:, mine], 0.0)
        return x

    def allowed(self, period: int, x: Floats) -> Floats:
        """Keep those of some points at which no two units of an exclusive group are on."""
        kept = np.ones(len(x), dtype=bool)
        for mine in self._groups[period]:
            kept &= (x[:, mine] > 0.0).sum(axis=1) <= 1
        return x[kept]

    def lanes(self, periods: list[int], points: list[Floats]) -> Activations:
        """Put points of periods side by side, as what they change."""
        period = np.array(periods, dtype=np.int64)
        value = np.zeros((len(period), len(self.cells)))
        for t in np.unique(period).tolist():
            rows = np.flatnonzero(period == t)
            value[rows] = self.power_of(t, np.array([points[row] for row in rows.tolist()]))
        return Activations.dense(period, self.cells, value)

    def power_of(self, period: int, x: Floats) -> Floats:
        """Add up the changes of injection, (point, cell), of shares (point, column)."""
        power: Floats = np.ascontiguousarray((self.power[period].T @ x.T).T)
        return power

    def gains(self, periods: list[int], slope: Floats) -> list[Floats]:
        """Slopes by the shares, (column,), from those by the cells, (row, cell)."""
        period, gains = np.array(periods, dtype=np.int64), [np.zeros(0)] * len(periods)
        for t in np.unique(period).tolist():
            rows = np.flatnonzero(period == t)
            # All rows of a period in one product, and each in a row of its own: it is summed over often.
            of_shares = np.ascontiguousarray((self.power[t] @ slope[rows].T).T)
            for row, gain in zip(rows.tolist(), of_shares, strict=True):
                gains[row] = gain
        return gains


def scattered(rng: np.random.Generator, count: int, width: int) -> Floats:
    """Draw points, (point, column), of which about half of the columns are nothing."""
    points: Floats = rng.random((count, width)) * (rng.random((count, width)) < 0.5)
    return points
