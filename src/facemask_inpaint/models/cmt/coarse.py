"""First stage of CMT: attention over two overlapping grids of patches, weighted by confidence.

Each token has, besides its features, a *continuous mask*: per channel, how much of what it holds
comes from known pixels. The mask passes through the absolute values of the weights that the
features pass through, and weights queries, keys and values. So the hole fills ring by ring, and
what was just filled counts less than what was known.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from facemask_inpaint.models.layers.float32 import upcast

PATCH = 16
"""Side of a token's patch in pixels; the second grid lies half a patch off the first."""

HEAD_WIDTH = 64
"""Channels of an attention head."""


class CoarseStage(nn.Module):
    """Paints the image twice: patch by patch on a regular grid, and on one between its patches.

    Args:
        resolution: side of the images, a multiple of 16.
        width: channels of a token.
        depth: number of layers.
        heads: number of attention heads, of 64 channels each.
        hidden: channels inside a layer's perceptron.
    """

    def __init__(self, resolution: int, *, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        side = resolution // PATCH
        self.grids = (side**2, (side - 1) ** 2)
        self.embed = nn.Linear(4 * PATCH**2, width)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + sum(self.grids), width))
        self.layers = nn.ModuleList(Layer(width, heads, hidden, side) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * PATCH**2)

    def forward(self, masked_image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Paint the whole frame.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            known: ``(N, 1, H, W)``, 1 = known.

        Returns:
            Two images ``(N, 3, H, W)`` in [-1, 1]: of the regular grid, and the same with the
            overlapping grid's patches painted over all but a border of half a patch.
        """
        patches = self.embed(cut(torch.cat([masked_image, known], dim=1)))
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens, confidence = tokens + self.position, self._first_confidence(known)
        for layer in self.layers:
            tokens, confidence = layer(tokens, confidence)
        patches = torch.tanh(self.head(self.norm(tokens[:, 1:])))
        regular, overlapping = map(assemble, torch.split(patches, [*self.grids], dim=1))
        painted_over = regular.clone()
        _inner(painted_over).copy_(overlapping)
        return regular, painted_over

    @torch.no_grad()
    def _first_confidence(self, known: Tensor) -> Tensor:
        """Known pixels of each patch through the absolute weights; the class token knows all."""
        weight = reduce(upcast(self.embed.weight).abs(), "o (p c) -> o p", "sum", c=4)
        patches = cut(upcast(known))
        patches = torch.cat([torch.ones_like(patches[:, :1]), patches], dim=1)
        return carried(patches, weight)


class Layer(nn.Module):
    """Masked attention and a perceptron, each around a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int, side: int) -> None:
        super().__init__()
        self.attention = MaskedAttention(width, heads, side)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens and confidence ``(N, T, width)`` to the next layer's."""
        attended, confidence = self.attention(x, confidence)
        x = x + attended
        return x + self.mlp(x), confidence


class MaskedAttention(nn.Module):
    """Attention of all tokens to all, with queries, keys and values scaled by confidence.

    No key is shut out. A token whose patch lies wholly in the hole takes, instead of what it
    attended to, the mean of the tokens of the other grid that touch its patch. The confidence
    does the same, is always float32, and carries no gradient.

    Args:
        width: channels of a token.
        heads: number of heads.
        side: patches along a side of the regular grid.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_WIDTH, bias=False)
        self.project = nn.Linear(heads * HEAD_WIDTH, width)

    def forward(self, x: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the tokens ``(N, T, width)``, and the new confidence."""
        known = confidence.amax(2, keepdim=True) > 0
        attended, spread = self._attend(x, confidence)
        spread = self._bridged(upcast(spread), known)
        attended = self._bridged(attended, known)
        return self.project(attended), carried(spread, self.project.weight)

    def _attend(self, x: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Values and their confidence as queries and keys mix them, ``(N, T, heads * 64)``."""
        trust = self._trust(confidence).to(x.dtype)
        query, key, value = self._split(self.to_qkv(self.norm(x)) * trust)
        attended = F.scaled_dot_product_attention(query, key, value)
        with torch.no_grad():
            trusted = self._split(trust)[2]
            spread = F.scaled_dot_product_attention(query, key, trusted)
        return _joined(attended), _joined(spread)

    @torch.no_grad()
    def _trust(self, confidence: Tensor) -> Tensor:
        """Confidence of queries, keys and values: side by side, at most 1 in every channel."""
        trust = carried(confidence, self.to_qkv.weight)
        return trust.div_(trust.amax(1, keepdim=True) + 1e-6)

    def _split(self, qkv: Tensor) -> Tensor:
        return rearrange(qkv, "n t (part head c) -> part n head t c", part=3, head=self.heads)

    def _bridged(self, tokens: Tensor, known: Tensor) -> Tensor:
        """Tokens where ``known``, elsewhere what the other grid's known tokens lend."""
        tokens = tokens * known
        side = self.side
        first, regular, overlapping = torch.split(tokens, [1, side**2, (side - 1) ** 2], dim=1)
        lent = [
            torch.zeros_like(first),
            _mean_of_touching(overlapping, side - 1, padding=1),
            _mean_of_touching(regular, side, padding=0),
        ]
        return torch.where(known, tokens, torch.cat(lent, dim=1))


@torch.no_grad()
def carried(confidence: Tensor, weight: Tensor) -> Tensor:
    """Carry confidence ``(N, T, C)`` through a layer's absolute weights, in float32.

    Sums of thousands of positive numbers have no place in half precision.
    """
    with torch.autocast(confidence.device.type, enabled=False):
        return F.linear(confidence, upcast(weight).abs())


def cut(image: Tensor) -> Tensor:
    """Cut ``(N, C, H, W)`` into both grids' patches ``(N, T, 16 * 16 * C)``, channels fastest."""
    pattern = "n c (i p) (j q) -> n (i j) (p q c)"
    grids = (image, _inner(image))
    return torch.cat([rearrange(grid, pattern, p=PATCH, q=PATCH) for grid in grids], dim=1)


def assemble(patches: Tensor) -> Tensor:
    """Assemble the image ``(N, 3, H, W)`` of the patches of one square grid."""
    side = round(patches.shape[1] ** 0.5)
    pattern = "n (i j) (p q c) -> n c (i p) (j q)"
    return rearrange(patches, pattern, i=side, j=side, p=PATCH, q=PATCH)


def _inner(image: Tensor) -> Tensor:
    """The part that the overlapping grid covers, as a view."""
    return image[..., PATCH // 2 : -PATCH // 2, PATCH // 2 : -PATCH // 2]


def _mean_of_touching(tokens: Tensor, side: int, *, padding: int) -> Tensor:
    """A quarter of the sum of the up to four tokens around each corner of the grid.

    Corners inside of it with ``padding=0``; also those on its border with ``padding=1``, where
    missing tokens count as 0.
    """
    grid = rearrange(tokens, "n (h w) c -> n c h w", h=side)
    return rearrange(F.avg_pool2d(grid, 2, stride=1, padding=padding), "n c h w -> n (h w) c")


def _joined(heads: Tensor) -> Tensor:
    return rearrange(heads, "n head t c -> n t (head c)")
