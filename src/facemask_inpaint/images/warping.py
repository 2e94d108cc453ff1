"""Images under a similarity transform: turned, scaled and shifted, without aliasing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint._internal.types import Size
from facemask_inpaint.images.resampling import resize

Places = TypeVar("Places", float, Tensor)
"""One coordinate of a position, or of many."""

_REACH = 3
"""How many pixels of the coarser grid bicubic interpolation looks beyond a position."""


@dataclass(frozen=True)
class Similarity:
    """A map of the plane that keeps angles: ``(x, y)`` to ``scale * rotated(x, y) + (dx, dy)``.

    Positions are in pixels; the middle of the first pixel is at (0.5, 0.5).

    Attributes:
        scale: factor by which lengths grow; positive.
        angle: by which it rotates, in radians, clockwise as one looks at an image.
        dx: shift to the right, after the rotation.
        dy: shift downwards, after the rotation.

    Example:
        >>> turn = Similarity(scale=2.0, angle=math.pi / 2, dx=10.0, dy=0.0)
        >>> x, y = turn(3.0, 1.0)
        >>> round(x, 6), round(y, 6)
        (8.0, 6.0)
    """

    scale: float
    angle: float
    dx: float
    dy: float

    def __call__(self, x: Places, y: Places) -> tuple[Places, Places]:
        """Return where a position goes, or where several do."""
        cos, sin = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return cos * x - sin * y + self.dx, sin * x + cos * y + self.dy

    @property
    def inverse(self) -> Similarity:
        """The map back."""
        back = Similarity(1 / self.scale, -self.angle, 0.0, 0.0)
        x, y = back(self.dx, self.dy)
        return Similarity(back.scale, back.angle, -x, -y)

    def shifted(self, dx: float, dy: float) -> Similarity:
        """Return the map followed by a shift."""
        return Similarity(self.scale, self.angle, self.dx + dx, self.dy + dy)

    def box(self, size: Size) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom of where a rectangle ``(height, width)`` goes."""
        height, width = size
        corners = [self(x, y) for x in (0, width) for y in (0, height)]
        xs, ys = zip(*corners)
        return min(xs), min(ys), max(xs), max(ys)

    def window(self, size: Size, within: Size) -> tuple[slice, slice]:
        """Return the rows and columns that :func:`warp` needs to fill a rectangle of ``size``.

        Args:
            size: height and width of the result.
            within: height and width of the image; never is the window empty or beyond it.
        """
        left, top, right, bottom = self.box(size)
        margin = _REACH * max(1.0, self.scale)
        spans = []
        for low, high, extent in ((top, bottom, within[0]), (left, right, within[1])):
            start = min(max(math.floor(low - margin), 0), extent - 1)
            spans.append(slice(start, min(max(math.ceil(high + margin), start + 1), extent)))
        return spans[0], spans[1]


def warp(planes: Tensor, to_source: Similarity, size: Size, *, soft: bool = False) -> Tensor:
    """Resample an image under a similarity transform.

    Where the image shrinks, it is reduced with an antialiasing filter to twice the resolution of
    the result at most, sampled at four positions in each pixel of it, and these are averaged.
    Where it grows or keeps its scale, it is interpolated. Beyond its border it is mirrored.

    Args:
        planes: ``(C, H, W)`` float32.
        to_source: from positions in the result to those in ``planes``.
        size: height and width of the result.
        soft: interpolate linearly, so that values stay within those of the image, instead of
            bicubically.

    Returns:
        ``(C, *size)`` float32; without ``soft`` values can overshoot the image's range a little.

    Example:
        >>> image = torch.arange(4.0).expand(1, 2, 4)
        >>> warp(image, Similarity(1.0, 0.0, 1.0, 0.0), (2, 2)).tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """
    height, width = planes.shape[-2:]
    shrinks = to_source.scale > 1
    samples = 2 if shrinks else 1
    if to_source.scale > samples:
        ratio = samples / to_source.scale
        planes = _reduce(planes, (math.ceil(height * ratio), math.ceil(width * ratio)), soft)
    fine = (size[0] * samples, size[1] * samples)
    grid = _positions(to_source, fine, samples, planes.device)
    grid = grid * grid.new_tensor([2 / width, 2 / height]) - 1
    mode = "bilinear" if soft else "bicubic"
    result = F.grid_sample(
        planes[None], grid[None], mode, padding_mode="reflection", align_corners=False
    )[0]
    return F.avg_pool2d(result, samples) if shrinks else result


def _reduce(planes: Tensor, size: Size, soft: bool) -> Tensor:
    if not soft:
        return resize(planes[None], size)[0]
    return F.interpolate(planes[None], size, mode="bilinear", antialias=True)[0]


def _positions(to_source: Similarity, fine: Size, samples: int, device: torch.device) -> Tensor:
    """Positions ``(H, W, 2)`` in the source, x first, of each sample of the result."""
    y, x = (
        (torch.arange(length, device=device, dtype=torch.float64) + 0.5) / samples
        for length in fine
    )
    return torch.stack(to_source(x[None, :], y[:, None]), dim=-1).float()
