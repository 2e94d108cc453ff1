"""Transformer blocks of MAT: window attention to what is known only."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.in_place import add, multiply
from facemask_inpaint.models.layers.shifted_windows import regions_apart
from facemask_inpaint.models.layers.stylegan2 import EqualConv2d, EqualLinear

FAR = -100.0
"""Added to a logit whose key gets no attention."""


class PartialConv2d(nn.Module):
    """3x3 convolution, reweighted by how much of its window is known (section 3.2 of the paper).

    The weight multiplies after bias and activation. Beyond the border nothing is known.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        resample: ``"down"`` halves the scale, ``"up"`` doubles it; ``"up"`` only without a mask.
    """

    def __init__(
        self, in_channels: int, out_channels: int, resample: Literal["up", "down"] | None = None
    ) -> None:
        super().__init__()
        self.conv = EqualConv2d(in_channels, out_channels, resample=resample)
        self.stride = 2 if resample == "down" else 1

    def forward(self, x: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Convolve ``x`` ``(N, C, H, W)`` where ``known`` ``(N, 1, H, W)`` is 1 (known).

        Returns:
            The output, and a mask that is 1 where its window had anything known.
        """
        x = self.conv(x)
        if known is None:
            return x, None
        ones = known.new_ones(1, 1, 3, 3)
        count = F.conv2d(known, ones, stride=self.stride, padding=1)
        known = count.clamp(max=1)
        # Counts are whole numbers: the lower limit stands in for the paper's epsilon.
        return multiply(x, 9 * known / count.clamp(min=1)), known


class WindowAttention(nn.Module):
    """Multi-head attention within square windows, by cosine-like similarity of tokens.

    Queries and keys see tokens of unit length. Keys in the hole are shut out, unless the whole
    window is hole. After it every token of a window with anything known counts as known.

    Args:
        width: channels of a token.
        heads: number of heads, a divisor of ``width``.
        window: side of the windows.
        shift: how far windows are moved against the grid, as in the Swin transformer.
        side: side of the grid in training; its mask of the shifted windows is computed once.
    """

    regions: Tensor

    def __init__(self, width: int, heads: int, *, window: int, shift: int, side: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.query_key = EqualLinear(width, 2 * width)
        self.value = EqualLinear(width, width)
        self.proj = EqualLinear(width, width)
        self.side = side
        if shift:
            regions = region_bias(side, side, window, shift)
            self.register_buffer("regions", regions, persistent=False)

    def forward(self, x: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Attend within windows of ``x`` ``(N, H, W, C)``; ``known`` is ``(N, H, W, 1)``."""
        bias, moved = self._bias(x, known)
        tokens = self._windows(self._roll(x, -self.shift))
        unit = F.normalize(upcast(tokens), dim=-1).to(tokens.dtype)
        query, key = self._split(self.query_key(unit)).chunk(2, dim=1)
        value = self._split(self.value(tokens))
        # The fused kernels want whole multiples of 8 per head: 30 channels get two zeros.
        size = value.shape[-1]
        query, key, value = (F.pad(part, (0, -size % 8)) for part in (query, key, value))
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=size**-0.5)
        out = self.proj(rearrange(out[..., :size], "b heads n c -> b n (heads c)"))
        return self._roll(self._grid(out, x), self.shift), moved

    def _bias(self, x: Tensor, known: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """What to add to the logits ``(windows, 1, 1 or n, n)``, and the mask afterwards."""
        bias = self._region_bias(x) if self.shift else None
        if known is None:
            return bias, None
        inside = self._windows(self._roll(known, -self.shift))
        anything = inside.amax(1, keepdim=True).expand_as(inside)
        # In a window without anything known the keys are alike, so they are left at zero.
        shut = rearrange((anything - inside) * FAR, "b n 1 -> b 1 1 n")
        moved = self._roll(self._grid(anything, x), self.shift)
        return shut if bias is None else bias + shut, moved

    def _region_bias(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        native = h == w == self.side
        regions = self.regions if native else region_bias(h, w, self.window, self.shift).to(x)
        return repeat(regions.to(x.dtype), "k q j -> (n k) 1 q j", n=n)

    def _split(self, tokens: Tensor) -> Tensor:
        size = self.value.weight.shape[0] // self.heads
        return rearrange(tokens, "b n (heads c) -> b heads n c", c=size)

    def _windows(self, x: Tensor) -> Tensor:
        p = self.window
        return rearrange(x, "n (i p) (j q) c -> (n i j) (p q) c", p=p, q=p)

    def _grid(self, windows: Tensor, like: Tensor) -> Tensor:
        p, (_, h, w, _) = self.window, like.shape
        shape = {"i": h // p, "j": w // p, "p": p, "q": p}
        return rearrange(windows, "(n i j) (p q) c -> n (i p) (j q) c", **shape)

    def _roll(self, x: Tensor, shift: int) -> Tensor:
        return torch.roll(x, (shift, shift), (1, 2)) if shift else x


class TransformerBlock(nn.Module):
    """Attention fused with its input by concatenation, then two layers.

    There is neither normalisation nor a residual connection (section 3.2 of the paper).

    Args:
        width: channels of a token.
        attention: the block's attention.
    """

    def __init__(self, width: int, attention: WindowAttention) -> None:
        super().__init__()
        self.attention = attention
        self.fuse = EqualLinear(2 * width, width, activate=True)
        self.expand = EqualLinear(width, 2 * width, activate=True)
        self.contract = EqualLinear(2 * width, width)

    def forward(self, x: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map tokens ``(N, H, W, C)`` and their mask ``(N, H, W, 1)`` to the same."""
        attended, known = self.attention(x, known)
        x = self.fuse(torch.cat([x, attended], -1))
        return self.contract(self.expand(x)), known


class TransformerGroup(nn.Module):
    """Change of scale, some blocks, a convolution, and a shortcut around blocks and convolution.

    Args:
        width: channels of a token.
        heads: heads of each attention.
        depth: number of blocks; every second one has shifted windows, if there is more than one
            window.
        window: side of the windows.
        side: side of the token grid in training.
        resample: how the group's entry changes the scale.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        depth: int,
        window: int,
        side: int,
        resample: Literal["up", "down"] | None,
    ) -> None:
        super().__init__()
        self.entry = PartialConv2d(width, width, resample) if resample else None
        shifts = [window // 2 if i % 2 and side > window else 0 for i in range(depth)]
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width, WindowAttention(width, heads, window=window, shift=shift, side=side)
            )
            for shift in shifts
        )
        self.conv = PartialConv2d(width, width)

    def forward(self, x: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map ``(N, C, H, W)`` and mask ``(N, 1, H, W)`` to those of the group's own scale."""
        if self.entry is not None:
            x, known = self.entry(x, known)
        shortcut = x
        x = rearrange(x, "n c h w -> n h w c")
        known = None if known is None else rearrange(known, "n c h w -> n h w c")
        for block in self.blocks:
            x, known = block(x, known)
        known = None if known is None else rearrange(known, "n h w c -> n c h w")
        x, known = self.conv(rearrange(x, "n h w c -> n c h w"), known)
        return add(x, shortcut), known


def region_bias(h: int, w: int, window: int, shift: int) -> Tensor:
    """Return :func:`regions_apart` as logits: 0 within a region, -100 between two."""
    return FAR * regions_apart(h, w, window, shift).float()
