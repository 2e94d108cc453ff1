"""PSNR, SSIM and L1 of each fake with its real, over the whole frame or over the hole only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.errors import ImageError
from facemask_inpaint.metrics.features.perceptual import (
    PerceptualDistance,
    load_perceptual_distance,
)
from facemask_inpaint.metrics.pairs import PairedResult, PairReader

SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_CONSTANTS = (0.01**2, 0.03**2)


def psnr(
    real: Any, fake: Any, mask: Any = None, *, reader: PairReader | None = None
) -> PairedResult:
    """Peak signal-to-noise ratio in dB, averaged over pictures; more is better.

    Identical pictures have none (it is infinite); they are left out of the mean, with a warning.

    Args:
        real: a folder, a list of paths or pictures, or a uint8 batch. Files are paired by stem,
            everything else by order.
        fake: the same, of the same sizes.
        mask: ``None`` measures the whole frame. Otherwise the hole only: a folder or list of masks
            (files paired by stem), a batch ``(N, H, W)``, or one mask for all; 1/True/255 = hole.
        reader: how pairs are read and where the arithmetic runs; default ``PairReader()``.

    Raises:
        ImageError: an undecodable picture, or a pair of different sizes.
        MaskError: a mask that does not fit its picture.
        OptionError: unmatched files (named).
    """
    reader = reader or PairReader()
    return _only(reader.measure(real, fake, {"psnr": peak_signal_to_noise}, mask))


def ssim(
    real: Any, fake: Any, mask: Any = None, *, reader: PairReader | None = None
) -> PairedResult:
    """Structural similarity (Wang et al. 2004), averaged over pictures; 1 is best.

    Gaussian window of 11 pixels (sigma 1.5), per colour channel, over all places where the window
    fits; over the hole only: over windows centred in the hole, the frame mirrored at its border.
    Arguments and errors are those of :func:`psnr`.
    """
    reader = reader or PairReader()
    return _only(reader.measure(real, fake, {"ssim": structural_similarity}, mask))


def l1(real: Any, fake: Any, mask: Any = None, *, reader: PairReader | None = None) -> PairedResult:
    """Mean absolute difference of samples in [0, 1], averaged over pictures; 0 is best.

    Arguments and errors are those of :func:`psnr`.
    """
    reader = reader or PairReader()
    return _only(reader.measure(real, fake, {"l1": absolute_difference}, mask))


def lpips(
    real: Any,
    fake: Any,
    mask: Any = None,
    *,
    network: PerceptualDistance | str = "alex",
    reader: PairReader | None = None,
) -> PairedResult:
    """Learned perceptual distance, averaged over pictures; 0 is best.

    Args:
        real: as for :func:`~.pixel.psnr`, like ``fake`` and ``mask``.
        fake: the same.
        mask: over the hole only; ``None`` is the whole frame.
        network: ``"alex"``, ``"vgg"``, or what :func:`load_perceptual_distance` returned.
        reader: how pairs are read; default ``PairReader()``.

    Raises:
        ImageError: an undecodable picture, or a pair of different sizes.
        WeightsNotFoundError: the weights are neither there nor to be had.
    """
    reader = reader or PairReader()
    if isinstance(network, str):
        network = load_perceptual_distance(network, device=reader.device)
    (result,) = reader.measure(real, fake, {"lpips": network.measure}, mask).values()
    return result


def absolute_difference(real: Tensor, fake: Tensor, hole: Tensor | None) -> float:
    """Mean absolute difference; see :data:`Measure`."""
    return _mean((real - fake).abs(), hole)


def peak_signal_to_noise(real: Tensor, fake: Tensor, hole: Tensor | None) -> float:
    """``-10 log10`` of the mean squared difference, in dB; see :data:`Measure`."""
    error = _mean((real - fake).square(), hole)
    return -10 * math.log10(error) if error else math.inf


def structural_similarity(real: Tensor, fake: Tensor, hole: Tensor | None) -> float:
    """Mean of the SSIM map (Wang et al. 2004, eq. 13); see :data:`Measure`."""
    margin = SSIM_WINDOW // 2
    if min(real.shape[1:]) < SSIM_WINDOW:
        raise ImageError(f"SSIM needs {SSIM_WINDOW} pixels each way, got {tuple(real.shape[1:])}")
    maps = torch.stack([real, fake, real * real, fake * fake, real * fake])
    mean_real, mean_fake, square_real, square_fake, product = _blurred(maps)
    c1, c2 = _SSIM_CONSTANTS
    covariance = product - mean_real * mean_fake
    variances = square_real - mean_real.square() + square_fake - mean_fake.square()
    luminance = (2 * mean_real * mean_fake + c1) / (mean_real.square() + mean_fake.square() + c1)
    similarity = luminance * (2 * covariance + c2) / (variances + c2)
    if hole is None:
        similarity = similarity[:, margin:-margin, margin:-margin]
    return _mean(similarity, hole)


def _mean(values: Tensor, hole: Tensor | None) -> float:
    """Mean of ``(C, H, W)`` over the frame, or over the hole."""
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


def _only(results: Mapping[str, PairedResult]) -> PairedResult:
    (result,) = results.values()
    return result
