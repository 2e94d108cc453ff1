"""Growing, filling, resampling and softening of holes, as NumPy ``(H, W)`` bool arrays."""

from __future__ import annotations

import math
import operator
import warnings
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import OptionError

Hole = NDArray[np.bool_]
"""``(H, W)`` bool, True = hole."""

SizeLike: TypeAlias = int | tuple[int, int]
"""Resolution of a square, or height and width."""

_Box = tuple[slice, slice]
_SQUARE = np.ones((3, 3), dtype=bool)


def dilate(hole: Hole, radius: int) -> Hole:
    """Grow a hole by a disc: every pixel within ``radius`` of the hole joins it.

    The hole is held as one long integer, a bit per pixel, so that a shift moves all pixels at
    once; the disc is the union of ``2·radius + 1`` horizontal runs.

    Args:
        hole: ``(H, W)`` bool.
        radius: Euclidean distance in pixels, at least 0.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import morphology
        >>> dot = np.zeros((5, 5), dtype=bool)
        >>> dot[2, 2] = True
        >>> morphology.dilate(dot, 1).sum().item()
        5
    """
    grown = hole.copy()
    box = _bounding_box(hole, margin=radius)
    if radius < 1 or box is None:
        return grown
    height, width = hole[box].shape
    stride = width + radius  # empty columns, so that a run that leaves a row enters no other
    canvas = np.zeros((height, stride), dtype=bool)
    canvas[:, :width] = hole[box]
    run = _to_bits(canvas)
    disc, reach = 0, 0
    for offset in range(radius, -1, -1):
        half_run = math.isqrt(radius * radius - offset * offset)
        while reach < half_run:
            run |= run << 1 | run >> 1
            reach += 1
        disc |= run << offset * stride | run >> offset * stride
    grown[box] = _from_bits(disc, canvas.shape)[:, :width]
    return grown


def fill_holes(hole: Hole) -> Hole:
    """Add the regions that a hole encloses, that is, those not 4-connected to the outside."""
    filled = hole.copy()
    box = _bounding_box(hole, margin=0)
    if box is not None:
        free = np.pad(~hole[box], 1, constant_values=True)
        outside = _reachable(_to_bits(free), free.shape[1])
        filled[box] = ~_from_bits(outside, free.shape)[1:-1, 1:-1]
    return filled


def touching(region: Hole, other: Hole) -> Hole:
    """Return the 8-connected parts of ``region`` that overlap or adjoin ``other``."""
    chosen = np.zeros_like(region)
    box = _bounding_box(region, margin=1)
    if box is not None:
        from scipy import ndimage  # takes as long to import as a hundred masks to cut

        parts, count = ndimage.label(region[box], structure=_SQUARE)
        reached = np.zeros(count + 1, dtype=bool)
        reached[parts[ndimage.binary_dilation(other[box], structure=_SQUARE)]] = True
        reached[0] = False
        chosen[box] = reached[parts]
    return chosen


def feather(hole: Hole, width: int) -> NDArray[np.float32]:
    """Let a hole fade out over ``width`` pixels *outside* of it; the hole itself stays 1.

    Returns:
        ``(H, W)`` float32 in [0, 1], falling linearly with the distance from the hole.
    """
    soft = hole.astype(np.float32)
    box = _bounding_box(hole, margin=width)
    if width > 0 and box is not None:
        from scipy import ndimage

        distance = ndimage.distance_transform_edt(~hole[box])
        soft[box] = np.clip(1 - distance / (width + 1), 0, 1)
    return soft


def resample(hole: Hole, size: tuple[int, int]) -> Hole:
    """Resample a hole so that no hole pixel is ever lost.

    Along an axis that shrinks, a target pixel is hole if *any* source pixel that it overlaps is
    hole, exactly so for ratios that are not whole numbers. Along an axis that grows, the nearest
    source pixel decides. ``images.resample_hole`` does the same to tensors.

    Args:
        hole: ``(H, W)`` bool.
        size: height and width to reach.
    """
    for axis, (have, want) in enumerate(zip(hole.shape, size)):
        if want < have:
            hole = _any_in_windows(hole, want, axis)
    for axis, (have, want) in enumerate(zip(hole.shape, size)):
        if want > have:
            hole = hole.take((2 * np.arange(want) + 1) * have // (2 * want), axis)
    return hole


def resize_hole(hole: Hole, size: SizeLike) -> Hole:
    """Return a hole at another size: any-pixel rule when shrinking, nearest when growing.

    Args:
        hole: ``(H, W)`` bool.
        size: resolution, or height and width.

    Raises:
        OptionError: The size is not positive.

    Warns:
        UserWarning: An oblong hole becomes a square one.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import resize_hole
        >>> resize_hole(np.eye(4, dtype=bool), 2).tolist()
        [[True, False], [False, True]]
    """
    try:
        sides = (size, size) if isinstance(size, SupportsIndex) else tuple(size)
        height, width = (operator.index(side) for side in sides)
    except (TypeError, ValueError):
        raise OptionError(f"size must be one or two whole numbers, not {size!r}") from None
    if min(height, width) < 1:
        raise OptionError(f"size must be positive, not {size!r}")
    if hole.shape == (height, width):
        return hole
    if isinstance(size, SupportsIndex) and hole.shape[0] != hole.shape[1]:
        warnings.warn(
            f"a label map of {hole.shape[1]} x {hole.shape[0]} pixels (width x height) is squashed "
            "into a square: do the same to its image, or give size as (height, width)",
            UserWarning,
            stacklevel=2,
        )
    return resample(hole, (height, width))


def _any_in_windows(hole: Hole, count: int, axis: int) -> Hole:
    """Whether each of ``count`` equal windows along an axis overlaps a hole pixel."""
    length = hole.shape[axis]
    windows = np.arange(count)
    first, last = windows * length // count, -(-(windows + 1) * length // count) - 1
    overlaps: Hole = hole.take(first, axis)
    for step in range(1, int((last - first).max()) + 1):
        overlaps |= hole.take(np.minimum(first + step, last), axis)
    return overlaps


def _bounding_box(hole: Hole, margin: int) -> _Box | None:
    """Smallest window around the hole, ``margin`` wider on each side; None for no hole."""
    spans = []
    for axis, length in enumerate(hole.shape):
        used = np.flatnonzero(hole.any(axis=1 - axis))
        if not used.size:
            return None
        spans.append(slice(max(0, used[0] - margin), min(length, used[-1] + 1 + margin)))
    return spans[0], spans[1]


def _reachable(free: int, stride: int) -> int:
    """Free pixels that are 4-connected to the first one.

    Args:
        free: a bit per pixel of an image whose border is free all around.
        stride: width of the image.
    """
    reached, before = 1, 0
    while reached != before:
        before = reached
        for step in (1, stride):
            reached = _along_runs(reached, free, step)
    return reached


def _along_runs(reached: int, free: int, step: int) -> int:
    """Reached pixels and the free runs they lie in, in one direction and its opposite.

    Runs of 1, 2, 4 … pixels are crossed at a time, so the longest takes its logarithm in steps.
    """
    forward, runs, shift = reached, free, step
    while runs:
        forward |= runs & forward << shift
        runs &= runs << shift
        shift *= 2
    backward, runs, shift = reached, free, step
    while runs:
        backward |= runs & backward >> shift
        runs &= runs >> shift
        shift *= 2
    return forward | backward


def _to_bits(mask: Hole) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def _from_bits(bits: int, shape: tuple[int, ...]) -> Hole:
    count = math.prod(shape)
    inside = bits & (1 << count) - 1
    packed = np.frombuffer(inside.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").view(bool).reshape(shape)
