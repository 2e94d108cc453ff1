"""A denoising U-Net that attends to tokens, as in Stable Diffusion, with parts that can be swapped.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022 (arXiv
2112.10752). Its later relatives keep the frame and the names of the layers, and replace the 3 x 3
convolutions and what a transformer block mixes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.layers.cheaper_convs import DoublingConv2d
from facemask_inpaint.models.layers.diffusion_unet import GROUPS, SteadyGroupNorm

RESIDUAL_EPS = 1e-5
TRANSFORMER_EPS = 1e-6


class Mixers(NamedTuple):
    """The three branches of a transformer block; maps are ``(N, h, w, C)``, channels last.

    Attributes:
        own: from a map to a map.
        cross: from a map and tokens ``(N, L, D)`` to a map.
        feed_forward: from a map to a map.
    """

    own: nn.Module
    cross: nn.Module
    feed_forward: nn.Module


@dataclass(frozen=True, kw_only=True)
class TokenUNetShape:
    """Sizes of a U-Net, and the parts in which relatives differ.

    Attributes:
        in_channels: of the input.
        out_channels: of the output.
        widths: channels of every level, finest first; multiples of 32.
        attends: which levels have transformers.
        middle: whether there is a block between the way down and the way up.
        token_width: length of the tokens that are given.
        context_width: length to which they are projected, once for all blocks.
        conv: makes a 3 x 3 convolution from the channels that go in and come out.
        mixers: makes the branches of a transformer block from its channels and its level.
    """

    in_channels: int = 9
    out_channels: int = 4
    widths: tuple[int, ...]
    attends: tuple[bool, ...]
    middle: bool
    token_width: int
    context_width: int
    conv: Callable[[int, int], nn.Module]
    mixers: Callable[[int, int], Mixers]

    @property
    def time_width(self) -> int:
        """Length of the time's embedding."""
        return 4 * self.widths[0]

    def residual(self, incoming: int, outgoing: int) -> ResidualBlock:
        """Return a residual block of this U-Net."""
        return ResidualBlock(incoming, outgoing, self.time_width, self.conv)

    def transformer(self, level: int) -> Transformer:
        """Return a transformer of a level of this U-Net."""
        channels = self.widths[level]
        return Transformer(channels, self.mixers(channels, level))


class TokenUNet(nn.Module):
    """A denoising U-Net that is shown tokens.

    Args:
        shape: its sizes and parts.
    """

    def __init__(self, shape: TokenUNetShape) -> None:
        super().__init__()
        widths, last = shape.widths, len(shape.widths) - 1
        self.sinusoids = widths[0]
        self.conv_in = shape.conv(shape.in_channels, widths[0])
        self.time_embedding = TimeEmbedding(widths[0], shape.time_width)
        self.encoder_hid_proj = nn.Linear(shape.token_width, shape.context_width)
        self.down_blocks = nn.ModuleList(DownBlock(shape, level) for level in range(len(widths)))
        self.mid_block = MiddleBlock(shape) if shape.middle else None
        self.up_blocks = nn.ModuleList(UpBlock(shape, last - index) for index in range(len(widths)))
        self.conv_norm_out = SteadyGroupNorm(GROUPS, widths[0], RESIDUAL_EPS)
        self.conv_out = shape.conv(widths[0], shape.out_channels)

    def context(self, tokens: Tensor) -> Tensor:
        """Project tokens ``(N, L, D)`` to what blocks attend to, ``(N, L, context_width)``."""
        output: Tensor = self.encoder_hid_proj(tokens)
        return output

    def forward(self, x: Tensor, timestep: int | Tensor, context: Tensor) -> Tensor:
        """Return the noise that the network sees.

        Args:
            x: ``(N, in_channels, h, w)``; h and w multiples of ``2 ** (levels - 1)``.
            timestep: 0 … 999: one for all, or ``(N,)``.
            context: ``(N, L, context_width)``, as :meth:`context` gives it.

        Returns:
            ``(N, out_channels, h, w)``.
        """
        timesteps = torch.as_tensor(timestep, device=x.device).expand(len(x))
        embedded = F.silu(self.time_embedding(sinusoids(timesteps, self.sinusoids).to(context)))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            outputs = block(x, embedded, context)
            skips += outputs
            x = outputs[-1]
        if self.mid_block is not None:
            x = self.mid_block(x, embedded, context)
        for block in self.up_blocks:
            x = block(x, embedded, context, skips)
        x = self.conv_out(F.silu(self.conv_norm_out(x)))
        return x


class TimeEmbedding(nn.Module):
    """Two linear layers behind the sinusoids of a timestep."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(incoming, outgoing)
        self.linear_2 = nn.Linear(outgoing, outgoing)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, incoming)`` to ``(N, outgoing)``."""
        x = self.linear_2(F.silu(self.linear_1(x)))
        return x


