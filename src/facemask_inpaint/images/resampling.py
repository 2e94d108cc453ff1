"""Images and holes at another size."""

from __future__ import annotations

import math
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


def resize_strips(strips: Iterable[Tensor], height: int, size: tuple[int, int]) -> Tensor:
    """Resample an image that comes in strips of rows, from top to bottom.

    The result is that of :func:`resize` for the whole image, but for rounding. Rows are combined
    first, by matrix products, which take a fraction of the time of an interpolation; no more than
    the rows of the result are kept at full width.

    Args:
        strips: ``(C, h, W)`` float32 each.
        height: of all strips together.
        size: height and width to reach.

    Returns:
        ``(C, *size)`` float32.

    Example:
        >>> strips = [torch.zeros(3, 4, 8), torch.zeros(3, 4, 8)]
        >>> resize_strips(strips, 8, (4, 6)).shape
        torch.Size([3, 4, 6])
    """
    top, low, totals = 0, torch.empty(0), torch.zeros(size[0], 1)
    for strip in strips:
        reached, weights = _row_weights(range(top, top + strip.shape[1]), height, size[0])
        if not top:
            low = strip.new_zeros(len(strip), size[0], strip.shape[2])
        for kept, plane in zip(low, strip):
            kept[reached].addmm_(weights.to(strip), plane)
        totals[reached] += weights.sum(dim=1, keepdim=True)
        top += strip.shape[1]
    return resize((low.div_(totals.to(low)))[None], size)[0]


def _row_weights(rows: range, have: int, want: int) -> tuple[slice, Tensor]:
    """Which rows of the result some rows out of ``have`` reach, and their weights in them.

    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2, as
    wide as the rows that one of the result covers.
    """
    ratio = have / want
    scale = max(ratio, 1.0)
    first = max(math.floor((rows.start - 2 * scale) / ratio - 0.5), 0)
    stop = min(math.ceil((rows.stop + 2 * scale) / ratio + 0.5), want)
    middles = (torch.arange(first, stop, dtype=torch.float64) + 0.5) * ratio
    places = torch.arange(rows.start, rows.stop, dtype=torch.float64) + 0.5
    x = ((places - middles[:, None]) / scale).abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    return slice(first, stop), weights.float()


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
    for axis, (have, want) in zip((-2, -1), zip(hole.shape[-2:], size)):
        if want < have:
            hole = _any_in_windows(hole, axis, want)
    for axis, (have, want) in zip((-2, -1), zip(hole.shape[-2:], size)):
        if want > have:
            hole = hole.index_select(axis, _nearest(have, want, hole.device))
    return hole


def _any_in_windows(hole: Tensor, axis: int, count: int) -> Tensor:
    """Whether each of so many equal windows along an axis overlaps a hole pixel."""
    windows, length = torch.arange(count, device=hole.device), hole.shape[axis]
    first, last = windows * length // count, -(-(windows + 1) * length // count) - 1
    overlaps = hole.index_select(axis, first)
    for step in range(1, int((last - first).max()) + 1):
        overlaps |= hole.index_select(axis, torch.minimum(first + step, last))
    return overlaps


def _nearest(have: int, want: int, device: torch.device) -> Tensor:
    """Source index under the middle of each target pixel, in whole numbers."""
    middles = 2 * torch.arange(want, device=device) + 1
    return middles * have // (2 * want)
