"""Moebius: latent diffusion with lambda layers, small enough for everyday use.

Duan et al., "Moebius", 2026 (arXiv 2606.19195), a student of PixelHacker. Official code:
github.com/hustvl/Moebius (Apache-2.0). Its layers sum up keys and values in one small matrix for
all queries: Bello, "LambdaNetworks: Modeling Long-Range Interactions Without Attention", ICLR 2021
(arXiv 2102.08602). Autoencoder and scheduler are those of ``diffusers``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models.layers.checks import require_multiple
from facemask_inpaint.models.layers.kl_autoencoder import CELL, WIDTHS
from facemask_inpaint.models.layers.latent_categories import (
    PROMPT_LENGTH,
    LatentCategoryNetwork,
    Posterior,
    official_parts,
)
from facemask_inpaint.models.layers.token_unet import Mixers, TokenUNetShape

HEADS = 8
REACH = 15
"""Side of the neighbourhood whose layout the lambda layers know."""

EXPANSION = 2.5


class Moebius(LatentCategoryNetwork):
    """Moebius as an inpainting network; pluralistic, for images of one size only.

    Runs and draws are those of :class:`LatentCategoryNetwork`.

    Args:
        widths: channels of every level of the U-Net, finest first; multiples of 32.
        grid: side of the latent map, an eighth of the image's; each position is learned.
        token_width: length of the learned tokens.
        context_width: length to which the U-Net projects them.
        autoencoder_widths: of the autoencoder; it and the arguments that follow are those of
            :class:`~facemask_inpaint.models.layers.latent_categories.LatentCategoryNetwork`.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create(
        ...     "moebius", widths=[32, 64], grid=8, token_width=16, context_width=8, steps=1
        ... )
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    any_size = False

    anchors = (
        "diff_model.conv_in.conv_dw.weight",
        "unet/diff_model.conv_in.conv_dw.weight",
        "vae/quant_conv.weight",
    )

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (320, 640, 1280),
        grid: int = 64,
        token_width: int = 3072,
        context_width: int = 768,
        autoencoder_widths: tuple[int, ...] = WIDTHS,
        autoencoder_groups: int = 32,
        steps: int = 20,
        guidance_scale: float = 2.5,
        strength: float = 1.0,
        noise_offset: float = 0.0357,
        posterior: Posterior = "sample",
    ) -> None:
        coarsest = 2 ** (len(widths) - 1)
        require_multiple("grid", grid, coarsest)
        shape = TokenUNetShape(
            widths=tuple(widths),
            attends=(True,) * len(widths),
            middle=False,
            token_width=token_width,
            context_width=context_width,
            conv=SeparableConv,
            mixers=lambda channels, level: Mixers(
                SelfLambda(channels),
                CrossLambda(channels, context_width, grid // 2**level),
                MixFeedForward(channels),
            ),
        )
        super().__init__(
            shape,
            autoencoder_widths=autoencoder_widths,
            autoencoder_groups=autoencoder_groups,
            steps=steps,
            guidance_scale=guidance_scale,
            strength=strength,
            noise_offset=noise_offset,
            posterior=posterior,
        )
        self.native_resolution = CELL * grid
        self.size_multiple = CELL * coarsest

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        unet, _ = official_parts(tensors, cls.__name__)
        positions = len(unet["down_blocks.0.attentions.0.transformer_blocks.0.attn2.rel_pos_emb"])
        return {**super().official_options(tensors), "grid": math.isqrt(positions)}


class SeparableConv(nn.Module):
    """A 3 x 3 convolution channel by channel, then a 1 x 1 one; the input is added if it fits.

    Args:
        incoming: channels of the input.
        outgoing: channels of the output.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(incoming, incoming, 3, padding=1, groups=incoming, bias=False)
        self.bn1 = nn.BatchNorm2d(incoming)
        self.conv_pw = nn.Conv2d(incoming, outgoing, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outgoing)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, incoming, H, W)`` to ``(N, outgoing, H, W)``."""
        y = self.bn2(self.conv_pw(F.relu(self.bn1(self.conv_dw(x)))))
        x = x + y if x.shape == y.shape else y
        return x


class SelfLambda(nn.Module):
    """Lambda layer of a map with itself: content from everywhere, layout from the neighbourhood.

    Args:
        channels: of the map, a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        depth = channels // HEADS
        self.to_q = nn.Conv2d(channels, channels, 1, bias=False)
        self.to_k = nn.Conv2d(channels, depth, 1, bias=False)
        self.to_v = nn.Conv2d(channels, depth, 1, bias=False)
        self.norm_q = nn.BatchNorm2d(channels)
        self.norm_v = nn.BatchNorm2d(depth)
        self.pos_conv = nn.Conv3d(1, depth, (1, REACH, REACH), padding=(0, REACH // 2, REACH // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, h, w, C)`` for a map of this shape."""
        _, h, w, _ = x.shape
        x = rearrange(x, "n h w c -> n c h w").contiguous()
        query = rearrange(self.norm_q(self.to_q(x)), "n (k d) h w -> n (h w) k d", k=HEADS)
        key = self.to_k(x).flatten(2).softmax(2)
        value = self.norm_v(self.to_v(x))
        content = key @ value.flatten(2).transpose(1, 2)
        layout = rearrange(self._layout(value), "(n v) k h w -> n (h w) k v", n=len(x))
        mixed = query @ (content[:, None] + layout)
        x = rearrange(mixed, "n (h w) k v -> n h w (k v)", h=h, w=w)
        return x

    def _layout(self, value: Tensor) -> Tensor:
        """What each query channel ``k`` sees around each position: ``(N * V, K, h, w)``."""
        weight, bias = self.pos_conv.weight.squeeze(2), self.pos_conv.bias
        return F.conv2d(value.flatten(0, 1)[:, None], weight, bias, padding=REACH // 2)


class CrossLambda(nn.Module):
    """Lambda layer of a map with tokens, whose weight depends on the position.

    Args:
        channels: of the map, a multiple of 8.
        context_width: length of the tokens.
        side: of the map.
    """

    def __init__(self, channels: int, context_width: int, side: int) -> None:
        super().__init__()
        depth = channels // HEADS
        self.to_q = nn.Conv2d(channels, channels, 1, bias=False)
        self.to_k = nn.Linear(context_width, depth, bias=False)
        self.to_v = nn.Linear(context_width, depth, bias=False)
        self.norm_q = nn.BatchNorm2d(channels)
        self.norm_v = nn.BatchNorm1d(depth)
        self.rel_pos_emb = nn.Parameter(torch.randn(side**2, PROMPT_LENGTH, depth, 1) * 0.02)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ``(N, h, w, C)`` for a map of this shape and tokens ``(N, 10, D)``."""
        _, h, w, _ = x.shape
        x = rearrange(x, "n h w c -> n c h w").contiguous()
        query = rearrange(self.norm_q(self.to_q(x)), "n (k d) h w -> n (h w) k d", k=HEADS)
        key = self.to_k(context).softmax(1)
        value = self.norm_v(self.to_v(context).transpose(1, 2)).transpose(1, 2)
        # Weights of the tokens first: far smaller than a matrix of keys x values per position.
        weights = query @ (self.rel_pos_emb.squeeze(3) + key[:, None]).transpose(2, 3)
        x = rearrange(weights @ value[:, None], "n (h w) k v -> n h w (k v)", h=h, w=w)
        return x


class MixFeedForward(nn.Module):
    """Channels expanded, mixed with their neighbours, gated, and contracted again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * channels)
        self.inverted_conv = _Named(nn.Conv2d(channels, 2 * hidden, 1))
        self.depth_conv = _Named(nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden))
        self.point_conv = _Named(nn.Conv2d(hidden, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, h, w, C)`` for a map of this shape."""
        x = rearrange(x, "n h w c -> n c h w").contiguous()
        value, gate = self.depth_conv(F.silu(self.inverted_conv(x))).chunk(2, 1)
        x = rearrange(self.point_conv(value * F.silu(gate)), "n c h w -> n h w c")
        return x


class _Named(nn.Module):
    """A convolution one level down, where the published files have it."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x
