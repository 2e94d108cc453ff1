"""Second stage of MAT: a convolutional encoder and a StyleGAN2 decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.models.layers.in_place import add
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.skip_decoder import SkipDecoder
from facemask_inpaint.models.layers.stylegan2 import EqualConv2d, EqualLinear

INNER_SIDE = 16
"""Side of the innermost features at the native size."""


class RefinementStage(nn.Module):
    """Draws the image anew from the known pixels and the first stage's proposal.

    Args:
        channels: channels by scale, from full size down to 16 x 16.
        latent_dim: length of ``w``.
    """

    def __init__(self, channels: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([EncoderBlock(7, channels[0], first=True)])
        self.encoder.extend(EncoderBlock(c, out) for c, out in pairwise(channels))
        self.style = GlobalStyle(channels[-1], latent_dim)
        self.inner = EqualConv2d(channels[-1], channels[-1])
        self.decoder = SkipDecoder(
            channels[::-1], latent_dim + 2 * channels[-1], inner_side=INNER_SIDE
        )

    def forward(
        self,
        masked_image: Tensor,
        hole: Tensor,
        proposal: Tensor,
        ws: Tensor,
        keep_features: Tensor,
        noise: Sequence[Tensor | None],
    ) -> Tensor:
        """Return the final image, known pixels kept.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            proposal: ``(N, 3, H, W)`` of the first stage.
            ws: ``(N, rows, latent_dim)``, the rows that the decoder asks for.
            keep_features: ``(N, C, H/R * 16, W/R * 16)`` of 0 and 1; zeros become the style.
            noise: what the decoder's ``noise`` returns.
        """
        x = fast_maps(torch.cat([0.5 - hole, masked_image + proposal * hole, masked_image], 1))
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x, scene = self.style(skips.pop(), ws[:, 0], keep_features)
        image = self.decoder(add(self.inner(x), x), skips[::-1], ws, scene, noise)
        output: Tensor = image * hole + masked_image
        return output


class EncoderBlock(nn.Sequential):
    """Two convolutions; the first enters from pixels, or halves the scale."""

    def __init__(self, in_channels: int, channels: int, *, first: bool = False) -> None:
        enter = (
            EqualConv2d(in_channels, channels, kernel_size=1)
            if first
            else EqualConv2d(in_channels, channels, resample="down")
        )
        super().__init__(enter, EqualConv2d(channels, channels))


class GlobalStyle(nn.Module):
    """Mixes the latent into the innermost features, and sums them up as one vector.

    Args:
        channels: channels of the features.
        latent_dim: length of ``w``.
    """

    def __init__(self, channels: int, latent_dim: int) -> None:
        super().__init__()
        self.to_square = EqualLinear(latent_dim, INNER_SIDE**2, activate=True)
        self.down = nn.Sequential(
            *(EqualConv2d(channels, channels, resample="down") for _ in range(3))
        )
        self.to_style = EqualLinear(channels, 2 * channels, activate=True)

    def forward(self, x: Tensor, w: Tensor, keep_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed features ``(N, C, h, w)`` and the vector ``(N, 2C)``."""
        square = self.to_square(w).unflatten(1, (1, INNER_SIDE, INNER_SIDE))
        square = F.interpolate(square, x.shape[2:], mode="bilinear", align_corners=False)
        x = x * keep_features + square * (1 - keep_features)
        return x, self.to_style(self.down(x).mean((2, 3)))