class ResidualBlock(nn.Module):
    """Two convolutions, with the time added between them.

    Args:
        incoming: channels of the input.
        outgoing: channels of the output.
        time_width: length of the time's embedding.
        conv: makes the convolutions.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        time_width: int,
        conv: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.norm1 = SteadyGroupNorm(GROUPS, incoming, RESIDUAL_EPS)
        self.conv1 = conv(incoming, outgoing)
        self.time_emb_proj = nn.Linear(time_width, outgoing)
        self.norm2 = SteadyGroupNorm(GROUPS, outgoing, RESIDUAL_EPS)
        self.conv2 = conv(outgoing, outgoing)
        self.conv_shortcut = nn.Conv2d(incoming, outgoing, 1) if incoming != outgoing else None

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Return ``(N, outgoing, h, w)``.

        Args:
            x: ``(N, incoming, h, w)``.
            embedded: ``(N, time_width)``, behind its SiLU.
        """
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(embedded)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        x = (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h
        return x


class Transformer(nn.Module):
    """One transformer block between two 1 x 1 convolutions, around which the input is added.

    Args:
        channels: of the map.
        mixers: the block's branches.
    """

    def __init__(self, channels: int, mixers: Mixers) -> None:
        super().__init__()
        self.norm = SteadyGroupNorm(GROUPS, channels, TRANSFORMER_EPS)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, mixers)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ``(N, C, h, w)`` for a map of this shape and tokens ``(N, L, D)``."""
        inner = rearrange(self.proj_in(self.norm(x)), "n c h w -> n h w c")
        for block in self.transformer_blocks:
            inner = block(inner, context)
        x = x + self.proj_out(rearrange(inner, "n h w c -> n c h w").contiguous())
        return x


class TransformerBlock(nn.Module):
    """Three branches, each normalised before and added after."""

    def __init__(self, channels: int, mixers: Mixers) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = mixers.own
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = mixers.cross
        self.norm3 = nn.LayerNorm(channels)
        self.ff = mixers.feed_forward

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map ``(N, h, w, C)`` to the same shape, given tokens ``(N, L, D)``."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        x = x + self.ff(self.norm3(x))
        return x


class DownBlock(nn.Module):
    """Two residual blocks, each with a transformer where the level has them, then half the size."""

    def __init__(self, shape: TokenUNetShape, level: int) -> None:
        super().__init__()
        width, before = shape.widths[level], shape.widths[max(level - 1, 0)]
        self.resnets = nn.ModuleList([shape.residual(before, width), shape.residual(width, width)])
        count = len(self.resnets) if shape.attends[level] else 0
        self.attentions = nn.ModuleList(shape.transformer(level) for _ in range(count))
        halves = level < len(shape.widths) - 1
        self.downsamplers = nn.ModuleList([Downsample(width)] if halves else [])

    def forward(self, x: Tensor, embedded: Tensor, context: Tensor) -> list[Tensor]:
        """Return every map that the way up needs, in order."""
        outputs = []
        for index, residual in enumerate(self.resnets):
            x = residual(x, embedded)
            if self.attentions:
                x = self.attentions[index](x, context)
            outputs.append(x)
        return outputs + [downsample(x) for downsample in self.downsamplers]


class MiddleBlock(nn.Module):
    """A transformer between two residual blocks at the coarsest level."""

    def __init__(self, shape: TokenUNetShape) -> None:
        super().__init__()
        width = shape.widths[-1]
        self.resnets = nn.ModuleList([shape.residual(width, width), shape.residual(width, width)])
        self.attentions = nn.ModuleList([shape.transformer(len(shape.widths) - 1)])

    def forward(self, x: Tensor, embedded: Tensor, context: Tensor) -> Tensor:
        """Map ``(N, width, h, w)`` to the same shape."""
        before, after = self.resnets
        x = after(self.attentions[0](before(x, embedded), context), embedded)
        return x


class UpBlock(nn.Module):
    """Three residual blocks, each beside a map of the way down, then twice the size."""

    def __init__(self, shape: TokenUNetShape, level: int) -> None:
        super().__init__()
        widths, width = shape.widths, shape.widths[level]
        carried = widths[min(level + 1, len(widths) - 1)]
        skipped = (width, width, widths[max(level - 1, 0)])
        incoming = (carried + skipped[0], width + skipped[1], width + skipped[2])
        self.resnets = nn.ModuleList(shape.residual(channels, width) for channels in incoming)
        count = len(self.resnets) if shape.attends[level] else 0
        self.attentions = nn.ModuleList(shape.transformer(level) for _ in range(count))
        self.upsamplers = nn.ModuleList([Upsample(width)] if level else [])

    def forward(self, x: Tensor, embedded: Tensor, context: Tensor, skips: list[Tensor]) -> Tensor:
        """Return ``(N, width, h, w)``; takes the last three maps off ``skips``."""
        for index, residual in enumerate(self.resnets):
            x = residual(torch.cat([x, skips.pop()], 1), embedded)
            if self.attentions:
                x = self.attentions[index](x, context)
        for upsample in self.upsamplers:
            x = upsample(x)
        return x


class Downsample(nn.Module):
    """Half the height and width, by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, h, w)`` to ``(N, C, h / 2, w / 2)``."""
        x = self.conv(x)
        return x


class Upsample(nn.Module):
    """Twice the height and width, by repetition and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = DoublingConv2d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, h, w)`` to ``(N, C, 2h, 2w)``."""
        x = self.conv(x)
        return x


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Return the embedding ``(N, width)`` float32 of timesteps ``(N,)``: cosines, then sines."""
    half = width // 2
    # Multiplied before divided, as published: at timestep 900 the last bit of a frequency counts.
    exponents = -math.log(10_000) * torch.arange(half, dtype=torch.float32, device=times.device)
    angles = times.float()[:, None] * torch.exp(exponents / half)
    return torch.cat([angles.cos(), angles.sin()], 1)
