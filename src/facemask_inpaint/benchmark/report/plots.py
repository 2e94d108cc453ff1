"""Scales and points of the strip plots, which ``templates/plots.html`` draws as SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MARKERS = (
    "M0-4.6A4.6 4.6 0 1 1 0 4.6A4.6 4.6 0 1 1 0-4.6Z",
    "M-4-4H4V4H-4Z",
    "M0-5.6L5.6 0L0 5.6L-5.6 0Z",
    "M0-5.2L5 3.8H-5Z",
    "M0 5.2L5-3.8H-5Z",
)
"""Outlines of the marks, around (0, 0); methods also differ in these, not in colour alone."""

COLOURS = 8
"""Colours the style sheet has for methods, ``--method-0`` and on."""

_MARGIN = 4
_LOGARITHMIC_FROM = 30.0
_TICKS = 4


@dataclass(frozen=True)
class Scale:
    """From values to per cent of a strip's width.

    Attributes:
        low: value at the left end.
        high: value at the right end.
        logarithmic: whether equal factors, not equal differences, are equally wide.
        straight_to: for values of both signs: the scale is about linear up to this distance from
            0 and about logarithmic beyond; ``None`` for the other two kinds.
    """

    low: float
    high: float
    logarithmic: bool = False
    straight_to: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """Return a scale of all values; logarithmic for positive ones of very unlike size."""
        low, high = min(values), max(values)
        if low > 0 and high / low > _LOGARITHMIC_FROM:
            return cls(low, high, logarithmic=True)
        if low == high:
            spread = abs(low) / 2 or 1.0
            return cls(low - spread, high + spread)
        return cls(low, high)

    @classmethod
    def signed(cls, values: Sequence[float]) -> Scale:
        """Return a scale around 0 for differences whose sizes are very unlike."""
        largest = max(map(abs, values)) or 1.0
        usual = statistics.median(map(abs, values)) or largest
        return cls(-largest, largest, straight_to=usual)

    def position(self, value: float) -> float:
        """Return per cent from the left; 0 and 100 are kept free for the marks' own width."""
        low, high, value = map(self._bent, (self.low, self.high, value))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return _MARGIN + (100 - 2 * _MARGIN) * share

    def ticks(self) -> list[float]:
        """Return a few round values inside the scale."""
        if self.logarithmic:
            return self._decades()
        if self.straight_to is not None:
            power = 10.0 ** math.floor(math.log10(self.high))
            return [-power, -power / 10, 0.0, power / 10, power]
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]

    def _decades(self) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [10.0**exponent * digit for exponent in exponents for digit in (1, 3)]
        inside = [value for value in every if self.low <= value <= self.high]
        return inside[:: max(1, math.ceil(len(inside) / (_TICKS + 1)))]

    def _bent(self, value: float) -> float:
        if self.straight_to is not None:
            return math.asinh(value / self.straight_to)
        return math.log10(max(value, self.low)) if self.logarithmic else value


@dataclass(frozen=True)
class Point:
    """One mark of a strip.

    Attributes:
        index: of the method in the run's list; decides colour and outline.
        method: name of the method.
        value: of the mark.
        low: lower end of the whisker, where there is one.
        high: upper end.
        title: text of the mark.
    """

    index: int
    method: str
    value: float
    low: float | None
    high: float | None
    title: str


def colour(index: int) -> str:
    """Return the style that gives an element the colour of a method."""
    return f"--method:var(--method-{index % COLOURS})"


def outline(index: int) -> str:
    """Return the SVG path of a method's mark."""
    return MARKERS[index % len(MARKERS)]


def _round_step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * digit for digit in (1, 2, 5, 10) if unit * digit >= rough * (1 - 1e-9))
