"""Images and holes at another size."""

from __future__ import annotations

from collections.abc import Iterable

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


def resize_strips(strips: Iterable[Tensor], size: tuple[int, int]) -> Tensor:
    """Resample an image that comes in strips of rows, from top to bottom.

    Interpolation is separable, so the result is that of :func:`resize` for the whole image, bit for
    bit, and no more than the strips' own width has to be kept at full height.

    Args:
        strips: ``(C, h, W)`` each, of a float dtype.
        size: height and width to reach.

    Returns:
        ``(C, *size)`` of the same dtype.

    Example:
        >>> resize_strips([torch.zeros(3, 4, 8), torch.zeros(3, 4, 8)], (4, 6)).shape
        torch.Size([3, 4, 6])
    """
    narrow = [resize(strip[None], (strip.shape[-2], size[1])) for strip in strips]
    return resize(torch.cat(narrow, dim=2), size)[0]


def resize_part(rgb: Tensor, size: tuple[int, int], region: tuple[slice, slice]) -> Tensor:
    """Resample an image of which only a part is needed, as :func:`resize` does, bit for bit.

    Args:
        rgb: ``(C, H, W)`` of any float dtype.
        size: height and width of the whole result.
        region: rows and columns of the part.

    Returns:
        ``(C, h, w)``, the part, of the same dtype.

    Example:
        >>> resize_part(torch.zeros(3, 4, 4), (8, 8), (slice(2, 5), slice(0, 4))).shape
        torch.Size([3, 3, 4])
    """
    rows, columns = region
    wide = resize(rgb[None], (rgb.shape[-2], size[1]))[..., columns]
    return resize(wide, (size[0], wide.shape[-1]))[0, :, rows]


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
