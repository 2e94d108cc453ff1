"""T-former: a U-shaped transformer whose attention is linear in the number of pixels.

Deng et al., "T-former: An Efficient Transformer for Image Inpainting", ACM MM 2022 (arXiv
2305.07239). Official code: github.com/dengyecode/T-former_image_inpainting, without a licence and
without weights.

The exponential of the softmax is replaced by its Taylor expansion to first order. Then keys and
values can be summed over all pixels before a query is looked at, so that every pixel attends to
all others even at full resolution. A gate decides what of the attended features passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.cheaper_convs import DoublingConv2d, ImageConv2d
from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.in_place import add, multiply
from facemask_inpaint.models.layers.official import OfficialTensors

EXPANSION = 2.66
"""Width of a feed-forward block against that of its input."""

_SIDES = (256, 128, 64, 32)
"""The four scales, as the official keys name them."""

_BLOCK = {
    "attn.query.2": "attention.query",
    "attn.key.2": "attention.key",
    "attn.output_linear": "attention.project",
    "feed_forward.conv.0": "feed_forward.expand",
    "feed_forward.conv.1": "feed_forward.depthwise",
    "feed_forward.linear": "feed_forward.contract",
}
"""Parts of a block: official names to ours."""


class TFormer(InpaintingNetwork):
    """T-former generator; deterministic, for heights and widths that are multiples of 8 from 16 on.

    It was designed for 256 x 256 images.

    Args:
        width: channels at full resolution, and of every attention head; each halving of the
            resolution doubles channels and heads.
        blocks: number of transformer blocks at each scale, from full resolution to an eighth.
        outer_residual: add each feed-forward block's input once more, as the authors' code did
            before 27 November 2022. Weights do not tell with which they were trained.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("tformer", width=8, blocks=[1, 1, 1, 1])
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("start.1.weight",)
    native_resolution = 256
    size_multiple = 8
    # At an eighth of 8 x 8, normalisation over the frame would leave nothing.
    smallest_size = 16
    preferred_strategy = "resize"

    def __init__(
        self,
        *,
        width: int = 48,
        blocks: Sequence[int] = (1, 2, 3, 4),
        outer_residual: bool = False,
    ) -> None:
        super().__init__()
        widths = [width << level for level in range(len(_SIDES))]
        upwards = widths[-2::-1]
        stages = [
            [TransformerBlock(channels, channels // width, outer_residual) for _ in range(depth)]
            for channels, depth in zip(widths + upwards, [*blocks, *blocks[-2::-1]])
        ]
        self.stem = nn.Conv2d(4, width, 7, padding=3, padding_mode="reflect")
        self.encoder = nn.ModuleList(nn.Sequential(*stage) for stage in stages[: len(widths)])
        self.decoder = nn.ModuleList(nn.Sequential(*stage) for stage in stages[len(widths) :])
        self.down = nn.ModuleList(
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=False) for c in widths[:-1]
        )
        self.up = nn.ModuleList(DoublingConv2d(2 * c, c, bias=False) for c in upwards)
        self.fuse = nn.ModuleList(nn.Conv2d(2 * c, c, 1, bias=c == width) for c in upwards)
        self.head = ImageConv2d(width, 3, 7, padding=3, padding_mode="reflect")
        self.apply(_initialise)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        x = self.stem(torch.cat([masked_image, 1 - hole], dim=1))
        x = self.encoder[0](_activated(x))
        skips = [x]
        for down, blocks in zip(self.down, self.encoder[1:]):
            x = blocks(_activated(down(x)))
            skips.append(x)
        for up, fuse, blocks, skip in zip(self.up, self.fuse, self.decoder, skips[-2::-1]):
            x = _activated(up(x))
            x = blocks(fuse(torch.cat([skip, x], dim=1)))
        return torch.tanh(self.head(x))

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        width = OfficialTensors(tensors, cls.__name__).take("start.1.weight").shape[0]
        return {"width": width, "blocks": [_depth(tensors, f"trane{side}") for side in _SIDES]}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        official = OfficialTensors(tensors, cls.__name__)
        # A block that the authors' code builds and saves but never calls.
        official.take_all("trand2562.")
        moves = {"start.1": "stem", "out.1": "head"}
        moves |= {f"down{side}.body.0": f"down.{i}" for i, side in enumerate(_SIDES[1:])}
        stages = {f"trane{side}": f"encoder.{i}" for i, side in enumerate(_SIDES)}
        for i, side in enumerate(_SIDES[-2::-1]):
            moves |= {f"up{side}.body.0": f"up.{i}", f"fuse{side}": f"fuse.{i}"}
            stages[f"trand{side}"] = f"decoder.{i}"
        state = official.move_all(moves)
        for theirs, ours in stages.items():
            for i in range(_depth(tensors, theirs)):
                block = _block_state(official, f"{theirs}.{i}")
                state |= {f"{ours}.{i}.{key}": tensor for key, tensor in block.items()}
        official.finish()
        return state


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each around a shortcut.

    Args:
        channels: of the map.
        heads: of the attention, a divisor of ``channels``.
        outer_residual: add the input of the feed-forward part twice.
    """

    def __init__(self, channels: int, heads: int, outer_residual: bool) -> None:
        super().__init__()
        self.attention = GatedAttention(channels, heads)
        self.feed_forward = GatedFeedForward(channels)
        self.outer_residual = outer_residual

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        x = add(self.attention(x), x)
        shortcut = 2 * x if self.outer_residual else x
        x = add(self.feed_forward(x), shortcut)
        return x


class GatedAttention(nn.Module):
    """Linear attention of every position to all others, and a gate on what it finds.

    Queries and keys are positive (softplus), so no term of the expansion is negative.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.entry = nn.Conv2d(channels, 4 * channels, 1)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        query, key, value, gate = F.gelu(self.entry(F.instance_norm(x))).chunk(4, dim=1)
        query, key = F.softplus(self.query(query)), F.softplus(self.key(key))
        split = "n (head c) h w -> (n head) c (h w)"
        parts = (rearrange(part, split, head=self.heads) for part in (query, key, value))
        x = self.project(multiply(taylor_attention(*parts).view_as(gate), gate))
        return x


def taylor_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend with ``1 + s`` for ``exp(s)``, in memory linear in the number of positions.

    With N positions of d channels (section 3.2 of the paper, as the authors coded it: the value
    of the position itself stands for the sum of all values)::

        o[n] = (v[n] + sum over m of (q[n] . k[m] / sqrt d) v[m])
               / (N + sum over m of q[n] . k[m] / sqrt d)

    The sums over m are made once for all n, and in float32: they leave the range of float16, in
    which even N overflows at 256 x 256.

    Args:
        query: ``(B, d, N)``.
        key: ``(B, d, N)``.
        value: ``(B, d, N)``.

    Returns:
        ``(B, d, N)`` of the dtype of ``value``.
    """
    scale, positions = query.shape[1] ** -0.5, query.shape[2]
    with torch.autocast(query.device.type, enabled=False):
        q, k, v = (upcast(part) for part in (query, key, value))
        weight = k.sum(2, keepdim=True).mT @ q * scale + positions
        output: Tensor = (torch.baddbmm(v, v @ k.mT, q, alpha=scale) / weight).to(value.dtype)
        return output


class GatedFeedForward(nn.Module):
    """Expands, mixes neighbours, gates one half with the other, contracts (section 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * channels)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(
            2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False
        )
        self.contract = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        gate, passed = self.depthwise(self.expand(F.instance_norm(x))).chunk(2, dim=1)
        x = self.contract(multiply(F.gelu(gate), passed))
        return x


def _activated(x: Tensor) -> Tensor:
    return F.gelu(F.instance_norm(x))


def _initialise(module: nn.Module) -> None:
    """Starting point of the authors' training: weights N(0, 0.02 squared), biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _depth(tensors: Mapping[str, Tensor], stage: str) -> int:
    return sum(
        key.startswith(f"{stage}.") and key.endswith("attn.gate.0.weight") for key in tensors
    )


def _block_state(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    """One block; the four convolutions at the entry of its attention become one."""
    entries = [f"{at}.attn.{part}.0" for part in ("query", "key", "value", "gate")]
    state = {
        f"attention.entry.{parameter}": torch.cat(
            [official.take(f"{e}.{parameter}") for e in entries]
        )
        for parameter in ("weight", "bias")
    }
    return state | official.move_all({f"{at}.{old}": new for old, new in _BLOCK.items()})
