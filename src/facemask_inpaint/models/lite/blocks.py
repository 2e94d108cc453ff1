"""What the stages of ``lite`` are built from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

BLOCK = 4
"""Side of the blocks of pixels that become one position of a map."""

HEAD_WIDTH = 64

BRANCH_GAIN = 0.2
"""Share of its usual scale with which the last convolution of a residual branch begins."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions around an identity, normalised before each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ChannelNorm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelNorm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    @property
    def last_of_branches(self) -> list[nn.Conv2d]:
        """What each branch around an identity ends with."""
        return [self.body[-1]]  # type: ignore[list-item]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        x = x + self.body(x)
        return x


class GlobalBlock(nn.Module):
    """Attention over all positions, then two convolutions, each around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention_norm = ChannelNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.from_heads = nn.Conv2d(channels, channels, 1)
        self.mixing = nn.Sequential(
            ChannelNorm(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1),
        )

    @property
    def last_of_branches(self) -> list[nn.Conv2d]:
        """What each branch around an identity ends with."""
        return [self.from_heads, self.mixing[-1]]  # type: ignore[list-item]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        x = x + self._attend(self.attention_norm(x))
        x = x + self.mixing(x)
        return x

    def _attend(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        q, k, v = rearrange(
            self.to_qkv(x), "n (three head c) h w -> three n head (h w) c", three=3, c=HEAD_WIDTH
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = self.from_heads(rearrange(mixed, "n head (h w) c -> n (head c) h w", h=height))
        return x


class UpsampleJoin(nn.Module):
    """Upsamples by two and joins the map that the encoder had there."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, 4 * outputs, 1)
        self.join = nn.Conv2d(2 * outputs, outputs, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join ``(N, inputs, H, W)`` and ``(N, outputs, 2H, 2W)`` to the latter's shape."""
        larger = blurred(F.pixel_shuffle(self.expand(x), 2), (1, 2, 1))
        joined: Tensor = self.join(torch.cat([larger, skip], dim=1))
        return joined


class Grain(nn.Module):
    """Noise on each channel of a map, as strong as is learnt (Karras et al., 2019, StyleGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return ``x`` ``(N, C, H, W)`` with noise ``(N, 1, H, W)`` added."""
        return x + self.strength[:, None, None] * noise


class ChannelNorm(nn.Module):
    """Layer normalisation of each position's channels (Ba et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.gain.shape, self.gain, self.shift)
        return last.permute(0, 3, 1, 2)


def initialise(stage: nn.Module) -> None:
    """Begin with unit gain everywhere, and little in the branches around identities."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    for module in stage.modules():
        if isinstance(module, Residual | GlobalBlock):
            for last in module.last_of_branches:
                last.weight.data *= BRANCH_GAIN


def to_blocks(image: Tensor, hole: Tensor, block: int = BLOCK) -> Tensor:
    """Return image and hole with each block of pixels as the channels of one position."""
    blocks = F.pixel_unshuffle(torch.cat([image, hole], dim=1), block)
    return blocks.contiguous(memory_format=torch.channels_last)


def from_blocks(blocks: Tensor) -> Tensor:
    """Return the pixels of blocks; a blur without gain at their period takes out their lattice."""
    return blurred(F.pixel_shuffle(blocks, BLOCK), (1, 2, 2, 2, 1))


def blurred(x: Tensor, taps: Sequence[int]) -> Tensor:
    """Average ``(N, C, H, W)`` with these weights along both axes; edges are repeated."""
    line = torch.tensor(taps, dtype=x.dtype, device=x.device) / sum(taps)
    half = len(taps) // 2
    kernel = line.expand(x.shape[1], 1, 1, -1)
    x = F.pad(x, (half, half, half, half), mode="replicate")
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.mT, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Double height and width bilinearly."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def downsample(x: Tensor) -> Tensor:
    """Halve height and width by averages."""
    return F.avg_pool2d(x, 2)
