"""FID at infinitely many images, by extrapolation.

Chong & Forsyth, "Effectively Unbiased FID and Inception Score and where to find them" (CVPR 2020):
FID of n images is about linear in 1/n, so a line through its values at several n meets 1/n = 0 at
the value without bias. Sizes and regression are those of Stein et al. (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.stats

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    Convention,
    FeaturePair,
    FeatureSet,
    FeatureSource,
    input_warnings,
    provenance,
)
from facemask_inpaint.metrics.features.statistics import FeatureStatistics
from facemask_inpaint.metrics.frechet import frechet_distance
from facemask_inpaint.metrics.results import MetricResult, finite

POINTS = 15
LARGEST_START = 5000
"""The smallest subset has a tenth of the images, but no more than this."""


@dataclass(frozen=True)
class ExtrapolatedResult(MetricResult):
    """FID∞ of two sets of images, and the line that it was read from.

    Attributes:
        sizes: numbers of fake images.
        distances: FID at each of them.
        standard_error: of the intercept, by the scatter of the distances around the line.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 100, 4))
        >>> len(metrics.fid_infinity(real, fake).sizes) > 1
        True
    """

    sizes: tuple[int, ...] = ()
    distances: tuple[float, ...] = ()
    standard_error: float = 0.0

    def confidence_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Student's interval of the intercept.

        It says how well the line is known, for these images; it does not say how much other images
        would change it.

        Args:
            confidence: share of the intervals that are to hold the true intercept.
        """
        freedom = len(self.sizes) - 2
        reach = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * self.standard_error
        return self.value - reach, self.value + reach


def fid_infinity(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    seed: int = 0,
    convention: Convention = "n-1",
    reader: FeatureReader | None = None,
) -> ExtrapolatedResult:
    """Compute FID extrapolated to infinitely many fake images.

    The real side enters with all its images at every size, so what is removed is the bias of the
    fake side. Noise may make the value negative.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 2000, 8))
        >>> result = metrics.fid_infinity(real, fake)
        >>> result.sizes[:3], abs(float(result)) < float(metrics.fid(real, fake))
        ((200, 328, 457), True)

    Args:
        real: images or features, as for :func:`kid`.
        fake: the same; sides need not be equal in number, and are not paired.
        seed: of the draw of subsets.
        convention: divisor of the covariance, see :func:`fid`.
        reader: how images become features; default ``FeatureReader()``.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: fewer than twenty fake images, or features of different extractors.
    """
    sides = (reader or FeatureReader()).read_both(real, fake)
    return extrapolated_result(*sides, seed=seed, convention=convention)


@ordinary_torch()
def extrapolated_result(
    real: FeatureSet, fake: FeatureSet, *, seed: int = 0, convention: Convention = "n-1"
) -> ExtrapolatedResult:
    """Compute FID∞ from features that were read already.

    Args:
        real: features of the real images.
        fake: of the fake ones.
        seed: see :func:`fid_infinity`.
        convention: likewise.
    """
    details = provenance(real, fake) | {"convention": convention, "seed": seed}
    count = len(fake)
    if count < POINTS + 5:
        raise OptionError(f"FID∞ fits a line to {POINTS} subsets; {count} fake images are too few")
    sizes = np.linspace(min(LARGEST_START, count // 10), count, POINTS).astype(int)
    statistics = FeatureStatistics.of(real)
    generator = np.random.default_rng(seed)
    subsets = (generator.choice(count, size, replace=False).tolist() for size in sizes)
    distances = [
        frechet_distance(statistics, FeatureStatistics.of(fake.select(rows)), convention)
        for rows in subsets
    ]
    line = scipy.stats.linregress(1 / sizes, distances)
    return ExtrapolatedResult(
        "fid_infinity",
        finite("FID∞", float(line.intercept)),
        min(len(real), count),
        (*_size_warnings(int(sizes[0]), fake.values.shape[1]), *input_warnings(real, fake)),
        details,
        tuple(sizes.tolist()),
        tuple(distances),
        float(line.intercept_stderr),
    )


def fid_infinity_of_features(pair: FeaturePair) -> ExtrapolatedResult:
    """Compute FID∞; see :class:`~.table.FeatureMetric`."""
    return pair.once(_result_of_pair)


def fid_infinity_interval(pair: FeaturePair, confidence: float) -> tuple[float, float]:
    """Return the interval of FID∞; see :class:`~.table.FeatureMetric`."""
    return pair.once(_result_of_pair).confidence_interval(confidence)


def _result_of_pair(pair: FeaturePair) -> ExtrapolatedResult:
    return extrapolated_result(pair.real, pair.fake, convention=pair.convention)


def _size_warnings(smallest: int, dimension: int) -> Iterator[str]:
    if smallest <= dimension:
        yield (
            f"the smallest subset has {smallest} images for {dimension} dimensions: FID is not "
            "linear in 1/n there, and the extrapolation unreliable"
        )
