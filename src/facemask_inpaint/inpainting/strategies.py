"""Which part of an image a network sees, and at what scale.

A :class:`Crop` is a rectangle of the image, the size it is resampled to, and the size it is padded
to by mirroring at the bottom and right. Three strategies choose it whatever the image shows:

``"pad"``
    The whole image at its own scale, padded to the next size that the network takes. Nothing is
    resampled. For networks that take any size.
``"resize"``
    The whole image, resampled with its aspect ratio to fit the network's native resolution. Face
    networks expect a whole face, so this is the default of networks of a fixed size.
``"crop"``
    One square around the whole hole (both eyes, say) with a margin, resampled to the network's
    native resolution where that is fixed. For holes in large photos that are no face's.

The fourth, ``"face"``, looks for faces, and gives the network each of them as it lies in the images
that the network was trained on; see ``face_crop`` and ``framing``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, get_args

import torch
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import CropStrategy, Size, Strategy
from facemask_inpaint.errors import OptionError, SizeError
from facemask_inpaint.images.pixels import Region
from facemask_inpaint.models import InpaintingNetwork

STRATEGIES: tuple[str, ...] = get_args(CropStrategy)
"""Those that choose a :class:`Crop`."""


_AT_ONCE = 2**21
"""Pixels of the largest rectangle that is resampled in one piece."""

_STRIP = 32
"""Rows of a larger one that are decoded at a time: few enough for the processor's cache."""


