"""Filling a hole by a pyramid: known pixels averaged downwards, averages handed back up.

Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3 (pull and push).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_NOTHING = 1e-6


def pyramid_fill(visible: Tensor, hole: Tensor) -> Tensor:
    """Smooth colours for the hole from what is known around it.

    Args:
        visible: ``(N, C, H, W)``, 0 in the hole.
        hole: ``(N, 1, H, W)`` of the same dtype, 1 = fill.

    Returns:
        ``(N, C, H, W)``: known pixels as they are; 0 everywhere in a picture of which nothing is
        known.
    """
    known = 1 - hole
    if min(visible.shape[2:]) < 2:
        return visible
    weight = F.avg_pool2d(known, 2)
    mean = F.avg_pool2d(visible * known, 2) / weight.clamp(min=_NOTHING)
    settled = (weight > 0).to(hole)
    coarse = pyramid_fill(mean * settled, 1 - settled)
    spread = F.interpolate(coarse, size=visible.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(hole > 0, spread, visible)
