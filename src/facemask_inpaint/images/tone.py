"""Predictions that take over the colours at a hole's rim and the grain of its surroundings."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from facemask_inpaint.images.harmonic import fill_harmonically

Planes: TypeAlias = NDArray[np.floating]
"""``(3, H, W)``, or a value for each of the three."""

_RIM = 3
"""Width in pixels of the rim whose colours count, on either side of the hole's border."""

AROUND = 16
"""Width in pixels of the surroundings whose grain counts."""

_GRAIN = 1.5
"""Standard deviation in pixels of the blur that parts grain from everything coarser."""


def match_tone(rgb: Tensor, prediction: Tensor, hole: Tensor, *, seed: int = 0) -> Tensor:
    """Give a prediction the tone of its image: low frequencies of the rim, grain of around it.

    The difference of image and prediction is averaged over the known pixels along the hole's border
    and continued into the hole harmonically, so that single pixels at the border draw no streaks.
    Then noise is added, as much as the surroundings have more of than the prediction; networks and
    resampling smooth it away. What counts as noise is the median of local deviations from a small
    blur, channel by channel, so edges and hairs beside the hole do not.

    Args:
        rgb: ``(3, H, W)`` float in [-1, 1], the image; what lies under the hole is ignored.
        prediction: ``(3, H, W)``, including what is predicted for known pixels beside the hole.
        hole: ``(H, W)`` bool.
        seed: of the noise.

    Returns:
        ``(3, H, W)`` like ``rgb``: its own values at known pixels, the matched prediction, clamped
        to [-1, 1], in the hole.

    Example:
        >>> hole = torch.zeros(32, 32, dtype=torch.bool)
        >>> hole[8:24, 8:24] = True
        >>> matched = match_tone(torch.zeros(3, 32, 32), torch.full((3, 32, 32), 0.4), hole)
        >>> bool(matched.abs().max() < 1e-6)
        True
    """
    prediction = prediction.to(rgb)
    inside = hole.cpu().numpy()
    difference = (rgb - prediction).cpu().numpy()
    smooth = _averaged(difference, ~inside)
    matched = prediction + fill_harmonically(torch.from_numpy(smooth).to(rgb), hole)
    around = ndimage.binary_dilation(inside, iterations=AROUND) & ~inside
    grain = _missing_grain(rgb.cpu().numpy(), matched.cpu().numpy(), around, inside)
    noise = np.random.default_rng(seed).standard_normal(rgb.shape).astype(np.float32)
    matched = matched + torch.from_numpy(_high(noise) * grain).to(rgb)
    return torch.where(hole, matched.clamp(-1, 1), rgb)


def _averaged(values: Planes, known: NDArray[np.bool_]) -> Planes:
    """Planes ``(3, H, W)`` blurred over known pixels only."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), _RIM)
    planes = [ndimage.gaussian_filter(np.where(known, plane, 0), _RIM) for plane in values]
    averaged: Planes = np.stack(planes).astype(np.float32) / np.maximum(weight, 1e-6)
    return averaged


def _high(planes: Planes) -> Planes:
    """What is finer than a small blur."""
    coarse: Planes = ndimage.gaussian_filter(planes, (0, _GRAIN, _GRAIN))
    return planes - coarse


def _missing_grain(
    image: Planes,
    prediction: Planes,
    around: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> Planes:
    """Standard deviation ``(3, 1, 1)`` of the noise that the prediction lacks.

    Hidden pixels must not count in the image's, so they are replaced by the prediction's first.
    """
    whole = np.where(inside, prediction, image)
    deviations = np.abs(_high(whole))
    unit = np.median(np.abs(_high(np.random.default_rng(0).standard_normal((64, 64))[None])))
    around_it, in_it = (
        np.median(deviations[:, where], axis=1) if where.any() else np.zeros(3)
        for where in (around, inside)
    )
    missing: Planes = np.sqrt(np.maximum(around_it**2 - in_it**2, 0)) / unit
    return missing.astype(np.float32)[:, None, None]