class NetworkCrop(Protocol):
    """What a network sees of an image, and the way back."""

    @property
    def padded(self) -> Size:
        """Height and width of what the network gets."""
        ...

    def region(self, size: Size) -> Region:
        """Return the rows and columns that it needs of an image of ``size`` (height, width)."""
        ...

    def within(self, region: Region) -> NetworkCrop:
        """Return the same crop of an image of which there is only a region."""
        ...

    def crop(self, rgb: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the network's input out of an image and its mask; see :meth:`Crop.crop`."""
        ...

    def uncrop(self, prediction: Tensor, rgb: Tensor) -> Tensor:
        """Return a copy of an image ``(3, H, W)`` with the prediction in place."""
        ...


def default_strategy(network: InpaintingNetwork) -> CropStrategy:
    """Return the network's own, else ``"resize"`` if its resolution is fixed, else ``"pad"``."""
    return network.preferred_strategy or ("resize" if _is_tied(network) else "pad")


@dataclass(frozen=True)
class Crop:
    """A rectangle of an image as a network sees it; all sizes are (height, width) in pixels.

    Attributes:
        top: first row of the rectangle.
        left: first column of the rectangle.
        size: size of the rectangle in the image.
        scaled: size it is resampled to.
        padded: size after padding at the bottom and right, which is what the network gets.
    """

    top: int
    left: int
    size: Size
    scaled: Size
    padded: Size

    def region(self, size: Size) -> Region:
        """Return the rows and columns of the rectangle."""
        return self._slices()

    def within(self, region: Region) -> Crop:
        """Return the same crop of an image of which there is only a region."""
        return replace(self, top=self.top - region[0].start, left=self.left - region[1].start)

    def crop(self, rgb: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the network's input out of an image and its mask.

        Hidden pixels are left out of the resampling, so they cannot bleed into known ones.

        Args:
            rgb: ``(3, H, W)`` float, the image.
            hole: ``(H, W)`` bool.

        Returns:
            The crop ``(3, h, w)`` float with 0 in the hole, and its hole ``(1, h, w)`` bool, both
            of the size ``padded``.
        """
        return self.crop_from(lambda region: rgb[:, *region], hole)

    def crop_from(self, read: Callable[[Region], Tensor], hole: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the network's input out of an image that is read strip by strip; see :meth:`crop`.

        Args:
            read: returns the colours ``(3, h, w)`` of the rows and columns of a rectangle.
            hole: ``(H, W)`` bool.
        """
        height, width = self.size
        if self.scaled == self.size or height * width <= _AT_ONCE:
            total = images.resize(self._rows(read, hole, 0, height)[None], self.scaled)[0]
        else:
            strips = (self._rows(read, hole, top, _STRIP) for top in range(0, height, _STRIP))
            total = images.resize_strips(strips, height, self.scaled)
        hole = images.resample_hole(hole[self._slices()], self.scaled)
        visible = total[:3]
        if self.scaled != self.size:
            weight = torch.where(hole, 1.0, total[3:]).clamp_min(0.1)
            visible = (visible / weight).clamp(-1, 1) * (~hole).to(total.dtype)[None]
        grid = torch.meshgrid(
            *(_mirrored(have, want, total.device) for have, want in zip(self.scaled, self.padded)),
            indexing="ij",
        )
        return visible[:, grid[0], grid[1]], hole[grid][None]

    def _rows(
        self, read: Callable[[Region], Tensor], hole: Tensor, start: int, count: int
    ) -> Tensor:
        """Some rows of the rectangle ``(4, h, w)``: known colours, and what is known."""
        rows, columns = self._slices()
        top = rows.start + start
        region = (slice(top, min(top + count, rows.stop)), columns)
        rgb = read(region)
        seen = rgb.new_empty(4, *rgb.shape[1:])
        seen[3] = ~hole[region]
        torch.mul(rgb, seen[3], out=seen[:3])
        return seen

    def uncrop(self, prediction: Tensor, rgb: Tensor) -> Tensor:
        """Return a copy of an image with the prediction in place.

        Args:
            prediction: ``(3, h, w)`` of the size ``padded``.
            rgb: ``(3, H, W)`` float, the image, or a region of it that the crop may stand out of.
        """
        height, width = self.scaled
        prediction = prediction[:, :height, :width].to(rgb)
        frame = rgb.clone()
        theirs, ours = zip(*map(_overlap, rgb.shape[1:], self._slices()))
        frame[:, theirs[0], theirs[1]] = images.resize_part(prediction, self.size, ours)
        return frame

    def _slices(self) -> Region:
        return (
            slice(self.top, self.top + self.size[0]),
            slice(self.left, self.left + self.size[1]),
        )


def choose_crop(
    strategy: CropStrategy | None, network: InpaintingNetwork, hole: Tensor, margin: float
) -> Crop:
    """Choose what a network sees of an image.

    Args:
        strategy: ``"pad"``, ``"resize"`` or ``"crop"``; ``None`` takes the network's own.
        network: says which sizes it takes.
        hole: ``(H, W)`` bool, the image's hole, with at least one pixel.
        margin: for ``"crop"``, context on each side as a share of the hole's longer side.

    Raises:
        OptionError: there is no such strategy, or the margin is negative.
        SizeError: the network cannot take the image under this strategy.
    """
    strategy = strategy or default_strategy(network)
    check_strategy(strategy)
    if not 0 <= margin < math.inf:
        raise OptionError(f"margin must be a number that is not negative, got {margin}")
    top, left = 0, 0
    size = (hole.shape[0], hole.shape[1])
    if strategy == "crop":
        top, left, size = _square_around(hole, margin, network.native_resolution or 0)
    scaled = size
    resampled = strategy == "resize" or (strategy == "crop" and _is_tied(network))
    if network.native_resolution and resampled:
        scaled = _fit(
            size, _resolution_for(size, network.native_resolution, network.larger_resolution)
        )
    return Crop(top, left, size, scaled, _next_size(scaled, network))


def check_strategy(strategy: Strategy) -> None:
    """Refuse what is no strategy.

    Raises:
        OptionError: there is no such strategy.
    """
    known = (*STRATEGIES, "face")
    if strategy not in known:
        raise OptionError(f"unknown strategy {strategy!r}; choose one of {', '.join(known)}")


def _overlap(length: int, stretch: slice) -> tuple[slice, slice]:
    """What a line and a stretch of it share: its places on the line, and in the stretch."""
    first = min(max(0, stretch.start), length)
    stop = max(min(length, stretch.stop), first)
    return slice(first, stop), slice(first - stretch.start, stop - stretch.start)


def _is_tied(network: InpaintingNetwork) -> bool:
    """Whether the network works at (multiples of) its native resolution only."""
    return not network.any_size or network.size_multiple == network.native_resolution


def _square_around(hole: Tensor, margin: float, least: int) -> tuple[int, int, Size]:
    """Square of at least ``least`` around the hole, moved and cut to lie in the image."""
    starts, lengths, extents = [], [], []
    for axis in (0, 1):
        where = hole.any(dim=1 - axis).nonzero()
        extents.append((int(where[0]), int(where[-1]) + 1))
    side = max(stop - start for start, stop in extents)
    side = max(round(side * (1 + 2 * margin)), least)
    for limit, (start, stop) in zip(hole.shape, extents):
        length = min(side, limit)
        first = (start + stop - length) // 2
        starts.append(min(max(first, 0), limit - length))
        lengths.append(length)
    return starts[0], starts[1], (lengths[0], lengths[1])


def _resolution_for(size: Size, native: int, larger: int | None) -> int:
    """The network's resolution that is nearer to the image's longer side, as a ratio."""
    return larger if larger and max(size) ** 2 >= native * larger else native


def _fit(size: Size, resolution: int) -> Size:
    """Size of the same aspect ratio whose longer side is ``resolution``."""
    longer = max(size)
    height, width = (max(1, round(length * resolution / longer)) for length in size)
    return height, width


def _next_size(size: Size, network: InpaintingNetwork) -> Size:
    """Smallest size the network takes that holds ``size``."""
    if not network.any_size and network.native_resolution:
        side = network.native_resolution
        if network.larger_resolution and max(size) > side:
            side = network.larger_resolution
        if max(size) > side:
            raise SizeError(
                f"an image of {size[0]}x{size[1]} cannot be padded to the network's {side}x{side}; "
                'use strategy="resize" or "crop"'
            )
        return side, side
    multiple = network.size_multiple
    height, width = (
        -(-max(length, network.smallest_size) // multiple) * multiple for length in size
    )
    return height, width


def _mirrored(have: int, want: int, device: torch.device) -> Tensor:
    """Indices 0 … have-1, have-1 … 0, 0 … up to ``want`` of them (mirror repeats the border)."""
    index = torch.arange(want, device=device) % (2 * have)
    return torch.minimum(index, 2 * have - 1 - index)
