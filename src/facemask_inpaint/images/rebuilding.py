"""How each kind of picture is put together again after some of its pixels changed.

A rebuilder keeps the caller's picture and makes a copy of it in which the ``changed`` pixels have
new colours; all others, and the alpha channel, are the original's own bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Rebuild = Callable[[Tensor, Tensor], Any]
"""From new colours ``(3, n)`` float32 in [-1, 1], and an ``(H, W)`` bool plane with the n places
that they go to in raster order, to the caller's kind of picture."""

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, the weights that Pillow turns colour into grey with."""


@dataclass(frozen=True)
class SampleRange:
    """Value range of a picture's samples, and whether they are whole numbers."""

    low: float
    high: float
    whole: bool

    def to_rgb(self, planes: Tensor) -> Tensor:
        """Float32 samples ``(C, H, W)`` without alpha, as ``(3, H, W)`` in [-1, 1]."""
        colours = planes[: colour_count(len(planes))]
        unit = (colours - self.low) * (2 / (self.high - self.low)) - 1
        return unit.clamp(-1, 1).expand(3, -1, -1).contiguous()

    def from_rgb(self, fresh: Tensor, channels: int) -> Tensor:
        """Samples for colours ``(3, n)`` in [-1, 1] in a picture of so many channels.

        They are ``(1 or 3, n)`` float32, rounded half to even if whole; grey is made by luma.
        """
        luma = fresh.new_tensor(_LUMA)[:, None]
        colours = fresh if colour_count(channels) == 3 else (luma * fresh).sum(0, keepdim=True)
        samples = (colours.clamp(-1, 1) + 1) * ((self.high - self.low) / 2) + self.low
        return samples.round() if self.whole else samples


def colour_count(channels: int) -> int:
    """How many of a picture's channels are colour: 1 of L and LA, 3 of RGB and RGBA."""
    return 1 if channels < 3 else 3


@dataclass(frozen=True)
class RebuildTensor:
    """For tensors ``(H, W)`` or ``(C, H, W)``."""

    source: Tensor
    span: SampleRange

    def __call__(self, fresh: Tensor, changed: Tensor) -> Tensor:
        picture = self.source.detach().clone()
        planes = picture if picture.ndim == 3 else picture[None]
        samples = self.span.from_rgb(fresh, len(planes)).to(planes.dtype)
        if planes.dtype == torch.uint16:  # which torch cannot index
            planes, samples = planes.view(torch.int16), samples.view(torch.int16)
        planes[: len(samples), changed] = samples
        return picture


@dataclass(frozen=True)
class RebuildArray:
    """For arrays ``(H, W)`` or ``(H, W, C)``."""

    source: np.ndarray
    span: SampleRange

    def __call__(self, fresh: Tensor, changed: Tensor) -> np.ndarray:
        picture = self.source.copy()
        planes = picture if picture.ndim == 3 else picture[..., None]
        samples = self.span.from_rgb(fresh, planes.shape[-1])
        planes[changed.numpy(), : len(samples)] = samples.T.numpy()
        return picture


@dataclass(frozen=True)
class RebuildImage:
    """For PIL modes whose samples are grey or RGB, with or without alpha."""

    samples: Rebuild
    mode: str
    info: dict[Any, Any]

    def __call__(self, fresh: Tensor, changed: Tensor) -> Image.Image:
        picture = Image.fromarray(self.samples(fresh, changed))
        if self.mode == "1":
            picture = picture.convert("1", dither=Image.Dither.NONE)
        if picture.mode != self.mode:  # I;16 under one of its other names
            picture = Image.frombytes(self.mode, picture.size, picture.tobytes())
        picture.info.update(self.info)
        return picture


@dataclass(frozen=True)
class RebuildConverted:
    """For PIL modes of another colour space, such as CMYK: Pillow converts the new pixels."""

    source: Image.Image

    def __call__(self, fresh: Tensor, changed: Tensor) -> Image.Image:
        colours = np.zeros((*changed.shape, 3), np.uint8)
        in_colour = Image.fromarray(
            RebuildArray(colours, SampleRange(0, 255, whole=True))(fresh, changed)
        )
        picture = self.source.copy()
        picture.paste(in_colour.convert(picture.mode), mask=Image.fromarray(changed.numpy()))
        return picture
