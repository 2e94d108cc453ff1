"""From new colours back to the caller's type of image.

A rebuilder keeps the caller's image and makes copies of it in which the ``changed`` pixels have new
colours; all other pixels, and the alpha channel, are the original's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.types import LoadedImage

Rebuild = Callable[[Tensor, Tensor], LoadedImage]
"""From new colours ``(3, n)`` float32 in [-1, 1] and the mask ``(H, W)`` bool of the n pixels that
they are for, in raster order, to the caller's type of image."""

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
        colours = planes[: colour_count(len(planes))]
        unit = (colours - self.low) * (2 / (self.high - self.low)) - 1
        return unit.clamp(-1, 1).expand(3, -1, -1).contiguous()

    def from_rgb(self, fresh: Tensor, channels: int) -> Tensor:
        """Return samples ``(1 or 3, n)`` float32 for colours ``(3, n)`` in [-1, 1].

        They are rounded half to even if the range is of whole numbers. In images of one or two
        ``channels`` they are the colours' luma.
        """
        luma = fresh.new_tensor(_LUMA)[:, None]
        colours = fresh if colour_count(channels) == 3 else (luma * fresh).sum(0, keepdim=True)
        samples = (colours.clamp(-1, 1) + 1) * ((self.high - self.low) / 2) + self.low
        return samples.round() if self.whole else samples


def colour_count(channels: int) -> int:
    """Return how many of an image's channels are colour: 1 of L and LA, 3 of RGB and RGBA."""
    return 1 if channels < 3 else 3


@dataclass(frozen=True)
class RebuildTensor:
    """Rebuilds tensors ``(H, W)`` or ``(C, H, W)``."""

    source: Tensor
    span: SampleRange

    def __call__(self, fresh: Tensor, changed: Tensor) -> Tensor:
        """Return a copy of the tensor with the ``fresh`` colours."""
        image = self.source.detach().clone()
        planes = image if image.ndim == 3 else image[None]
        samples = self.span.from_rgb(fresh, len(planes)).to(planes.dtype)
        if planes.dtype == torch.uint16:  # which torch cannot index
            planes, samples = planes.view(torch.int16), samples.view(torch.int16)
        planes[: len(samples), changed] = samples
        return image


@dataclass(frozen=True)
class RebuildArray:
    """Rebuilds arrays ``(H, W)`` or ``(H, W, C)``."""

    source: np.ndarray
    span: SampleRange

    def __call__(self, fresh: Tensor, changed: Tensor) -> np.ndarray:
        """Return a copy of the array with the ``fresh`` colours."""
        image = self.source.copy()
        planes = image if image.ndim == 3 else image[..., None]
        samples = self.span.from_rgb(fresh, planes.shape[-1])
        planes[changed.numpy(), : len(samples)] = samples.T.numpy()
        return image


@dataclass(frozen=True)
class RebuildImage:
    """Rebuilds PIL images whose samples are grey or RGB, with or without alpha."""

    samples: RebuildArray
    mode: str
    info: dict[Any, Any]

    def __call__(self, fresh: Tensor, changed: Tensor) -> Image.Image:
        """Return a new image with the ``fresh`` colours."""
        image = Image.fromarray(self.samples(fresh, changed))
        if self.mode == "1":
            image = image.convert("1", dither=Image.Dither.NONE)
        if image.mode != self.mode:  # I;16 under one of its other names
            image = Image.frombytes(self.mode, image.size, image.tobytes())
        image.info.update(self.info)
        return image


@dataclass(frozen=True)
class RebuildConverted:
    """Rebuilds PIL images of another colour space, such as CMYK, into which Pillow converts."""

    source: Image.Image

    def __call__(self, fresh: Tensor, changed: Tensor) -> Image.Image:
        """Return a new image with the ``fresh`` colours."""
        colours = np.zeros((*changed.shape, 3), np.uint8)
        in_colour = Image.fromarray(
            RebuildArray(colours, SampleRange(0, 255, whole=True))(fresh, changed)
        )
        image = self.source.copy()
        image.paste(in_colour.convert(image.mode), mask=Image.fromarray(changed.numpy()))
        return image
