"""Precision, recall, density and coverage: two sets compared by their nearest neighbours.

Every image is given a ball that reaches to the k-th nearest image of its own set. Precision and
density ask how many balls of real images the predictions lie in, recall and coverage how much of
the real set the predictions reach:

- Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models"
  (NeurIPS 2019), eq. 1 and 2;
- Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models" (ICML 2020), eq. 3
  and 4.

An image lies in a ball when it is closer than the radius, not as close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    FeaturePair,
    FeatureSet,
    FeatureSource,
    input_warnings,
    provenance,
    require_same_width,
)
from facemask_inpaint.metrics.results import MetricResult
from facemask_inpaint.metrics.table import NEIGHBOURS

_BLOCK = 1024
# Rounding must not turn a distance that equals a radius into a smaller one.
_SHRUNK = 1 - 1e-12


@dataclass(frozen=True)
class NeighbourScores:
    """The four scores of one pair of sets.

    Attributes:
        precision: share of fake images in the ball of a real one.
        recall: share of real images in the ball of a fake one.
        density: number of real balls that a fake image lies in, over k; may exceed 1.
        coverage: share of real images with a fake one in their ball.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real = np.random.default_rng(0).normal(size=(30, 4))
        >>> metrics.precision_recall(real, real).coverage.value
        1.0
    """

    precision: MetricResult
    recall: MetricResult
    density: MetricResult
    coverage: MetricResult

    def __str__(self) -> str:
        return "\n".join(map(str, (self.precision, self.recall, self.density, self.coverage)))


def precision_recall(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    k: int = NEIGHBOURS,
    reader: FeatureReader | None = None,
) -> NeighbourScores:
    """Compute precision, recall, density and coverage.

    All four depend on the number of images and on k: compare at equal n and k only.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 200, 8))
        >>> scores = metrics.precision_recall(real, 0.5 * fake)
        >>> float(scores.precision) > 0.95, float(scores.recall) < 0.6
        (True, True)

    Args:
        real: images or features, as for :func:`kid`.
        fake: the same; sides need not be equal in number, and are not paired.
        k: which neighbour's distance is the radius of an image's ball.
        reader: how images become features; default ``FeatureReader()``.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: k is below 1, a side has no more than k images, or features of different
            extractors or widths.
    """
    return neighbour_scores(*(reader or FeatureReader()).read_both(real, fake), k)


@ordinary_torch()
def neighbour_scores(real: FeatureSet, fake: FeatureSet, k: int = NEIGHBOURS) -> NeighbourScores:
    """Compute the four scores from features that were read already.

    Args:
        real: features of the real images.
        fake: of the fake ones.
        k: see :func:`precision_recall`.
    """
    details = provenance(real, fake) | {"k": k}
    require_same_width(real.values.shape[1], fake.values.shape[1])
    smaller = min(len(real), len(fake))
    if not 1 <= k < smaller:
        raise OptionError(f"k = {k}: it is at least 1, and below the {smaller} images of a side")
    first, second = real.values.double(), fake.values.to(real.device, torch.float64)
    centre = first.mean(dim=0)  # distances stay as they are, and lose fewer digits
    values = _scores(first - centre, second - centre, k)
    warnings = input_warnings(real, fake)
    names = ("precision", "recall", "density", "coverage")
    return NeighbourScores(
        *(MetricResult(*pair, smaller, warnings, details) for pair in zip(names, values))
    )


def precision_of_features(pair: FeaturePair) -> MetricResult:
    """Compute precision; see :class:`~.table.FeatureMetric`."""
    return pair.once(_scores_of_pair).precision


def recall_of_features(pair: FeaturePair) -> MetricResult:
    """Compute recall; see :class:`~.table.FeatureMetric`."""
    return pair.once(_scores_of_pair).recall


def density_of_features(pair: FeaturePair) -> MetricResult:
    """Compute density; see :class:`~.table.FeatureMetric`."""
    return pair.once(_scores_of_pair).density


def coverage_of_features(pair: FeaturePair) -> MetricResult:
    """Compute coverage; see :class:`~.table.FeatureMetric`."""
    return pair.once(_scores_of_pair).coverage


def _scores_of_pair(pair: FeaturePair) -> NeighbourScores:
    return neighbour_scores(pair.real, pair.fake)


def _scores(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of float64 rows."""
    real_radii, fake_radii = (_squared_radii(rows, k) * _SHRUNK for rows in (real, fake))
    precise = torch.zeros(len(fake), dtype=torch.bool, device=real.device)
    recalled = covered = inside = 0
    for start, squared in distance_blocks(real, fake):
        in_real = squared < real_radii[start : start + len(squared), None]
        precise |= in_real.any(dim=0)
        covered += int(in_real.any(dim=1).sum())
        inside += int(in_real.sum())
        recalled += int((squared < fake_radii).any(dim=1).sum())
    return (
        float(precise.sum()) / len(fake),
        recalled / len(real),
        inside / (k * len(fake)),
        covered / len(real),
    )


def _squared_radii(rows: Tensor, k: int) -> Tensor:
    """Squared distance ``(n,)`` of each row from its k-th nearest other row."""
    radii = []
    for start, squared in distance_blocks(rows, rows):
        squared.diagonal(start).fill_(0)  # itself, the nearest of all
        radii.append(squared.kthvalue(k + 1, dim=1).values)
    return torch.cat(radii)


def distance_blocks(first: Tensor, second: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield squared distances ``(m, n')`` of m rows at a time, with the number of the first.

    Args:
        first: ``(n, d)`` rows.
        second: ``(n', d)`` rows, from which they are measured.
    """
    norms = second.square().sum(dim=1)
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        products = block @ second.T
        own = block.square().sum(dim=1, keepdim=True)
        yield start, (own + norms - 2 * products).clamp_min_(0)
