"""Images and holes at another size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample by bicubic interpolation, antialiased along every axis that shrinks.

    Args:
        rgb: ``(N, C, H, W)`` of any float dtype. Hidden pixels should hold something harmless:
            they spread into their surroundings.
        size: height and width to reach.

    Returns:
        ``(N, C, *size)`` of the same dtype; values can overshoot the input's range a little.

    Example:
        >>> resize(torch.zeros(1, 3, 8, 8), (4, 6)).shape
        torch.Size([1, 3, 4, 6])
    """
    if tuple(rgb.shape[-2:]) == tuple(size):
        return rgb
    # Half types have no antialiased kernel on every device.
    work = rgb.float() if rgb.element_size() < 4 else rgb
    return F.interpolate(work, size, mode="bicubic", antialias=True).to(rgb.dtype)


def resample_hole(hole: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a hole so that no hole pixel is ever lost.

    Along an axis that shrinks, a target pixel is hole if *any* source pixel that it overlaps is
    hole, exactly so for ratios that are not whole numbers. Along an axis that grows, the nearest
    source pixel decides.

    Args:
        hole: ``(..., H, W)`` bool.
        size: height and width to reach.

    Returns:
        ``(..., *size)`` bool.

    Example:
        >>> resample_hole(torch.eye(4, dtype=torch.bool), (2, 2)).tolist()
        [[True, False], [False, True]]
    """
    height, width = hole.shape[-2:]
    least = (min(height, size[0]), min(width, size[1]))
    if least != (height, width):
        planes = hole.reshape(-1, 1, height, width).float()
        # Its windows run from floor(i·H/h) to ceil((i+1)·H/h): the pixels that overlap i.
        hole = (F.adaptive_max_pool2d(planes, least) > 0).reshape(*hole.shape[:-2], *least)
    for axis, (have, want) in zip((-2, -1), zip(least, size)):
        if have != want:
            hole = hole.index_select(axis, _nearest(have, want, hole.device))
    return hole


def _nearest(have: int, want: int, device: torch.device) -> Tensor:
    """Source index under the middle of each target pixel, in whole numbers."""
    middles = 2 * torch.arange(want, device=device) + 1
    return middles * have // (2 * want)
