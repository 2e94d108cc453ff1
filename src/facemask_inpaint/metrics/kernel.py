"""The kernel inception distance: an unbiased distance, also between few images."""

from __future__ import annotations

from collections.abc import Iterator
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

_BLOCK = 1024


@dataclass(frozen=True)
class KernelResult(MetricResult):
    """KID of two sets of images.

    Attributes:
        std: standard deviation over the subsets; ``None`` without subsets.
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
    require_same_width(real.values.shape[1], fake.values.shape[1])
    smaller = min(len(real), len(fake))
    if smaller < 2:
        raise OptionError(f"KID needs at least two images on each side; there are {smaller}")
    first, second = real.values.double(), fake.values.to(real.device, torch.float64)
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
        (_kernel_sum(rows, rows) - _kernel(rows, rows, paired=True).sum())
        / (len(rows) * (len(rows) - 1))
        for rows in (first, second)
    ]
    across = _kernel_sum(first, second) / (len(first) * len(second))
    return within[0] + within[1] - 2 * across


def _kernel(first: Tensor, second: Tensor, paired: bool = False) -> Tensor:
    products = (first * second).sum(dim=1) if paired else first @ second.T
    return (products / first.shape[1] + 1) ** 3


def _kernel_sum(first: Tensor, second: Tensor) -> Tensor:
    """Sum of the kernel over all pairs, in blocks that keep memory linear in n."""
    return torch.stack([_kernel(block, second).sum() for block in torch.split(first, _BLOCK)]).sum()


def _draws(
    counts: tuple[int, int], subsets: int, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    random = np.random.RandomState(seed)
    for _ in range(subsets):
        first, second = (random.choice(count, size, replace=False) for count in counts)
        yield first, second
