"""Crops of a photo that a network parses, and the way back to the photo's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint.labels import LabelIds

Affine = tuple[float, float, float, float, float, float]
"""Rows of the map from a position in Pillow's output to that in its input."""

_REDUCING_GAP = 3.0
"""A photo is reduced, where it is, to so many times the resolution at least."""

_SAME_SIZE = 1.2
_SAME_PLACE = 0.08
_SAME_ROLL = 0.2


class UncroppedChannels(NamedTuple):
    """The best channels of a scored crop, at the photo's own pixels.

    Attributes:
        region: rows and columns of the photo around the crop.
        channels: ``(h, w)`` uint8, the best channel at each pixel of the region.
        inside: ``(h, w)`` bool, the pixels that lie in the crop.
    """

    region: tuple[slice, slice]
    channels: LabelIds
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Crop:
    """A rectangle in a photo, rotated with the face in it.

    Attributes:
        x: of its centre in pixels, from the photo's left edge.
        y: of its centre in pixels, from the photo's top edge.
        width: in pixels of the photo.
        height: in pixels of the photo.
        roll: angle by which it is rotated clockwise, in radians.

    Example:
        >>> from facemask_inpaint import data
        >>> from facemask_inpaint.parsing.crops import Crop
        >>> Crop(x=256, y=256, width=200, height=200).extract(data.sample().image, 64).size
        (64, 64)
    """

    x: float
    y: float
    width: float
    height: float
    roll: float = 0.0

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Crop:
        """Return all of a photo of ``size`` (width, height), which a network sees as a square."""
        width, height = size
        return cls(width / 2, height / 2, width, height)

    @classmethod
    def square_around(cls, size: tuple[int, int]) -> Crop:
        """Return the smallest square around a photo of ``size`` (width, height)."""
        return cls(size[0] / 2, size[1] / 2, max(size), max(size))

    @classmethod
    def cover(cls, size: tuple[int, int], share: float) -> list[Crop]:
        """Return squares that cover a photo, each overlapping the next by half of its side.

        Args:
            size: width and height of the photo.
            share: side of the squares as a share of the photo's longer side.
        """
        side = share * max(size)
        across, along = (_spread(extent, side) for extent in size)
        return [cls(x, y, side, side) for y in along for x in across]

    def scaled(self, factor: float) -> Crop:
        """Return the same crop with so many times the width and height."""
        return replace(self, width=self.width * factor, height=self.height * factor)

    def distance(self, other: Crop) -> float:
        """Return the distance of the centres, as a share of the other's width."""
        return math.hypot(self.x - other.x, self.y - other.y) / other.width

    def is_close(self, other: Crop, slack: float = 1.0) -> bool:
        """Return whether both show much the same; ``slack`` loosens what that means."""
        ratio = max(self.width / other.width, other.width / self.width)
        return (
            ratio < _SAME_SIZE**slack
            and self.distance(other) < _SAME_PLACE * slack
            and abs(math.remainder(self.roll - other.roll, math.tau)) < _SAME_ROLL * slack
        )

    def to_photo(self, x: float, y: float) -> tuple[float, float]:
        """Return where in the photo a position is, given in shares of width and height."""
        across, along = (x - 0.5) * self.width, (y - 0.5) * self.height
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return self.x + cos * across - sin * along, self.y + sin * across + cos * along

    def extract(self, photo: Image.Image, resolution: int) -> Image.Image:
        """Crop the photo, by Pillow's bilinear resampling; its border pixels go on beyond it.

        Args:
            photo: any image.
            resolution: side of the square result in pixels.
        """
        if not self.roll:
            return self._extract_upright(photo, resolution)
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        larger = math.ceil(resolution * (abs(cos) + abs(sin)))
        outer = replace(self.scaled(larger / resolution), roll=0.0)
        # Shrunk first: an affine transform alone would skip pixels.
        upright = outer._extract_upright(photo, larger)
        middle, half = larger / 2, resolution / 2
        back: Affine = (
            *(cos, -sin, middle - half * (cos - sin)),
            *(sin, cos, middle - half * (sin + cos)),
        )
        return upright.transform(
            (resolution, resolution), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR
        )

    def uncrop(self, scores: NDArray[np.float32], size: tuple[int, int]) -> UncroppedChannels:
        """Return the best channel at the photo's own pixels, by bilinear interpolation.

        Args:
            scores: ``(K, h, w)`` float32, the network's scores for the crop.
            size: width and height of the photo.
        """
        region = self.region(size)
        shape = (region[1].stop - region[1].start, region[0].stop - region[0].start)
        back = self._to_grid(scores.shape[1:], region)
        best = np.full(shape[::-1], -np.inf, dtype=np.float32)
        channels = np.zeros(shape[::-1], dtype=np.uint8)
        # One channel at a time: all of them at a photo's size would fill the memory. Channels
        # that win nowhere on the coarse grid are left out.
        for channel in np.unique(scores.argmax(axis=0)):
            plane = Image.fromarray(scores[channel])
            values = np.asarray(
                plane.transform(shape, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
            )
            better = values > best
            best[better] = values[better]
            channels[better] = channel
        everywhere = Image.new("L", scores.shape[:0:-1], 255)
        inside = everywhere.transform(shape, Image.Transform.AFFINE, back)
        return UncroppedChannels(region, channels, np.asarray(inside) > 0)

    def _extract_upright(self, photo: Image.Image, resolution: int) -> Image.Image:
        left, top = self.x - self.width / 2, self.y - self.height / 2
        right, bottom = left + self.width, top + self.height
        rows, columns = self.region(photo.size)
        before = (max(0, math.ceil(-left)), max(0, math.ceil(-top)))
        beyond = (
            max(0, math.ceil(right - photo.width)),
            max(0, math.ceil(bottom - photo.height)),
        )
        # What goes beyond the border of a large photo is made of a reduced copy.
        factor = max(1, int(min(self.width, self.height) / resolution / _REDUCING_GAP))
        if any(before + beyond):
            box = (columns.start, rows.start, columns.stop, rows.stop)
            pixels = np.asarray(photo.reduce(factor, box))
            before, beyond = (
                (-(-across // factor), -(-along // factor)) for across, along in (before, beyond)
            )
            around = ((before[1], beyond[1]), (before[0], beyond[0]), (0, 0))
            photo = Image.fromarray(np.pad(pixels, around, mode="edge"))
            left, right = ((x - columns.start) / factor + before[0] for x in (left, right))
            top, bottom = ((y - rows.start) / factor + before[1] for y in (top, bottom))
        return photo.resize(
            (resolution, resolution), Image.Resampling.BILINEAR, (left, top, right, bottom)
        )

    def region(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of the pixels around the crop; never none.

        Args:
            size: width and height of the photo.
        """
        corners = [self.to_photo(x, y) for x in (0, 1) for y in (0, 1)]
        spans = []
        for places, extent in zip(zip(*corners), size):
            first = min(max(0, math.floor(min(places))), extent - 1)
            spans.append(slice(first, min(max(first + 1, math.ceil(max(places))), extent)))
        columns, rows = spans
        return rows, columns

    def _to_grid(self, grid: tuple[int, ...], region: tuple[slice, slice]) -> Affine:
        """From positions in a region of the photo to those on a grid of (height, width) scores."""
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        right, down = grid[1] / self.width, grid[0] / self.height
        dx, dy = region[1].start - self.x, region[0].start - self.y
        return (
            *(cos * right, sin * right, grid[1] / 2 + (cos * dx + sin * dy) * right),
            *(-sin * down, cos * down, grid[0] / 2 + (cos * dy - sin * dx) * down),
        )


def _spread(extent: float, side: float) -> list[float]:
    """Middles of stretches of a line that cover it and overlap by half at least."""
    if extent <= side:
        return [extent / 2]
    gaps = math.ceil((extent - side) / (side / 2))
    return [side / 2 + number * (extent - side) / gaps for number in range(gaps + 1)]
