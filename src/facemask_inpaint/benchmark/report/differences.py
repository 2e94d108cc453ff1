"""Pairs of methods: differences of FID with intervals and tests, and who wins how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from facemask_inpaint.benchmark.report.format import MINUS, fixed, interval
from facemask_inpaint.benchmark.report.plots import Point, Scale
from facemask_inpaint.benchmark.report.text_tables import decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry
from facemask_inpaint.metrics.comparison.results import EXCHANGE_TEST, ComparisonDict, p_text

LEVEL = 0.05
"""Adjusted p-values below this count as a difference."""


@dataclass(frozen=True)
class DifferenceView:
    """Two methods in one class.

    Attributes:
        entry: of the class.
        first: name of one method.
        second: name of the other.
        n: images behind the difference.
        value: FID of the first less that of the second, corrected for its small-sample bias.
        low: lower end of the 95 % interval.
        high: upper end.
        p: adjusted p-value.
    """

    entry: ClassEntry
    first: str
    second: str
    n: int
    value: float
    low: float
    high: float
    p: float

    @property
    def winner(self) -> str | None:
        """The method with the clearly smaller FID; ``None`` where the test sees no difference."""
        return self.ahead if self.p < LEVEL else None

    @property
    def ahead(self) -> str:
        """The method with the smaller FID, clearly or not."""
        return self.second if self.value > 0 else self.first

    @property
    def loser(self) -> str:
        """The method with the larger FID."""
        return self.first if self.ahead == self.second else self.second

    @property
    def pair(self) -> str:
        """Both methods, as a difference."""
        return f"{self.first} {MINUS} {self.second}"


@dataclass(frozen=True)
class ComparisonView:
    """All pairs of methods at one resolution.

    Attributes:
        resolution: height and width in pixels.
        adjustment: how p-values were adjusted for their number.
        smallest_p: smallest adjusted p-value that the number of exchanges allows.
        differences: those with all their numbers, in the order of the run's classes.
        methods: all methods, each with its index in the run's order.
    """

    resolution: int
    adjustment: str
    smallest_p: float
    differences: tuple[DifferenceView, ...]
    methods: Mapping[str, int]
    test = EXCHANGE_TEST
    level = LEVEL

    @cached_property
    def wins(self) -> Counter[tuple[str, str]]:
        """In how many classes the first method of a pair is clearly better than the second."""
        return Counter(
            (difference.winner, difference.loser)
            for difference in self.differences
            if difference.winner is not None
        )

    def compared(self, first: str, second: str) -> int:
        """Return in how many classes two methods were compared."""
        pairs = ({each.first, each.second} for each in self.differences)
        return sum(pair == {first, second} for pair in pairs)

    @cached_property
    def scale(self) -> Scale:
        """Scale of all differences and their intervals."""
        return Scale.signed(self._ends)

    @cached_property
    def digits(self) -> int:
        """Digits after the point that all differences are shown with."""
        return max(2, decimals(self._ends))

    @property
    def _ends(self) -> list[float]:
        return [end for each in self.differences for end in (each.value, each.low, each.high)]

    def value(self, difference: DifferenceView) -> str:
        """Return the text of a difference."""
        return fixed(difference.value, self.digits)

    def interval(self, difference: DifferenceView) -> str:
        """Return the text of its interval."""
        return interval(difference.low, difference.high, self.digits)

    def p_text(self, difference: DifferenceView) -> str:
        """Return the text of its p-value."""
        return p_text(difference.p, self.smallest_p)

    def point(self, difference: DifferenceView) -> Point:
        """Return its mark, in the colour of the method that is ahead."""
        title = f"{difference.pair}: {self.value(difference)} {self.interval(difference)}"
        index = self.methods.get(difference.ahead, 0)
        return Point(
            index, difference.ahead, difference.value, difference.low, difference.high, title
        )


def comparisons(run: Run) -> list[ComparisonView]:
    """Return the comparisons of a run by resolution, those without a difference left out."""
    methods = {entry.name: index for index, entry in enumerate(run.methods)}
    return [
        ComparisonView(
            resolution, content["adjustment"], content["smallest_p_adjusted"], differences, methods
        )
        for resolution, content in run.comparison.items()
        if (differences := tuple(_defined(run, content)))
    ]


def _defined(run: Run, content: ComparisonDict) -> Iterator[DifferenceView]:
    for entry in run.classes:
        for row in content.get("differences", ()):
            numbers = (row["corrected"], row["low"], row["high"], row["p_adjusted"])
            defined = [number for number in numbers if number is not None]
            if row["group"] == entry.name and len(defined) == len(numbers):
                yield DifferenceView(entry, row["first"], row["second"], row["n"], *defined)
