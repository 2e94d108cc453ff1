"""What the autoencoders and the partial encoder share: widths, normalisation, attention."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

GROUPS = 32
"""Groups of every normalisation; all widths are multiples of it."""

MULTIPLIERS = (1, 1, 2, 2, 4)
"""Width of each scale, in units of the first; each scale has half the side of the one before."""

CELL = 2 ** (len(MULTIPLIERS) - 1)
"""Side in pixels of one latent cell."""


def level_widths(width: int) -> list[int]:
    """Return the channels at full size, at half of it, and so on to the latent grid."""
    return [width * multiplier for multiplier in MULTIPLIERS]


class GroupNorm(nn.GroupNorm):
    """Normalisation in front of every convolution and attention, precise in any memory format.

    With channels last, PyTorch on a CPU takes the variance as a difference of two sums of
    squares in float32. This loses two to three digits, which so deep a network multiplies.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape, with channels first in memory."""
        return super().forward(x.contiguous())


def activated(norm: GroupNorm, x: Tensor) -> Tensor:
    """Normalise ``x`` and pass it through ``v * sigmoid(v)``."""
    return F.silu(norm(x), inplace=True)


class SelfAttention(nn.Module):
    """Every cell attends to every cell, with one head; residual.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        qkv = rearrange(self.qkv(self.norm(x)), "n (part c) h w -> part n 1 (h w) c", part=3)
        query, key, value = qkv.unbind()
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.proj(rearrange(mixed, "n 1 (h w) c -> n c h w", h=x.shape[2]))
        return x
