"""First stage of MAT: a transformer between a convolutional head and a styled decoder."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.layers.in_place import add
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.skip_decoder import DecoderBlock
from facemask_inpaint.models.layers.stylegan2 import EqualConv2d, EqualLinear
from facemask_inpaint.models.mat.attention import PartialConv2d, TransformerGroup

HEADS = 6
TOKEN_SIDE = 64
"""Side of the finest token grid, whatever the resolution."""
INNER_SIDE = 16
"""Side of the coarsest token grid, where the style enters."""


class _Level(NamedTuple):
    depth: int
    window: int
    side: int
    resample: Literal["up", "down"] | None


_LEVELS = (
    _Level(2, 8, TOKEN_SIDE, None),
    _Level(3, 16, TOKEN_SIDE // 2, "down"),
    _Level(4, 16, INNER_SIDE, "down"),
    _Level(3, 16, TOKEN_SIDE // 2, "up"),
    _Level(2, 8, TOKEN_SIDE, "up"),
)


class CoarseStage(nn.Module):
    """Proposes an image with the transformer; the second stage refines it.

    Args:
        resolution: side of the images in training.
        width: channels throughout, a multiple of six.
        latent_dim: length of ``w``.
    """

    def __init__(self, resolution: int, width: int, latent_dim: int) -> None:
        super().__init__()
        scales = int(math.log2(resolution // TOKEN_SIDE))
        self.head = PartialConv2d(4, width)
        self.encoder = nn.ModuleList(PartialConv2d(width, width, "down") for _ in range(scales))
        self.groups = nn.ModuleList(
            TransformerGroup(
                width,
                HEADS,
                depth=level.depth,
                window=level.window,
                side=level.side,
                resample=level.resample,
            )
            for level in _LEVELS
        )
        self.style = InnerStyle(width, latent_dim)
        self.decoder = nn.ModuleList(DecoderBlock(width, width, 3 * width) for _ in range(scales))

    def forward(
        self, masked_image: Tensor, hole: Tensor, w: Tensor, keep_features: Tensor
    ) -> Tensor:
        """Return the image of this stage, known pixels kept.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            w: ``(N, latent_dim)``, the last row of the intermediate latents.
            keep_features: ``(N, tokens, width)`` of 0 and 1; zeros are replaced by the style.
        """
        known: Tensor | None = 1 - hole
        x = fast_maps(torch.cat([0.5 - hole, masked_image], 1))
        x, known = self.head(x, known)
        skips = [x]
        for down in self.encoder:
            x, known = down(x, known)
            skips.append(x)
        x, style = self._transform(skips.pop(), known, w, keep_features)
        image = x.new_zeros(x.shape[0], 3, *x.shape[2:])
        for block in self.decoder:
            x, image = block(x, skips.pop(), image, [style] * 3)
        return image * hole + masked_image

    def _transform(
        self, x: Tensor, known: Tensor | None, w: Tensor, keep_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Features after all groups, and the style of the decoder.

        After two groups of spreading, the mask has served: the other three see every token.
        """
        fine, medium, inner, up_medium, up_fine = self.groups
        x, known = fine(x, known)
        shallow = x
        x, known = medium(x, known)
        deep = x
        x, _ = inner(x, None)
        x, style = self.style(x, w, keep_features)
        x = add(up_medium(x, None)[0], deep)
        return add(up_fine(x, None)[0], shallow), style


class InnerStyle(nn.Module):
    """Mixes the latent into the innermost features, and makes a style of both.

    Section 3.3 of the paper, "style manipulation module": dropped features are replaced by
    noise from the latent, so that neither can be ignored.

    Args:
        width: channels of the features.
        latent_dim: length of ``w``.
    """

    def __init__(self, width: int, latent_dim: int) -> None:
        super().__init__()
        self.from_w = EqualLinear(latent_dim, width, activate=True)
        self.to_square = EqualLinear(width, INNER_SIDE**2, activate=True)
        scales = int(math.log2(INNER_SIDE))
        self.down = nn.Sequential(
            *(EqualConv2d(width, width, resample="down") for _ in range(scales))
        )
        self.to_style = EqualLinear(width, 2 * width, activate=True)

    def forward(self, x: Tensor, w: Tensor, keep_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed features ``(N, C, h, w)``, and the style ``(N, 3C)``."""
        n, _, height, width = x.shape
        latent = self.from_w(w)
        square = self.to_square(latent)[:, None]
        # One row of numbers, stretched over the tokens in reading order.
        square = F.interpolate(square, height * width, mode="linear", align_corners=False)
        square = square.reshape(n, 1, height, width)
        kept = rearrange(keep_features, "n (h w) c -> n c h w", h=height)
        x = x * kept + square * (1 - kept)
        scene = self.to_style(self.down(x).mean((2, 3)))
        return x, torch.cat([scene, latent], 1)
