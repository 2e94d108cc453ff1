"""Which part of a picture a network looks at, and at what scale.

A :class:`Crop` is a rectangle of the picture, the size it is resampled to, and the size that is
reached by mirroring at the bottom and right. Three strategies choose it:

``"pad"``
    The whole picture at its own scale, mirrored to the next size the network takes. Nothing is
    resampled. For networks that take any size.
``"resize"``
    The whole picture, aspect kept, resampled so that it fits the size the network was trained at.
    Face networks expect a whole face, so this is what fixed-size networks do by default.
``"crop"``
    One square around *all* holes with a margin (both eyes in one window), resampled to the
    network's size when that is fixed. For small faces in large photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint.errors import OptionError, SizeError

Strategy = Literal["pad", "resize", "crop"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)


class Sizing(Protocol):
    """What a strategy must know of a network; see ``InpaintingNetwork``."""

    native_size: int | None
    larger_size: int | None
    size_multiple: int
    smallest_size: int
    any_size: bool
    preferred_strategy: Strategy | None


def default_strategy(sizing: Sizing) -> Strategy:
    """The network's own, else ``"resize"`` when tied to its native size, else ``"pad"``."""
    return sizing.preferred_strategy or ("resize" if _is_tied(sizing) else "pad")


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture as a network sees it; all sizes are (height, width) in pixels.

    Attributes:
        top: first row of the rectangle.
        left: first column of the rectangle.
        size: size of the rectangle in the picture.
        scaled: size it is resampled to.
        padded: size after mirroring at the bottom and right; what the network is given.
    """

    top: int
    left: int
    size: tuple[int, int]
    scaled: tuple[int, int]
    padded: tuple[int, int]

    def crop(self, rgb: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Network input for ``rgb`` ``(3, H, W)`` float and ``hole`` ``(H, W)`` bool.

        Hidden pixels are left out of the resampling, so they cannot bleed into known ones.

        Returns:
            ``(3, h, w)`` float with 0 in the hole, and ``(1, h, w)`` bool, of size ``padded``.
        """
        rows, columns = self._slices()
        hole = hole[rows, columns]
        keep = (~hole).to(rgb.dtype)[None]
        visible = rgb[:, rows, columns] * keep
        if self.scaled != self.size:
            total = images.resize(torch.cat([visible, keep])[None], self.scaled)[0]
            hole = images.resample_hole(hole, self.scaled)
            known = (~hole).to(rgb.dtype)[None]
            weight = torch.where(hole, 1.0, total[3:]).clamp_min(0.1)
            visible = (total[:3] / weight).clamp(-1, 1) * known
        grid = torch.meshgrid(
            *(_mirrored(have, want, rgb.device) for have, want in zip(self.scaled, self.padded)),
            indexing="ij",
        )
        return visible[:, grid[0], grid[1]], hole[grid][None]

    def uncrop(self, answer: Tensor, rgb: Tensor) -> Tensor:
        """Copy of ``rgb`` whose window holds the network's ``answer`` ``(3, h, w)``."""
        height, width = self.scaled
        answer = answer[:, :height, :width].to(rgb)
        if self.scaled != self.size:
            answer = images.resize(answer[None], self.size)[0]
        rows, columns = self._slices()
        frame = rgb.clone()
        frame[:, rows, columns] = answer
        return frame

    def _slices(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.size[0]),
            slice(self.left, self.left + self.size[1]),
        )


def choose_crop(strategy: str, sizing: Sizing, hole: Tensor, margin: float) -> Crop:
    """Choose the window for a picture whose hole is ``hole`` ``(H, W)`` bool.

    Args:
        strategy: ``"pad"``, ``"resize"`` or ``"crop"``.
        sizing: the network, for the sizes it takes.
        hole: True where pixels are to be filled; at least one.
        margin: for ``"crop"``, context on each side as a share of the hole's longer side.

    Raises:
        OptionError: there is no such strategy, or the margin is negative.
        SizeError: the network cannot take the picture under this strategy.
    """
    if strategy not in STRATEGIES:
        raise OptionError(f"unknown strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}")
    if not 0 <= margin < math.inf:
        raise OptionError(f"margin must be a number that is not negative, got {margin}")
    top, left = 0, 0
    size = (hole.shape[0], hole.shape[1])
    if strategy == "crop":
        top, left, size = _square_around(hole, margin, sizing.native_size or 0)
    scaled = size
    resampled = strategy == "resize" or (strategy == "crop" and _is_tied(sizing))
    if sizing.native_size and resampled:
        scaled = _fit(size, _side_for(size, sizing.native_size, sizing.larger_size))
    return Crop(top, left, size, scaled, _next_size(scaled, sizing))


def _is_tied(sizing: Sizing) -> bool:
    """Whether the network works at (multiples of) its native size only."""
    return not sizing.any_size or sizing.size_multiple == sizing.native_size


def _square_around(hole: Tensor, margin: float, least: int) -> tuple[int, int, tuple[int, int]]:
    """Square of at least ``least`` around all holes, moved and cut to lie in the picture."""
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


def _side_for(size: tuple[int, int], native: int, larger: int | None) -> int:
    """The one of a network's sides that is nearer to the picture's longer one, as ratios go."""
    return larger if larger and max(size) ** 2 >= native * larger else native


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Size with the same aspect whose longer side is ``side``."""
    longer = max(size)
    height, width = (max(1, round(length * side / longer)) for length in size)
    return height, width


def _next_size(size: tuple[int, int], sizing: Sizing) -> tuple[int, int]:
    """Smallest size the network takes that holds ``size``."""
    if not sizing.any_size and sizing.native_size:
        side = sizing.native_size
        if sizing.larger_size and max(size) > side:
            side = sizing.larger_size
        if max(size) > side:
            raise SizeError(
                f"a {size[0]}x{size[1]} picture cannot be padded to the network's {side}x{side}; "
                'use strategy="resize" or "crop"'
            )
        return side, side
    multiple = sizing.size_multiple
    height, width = (
        -(-max(length, sizing.smallest_size) // multiple) * multiple for length in size
    )
    return height, width


def _mirrored(have: int, want: int, device: torch.device) -> Tensor:
    """Indices 0 … have-1, have-1 … 0, 0 … up to ``want`` of them (mirror repeats the border)."""
    index = torch.arange(want, device=device) % (2 * have)
    return torch.minimum(index, 2 * have - 1 - index)
