"""Samples of settings, each a decision corrected around its own AC state until both agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.curves import sample_of
from gridclear.optimise.highs import LostError
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.states import KEPT, over_of
from gridclear.optimise.tangents import PERCENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curves import Branch
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.problem import Requests
    from gridclear.optimise.sheet import Drawn, Sheet
    from gridclear.optimise.states import States

#: How far shares may go in each of the programs around a sample's own state until it is what its program
#: says: where limits bend, programs that may go anywhere find their ends in turns.
_RADIUS = (1.0, 1.0, 1.0, 1.0, 0.3, 0.1, 0.05, 0.05, 0.05, 0.05, 0.02, 0.02)
#: The same on the way to an end, which may be far.
_RADIUS_TO_END = (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
#: Programs after which what bends is looked at where a decision is.
_BENDS = 2
#: EUR, as a share of what is paid, by which a program's cost may be off.
_AGREES = 5e-4
#: The same of room beside limits that its program had left no room beside.
_UNUSED = 1e-3
#: Part of the hair before an end that is worth another program.
_GAIN = 0.2
#: Settings that are taken to their ends at once: those whose programs promise most.
_MOST_SCOUTS = 3
#: MVA between samples that are the same.
_SAME_MVA = 1e-7

_Said = TypeVar("_Said")


@dataclass(frozen=True, eq=False)
class Asked:
    """A sample that is wanted.

    Attributes
    ----------
    branch : Branch
    q : float
        Exchange in p.u.; infinite ones stand for the ends of what the setting reaches.
    gain : float
        Where finite, an end is one whatever it costs to get there, and is looked for until it comes no more
        than so much nearer, in p.u.
    """

    branch: Branch
    q: float
    gain: float = np.inf

    @property
    def is_end(self) -> bool:
        """Whether an end is wanted."""
        return not np.isfinite(self.q)

    @property
    def sign(self) -> int:
        """Side of the end."""
        return 1 if self.q > 0.0 else -1

    @property
    def scouted(self) -> bool:
        """Whether the end is looked for whatever it costs."""
        return bool(np.isfinite(self.gain))

    def radius(self, number: int) -> float:
        """How far shares may go in a program, by its number."""
        every = _RADIUS_TO_END if self.is_end else _RADIUS
        return every[min(number, len(every) - 1)]

    def is_left(self, sheet: Sheet, drawn: Drawn, radius: float, near: float) -> bool:
        """Whether there may be a better decision around one that its state confirms."""
        if self.scouted:
            return self.sign * (drawn.q - sheet.exchange) > self.gain or sheet.confines(drawn, radius)
        # Prices that weigh less are seen less well: what is had at any price may be had for less.
        away = abs(drawn.q - sheet.exchange) > near
        return away and (drawn.forced or sheet.confines(drawn, radius))

    @property
    def sheet(self) -> Sheet:
        """Program to begin with."""
        if not self.is_end:
            return self.branch.nearest(self.q)
        return self.branch.nearest(self.known) if self.scouted else self.branch.sheets[0]

    @property
    def known(self) -> float:
        """End that is known."""
        return self.branch.samples[-1 if self.q > 0.0 else 0].q


class _Met(NamedTuple):
    """What was asked for, the program that said how to have it, what it said, and the state that agrees."""

    asked: Asked
    sheet: Sheet
    drawn: Drawn
    point: Point


class Sampler:
    """Adds samples to settings.

    Parameters
    ----------
    states : States
    requests : Requests
        Of one lane; the first one is moved, the others hold.
    deadline : Deadline

    Attributes
    ----------
    complete : bool
        False where a setting that has samples lacks one that was wanted.
    lost : int
        Programs on which the solver lost its way.
    """

    def __init__(self, states: States, requests: Requests, deadline: Deadline) -> None:
        self._states, self._requests, self._deadline = states, requests, deadline
        self._base = states.problem.compiled.s_base_mva
        self.complete, self.lost = True, 0

    def take(self, wanted: Sequence[Asked], near: float) -> None:
        """Add samples, each as near as given in p.u.

        Raises
        ------
        TimeOverError
        SolverError
        """
        found, left = self._settled(wanted, near)
        self._add(found)
        # What keeps no limit anywhere is no setting; a hole in one that has samples is something else.
        self.complete &= not any(own.branch.samples for own in left)

    def reach_out(self, branches: Sequence[Branch], sign: int, near: float, hair: float) -> None:
        """Take settings to where they end whatever it costs to get there, but for a hair, in p.u.

        What the last of the way takes, of losses and of all that has to be moved aside for it, can cost more
        than a request weighs that is missed; and the very last bit can have any price.

        Raises
        ------
        TimeOverError
        SolverError
        """
        every = [Asked(branch, sign * np.inf, gain=_GAIN * hair) for branch in branches]
        said = [(own, self._draw(own.sheet, own)) for own in every]
        promised = sorted(
            ((sign * one.q, number) for number, (_, one) in enumerate(said) if one), reverse=True
        )
        scouts = [every[number] for _, number in promised[:_MOST_SCOUTS]]
        ends, _ = self._settled(scouts, near)
        farther = [met for met in ends if sign * (met.drawn.q - met.asked.known) > 2.0 * hair]
        for met in farther:
            branch = met.asked.branch
            branch.sheets.append(branch.sheets[0].around(met.point))
        wanted = [Asked(met.asked.branch, met.drawn.q - sign * hair) for met in farther]
        found, left = self._settled(wanted, hair)
        self._add(found)
        # An end that is dearer than it need be is better than none.
        self._add([met for met, own in zip(farther, wanted, strict=True) if own in left])

    def _add(self, found: Sequence[_Met]) -> None:
        for own, sheet, drawn, point in found:
            price: float | None = drawn.price
            if own.is_end:
                price = self.said(partial(sheet.price_before, drawn, own.sign, self._deadline))
            if price is not None:
                own.branch.add(sample_of(drawn, price, point), _SAME_MVA / self._base)

    def _settled(self, wanted: Sequence[Asked], near: float) -> tuple[list[_Met], list[Asked]]:
        """Correct decisions around their own states until both agree; also give what was not met."""
        asked, sheets = list(wanted), [one.sheet for one in wanted]
        found: dict[int, _Met] = {}
        for number in range(len(_RADIUS)):
            drawn = [self._draw(sheet, one) for sheet, one in zip(sheets, asked, strict=True)]
            said = [
                (own, sheet, one)
                for own, sheet, one in zip(asked, sheets, drawn, strict=True)
                if one is not None
            ]
            points = self._states.of([one.single for _, _, one in said])
            asked, sheets = [], []
            for (own, sheet, one), point in zip(said, points, strict=True):
                if point is None:
                    continue
                if self._agree(own.q, near, one, point):
                    found[id(own)] = _Met(own, sheet, one, point)
                    if not own.is_left(sheet, one, own.radius(number), near):
                        continue
                asked.append(own)
                sheets.append(sheet.around(point, radius=own.radius(number + 1)))
                if own.radius(number + 1) >= 1.0:
                    own.branch.sheets.append(sheets[-1])
            if not asked:
                break
            if number == _BENDS:
                sheets = self._bent_at(sheets)
        return list(found.values()), [own for own in asked if id(own) not in found]

    def said(self, ask: Callable[[], _Said]) -> _Said | None:
        """Take what programs say; None, and counted, where the solver lost its way."""
        try:
            return ask()
        except LostError:
            self.lost += 1
            return None

    def _draw(self, sheet: Sheet, own: Asked) -> Drawn | None:
        if not own.is_end:
            return self.said(partial(sheet.at, own.q, self._deadline))
        ask = sheet.farthest if own.scouted else sheet.extreme
        return self.said(partial(ask, own.sign, self._deadline))

    def _bent_at(self, sheets: Sequence[Sheet]) -> list[Sheet]:
        """Look at what bends where sheets are: limits may have come near that were far from their anchors."""
        anchors = self._states.anchors([sheet.single for sheet in sheets])
        return [
            sheet if anchor is None else sheet.around(*anchor)
            for sheet, anchor in zip(sheets, anchors, strict=True)
        ]

    def _agree(self, q: float, near: float, drawn: Drawn, point: Point) -> bool:
        """Whether a state keeps every limit and is what its program expected, and what was asked for."""
        local, over, paid = point.local[0], over_of(point), point.cost
        if local is None or over > KEPT * TOLERANCE:
            return False
        if (point.shortfall[1:] * self._base > DELIVERED_MVA).any():
            return False
        reached = float(local.exchange[self._requests.point[0]])
        away = abs(reached - (q if np.isfinite(q) else drawn.q))
        # Where no limit is as near as the program had them, there is room that it has paid to keep free.
        unused = drawn.limits * PERCENT * max(-over, 0.0)
        worth = 1e-2 + abs(paid)
        return away <= near and abs(paid - drawn.cost) <= _AGREES * worth and unused <= _UNUSED * worth
