"""Halving and doubling with the [1, 3, 3, 1] filter of the StyleGAN2 family.

Both are written so that they need no stored filter and work in any precision and memory layout.
The borders are zero, as in the official networks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blur_kernel(gain: float = 1.0) -> Tensor:
    """Return ``outer([1, 3, 3, 1])`` scaled to sum ``gain``, ``(4, 4)`` float32."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return gain * torch.outer(taps, taps)


def downsample(x: Tensor) -> Tensor:
    """Smooth with outer([1, 3, 3, 1]) / 64 and keep every second row and column.

    Args:
        x: ``(N, C, H, W)`` with even H and W; one pixel of zeros is put around it.

    Returns:
        ``(N, C, H / 2, W / 2)``.
    """
    channels = x.shape[1]
    kernel = blur_kernel().to(x).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=channels)


def upsample(x: Tensor) -> Tensor:
    """Put zeros between the pixels and smooth with outer([1, 3, 3, 1]) / 16.

    Of the four taps two fall on zeros: (1 · left + 3 · own) / 4 and (3 · own + 1 · right) / 4
    remain, which is bilinear enlargement but for the border, where the filter sees zeros.

    Args:
        x: ``(N, C, H, W)``.

    Returns:
        ``(N, C, 2H, 2W)``.
    """
    bordered = F.pad(x, (1, 1, 1, 1))
    twice = F.interpolate(bordered, scale_factor=2, mode="bilinear", align_corners=False)
    return twice[..., 2:-2, 2:-2]
