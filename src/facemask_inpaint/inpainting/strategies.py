"""Which part of an image a network sees, and at what scale.

A :class:`Crop` is a rectangle of the image, the size it is resampled to, and the size it is padded
to by mirroring at the bottom and right. Three strategies choose it:

``"pad"``
    The whole image at its own scale, padded to the next size that the network takes. Nothing is
    resampled. For networks that take any size.
``"resize"``
    The whole image, resampled with its aspect ratio to fit the network's native resolution. Face
    networks expect a whole face, so this is the default of networks of a fixed size.
``"crop"``
    One square around the whole hole (both eyes, say) with a margin, resampled to the network's
    native resolution where that is fixed. For small faces in large photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import Size, Strategy
from facemask_inpaint.errors import OptionError, SizeError
from facemask_inpaint.images.pixels import Region
from facemask_inpaint.models import InpaintingNetwork

STRATEGIES: tuple[str, ...] = get_args(Strategy)


def default_strategy(network: InpaintingNetwork) -> Strategy:
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

    @property
    def region(self) -> Region:
        """Rows and columns of the rectangle and of one pixel around it, where there is one."""
        return (
            slice(max(self.top - 1, 0), self.top + self.size[0] + 1),
            slice(max(self.left - 1, 0), self.left + self.size[1] + 1),
        )

    def within_region(self) -> Crop:
        """Return the same crop of an image of which there is only the :attr:`region`."""
        rows, columns = self.region
        return replace(self, top=self.top - rows.start, left=self.left - columns.start)

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
        rows, columns = self._slices()
        hole = hole[rows, columns]
        known = (~hole).to(rgb.dtype)[None]
        visible = rgb[:, rows, columns] * known
        if self.scaled != self.size:
            total = images.resize(torch.cat([visible, known])[None], self.scaled)[0]
            hole = images.resample_hole(hole, self.scaled)
            known = (~hole).to(rgb.dtype)[None]
            weight = torch.where(hole, 1.0, total[3:]).clamp_min(0.1)
            visible = (total[:3] / weight).clamp(-1, 1) * known
        grid = torch.meshgrid(
            *(_mirrored(have, want, rgb.device) for have, want in zip(self.scaled, self.padded)),
            indexing="ij",
        )
        return visible[:, grid[0], grid[1]], hole[grid][None]

    def uncrop(self, prediction: Tensor, rgb: Tensor) -> Tensor:
        """Return a copy of ``rgb`` ``(3, H, W)`` with the ``prediction`` ``(3, h, w)`` in place."""
        height, width = self.scaled
        prediction = prediction[:, :height, :width].to(rgb)
        if self.scaled != self.size:
            prediction = images.resize(prediction[None], self.size)[0]
        rows, columns = self._slices()
        frame = rgb.clone()
        frame[:, rows, columns] = prediction
        return frame

    def _slices(self) -> Region:
        return (
            slice(self.top, self.top + self.size[0]),
            slice(self.left, self.left + self.size[1]),
        )


def choose_crop(
    strategy: Strategy | None, network: InpaintingNetwork, hole: Tensor, margin: float
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
    if strategy not in STRATEGIES:
        raise OptionError(f"unknown strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}")
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
