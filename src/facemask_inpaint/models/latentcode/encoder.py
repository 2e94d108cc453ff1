"""The restrictive partial encoder: codes of the known cells, from nothing else.

A partial convolution reweights its output by how much of its window is
known. Unlike the usual one, known territory never grows into the hole: it shrinks with the scale,
so that what is called seen rests on pixels, not on guesses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.models.latentcode.blocks import (
    GroupNorm,
    SelfAttention,
    activated,
    level_widths,
)
from facemask_inpaint.models.layers.stylegan2 import EqualConv2d

CLEAR_SHARE = 0.25
"""A block of 2 x 2 stays known while more than this share of it is: two pixels or more."""


class Known(NamedTuple):
    """What is known at one scale; the convolutions of a scale share it.

    Attributes:
        mask: ``(N, 1, H, W)`` in {0, 1}, 1 = known.
        weight: ``(N, 1, H, W)``, factor on a 3x3 convolution's output.
    """

    mask: Tensor
    weight: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Known:
        """Build it from the mask itself."""
        return cls(mask, _window_weight(mask, mask, stride=1))

    def downsampled(self) -> tuple[Tensor, Known]:
        """Return the factor on a 3x3 convolution of stride 2, and what is known behind it."""
        mask = (F.avg_pool2d(self.mask, 2) > CLEAR_SHARE).to(self.mask.dtype)
        return _window_weight(self.mask, mask, stride=2), Known.of(mask)


class PartialEncoder(nn.Module):
    """Scores of all codes for every cell that can be seen.

    Args:
        width: channels at full size, a multiple of 32.
        codes: size of the codebook.
        code_dim: channels in front of the scores.
    """

    def __init__(self, width: int, codes: int, code_dim: int) -> None:
        super().__init__()
        widths = level_widths(width)
        self.enter = PartialConv(4, width)
        self.levels = nn.ModuleList(
            PartialLevel(before, channels, downsample=i + 1 < len(widths))
            for i, (before, channels) in enumerate(zip([width, *widths], widths))
        )
        self.middle = nn.ModuleList(
            [
                PartialBlock(widths[-1], widths[-1]),
                SelfAttention(widths[-1]),
                PartialBlock(widths[-1], widths[-1]),
            ]
        )
        self.norm = GroupNorm(widths[-1])
        self.leave = PartialConv(widths[-1], code_dim)
        self.head = PartialConv(code_dim, codes, kernel_size=1)

    def forward(self, masked_image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Score the codes of an image's known cells.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)`` in {0, 1}, 1 = fill.

        Returns:
            Scores ``(N, codes, H / 16, W / 16)``, none negative, and all 0 in hidden cells; and
            ``(N, 1, H / 16, W / 16)`` in {0, 1}, 1 where a cell can be seen.
        """
        known = Known.of(1 - hole)
        x = self.enter(torch.cat([0.5 - hole, masked_image], 1).contiguous(), known.weight)
        for level in self.levels:
            x, known = level(x, known)
        before, attention, after = self.middle
        x = after(attention(before(x, known)), known)
        x = self.leave(activated(self.norm, x), known.weight)
        return self.head(x, known.mask), known.mask


class PartialLevel(nn.Module):
    """Two partial blocks and a halving; on the latent grid attention instead of the halving.

    The attention has no mask: hidden cells take part, as zeros do.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        downsample: whether this is not yet the latent grid.
    """

    def __init__(self, in_channels: int, channels: int, *, downsample: bool) -> None:
        super().__init__()
        inputs = (in_channels, channels)
        self.blocks = nn.ModuleList(PartialBlock(before, channels) for before in inputs)
        self.attention = nn.ModuleList(
            nn.Identity() if downsample else SelfAttention(channels) for _ in inputs
        )
        self.resample = PartialConv(channels, channels, downsample=True) if downsample else None

    def forward(self, x: Tensor, known: Known) -> tuple[Tensor, Known]:
        """Map features ``(N, in_channels, H, W)`` and what is known to those of the next scale."""
        for block, attention in zip(self.blocks, self.attention):
            x = attention(block(x, known))
        if self.resample is None:
            return x, known
        weight, known = known.downsampled()
        return self.resample(x, weight), known


class PartialBlock(nn.Module):
    """Residual block of partial convolutions; its normalisations see hidden cells as zeros.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(in_channels)
        self.conv1 = PartialConv(in_channels, channels)
        self.norm2 = GroupNorm(channels)
        self.conv2 = PartialConv(channels, channels)
        changes = in_channels != channels
        self.shortcut = PartialConv(in_channels, channels, kernel_size=1) if changes else None

    def forward(self, x: Tensor, known: Known) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        h = self.conv1(activated(self.norm1, x), known.weight)
        h = self.conv2(activated(self.norm2, h), known.weight)
        x = h + (x if self.shortcut is None else self.shortcut(x, known.mask))
        return x


class PartialConv(nn.Module):
    """Convolution with equalised learning rate, ReLU, and a factor for each window.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        kernel_size: 1 or 3.
        downsample: blur, and halve height and width; with 3x3 kernels only.
    """

    def __init__(
        self, in_channels: int, channels: int, *, kernel_size: int = 3, downsample: bool = False
    ) -> None:
        super().__init__()
        self.conv = EqualConv2d(
            in_channels,
            channels,
            kernel_size=kernel_size,
            resample="down" if downsample else None,
            activate=False,
        )

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve ``x``; ``weight`` ``(N, 1, H', W')`` is 0 where the output is hidden."""
        # The activation's gain of sqrt(2) costs nothing on the one channel of the weight.
        return F.relu(self.conv(x), inplace=True) * (weight * math.sqrt(2))


def _window_weight(mask: Tensor, mask_after: Tensor, *, stride: int) -> Tensor:
    """Nine over the number of known pixels in each 3x3 window; 0 where the output is hidden."""
    count = F.avg_pool2d(mask, 3, stride, padding=1, divisor_override=1)
    # A window around a known output holds a known pixel: this only keeps 0 / 0 away.
    return 9 * mask_after / count.clamp(min=1)
