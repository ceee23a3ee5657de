"""A number that is quadratic in the controls but for an error, and lines that it lies above."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridclear.network.network import Floats

#: Rounding errors of what is affine, by its size: far above what they are.
ROUNDING = 1e-10
#: Part of a range that either side of a parting has at least.
_NARROWEST = 0.25


@dataclass(frozen=True, eq=False)
class Line:
    """A number that is at least ``constant`` + ``slope`` · u wherever the limits are kept.

    Attributes
    ----------
    constant : float
    slope : (control,)
    """

    constant: float
    slope: Floats


@dataclass(frozen=True, eq=False)
class Controls:
    """Where the controls stand in a state, and their largest values: (control,)."""

    at: Floats
    top: Floats

    @cached_property
    def reach(self) -> Floats:
        """Largest distances from the state's."""
        return np.maximum(self.at, self.top - self.at)

    def chords(self, steep: Floats) -> tuple[float, Floats]:
        """Bound steep · |u - u'| from above by the controls' chords: a constant, and slopes by u."""
        with np.errstate(divide="ignore", invalid="ignore"):
            tilt = np.where(self.top > 0.0, 1.0 - 2.0 * self.at / self.top, 0.0)
        return float(steep @ self.at), steep * tilt


@dataclass(frozen=True, eq=False)
class Bent:
    """A number ``at`` + ``slope`` · (u - u') + Σ ``value`` y² and an error, y = ``axes`` · (u - u').

    Attributes
    ----------
    controls : Controls
    at : float
        Its value in the state.
    slope : (control,)
    value : (axis,)
    axes : (axis, control)
        Of length one, at right angles.
    low, high : (axis,)
        Ranges of y.
    error : float
        Largest error.
    fixed, growing : float, (control,)
        The error is no larger than this and growing · |u - u'|, either.
    size : float
        Of the quadratic part, added up without signs.
    """

    controls: Controls
    at: float
    slope: Floats
    value: Floats
    axes: Floats
    low: Floats
    high: Floats
    error: float
    fixed: float
    growing: Floats
    size: float

    @cached_property
    def negative(self) -> Bent:
        """The same number, negative."""
        return replace(self, at=-self.at, slope=-self.slope, value=-self.value)

    def below(self, touch: Floats) -> Line:
        """Bound the number from below.

        Parameters
        ----------
        touch : (control,)
            Where the line is as close as can be: it is sound wherever that is.
        """
        controls = self.controls
        away = self.axes @ (touch - controls.at)
        # Tangents where it bends upwards.
        up = np.maximum(self.value, 0.0)
        slope = self.slope + self.axes.T @ (2.0 * up * away)
        constant = self.at - float(up @ away**2) - float(slope @ controls.at)
        # Where it bends downwards, chords along what it bends by, or along the controls.
        constant, slope = max(
            ((constant + level, slope + chord) for level, chord in self._chords),
            key=lambda line: line[0] + float(line[1] @ touch),
        )
        error, spread = self._growing
        if self.error < error + float(spread @ touch):
            error, spread = self.error, np.zeros(len(spread))
        size = abs(self.at) + float(np.abs(slope) @ controls.top) + self.size
        return Line(constant - error - ROUNDING * size, slope - spread)

    @property
    def hollow(self) -> Floats:
        """How far chords are from what bends downwards, by axis, in the middle of its range."""
        found: Floats = -0.25 * np.minimum(self.value, 0.0) * (self.high - self.low) ** 2
        return found

    def deepest(self, touch: Floats) -> tuple[Floats, float] | None:
        """Find the axis with the most hollow chord, and where to part its range; None if nothing is hollow.

        Parameters
        ----------
        touch : (control,)
            Where chords should be close: the place is as near as leaves no part too narrow.
        """
        hollow = self.hollow
        worst = int(np.argmax(hollow))
        if not 0.0 < hollow[worst] < np.inf:
            return None
        axis, low, high = self.axes[worst], float(self.low[worst]), float(self.high[worst])
        edge = _NARROWEST * (high - low)
        at = np.clip(float(axis @ (touch - self.controls.at)), low + edge, high - edge)
        return axis, float(axis @ self.controls.at) + float(at)

    @cached_property
    def _chords(self) -> tuple[tuple[float, Floats], tuple[float, Floats]]:
        """What lies below the part that bends downwards, a constant and slopes by u: by axes, by controls."""
        down = np.minimum(self.value, 0.0)
        # -y² >= -((low + high) y - low high) between both ends.
        chord = self.axes.T @ (down * (self.low + self.high))
        level = float(-down @ (self.low * self.high)) - float(chord @ self.controls.at)
        hollow = np.abs((self.axes.T * down) @ self.axes)
        steady, tilted = self.controls.chords(hollow @ self.controls.reach)
        return (level, chord), (-steady, -tilted)

    @cached_property
    def _growing(self) -> tuple[float, Floats]:
        """Bound the error by the controls: a constant, and slopes by u."""
        error, spread = self.controls.chords(self.growing)
        return error + self.fixed, spread
