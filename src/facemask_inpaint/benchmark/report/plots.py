"""Strips of points with intervals, as SVG that stretches with the page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from facemask_inpaint.benchmark.report.format import MINUS
from facemask_inpaint.benchmark.report.markup import Html, element

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

_LANE = 13
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
        """A scale that holds all values; logarithmic for positive ones of very unlike size."""
        low, high = min(values), max(values)
        if low > 0 and high / low > _LOGARITHMIC_FROM:
            return cls(low, high, logarithmic=True)
        if low == high:
            spread = abs(low) / 2 or 1.0
            return cls(low - spread, high + spread)
        return cls(low, high)

    @classmethod
    def signed(cls, values: Sequence[float]) -> Scale:
        """A scale around 0 for differences whose sizes are very unlike."""
        largest = max(map(abs, values)) or 1.0
        usual = statistics.median(map(abs, values)) or largest
        return cls(-largest, largest, straight_to=usual)

    def position(self, value: float) -> float:
        """Per cent from the left; 0 and 100 are kept free for the marks' own width."""
        low, high, value = map(self._bent, (self.low, self.high, value))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return _MARGIN + (100 - 2 * _MARGIN) * share

    def ticks(self) -> list[float]:
        """A few round values inside the scale."""
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
    """One mark of a strip: its method's place in the run's list, and what it says."""

    index: int
    method: str
    value: float
    low: float | None
    high: float | None
    title: str


def strip(points: Sequence[Point | None], scale: Scale, *, reference: float | None = None) -> Html:
    """Marks with whiskers under one another over the ticks of ``scale``.

    Args:
        points: the methods' marks, top to bottom; ``None`` leaves a method's line empty.
        scale: common to all strips that are compared.
        reference: a value to mark with a stronger line, such as 0 for differences.
    """
    height = _LANE * len(points) + 6
    lines = [_rule(scale.position(tick), height, "tick") for tick in scale.ticks()]
    if reference is not None:
        lines.append(_rule(scale.position(reference), height, "reference"))
    drawn = [(row, point) for row, point in enumerate(points) if point is not None]
    marks = [_mark(point, scale, 3 + _LANE * (row + 0.5)) for row, point in drawn]
    label = "; ".join(point.title for _, point in drawn)
    return element("svg", lines, marks, class_="strip", height=height, role="img", aria_label=label)


def axis(scale: Scale) -> Html:
    """The numbers of the ticks, to stand above the strips of one scale."""
    numbers = [
        element(
            "text",
            f"{tick:g}".replace("-", MINUS),
            x=f"{scale.position(tick):.2f}%",
            y=11,
            text_anchor="middle",
        )
        for tick in scale.ticks()
    ]
    return element("svg", numbers, class_="axis", height=14, aria_hidden="true")


def marker(index: int) -> Html:
    """The mark of a method by itself, for legends and headings."""
    return element(
        "svg",
        element("path", d=MARKERS[index % len(MARKERS)]),
        class_="marker",
        viewBox="-7 -7 14 14",
        width=14,
        height=14,
        style=colour(index),
        aria_hidden="true",
    )


def colour(index: int) -> str:
    """Style that gives an element the colour of a method."""
    return f"--method:var(--method-{index % COLOURS})"


def _mark(point: Point, scale: Scale, y: float) -> Html:
    x = f"{scale.position(point.value):.2f}%"
    parts = [element("title", point.title)]
    if point.low is not None and point.high is not None:
        left, right = (f"{scale.position(end):.2f}%" for end in (point.low, point.high))
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="whisker"))
    shape = element("path", d=MARKERS[point.index % len(MARKERS)])
    parts.append(element("svg", shape, x=x, y=y, overflow="visible"))
    return element("g", parts, style=colour(point.index), data_method=point.method)


def _rule(x: float, height: int, kind: str) -> Html:
    return element("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=0, y2=height, class_=kind)


def _round_step(rough: float) -> float:
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * digit for digit in (1, 2, 5, 10) if unit * digit >= rough * (1 - 1e-9))
