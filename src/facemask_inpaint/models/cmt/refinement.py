"""Second stage of CMT: a U-net of window attention that joins the two coarse images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.cmt.windows import window_blocks

STRIDE = 4
"""Pixels along a side of an encoder token."""


class Scale(NamedTuple):
    """Blocks of one scale, on the way down as on the way up."""

    heads: int
    depth: int
    window: int = 4


SCALES = (Scale(1, 2), Scale(2, 2), Scale(4, 2), Scale(8, 4), Scale(16, 2, window=2))
"""From a quarter of the resolution down to a sixty-fourth."""

LAST = Scale(1, 2, window=8)
"""At full resolution, where only the decoder has blocks."""

SMALLEST_RESOLUTION = STRIDE * 2 ** (len(SCALES) - 1) * SCALES[-1].window


class RefinementStage(nn.Module):
    """Encoder to a single token, and a decoder that joins the encoder's maps scale by scale.

    Args:
        resolution: side of the images, a multiple of 128.
        width: channels at a quarter of the resolution, a multiple of 16; each halving of the
            resolution doubles them, at full resolution there are half as many.
    """

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        sides = [resolution // STRIDE >> level for level in range(len(SCALES))]
        widths = [width << level for level in range(len(SCALES))]
        self.stem = nn.Conv2d(7, width // 2, 7, padding=3)
        self.embed = nn.Conv2d(width // 2, width, STRIDE, stride=STRIDE)
        self.embed_norm = nn.LayerNorm(width)
        self.down = nn.ModuleList(
            nn.Sequential(_blocks(scale, channels, side), Downsample(channels))
            for scale, channels, side in zip(SCALES[:-1], widths, sides)
        )
        self.bottom = Bottleneck(SCALES[-1], widths[-1], sides[-1])
        self.up = nn.ModuleList()
        inputs, outputs = widths[-1], [*widths[-1:1:-1], width, width // 2]
        for level, channels in zip(reversed(range(len(SCALES))), outputs):
            with_skip, side = inputs + widths[level], sides[level]
            factor = 2 if level else STRIDE
            upsample = Upsample(with_skip, channels, side, factor)
            self.up.append(nn.Sequential(_blocks(SCALES[level], with_skip, side), upsample))
            inputs = channels
        self.last = _blocks(LAST, width, resolution)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 3))

    def forward(self, context: Tensor) -> Tensor:
        """Return the image in [-1, 1] from both coarse ones and the mask, ``(N, 7, H, W)``."""
        x = F.gelu(self.stem(context))
        skips = [rearrange(x, "n c h w -> n h w c")]
        x = self.embed_norm(rearrange(self.embed(x), "n c h w -> n h w c"))
        for step in self.down:
            skips.append(x)
            x = step(x)
        skips.append(x)
        x = self.bottom(x)
        for step in self.up:
            x = step(torch.cat([x, skips.pop()], dim=-1))
        x = self.head(self.last(torch.cat([x, skips.pop()], dim=-1)))
        return torch.tanh(rearrange(x, "n h w c -> n c h w"))


class Bottleneck(nn.Module):
    """Blocks, then all tokens as one, which is spread again over the grid."""

    def __init__(self, scale: Scale, width: int, side: int) -> None:
        super().__init__()
        self.blocks = _blocks(scale, width, side)
        self.norm = nn.LayerNorm(width)
        self.summary = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.spread = Upsample(width, width, 1, side)

    def forward(self, x: Tensor) -> Tensor:
        """Map a grid ``(N, H, W, C)`` to one of the same shape."""
        summary = self.norm(self.blocks(x)).mean((1, 2), keepdim=True)
        x = self.spread(self.summary(summary))
        return x


class Downsample(nn.Module):
    """Halves height and width and doubles the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, H, W, C)`` to ``(N, H / 2, W / 2, 2C)``."""
        cells = rearrange(x, "n (h p) (w q) c -> n h w (c p q)", p=2, q=2)
        x = self.norm(self.reduction(cells))
        return x


class Upsample(nn.Module):
    """Upsamples a square grid bilinearly and adds a learnt share of the positions.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, a multiple of 8.
        side: side of the grid given.
        factor: how many times larger the output is.
    """

    positions: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.norm = nn.LayerNorm(inputs)
        self.reduction = nn.Linear(inputs, outputs, bias=False)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.register_buffer("positions", sinusoids(side * factor, outputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, H, W, inputs)`` to ``(N, factor * H, factor * W, outputs)``."""
        x = rearrange(x, "n h w c -> n c h w")
        x = F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        x = self.reduction(self.norm(rearrange(x, "n c h w -> n h w c")))
        return x + self.alpha * self.positions


def sinusoids(side: int, channels: int) -> Tensor:
    """Return positions 1 to ``side`` as sines and cosines of falling frequency.

    Returns:
        ``(side, side, channels)``; the first half of the channels tells the column, the second
        the row.
    """
    count = channels // 4
    frequencies = torch.exp(torch.arange(count) * (-math.log(10_000) / (count - 1)))
    angles = torch.arange(1, side + 1)[:, None] * frequencies
    along = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = along.expand(side, -1, -1), along[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], dim=-1)


def _blocks(scale: Scale, width: int, side: int) -> nn.Sequential:
    return window_blocks(
        width, heads=scale.heads, depth=scale.depth, side=side, window=scale.window
    )
