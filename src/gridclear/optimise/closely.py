"""One placing of one period as closely as can be: in narrow ranges, in parts, and in whole steps.

With the devices held, lines around AC states (``enclosures``) bound what a state costs. What they lose most
by are chords, where what is weighed bends downwards, over the range of a direction of the controls. So ranges
are found by programs, and where that ends, the worst one is parted in two, each part with lines of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.conditional import Conditional
from gridclear.optimise.held import Held
from gridclear.optimise.lifted import largest

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.pieces import Piece
    from gridclear.optimise.relaxation import Relaxation
    from gridclear.optimise.supports import State, Weights

#: Visits of parts at one look, and parts of one placing.
_MOST_VISITS, _MOST_PARTS = 12, 32
#: Solutions of one part that are cut off around one state.
_MOST_CUTS = 6
#: Room for the solver's tolerances, as a part of the turnover.
_SLACK = 1e-5
#: Worths at which a search for whole columns stops: the last of it takes longest.
_COARSE = 5.0


class Closely:
    """What one placing of a period costs at least.

    Parameters
    ----------
    relaxation : Relaxation
    number : int
        Period.
    piece : Piece
    place : tuple by device of int
    steps : (device,)
        Where the devices stand.
    least : float
        What is known of it.
    deadline : Deadline
    """

    def __init__(
        self,
        relaxation: Relaxation,
        number: int,
        piece: Piece,
        place: tuple[int, ...],
        steps: Floats,
        least: float,
        deadline: Deadline,
    ) -> None:
        self._relaxation, self._number, self._own = relaxation, number, piece.frame.own
        self._stands, self._steps, self._deadline = piece.stands(place), steps, deadline
        self._parts = [Held.at(piece, place, least)]

    def look(self, most: float, worth: float) -> float:
        """Raise what the placing costs at least, as long as that gains what is worth it.

        Parameters
        ----------
        most : float
            EUR that a schedule spends here, or it is none that is asked for.
        worth : float
        """
        parted = -np.inf
        for _ in range(_MOST_VISITS):
            part = min(self._parts, key=lambda one: one.least)
            if part.least >= most or self._deadline.passed:
                break
            before = part.least
            hollow = self._narrowed(part, most, worth, None)
            if part.least - before <= worth:
                self._narrowed(part, most, worth, _COARSE * worth)
            if part.least - before > worth:
                continue
            # The cheapest part is as it was: whether it came of parting what gained little by that.
            if hollow is None or part.least - parted <= _COARSE * worth or len(self._parts) == _MOST_PARTS:
                break
            parted = part.least
            self._parts.remove(part)
            self._parts += part.parted(*hollow)
        return min(part.least for part in self._parts)

    def _narrowed(
        self, part: Held, most: float, worth: float, whole: float | None
    ) -> tuple[Floats, float] | None:
        """Cut off the cheapest solutions of a part by lines around the state of the first one.

        ``whole``: EUR at which a search for whole columns stops; None for solutions without them.

        Returns
        -------
        (control,), float, or None
            A direction of the controls, and where to part its range: what is weighed bends down most there.
        """
        around: Conditional | None = None
        last, hollow = -np.inf, None
        for trial in range(_MOST_CUTS + 1):
            least, x, weights = part.cheapest() if whole is None else (*part.whole(whole), None)
            part.least = max(part.least, least)
            if not len(x) or part.least >= most or least - last <= worth or trial == _MOST_CUTS:
                break
            last = least
            found = settled(self._relaxation, self._number, self._own, x, self._steps)
            if found is None or self._deadline.passed:
                break
            control, state = found
            relaxation, number, own = self._relaxation, self._number, self._own
            if weights is not None and missed(relaxation, number, own, x, weights, state) <= worth:
                return None
            if around is None:
                around = self._around(part, control, state, most)
                if around.empty:
                    part.least = max(part.least, most)
                    break
            weighed = None if weights is None else around.weighed(state, weights)
            if weighed is not None:
                hollow = weighed.bent.deepest(control)
            cuts = around.cut_off(x, state, control, weighed)
            if not cuts:
                break
            part.add(cuts)
        return hollow

    def _around(self, part: Held, control: Floats, state: State, most: float) -> Conditional:
        """Rows around a state for schedules that spend no more than ``most``."""
        spent = most + _SLACK * self._relaxation.point.turnover
        return Conditional.around(
            self._relaxation,
            self._number,
            self._own,
            self._stands,
            state,
            control,
            lambda axes: part.spans(axes, spent),
        )


def settled(
    relaxation: Relaxation, number: int, own: Period, x: Floats, steps: Floats
) -> tuple[Floats, State] | None:
    """Take the controls of a solution, and their state with the devices at steps; None if there is none."""
    control = np.clip(x[own.control], 0.0, largest(relaxation.problem, number))
    state = relaxation.stood(own, control, steps)
    return None if state is None else (control, state)


def missed(
    relaxation: Relaxation, number: int, own: Period, x: Floats, weights: Weights, state: State
) -> float:
    """EUR by which a solution is cheaper than its state, as its optimum weighs them."""
    if relaxation.limited.broken(number, own.circuit, state.voltage, state.steps):
        return np.inf
    power = own.circuit.powers(state.voltage)[own.fed]
    away = power - (x[own.active] + 1j * x[own.reactive]) / relaxation.problem.compiled.s_base_mva
    return float((weights.power[own.fed].conj() * away).real.sum())
