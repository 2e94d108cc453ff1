"""Metrics of features that are means over pairs, with their confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from facemask_inpaint.metrics.features.sets import FeaturePair, provenance
from facemask_inpaint.metrics.pairs import PairedResult

Values = NDArray[np.float64]
"""One number per pair; NaN where it is not defined."""


@dataclass(frozen=True)
class PairMean:
    """A metric of features: the mean of one number per pair.

    Attributes:
        name: of the metric.
        values: takes a :class:`FeaturePair` and returns one number per pair, NaN where it is not
            defined; such pairs are left out.
        warnings: takes a :class:`FeaturePair` and returns what a reader has to know.
        share: whether all numbers are 0 or 1.
    """

    name: str
    values: Callable[[FeaturePair], Values]
    warnings: Callable[[FeaturePair], tuple[str, ...]]
    share: bool = False

    def __call__(self, pair: FeaturePair) -> PairedResult | None:
        """Compute the mean; ``None`` where no pair has a number."""
        values = self.values(pair)
        defined = values[~np.isnan(values)]
        if not len(defined):
            return None
        return PairedResult(
            self.name,
            float(defined.mean()),
            len(defined),
            self.warnings(pair),
            provenance(pair.real, pair.fake),
            tuple(values.tolist()),
            pair.real.names,
        )

    def interval(self, pair: FeaturePair, confidence: float) -> tuple[float, float] | None:
        """Return the interval of the mean: Wilson's of a share, else Student's."""
        values = self.values(pair)
        defined = values[~np.isnan(values)]
        if self.share:
            return share_interval(int(defined.sum()), len(defined), confidence)
        return mean_interval(defined, confidence)


def share_interval(hits: int, count: int, confidence: float) -> tuple[float, float] | None:
    """Return Wilson's score interval of a share (Wilson 1927); ``None`` of nothing.

    Unlike the normal approximation it says something where all or none are hits.

    Example:
        >>> low, high = share_interval(0, 60, 0.95)
        >>> f"{low:.2f} to {high:.2f}"
        '0.00 to 0.06'

    Args:
        hits: number of hits.
        count: out of so many.
        confidence: such as 0.95.
    """
    if not count:
        return None
    interval = scipy.stats.binomtest(hits, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Values, confidence: float) -> tuple[float, float] | None:
    """Return Student's interval of a mean; ``None`` of fewer than two values.

    Args:
        values: ``(n,)``.
        confidence: such as 0.95.
    """
    if len(values) < 2:
        return None
    centre, error = float(np.mean(values)), float(scipy.stats.sem(values))
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return centre - reach, centre + reach
