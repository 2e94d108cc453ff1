"""Harmonic filling of a batch, for networks that must not see a hole's sharp edge."""

from __future__ import annotations

import torch
from torch import Tensor

from facemask_inpaint.images.harmonic import fill_harmonically


def harmonic_fill(masked_image: Tensor, hole: Tensor) -> Tensor:
    """Fill each image's hole with the solution of Laplace's equation.

    Args:
        masked_image: ``(N, C, H, W)``; what lies under the hole is ignored.
        hole: ``(N, 1, H, W)``, 1 = fill.

    Returns:
        ``(N, C, H, W)`` of the same dtype and device; known pixels are unchanged.
    """
    pairs = zip(masked_image, hole[:, 0] > 0.5)
    return torch.stack([fill_harmonically(image, inside) for image, inside in pairs])
