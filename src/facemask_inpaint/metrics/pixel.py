"""PSNR, SSIM, L1 and LPIPS of each fake image with its real one, whole or over the hole only."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint._internal.types import ImageSource
from facemask_inpaint.errors import ImageError
from facemask_inpaint.metrics.features.perceptual import (
    PerceptualDistance,
    load_perceptual_distance,
    shared_perceptual_distance,
)
from facemask_inpaint.metrics.inputs import MaskSource
from facemask_inpaint.metrics.metric import ImageMetric
from facemask_inpaint.metrics.pairs import ImagePair, PairedResult, PairReader
from facemask_inpaint.metrics.table import image_metrics

SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_CONSTANTS = (0.01**2, 0.03**2)


def psnr(
    real: ImageSource,
    fake: ImageSource,
    mask: MaskSource | None = None,
    *,
    reader: PairReader | None = None,
) -> PairedResult:
    """Compute the peak signal-to-noise ratio in dB, averaged over images; more is better.

    Identical images have none (it is infinite); they are left out of the mean, with a warning.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
        >>> round(float(metrics.psnr(black, grey)), 2)
        13.98

    Args:
        real: a folder, a list of paths or images, or a uint8 batch. Files are paired by stem,
            everything else by order.
        fake: the same, of the same sizes.
        mask: ``None`` measures whole images. Otherwise the hole only: a folder or list of masks
            (files paired by stem), a batch ``(N, H, W)``, or one mask for all; 1/True/255 = hole.
        reader: how pairs are read and where the arithmetic runs; default ``PairReader()``.

    Returns:
        The mean, with the value of each image.

    Raises:
        ImageError: an undecodable image, or a pair of different sizes.
        MaskError: a mask that does not fit its image.
        OptionError: unmatched files (named).
    """
    return _mean(image_metrics()["psnr"], real, fake, mask, reader)


def ssim(
    real: ImageSource,
    fake: ImageSource,
    mask: MaskSource | None = None,
    *,
    reader: PairReader | None = None,
) -> PairedResult:
    """Compute the structural similarity (Wang et al. 2004), averaged over images; 1 is best.

    Gaussian window of 11 pixels (sigma 1.5), per colour channel, at every position where the
    window fits; over the hole only: of windows centred in the hole, the image mirrored at its
    border.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
        >>> float(metrics.ssim(images, images))
        1.0

    Args:
        real: as for :func:`psnr`.
        fake: likewise.
        mask: likewise.
        reader: likewise.

    Returns:
        The mean, with the value of each image.

    Raises:
        ImageError: an undecodable image, none of at least 11 pixels, or a pair of different sizes.
        MaskError: a mask that does not fit its image.
        OptionError: unmatched files (named).
    """
    return _mean(image_metrics()["ssim"], real, fake, mask, reader)


def l1(
    real: ImageSource,
    fake: ImageSource,
    mask: MaskSource | None = None,
    *,
    reader: PairReader | None = None,
) -> PairedResult:
    """Compute the mean absolute difference of samples in [0, 1], averaged over images.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
        >>> round(float(metrics.l1(black, grey)), 3)
        0.2

    Args:
        real: as for :func:`psnr`.
        fake: likewise.
        mask: likewise.
        reader: likewise.

    Returns:
        The mean, with the value of each image; 0 is best.

    Raises:
        ImageError: an undecodable image, or a pair of different sizes.
        MaskError: a mask that does not fit its image.
        OptionError: unmatched files (named).
    """
    return _mean(image_metrics()["l1"], real, fake, mask, reader)


def lpips(
    real: ImageSource,
    fake: ImageSource,
    mask: MaskSource | None = None,
    *,
    network: PerceptualDistance | str = "alex",
    reader: PairReader | None = None,
) -> PairedResult:
    """Compute the learned perceptual distance (Zhang et al. 2018), averaged over images.

    Example:
        >>> from facemask_inpaint import metrics
        >>> metrics.lpips("faces/real", "faces/filled", "faces/masks")  # doctest: +SKIP

    Args:
        real: as for :func:`psnr`.
        fake: likewise.
        mask: likewise.
        network: ``"alex"``, ``"vgg"``, or what :func:`load_perceptual_distance` returned.
        reader: how pairs are read; default ``PairReader()``.

    Returns:
        The mean, with the value of each image; 0 is best.

    Raises:
        ImageError: an undecodable image, or a pair of different sizes.
        MaskError: a mask that does not fit its image.
        OptionError: unmatched files (named).
        WeightsNotFoundError: the weights are neither there nor to be had.
    """
    reader = reader or PairReader()
    if isinstance(network, str):
        network = load_perceptual_distance(network, device=reader.device)
    distance = network.measure
    row = replace(
        image_metrics()["lpips"],
        function=lambda pair: distance(pair.real, pair.fake, pair.hole),
        min_side=network.min_side,
        prepare=None,
    )
    return _mean(row, real, fake, mask, reader)


def absolute_difference(pair: ImagePair) -> float:
    """Compute the mean absolute difference of one pair."""
    return _average((pair.real - pair.fake).abs(), pair.hole)


def peak_signal_to_noise(pair: ImagePair) -> float:
    """Compute ``-10 log10`` of the mean squared difference of one pair, in dB."""
    error = _average((pair.real - pair.fake).square(), pair.hole)
    return -10 * math.log10(error) if error else math.inf


def structural_similarity(pair: ImagePair) -> float:
    """Compute the mean of the SSIM map (Wang et al. 2004, eq. 13) of one pair."""
    real, fake = pair.real, pair.fake
    margin = SSIM_WINDOW // 2
    maps = torch.stack([real, fake, real * real, fake * fake, real * fake])
    mean_real, mean_fake, square_real, square_fake, product = _blurred(maps)
    c1, c2 = _SSIM_CONSTANTS
    covariance = product - mean_real * mean_fake
    variances = square_real - mean_real.square() + square_fake - mean_fake.square()
    luminance = (2 * mean_real * mean_fake + c1) / (mean_real.square() + mean_fake.square() + c1)
    similarity = luminance * (2 * covariance + c2) / (variances + c2)
    if pair.hole is None:
        similarity = similarity[:, margin:-margin, margin:-margin]
    return _average(similarity, pair.hole)


def perceptual_distance(pair: ImagePair) -> float:
    """Compute LPIPS of one pair by the default network, loaded once per device.

    Raises:
        WeightsNotFoundError: the weights cannot be had.
    """
    network = shared_perceptual_distance(pair.real.device)
    return network.measure(pair.real, pair.fake, pair.hole)


def _mean(
    metric: ImageMetric,
    real: ImageSource,
    fake: ImageSource,
    mask: MaskSource | None,
    reader: PairReader | None,
) -> PairedResult:
    """Mean of one metric, of whole images without masks and over the hole with them."""
    row = metric if mask is None else metric.in_hole()
    result = (reader or PairReader()).measure(real, fake, [row], mask)[row.name]
    if math.isnan(result.value):
        raise ImageError(result.warnings[-1])
    return result


def _average(values: Tensor, hole: Tensor | None) -> float:
    """Mean of ``(C, H, W)`` over the image, or over the hole."""
    return float((values if hole is None else values[:, hole]).mean())


def _blurred(maps: Tensor) -> Tensor:
    """Gaussian means of ``(K, C, H, W)``, of the same shape; borders mirrored."""
    radius = SSIM_WINDOW // 2
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-offsets.square() / (2 * _SSIM_SIGMA**2))
    weights = weights / weights.sum()
    planes = F.pad(maps.flatten(0, 1)[:, None], (radius,) * 4, mode="reflect")
    planes = F.conv2d(planes, weights.view(1, 1, -1, 1))
    return F.conv2d(planes, weights.view(1, 1, 1, -1)).view_as(maps)
