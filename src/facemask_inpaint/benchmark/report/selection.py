"""Which images the report shows: a cross-section of the data, and each metric's extremes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeVar

from facemask_inpaint.benchmark.store.records import CaseRecord
from facemask_inpaint.errors import OptionError

End = Literal["worst", "best"]
Item = TypeVar("Item")
Group = tuple[int, str]
"""Resolution and mask class."""


@dataclass(frozen=True)
class Selection:
    """How many images the report holds.

    Attributes:
        rows: portraits per class and resolution in the grids, each with all predictions.
        extremes: worst and best predictions per method, class, resolution and metric.
        image_size: images are shrunk to at most this many pixels a side.
        megabytes: the images together stay below this; what does not fit is left out, the grids
            last, and the report says so.

    Raises:
        OptionError: a number is negative or, for ``image_size``, below 32.

    Example:
        >>> Selection(rows=8, megabytes=40).image_size
        256
    """

    rows: int = 4
    extremes: int = 1
    image_size: int = 256
    megabytes: float = 12.0

    def __post_init__(self) -> None:
        if min(self.rows, self.extremes, self.megabytes) < 0 or self.image_size < 32:
            raise OptionError(
                f"{self}: rows, extremes and megabytes cannot be negative, image_size not below 32"
            )


@dataclass(frozen=True)
class Row:
    """A portrait with the predictions of all methods, for the grid of its class.

    Attributes:
        resolution: height and width in pixels.
        mask_class: name of the class.
        key: of the portrait.
    """

    resolution: int
    mask_class: str
    key: str


@dataclass(frozen=True)
class Extreme:
    """The case with a method's largest or smallest value of a metric in one class.

    Attributes:
        metric: name of the metric.
        end: which end of its range this is.
        value: of the metric.
        case: the record.
    """

    metric: str
    end: End
    value: float
    case: CaseRecord


def cross_section(
    cases: Iterable[CaseRecord], keys: Sequence[str], groups: Sequence[Group], count: int
) -> list[Row]:
    """Return ``count`` portraits of each class that lie far apart in the data set.

    Classes share portraits as far as these have the component. The first portraits of all
    classes come before the second ones, so that a cut at any point treats classes alike.
    """
    predicted: dict[Group, set[str]] = defaultdict(set)
    for case in cases:
        predicted[case.resolution, case.mask_class].add(case.key)
    order = spread(keys)
    chosen = [
        [Row(*group, key) for key in [key for key in order if key in predicted[group]][:count]]
        for group in groups
    ]
    return list(_by_turns(chosen))


def extremes(
    cases: Iterable[CaseRecord],
    groups: Sequence[Group],
    methods: Sequence[str],
    lower_is_better: Mapping[str, bool],
    count: int,
) -> list[Extreme]:
    """Return each method's ``count`` worst and best cases in each class by each metric.

    The worst come first, metric by metric; within a metric by turns of the classes. Equal values
    are taken in the order of the records.
    """
    grouped: dict[tuple[Group, str], list[CaseRecord]] = defaultdict(list)
    for case in cases:
        grouped[(case.resolution, case.mask_class), case.method].append(case)
    records = [grouped[group, method] for group in groups for method in methods]
    ends: tuple[End, ...] = ("worst", "best")
    return [
        extreme
        for end in ends
        for metric, lower in lower_is_better.items()
        for extreme in _by_turns([_end_of(each, metric, end, lower, count) for each in records])
    ]


def spread(keys: Sequence[Item]) -> list[Item]:
    """Reorder so that every beginning lies evenly over the whole: first, middle, quarters."""
    bits = max(1, (len(keys) - 1).bit_length())
    positions = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(2**bits))
    return [keys[position] for position in positions if position < len(keys)]


def _end_of(
    cases: Sequence[CaseRecord], metric: str, end: End, lower: bool, count: int
) -> list[Extreme]:
    known = [case for case in cases if metric in case.metrics]
    sign = 1 if lower == (end == "best") else -1
    ordered = sorted(known, key=lambda case: sign * case.metrics[metric])
    return [Extreme(metric, end, case.metrics[metric], case) for case in ordered[:count]]


def _by_turns(groups: Iterable[Sequence[Item]]) -> Iterator[Item]:
    for turn in zip_longest(*groups):
        yield from (item for item in turn if item is not None)
