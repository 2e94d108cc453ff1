"""The pixels of the caller's image, whatever its type: their colours, and copies with new ones.

Colours are read rectangle by rectangle, so that a small hole in a large photo takes little memory.
In a copy the ``changed`` pixels have new colours; all others, and the alpha channel, are the
original's, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.types import LoadedImage, Size
from facemask_inpaint.images.arrays import ordered

Region: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle."""

WHOLE: Region = (slice(None), slice(None))

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601: the weights with which Pillow converts colour to grey."""


@dataclass(frozen=True)
class SampleRange:
    """Value range of an image's samples, and whether they are whole numbers."""

    low: float
    high: float
    whole: bool

    def to_rgb(self, planes: Tensor) -> Tensor:
        """Return the colours of float32 samples ``(C, H, W)`` as ``(3, H, W)`` in [-1, 1]."""
        unit = planes[: colour_count(len(planes))] - self.low
        unit.mul_(2 / (self.high - self.low)).sub_(1).clamp_(-1, 1)
        return unit.expand(3, -1, -1).contiguous()

    def from_rgb(self, fresh: Tensor, channels: int) -> Tensor:
        """Return samples ``(1 or 3, n)`` float32 for colours ``(3, n)`` in [-1, 1].

        They are rounded half to even if the range is of whole numbers. In images of one or two
        ``channels`` they are the colours' luma.
        """
        luma = fresh.new_tensor(_LUMA)[:, None]
        colours = fresh if colour_count(channels) == 3 else (luma * fresh).sum(0, keepdim=True)
        samples = (colours.clamp(-1, 1) + 1) * ((self.high - self.low) / 2) + self.low
        return samples.round() if self.whole else samples


BYTES = SampleRange(0, 255, whole=True)
"""The range of samples of 8 bits."""


def colour_count(channels: int) -> int:
    """Return how many of an image's channels are colour: 1 of L and LA, 3 of RGB and RGBA."""
    return 1 if channels < 3 else 3


class Pixels(Protocol):
    """What :class:`~facemask_inpaint.images.DecodedImage` needs of an image of any type."""

    @property
    def source(self) -> LoadedImage:
        """The caller's image; that of a file, upright."""
        ...

    @property
    def size(self) -> Size:
        """Height and width."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the colours are."""
        ...

    def rgb(self, region: Region) -> Tensor:
        """Return the colours of a rectangle, ``(3, h, w)`` float32 in [-1, 1]."""
        ...

    def replace(self, fresh: Tensor, changed: Tensor, region: Region) -> LoadedImage:
        """Return a copy of the image with new colours.

        Args:
            fresh: ``(3, n)`` float32 in [-1, 1], in raster order.
            changed: ``(h, w)`` bool, the n pixels of the rectangle that they are for.
            region: the rectangle.
        """
        ...


@dataclass(frozen=True)
class TensorPixels:
    """The pixels of a tensor ``(H, W)`` or ``(C, H, W)``."""

    source: Tensor
    span: SampleRange

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.source.shape[-2], self.source.shape[-1]

    @property
    def device(self) -> torch.device:
        """The tensor's own."""
        return self.source.device

    def rgb(self, region: Region) -> Tensor:
        """Return the colours of a rectangle; see :class:`Pixels`."""
        samples = ordered(self.source[(..., *region)], np.float32)
        return self.span.to_rgb(rearrange(samples, "... h w -> (...) h w"))

    def replace(self, fresh: Tensor, changed: Tensor, region: Region) -> Tensor:
        """Return a copy of the tensor with new colours; see :class:`Pixels`."""
        image = self.source.detach().clone()
        planes = image if image.ndim == 3 else image[None]
        samples = self.span.from_rgb(fresh, len(planes)).to(planes.dtype)
        if planes.dtype == torch.uint16:  # which torch cannot index
            planes, samples = planes.view(torch.int16), samples.view(torch.int16)
        planes[(slice(len(samples)), *region)][:, changed] = samples
        return image


@dataclass(frozen=True)
class ArrayPixels:
    """The pixels of an array ``(H, W)`` or ``(H, W, C)``."""

    source: np.ndarray
    span: SampleRange
    device = torch.device("cpu")

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.source.shape[0], self.source.shape[1]

    def rgb(self, region: Region) -> Tensor:
        """Return the colours of a rectangle; see :class:`Pixels`."""
        samples = ordered(self.source[region], np.float32)
        return self.span.to_rgb(rearrange(samples, "h w ... -> (...) h w"))

    def replace(self, fresh: Tensor, changed: Tensor, region: Region) -> np.ndarray:
        """Return a copy of the array with new colours; see :class:`Pixels`."""
        image = self.source.copy()
        planes = image if image.ndim == 3 else image[..., None]
        samples = self.span.from_rgb(fresh, planes.shape[-1])
        planes[region][changed.numpy(), : len(samples)] = samples.T.numpy()
        return image


@dataclass(frozen=True)
class _OfPil:
    source: Image.Image
    device = torch.device("cpu")

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.source.height, self.source.width


@dataclass(frozen=True)
class PilPixels(_OfPil):
    """The pixels of a PIL image whose samples are grey or RGB, with or without alpha."""

    span: SampleRange

    def rgb(self, region: Region) -> Tensor:
        """Return the colours of a rectangle; see :class:`Pixels`."""
        return self._samples(region).rgb(WHOLE)

    def replace(self, fresh: Tensor, changed: Tensor, region: Region) -> Image.Image:
        """Return a new image with new colours; see :class:`Pixels`."""
        part = Image.fromarray(self._samples(region).replace(fresh, changed, WHOLE))
        if self.source.mode == "1":
            part = part.convert("1", dither=Image.Dither.NONE)
        if part.mode != self.source.mode:  # I;16 under one of its other names
            part = Image.frombytes(self.source.mode, part.size, part.tobytes())
        image = self.source.copy()
        image.paste(part, _box(region, self.size))
        return image

    def _samples(self, region: Region) -> ArrayPixels:
        part = self.source.crop(_box(region, self.size))
        return ArrayPixels(np.asarray(part.convert("L") if part.mode == "1" else part), self.span)


@dataclass(frozen=True)
class ConvertedPixels(_OfPil):
    """The pixels of a PIL image of another colour space, such as CMYK; Pillow converts them."""

    def rgb(self, region: Region) -> Tensor:
        """Return the colours of a rectangle; see :class:`Pixels`."""
        colours = self.source.crop(_box(region, self.size)).convert("RGB")
        return PilPixels(colours, BYTES).rgb(WHOLE)

    def replace(self, fresh: Tensor, changed: Tensor, region: Region) -> Image.Image:
        """Return a new image with new colours; see :class:`Pixels`."""
        colours = np.zeros((*changed.shape, 3), np.uint8)
        in_colour = Image.fromarray(ArrayPixels(colours, BYTES).replace(fresh, changed, WHOLE))
        image, mask = self.source.copy(), Image.fromarray(changed.numpy())
        image.paste(in_colour.convert(image.mode), _box(region, self.size), mask)
        return image


def _box(region: Region, size: Size) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a rectangle, as PIL takes them."""
    top, bottom, _ = region[0].indices(size[0])
    left, right, _ = region[1].indices(size[1])
    return left, top, right, bottom
