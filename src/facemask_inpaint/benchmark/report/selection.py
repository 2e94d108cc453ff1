"""Which images of a run the page shows: a cross-section, and the extremes of each measure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeVar

from facemask_inpaint.benchmark.store.records import CaseRecord

End = Literal["worst", "best"]
Item = TypeVar("Item")
CaseGroup = tuple[int, str]
"""Side and mask class."""


@dataclass(frozen=True)
class Row:
    """A portrait with the predictions of all methods, for the grid of its class.

    Attributes:
        resolution: height and width in pixels.
        mask_class: name of the class.
        key: the portrait.
    """

    resolution: int
    mask_class: str
    key: str


@dataclass(frozen=True)
class Case:
    """The prediction with a method's largest or smallest measure in one class.

    Attributes:
        measure: name of the measure.
        end: which end of its range this is.
        value: the measure.
        record: the prediction.
    """

    measure: str
    end: End
    value: float
    record: CaseRecord


def cross_section(
    images: Iterable[CaseRecord], keys: Sequence[str], places: Sequence[CaseGroup], count: int
) -> list[Row]:
    """``count`` portraits of each class that lie far apart in the data set.

    Classes share portraits as far as these have the component. The first portraits of all
    classes come before the second ones, so that a cut at any point treats classes alike.
    """
    filled: dict[CaseGroup, set[str]] = defaultdict(set)
    for record in images:
        filled[record.resolution, record.mask_class].add(record.key)
    order = spread(keys)
    chosen = [
        [Row(*place, key) for key in [key for key in order if key in filled[place]][:count]]
        for place in places
    ]
    return list(_by_turns(chosen))


def extremes(
    images: Iterable[CaseRecord],
    places: Sequence[CaseGroup],
    methods: Sequence[str],
    lower_is_better: Mapping[str, bool],
    count: int,
) -> list[Case]:
    """Each method's ``count`` worst and best predictions in each class by each measure.

    Worst cases come first, measure by measure; within a measure by turns of the classes. Equal
    values are taken in the order of the records.
    """
    grouped: dict[tuple[CaseGroup, str], list[CaseRecord]] = defaultdict(list)
    for record in images:
        grouped[(record.resolution, record.mask_class), record.method].append(record)
    groups = [grouped[place, method] for place in places for method in methods]
    ends: tuple[End, ...] = ("worst", "best")
    return [
        case
        for end in ends
        for measure, lower in lower_is_better.items()
        for case in _by_turns([_end_of(group, measure, end, lower, count) for group in groups])
    ]


def spread(keys: Sequence[Item]) -> list[Item]:
    """Reorder so that every beginning lies evenly over the whole: first, middle, quarters …"""
    bits = max(1, (len(keys) - 1).bit_length())
    places = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(2**bits))
    return [keys[place] for place in places if place < len(keys)]


def _end_of(
    group: Sequence[CaseRecord], measure: str, end: End, lower: bool, count: int
) -> list[Case]:
    known = [record for record in group if measure in record.metrics]
    sign = 1 if lower == (end == "best") else -1
    ordered = sorted(known, key=lambda record: sign * record.metrics[measure])
    return [Case(measure, end, record.metrics[measure], record) for record in ordered[:count]]


def _by_turns(groups: Iterable[Sequence[Item]]) -> Iterator[Item]:
    for turn in zip_longest(*groups):
        yield from (item for item in turn if item is not None)
