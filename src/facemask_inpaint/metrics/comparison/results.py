"""What :func:`~.significance.compare` returns: differences of FID, with intervals and p-values."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict, cast

import numpy as np

from facemask_inpaint._internal.types import JSON
from facemask_inpaint.metrics.results import plain

EXCHANGE_TEST = "both methods' predictions of random images exchanged"
"""How a p-value is made, for people."""


def p_text(value: float, smallest: float, digits: int = 3) -> str:
    """Format a p-value; one that is as small as its exchanges allow is marked as a bound.

    Args:
        value: the p-value.
        smallest: the smallest one that the number of exchanges allows.
        digits: significant ones.
    """
    return f"{'≤ ' if value <= smallest < 1 else ''}{value:.{digits}g}"


class Interval(NamedTuple):
    """Confidence limits.

    Attributes:
        low: the lower limit.
        high: the upper limit.
    """

    low: float
    high: float


class Contribution(NamedTuple):
    """One image's part in a difference.

    Attributes:
        image: name of the image.
        amount: by which D would fall without it, to first order.
    """

    image: str
    amount: float


@dataclass(frozen=True, eq=False)
class FidDifference:
    """FID(real, first) - FID(real, second) in one group of images; positive: second is better.

    Attributes:
        group: name of the group, such as a mask class.
        first: name of the first method.
        second: name of the second method.
        n: number of images.
        dimension: width of the features.
        fid_first: FID of the first method's predictions, with n - 1.
        fid_second: FID of the second's.
        difference: D, the plain difference; biased towards the method with the less noisy output.
        corrected: D less its bootstrap bias.
        standard_error: of D, from the influence function.
        interval: ``corrected`` -+ normal quantile times ``standard_error``.
        basic_interval: ``2 D - quantiles`` of the bootstrap; free of a normal law, and wider.
        p_value: of the within-pair exchange test: that both methods' predictions have one law.
        p_adjusted: over all groups and pairs of methods, see :attr:`Comparison.adjustment`.
        basis_size: number of dimensions in which replicates were computed.
        influence: ``(n,)`` influence of each image on D, mean 0.
        images: names of the images, in the order of ``influence``.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, a = np.random.default_rng(0).normal(size=(2, 20, 4))
        >>> comparison = metrics.compare(real, {"a": a, "b": a + 3}, replicates=20, exchanges=20)
        >>> comparison.differences[0].fid_first < comparison.differences[0].fid_second
        True
    """

    group: str
    first: str
    second: str
    n: int
    dimension: int
    fid_first: float
    fid_second: float
    difference: float
    corrected: float
    standard_error: float
    interval: Interval
    basic_interval: Interval
    p_value: float
    p_adjusted: float
    basis_size: int
    influence: np.ndarray
    images: tuple[str, ...]

    @property
    def biased(self) -> bool:
        """Whether there are fewer images than dimensions.

        FID itself is then mostly bias, the correction is not enough, and the interval only
        describes; the exchange test remains exact.
        """
        return self.n < self.dimension

    def influential(self, count: int = 10) -> tuple[Contribution, ...]:
        """Return the images that make the difference, strongest first.

        A positive amount speaks for the second method, a negative one for the first.

        Args:
            count: number of images.
        """
        order = np.argsort(-np.abs(self.influence), kind="stable")[:count]
        return tuple(
            Contribution(self.images[row], float(self.influence[row]) / self.n) for row in order
        )

    def row(self) -> dict[str, str | float | int]:
        """Return the numbers by column, as a line of :meth:`Comparison.to_csv`."""
        flat = vars(self) | {
            "low": self.interval.low,
            "high": self.interval.high,
            "basic_low": self.basic_interval.low,
            "basic_high": self.basic_interval.high,
        }
        return {name: flat[name] for name in _COLUMNS}


@dataclass(frozen=True)
class OverallDifference:
    """Mean of the differences of all groups for one pair of methods.

    Attributes:
        first: name of the first method.
        second: name of the second method.
        difference: mean D over the groups.
        corrected: less its bootstrap bias.
        standard_error: from the influence of each image in all groups that contain it.
        interval: ``corrected`` -+ normal quantile times ``standard_error``.
        basic_interval: from bootstrap weights that belong to images, the same in all groups.
        wilcoxon_p: two-sided exact signed-rank test on the groups' D. Groups share images, so
            it only describes.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, a, b = np.random.default_rng(0).normal(size=(3, 20, 4))
        >>> groups = [{"hair": side, "eyes": side[::-1]} for side in (real, a, b)]
        >>> methods = {"a": groups[1], "b": groups[2]}
        >>> comparison = metrics.compare(groups[0], methods, replicates=20, exchanges=20)
        >>> len(comparison.overall)
        1
    """

    first: str
    second: str
    difference: float
    corrected: float
    standard_error: float
    interval: Interval
    basic_interval: Interval
    wilcoxon_p: float


class DifferenceDict(TypedDict):
    """A :class:`FidDifference` in terms of JSON; a number that is not finite is ``None``."""

    group: str
    first: str
    second: str
    n: int
    fid_first: float | None
    fid_second: float | None
    difference: float | None
    corrected: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    basic_low: float | None
    basic_high: float | None
    p_value: float
    p_adjusted: float
    basis_size: int
    influential: list[tuple[str, float]]


_COLUMNS = tuple(name for name in DifferenceDict.__annotations__ if name != "influential")


class ComparisonDict(TypedDict):
    """A :class:`Comparison` in terms of JSON."""

    differences: list[DifferenceDict]
    overall: list[JSON]
    confidence: float
    adjustment: str
    smallest_p: float
    smallest_p_adjusted: float
    friedman_p: float | None
    warnings: list[str]
    provenance: JSON


@dataclass(frozen=True)
class Comparison:
    """Differences of FID between methods, per group and overall.

    Attributes:
        differences: one per group and pair of methods, groups in the order given.
        overall: one per pair of methods; empty with a single group.
        confidence: of the intervals, such as 0.95.
        adjustment: how ``p_adjusted`` was made, for people.
        smallest_p: that the number of exchanges allows; a p-value of this size is an upper bound.
        smallest_p_adjusted: likewise for adjusted ones.
        friedman_p: of Friedman's test over the groups that three or more methods are equal; None
            with fewer methods or groups.
        warnings: what a reader has to know.
        provenance: extractor, replicates, seed, device, library version.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, a, b = np.random.default_rng(0).normal(size=(3, 20, 4))
        >>> comparison = metrics.compare(real, {"a": a, "b": b}, replicates=20, exchanges=20)
        >>> [(difference.first, difference.second) for difference in comparison.differences]
        [('a', 'b')]
    """

    differences: tuple[FidDifference, ...]
    overall: tuple[OverallDifference, ...]
    confidence: float
    adjustment: str
    smallest_p: float
    smallest_p_adjusted: float
    friedman_p: float | None = None
    warnings: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)

    def __getitem__(self, group: str) -> FidDifference:
        """Return the difference in one group, when two methods were compared.

        Raises:
            KeyError: no such group, or several pairs of methods.
        """
        differences = [item for item in self.differences if item.group == group]
        if len(differences) != 1:
            known = sorted({item.group for item in self.differences})
            raise KeyError(f"{len(differences)} differences for group {group!r}; groups: {known}")
        return differences[0]

    def __str__(self) -> str:
        parts = [_table(_difference_cells(self))]
        if self.overall:
            parts.append(_table(_overall_cells(self)))
        if any(item.biased for item in self.differences):
            parts.append(
                "* n < d: FID is mostly bias here and the interval only describes; rely on p."
            )
        if self.friedman_p is not None:
            parts.append(f"Friedman's test over groups: p = {self.friedman_p:.3g}")
        parts.append(f"p: {EXCHANGE_TEST}; adjusted: {self.adjustment}.")
        return "\n".join(parts + [f"warning: {text}" for text in self.warnings])

    def to_dict(self) -> ComparisonDict:
        """Return all numbers, and of each difference the ten images that make it."""
        return {
            "differences": [
                cast("DifferenceDict", plain(item.row() | {"influential": item.influential()}))
                for item in self.differences
            ],
            "overall": [plain(vars(item)) for item in self.overall],
            "confidence": self.confidence,
            "adjustment": self.adjustment,
            "smallest_p": self.smallest_p,
            "smallest_p_adjusted": self.smallest_p_adjusted,
            "friedman_p": cast("float | None", plain(self.friedman_p)),
            "warnings": list(self.warnings),
            "provenance": plain(self.provenance),
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return :meth:`to_dict` as JSON text; non-finite numbers become ``null``.

        Args:
            indent: spaces per level; ``None`` writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_csv(self) -> str:
        """Return a line per group and pair of methods, below a line of column names."""
        text = io.StringIO()
        writer = csv.DictWriter(text, (*_COLUMNS, "adjustment"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(item.row() | {"adjustment": self.adjustment} for item in self.differences)
        return text.getvalue()


def _difference_cells(comparison: Comparison) -> list[list[str]]:
    title = f"{100 * comparison.confidence:g} % interval"
    header = ["group", "n", "first", "FID", "second", "FID", "D", "corrected", title]
    header += ["p", "adjusted p"]
    rows = [
        [
            item.group,
            f"{item.n}{'*' if item.biased else ''}",
            item.first,
            f"{item.fid_first:.4g}",
            item.second,
            f"{item.fid_second:.4g}",
            f"{item.difference:+.4g}",
            f"{item.corrected:+.4g}",
            _span(item.interval),
            p_text(item.p_value, comparison.smallest_p),
            p_text(item.p_adjusted, comparison.smallest_p_adjusted),
        ]
        for item in comparison.differences
    ]
    return [header, *rows]


def _overall_cells(comparison: Comparison) -> list[list[str]]:
    title = f"{100 * comparison.confidence:g} % interval"
    groups = len({item.group for item in comparison.differences})
    header = ["mean of", "first", "second", "D", "corrected", title, "Wilcoxon p"]
    rows = [
        [
            f"{groups} groups",
            item.first,
            item.second,
            f"{item.difference:+.4g}",
            f"{item.corrected:+.4g}",
            _span(item.interval),
            f"{item.wilcoxon_p:.3g}",
        ]
        for item in comparison.overall
    ]
    return [header, *rows]


def _span(interval: Interval) -> str:
    return f"[{interval.low:+.4g}, {interval.high:+.4g}]"


def _table(cells: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)
