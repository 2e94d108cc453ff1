"""Kernel distances: KID, which has no bias even between few images, and CMMD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
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
from facemask_inpaint.metrics.results import MetricResult, finite
from facemask_inpaint.metrics.table import CLIP

_BLOCK = 1024
_BANDWIDTH = 10.0  # of CMMD's kernel
_SCALE = 1000.0
_NOTABLE_BIAS = 0.1  # of the value

Kernel = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class KernelResult(MetricResult):
    """KID of two sets of images.

    Attributes:
        std: standard deviation over the subsets; ``None`` without subsets.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 30, 4))
        >>> metrics.kid(real, fake).std is None
        True
    """

    std: float | None = None


def kid(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    subsets: int | None = None,
    subset_size: int = 1000,
    seed: int = 2020,
    reader: FeatureReader | None = None,
) -> KernelResult:
    """Compute the kernel inception distance (Bińkowski et al. 2018); 0 is best.

    The unbiased squared maximum mean discrepancy under the kernel ``(x.y/d + 1)^3``; noise may
    make it negative.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> rng = np.random.default_rng(0)
        >>> real, fake = rng.normal(size=(2, 50, 8))
        >>> float(metrics.kid(real, fake)) < float(metrics.kid(real, fake + 1))
        True

    Args:
        real: images or features, as for :func:`fid` (saved statistics will not do).
        fake: the same.
        subsets: ``None`` uses every pair of images at once, which is exact and has no
            randomness. A number averages over random subsets, as published tools do:
            ``subsets=100`` with the other defaults draws exactly torch-fidelity's subsets.
        subset_size: number of images per subset and side.
        seed: of the draw.
        reader: how images become features; default ``FeatureReader()``.

    Returns:
        The squared discrepancy, with its spread over the subsets.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: fewer than two images on a side, or subsets larger than a side.
    """
    reader = reader or FeatureReader()
    return kernel_result(
        *reader.read_both(real, fake),
        subsets=subsets,
        subset_size=subset_size,
        seed=seed,
    )


def cmmd(
    real: FeatureSource, fake: FeatureSource, *, reader: FeatureReader | None = None
) -> MetricResult:
    """Compute CMMD, the CLIP maximum mean discrepancy (Jayasumana et al. 2024); 0 is best.

    The biased squared discrepancy under a Gaussian kernel of bandwidth 10, times 1000, of CLIP
    features scaled to length 1. Its bias falls like 1/n; a warning says how large it is.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real = np.random.default_rng(0).normal(size=(50, 8))
        >>> float(metrics.cmmd(real, real)), float(metrics.cmmd(real, real + 1)) > 1
        (0.0, True)

    Args:
        real: images, or features, which are taken as they are; see :func:`fid`.
        fake: the same; sides need not be equal in number, and are not paired.
        reader: how images become features; default ``FeatureReader("clip")``.

    Raises:
        ImageError: an image cannot be decoded.
        MissingDependencyError: ``transformers`` is not installed.
        OptionError: fewer than two images on a side, or features of different extractors.
        WeightsNotFoundError: CLIP's weights cannot be had.
    """
    return gaussian_result(*(reader or FeatureReader(CLIP)).read_both(real, fake))


@ordinary_torch()
def gaussian_result(real: FeatureSet, fake: FeatureSet) -> MetricResult:
    """Compute CMMD from features that were read already.

    Args:
        real: features of the real images.
        fake: of the fake ones.
    """
    details = provenance(real, fake)
    first, second = _checked("CMMD", real, fake)
    within = [_mean_kernel(rows, rows, _gaussian) for rows in (first, second)]
    across = _mean_kernel(first, second, _gaussian)
    value = finite("CMMD", _SCALE * float(within[0] + within[1] - 2 * across))
    bias = _SCALE * sum(
        (1 - float(mean)) / (len(rows) - 1) for mean, rows in zip(within, (first, second))
    )
    warnings = input_warnings(real, fake)
    smaller = min(len(first), len(second))
    if bias > _NOTABLE_BIAS * value:
        warnings += (f"{smaller} images: two samples of one distribution would score {bias:.3g}",)
    return MetricResult("cmmd", max(0.0, value), smaller, warnings, details)


def cmmd_of_features(pair: FeaturePair) -> MetricResult:
    """Compute CMMD; see :class:`~.table.FeatureMetric`."""
    return gaussian_result(pair.real, pair.fake)


@ordinary_torch()
def kernel_result(
    real: FeatureSet,
    fake: FeatureSet,
    *,
    subsets: int | None = None,
    subset_size: int = 1000,
    seed: int = 2020,
) -> KernelResult:
    """Compute KID from features that were read already.

    Args:
        real: features of the real images.
        fake: of the fake ones.
        subsets: as for :func:`kid`.
        subset_size: likewise.
        seed: likewise.

    Raises:
        OptionError: see :func:`kid`.
    """
    details = provenance(real, fake) | {"subsets": subsets}
    first, second = _checked("KID", real, fake)
    smaller = min(len(first), len(second))
    std = None
    if subsets is None:
        value = float(squared_discrepancy(first, second))
    else:
        if not 2 <= subset_size <= smaller or subsets < 1:
            raise OptionError(
                f"{subsets} subsets of {subset_size} images out of {smaller}; "
                "give at least one subset of 2 images or more, and no more than there are"
            )
        draws = _draws((len(first), len(second)), subsets, subset_size, seed)
        values = [float(squared_discrepancy(first[a], second[b])) for a, b in draws]
        value, std = float(np.mean(values)), float(np.std(values))
        details |= {"subset_size": subset_size, "seed": seed}
    value, warnings = finite("KID", value), input_warnings(real, fake)
    return KernelResult("kid", value, smaller, warnings, details, std)


def kid_of_features(pair: FeaturePair) -> KernelResult:
    """Compute KID; see :class:`~.table.FeatureMetric`."""
    return kernel_result(pair.real, pair.fake)


def squared_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Estimate the squared maximum mean discrepancy without bias.

    Args:
        first: ``(n, d)`` rows.
        second: ``(m, d)`` rows.
    """
    within = [
        (_kernel_sum(rows, rows, _cubic) - _cubic_of(rows.square().sum(dim=1), rows).sum())
        / (len(rows) * (len(rows) - 1))
        for rows in (first, second)
    ]
    return within[0] + within[1] - 2 * _mean_kernel(first, second, _cubic)


