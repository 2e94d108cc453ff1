"""Growing, filling and softening of hole masks, as NumPy ``(H, W)`` bool arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Hole = NDArray[np.bool_]
"""``(H, W)`` bool, True = hole."""

_Box = tuple[slice, slice]
_SQUARE = np.ones((3, 3), dtype=bool)


def dilate(hole: Hole, radius: int) -> Hole:
    """Grow a mask by a disc: every pixel within ``radius`` of the hole joins it.

    The mask is held as one long integer, a bit per pixel, so that a shift moves all pixels at
    once; the disc is the union of ``2·radius + 1`` horizontal runs.

    Args:
        hole: ``(H, W)`` bool.
        radius: Euclidean distance in pixels, at least 0.
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
    """Add the regions that the mask encloses, that is, those not 4-connected to the outside."""
    filled = hole.copy()
    box = _bounding_box(hole, margin=0)
    if box is not None:
        regions, _ = ndimage.label(np.pad(~hole[box], 1, constant_values=True))
        filled[box] = (regions != regions[0, 0])[1:-1, 1:-1]
    return filled


def touching(region: Hole, other: Hole) -> Hole:
    """The 8-connected parts of ``region`` that overlap or adjoin ``other``."""
    chosen = np.zeros_like(region)
    box = _bounding_box(region, margin=1)
    if box is not None:
        parts, count = ndimage.label(region[box], structure=_SQUARE)
        reached = np.zeros(count + 1, dtype=bool)
        reached[parts[ndimage.binary_dilation(other[box], structure=_SQUARE)]] = True
        reached[0] = False
        chosen[box] = reached[parts]
    return chosen


def feather(hole: Hole, width: int) -> NDArray[np.float32]:
    """Let a mask fade out over ``width`` pixels *outside* the hole; the hole itself stays 1.

    Returns:
        ``(H, W)`` float32 in [0, 1], falling linearly with the distance from the hole.
    """
    soft = hole.astype(np.float32)
    box = _bounding_box(hole, margin=width)
    if width > 0 and box is not None:
        distance = ndimage.distance_transform_edt(~hole[box])
        soft[box] = np.clip(1 - distance / (width + 1), 0, 1)
    return soft


def _bounding_box(hole: Hole, margin: int) -> _Box | None:
    """Smallest window around the hole, ``margin`` wider on each side; None for no hole."""
    spans = []
    for axis, length in enumerate(hole.shape):
        used = np.flatnonzero(hole.any(axis=1 - axis))
        if not used.size:
            return None
        spans.append(slice(max(0, used[0] - margin), min(length, used[-1] + 1 + margin)))
    return spans[0], spans[1]


def _to_bits(mask: Hole) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def _from_bits(bits: int, shape: tuple[int, ...]) -> Hole:
    count = math.prod(shape)
    inside = bits & (1 << count) - 1
    packed = np.frombuffer(inside.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").view(bool).reshape(shape)
