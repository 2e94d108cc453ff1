"""Window attention of the second version of the Swin transformer, for one size of images.

Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.layers.shifted_windows import regions_apart

FAR = -100.0
"""Added to a logit whose key must not be looked at."""

LARGEST_SCALE = 100.0
LARGEST_BIAS = 16.0
BIAS_HIDDEN = 512


class WindowAttention(nn.Module):
    """Multi-head attention by cosine similarity within square windows (section 3.3 there).

    What is added to a logit follows, through a small perceptron, from how far query and key lie
    apart.

    Args:
        width: channels of a token.
        heads: number of heads, a divisor of ``width``.
        side: side of the token grid, a multiple of ``window``.
        window: side of the windows.
        shift: how far the windows are moved against the grid.
    """

    offsets: Tensor
    pairs: Tensor
    apart: Tensor

    def __init__(self, width: int, heads: int, *, side: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.across = side // window
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10)))
        self.bias = nn.Sequential(
            nn.Linear(2, BIAS_HIDDEN), nn.ReLU(), nn.Linear(BIAS_HIDDEN, heads, bias=False)
        )
        self.register_buffer("offsets", log_offsets(window), persistent=False)
        self.register_buffer("pairs", pair_index(window), persistent=False)
        if shift:
            self.register_buffer(
                "apart", regions_apart(side, side, window, shift), persistent=False
            )

    def forward(self, x: Tensor) -> Tensor:
        """Attend within windows of ``x`` ``(N, H, W, C)``."""
        x = x.roll((-self.shift, -self.shift), (1, 2))
        query, key = (F.normalize(self._split(part(x)), dim=-1) for part in (self.query, self.key))
        value = self._split(self.value(x))
        scale = self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()
        query = query * scale.repeat(self.across**2, 1, 1)
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self._bias().to(query.dtype), scale=1.0
        )
        x = self.project(self._grid(out)).roll((self.shift, self.shift), (1, 2))
        return x

    def _bias(self) -> Tensor:
        """What to add to the logits, ``(1, windows * heads, n, n)``."""
        by_offset = LARGEST_BIAS * torch.sigmoid(self.bias(self.offsets))
        by_pair = rearrange(by_offset[self.pairs], "q k head -> head q k")
        if self.shift:
            by_pair = by_pair + FAR * self.apart[:, None]
        return by_pair.expand(self.across**2, -1, -1, -1).flatten(0, 1)[None]

    def _split(self, tokens: Tensor) -> Tensor:
        pattern = "n (i p) (j q) (head c) -> n (i j head) (p q) c"
        return rearrange(tokens, pattern, p=self.window, q=self.window, head=self.heads)

    def _grid(self, windows: Tensor) -> Tensor:
        pattern = "n (i j head) (p q) c -> n (i p) (j q) (head c)"
        return rearrange(
            windows, pattern, i=self.across, j=self.across, p=self.window, head=self.heads
        )


class WindowBlock(nn.Module):
    """Attention and a perceptron, each normalised before it is added to its input.

    Args:
        width: channels of a token.
        attention: the block's attention.
    """

    def __init__(self, width: int, attention: WindowAttention) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(N, H, W, C)`` to the same shape."""
        x = x + self.attention_norm(self.attention(x))
        x = x + self.mlp_norm(self.mlp(x))
        return x


def window_blocks(width: int, *, heads: int, depth: int, side: int, window: int) -> nn.Sequential:
    """Build blocks; if there are several windows, every second block shifts them by half."""
    shifts = [window // 2 if i % 2 and side > window else 0 for i in range(depth)]
    return nn.Sequential(
        *(
            WindowBlock(width, WindowAttention(width, heads, side=side, window=window, shift=shift))
            for shift in shifts
        )
    )


def log_offsets(window: int) -> Tensor:
    """Return all offsets in a window on a logarithmic scale (equation 4 there).

    Returns:
        ``((2 * window - 1) ** 2, 2)``: rows from above to below, columns from left to right, in
        [-1.06, 1.06].
    """
    steps = 8 * torch.arange(1 - window, window) / (window - 1)
    scaled = steps.sign() * (steps.abs() + 1).log2() / 3
    return torch.cartesian_prod(scaled, scaled)


def pair_index(window: int) -> Tensor:
    """Return the row of :func:`log_offsets` for each query and key, ``(n, n)``."""
    row, column = torch.arange(window**2) // window, torch.arange(window**2) % window
    down, right = (at[:, None] - at[None, :] + window - 1 for at in (row, column))
    return down * (2 * window - 1) + right