def _checked(label: str, real: FeatureSet, fake: FeatureSet) -> tuple[Tensor, Tensor]:
    """Float64 rows of both sides on one device."""
    require_same_width(real.values.shape[1], fake.values.shape[1])
    smaller = min(len(real), len(fake))
    if smaller < 2:
        raise OptionError(f"{label} needs at least two images on each side; there are {smaller}")
    return real.values.double(), fake.values.to(real.device, torch.float64)


def _cubic(first: Tensor, second: Tensor) -> Tensor:
    return _cubic_of(first @ second.T, first)


def _cubic_of(products: Tensor, rows: Tensor) -> Tensor:
    return (products / rows.shape[1] + 1) ** 3


def _gaussian(first: Tensor, second: Tensor) -> Tensor:
    norms = first.square().sum(dim=1, keepdim=True) + second.square().sum(dim=1)
    squared = (norms - 2 * first @ second.T).clamp_min(0)
    return torch.exp(squared / (-2 * _BANDWIDTH**2))


def _mean_kernel(first: Tensor, second: Tensor, kernel: Kernel) -> Tensor:
    return _kernel_sum(first, second, kernel) / (len(first) * len(second))


def _kernel_sum(first: Tensor, second: Tensor, kernel: Kernel) -> Tensor:
    """Sum of the kernel over all pairs, in blocks that keep memory linear in n."""
    return torch.stack([kernel(block, second).sum() for block in torch.split(first, _BLOCK)]).sum()


def _draws(
    counts: tuple[int, int], subsets: int, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    random = np.random.RandomState(seed)
    for _ in range(subsets):
        first, second = (random.choice(count, size, replace=False) for count in counts)
        yield first, second
