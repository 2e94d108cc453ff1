"""Filling a hole by a pyramid: known pixels averaged downwards, averages handed back up.

Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3 (pull and push).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_NOTHING = 1e-6


def pyramid_fill(masked_image: Tensor, hole: Tensor) -> Tensor:
    """Fill the hole with smooth colours from what is known around it.

    Args:
        masked_image: ``(N, C, H, W)``, 0 in the hole.
        hole: ``(N, 1, H, W)`` of the same dtype, 1 = fill.

    Returns:
        ``(N, C, H, W)``: known pixels as they are; 0 everywhere in an image of which nothing is
        known.
    """
    known = 1 - hole
    if min(masked_image.shape[2:]) < 2:
        return masked_image
    weight = F.avg_pool2d(known, 2)
    mean = F.avg_pool2d(masked_image * known, 2) / weight.clamp(min=_NOTHING)
    settled = (weight > 0).to(hole)
    coarse = pyramid_fill(mean * settled, 1 - settled)
    spread = F.interpolate(
        coarse, size=masked_image.shape[2:], mode="bilinear", align_corners=False
    )
    return torch.where(hole > 0, spread, masked_image)
