"""PixelHacker: latent diffusion with gated linear attention under learned prompts.

Xu et al., "PixelHacker: Image Inpainting with Structural and Semantic Consistency", 2025 (arXiv
2504.20438). Official code: github.com/hustvl/PixelHacker (Apache-2.0). Autoencoder and scheduler
are those of ``diffusers``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models.layers.gated_linear_attention import GatedLinearAttention
from facemask_inpaint.models.layers.kl_autoencoder import CELL, WIDTHS
from facemask_inpaint.models.layers.latent_categories import LatentCategoryNetwork, Posterior
from facemask_inpaint.models.layers.token_unet import Mixers, TokenUNetShape

HEADS = 8
EXPANSION = 4


class PixelHacker(LatentCategoryNetwork):
    """PixelHacker as an inpainting network; pluralistic.

    Runs and draws are those of :class:`LatentCategoryNetwork`; a run of less strength starts from
    a sample of the known part of its own, whose draw is ``z_image``.

    Args:
        widths: channels of every level of the U-Net, finest first; multiples of 32.
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
        ...     "pixelhacker", widths=[96, 96], token_width=16, context_width=8, steps=1
        ... )
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = (
        "diff_model.conv_in.weight",
        "unet/diff_model.conv_in.weight",
        "vae/quant_conv.weight",
    )
    native_resolution = 512
    noise_names = ("noise", "offset")

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (320, 640, 1280, 1280),
        token_width: int = 3072,
        context_width: int = 768,
        autoencoder_widths: tuple[int, ...] = WIDTHS,
        autoencoder_groups: int = 32,
        steps: int = 20,
        guidance_scale: float = 4.5,
        strength: float = 1.0,
        noise_offset: float = 0.0357,
        posterior: Posterior = "sample",
    ) -> None:
        shape = TokenUNetShape(
            widths=tuple(widths),
            attends=(*(True for _ in widths[1:]), False),
            middle=True,
            token_width=token_width,
            context_width=context_width,
            conv=_conv,
            mixers=lambda channels, level: Mixers(
                GatedLinearAttention(channels, HEADS),
                CrossAttention(channels, context_width),
                FeedForward(channels),
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
        self.size_multiple = CELL * 2 ** (len(widths) - 1)

    @override
    def known_latents(
        self, masked_image: Tensor, condition: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        return self.encode(masked_image, latents.get("z_image"))

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        spec = super().latent_spec(n, h, w)
        if self.strength < 1 and self.posterior == "sample":
            spec["z_image"] = spec["z_masked"]
        return spec


class CrossAttention(nn.Module):
    """Attention of a map to tokens.

    Args:
        channels: of the map, a multiple of 8.
        context_width: length of the tokens.
    """

    def __init__(self, channels: int, context_width: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_width, channels, bias=False)
        self.to_v = nn.Linear(context_width, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ``(N, h, w, C)`` for a map of this shape and tokens ``(N, L, D)``."""
        query = rearrange(self.to_q(x), "n h w (k d) -> n k (h w) d", k=HEADS)
        key, value = (
            rearrange(project(context), "n l (k d) -> n k l d", k=HEADS)
            for project in (self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        _, h, w, _ = x.shape
        x = self.to_out[0](rearrange(attended, "n k (h w) d -> n h w (k d)", h=h, w=w))
        return x


class FeedForward(nn.Module):
    """Two linear layers with a gate of GELU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.net = nn.ModuleDict({"0": _Gate(channels, hidden), "2": nn.Linear(hidden, channels)})

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, h, w, C)`` to the same shape."""
        x = self.net["2"](self.net["0"](x))
        return x


class _Gate(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        x = value * F.gelu(gate)
        return x


def _conv(incoming: int, outgoing: int) -> nn.Conv2d:
    return nn.Conv2d(incoming, outgoing, 3, padding=1)
