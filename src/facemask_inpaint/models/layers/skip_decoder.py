"""StyleGAN2's synthesis network as a decoder: it adds an encoder's maps on the way up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models.layers.in_place import add
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.stylegan2 import StyledConv, ToRGB

NoiseMode = Literal["const", "random", "none"]
"""Per-pixel noise: the planes stored with the weights, fresh ones for every call, or none."""


def check_noise_mode(mode: str) -> None:
    """Raise :class:`OptionError` unless ``mode`` is one of :data:`NoiseMode`."""
    if mode not in get_args(NoiseMode):
        raise OptionError(f"noise_mode must be one of {get_args(NoiseMode)}, got {mode!r}")


class DecoderBlock(nn.Module):
    """Upsamples by two, adds the encoder's map, adds its part of the image.

    Args:
        in_channels: channels from the level below.
        channels: channels of this level.
        style_dim: length of a style vector.
        noise_side: side of the stored noise planes; ``None`` for a block without noise.
        clamp: limit of the activations, or ``None``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        style_dim: int,
        *,
        noise_side: int | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.upsample = StyledConv(
            in_channels, channels, style_dim, up=True, noise_side=noise_side, clamp=clamp
        )
        self.merge = StyledConv(channels, channels, style_dim, noise_side=noise_side, clamp=clamp)
        self.to_rgb = ToRGB(channels, style_dim)

    def forward(
        self,
        x: Tensor,
        skip: Tensor,
        image: Tensor,
        styles: Sequence[Tensor],
        noise: Sequence[Tensor | None] = (None, None),
    ) -> tuple[Tensor, Tensor]:
        """Return the features ``(N, C, H, W)`` and image of this level.

        Args:
            x: ``(N, in_channels, H/2, W/2)``.
            skip: ``(N, channels, H, W)``.
            image: ``(N, 3, H/2, W/2)`` of the level below.
            styles: of the three layers, ``(N, style_dim)`` each.
            noise: for the first two layers, as ``StyledConv`` takes it.
        """
        x = add(self.upsample(x, styles[0], noise[0]), skip)
        x = self.merge(x, styles[1], noise[1])
        return x, self.to_rgb(x, styles[2], image)


class SkipDecoder(nn.Module):
    """From the innermost features to the image.

    Args:
        channels: channels by scale, from the innermost to full size.
        style_dim: length of a style vector.
        inner_side: side of the innermost features at the native size.
        clamp: limit of the activations, or ``None``.
    """

    def __init__(
        self,
        channels: Sequence[int],
        style_dim: int,
        *,
        inner_side: int,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        inner = channels[0]
        self.inner = StyledConv(inner, inner, style_dim, noise_side=inner_side, clamp=clamp)
        self.inner_to_rgb = ToRGB(inner, style_dim)
        self.blocks = nn.ModuleList(
            DecoderBlock(c, out, style_dim, noise_side=inner_side << level, clamp=clamp)
            for level, (c, out) in enumerate(pairwise(channels), start=1)
        )
        self.rows = 2 * len(channels)

    def forward(
        self,
        x: Tensor,
        skips: Sequence[Tensor],
        ws: Tensor,
        code: Tensor,
        noise: Sequence[Tensor | None],
    ) -> Tensor:
        """Return the image ``(N, 3, H, W)``, neither limited nor composited.

        Args:
            x: innermost features.
            skips: the encoder's map for each further scale, smallest first.
            ws: ``(N, rows, latent_dim)``; the image layer of a level and the enlarging layer
                of the next share a row.
            code: ``(N, code_dim)``, the encoder's part of every style.
            noise: what :meth:`noise` returns.
        """
        styles = [torch.cat([w, code], 1) for w in ws.unbind(1)]
        x = self.inner(fast_maps(x), styles[0], noise[0])
        image = self.inner_to_rgb(x, styles[1])
        for i, (block, skip) in enumerate(zip(self.blocks, skips)):
            first = 2 * i + 1
            own = styles[first : first + 3], noise[first : first + 2]
            x, image = block(x, skip, image, *own)
        x = image
        return x

    def noise(self, mode: NoiseMode, latents: Mapping[str, Tensor]) -> list[Tensor | None]:
        """Return each noisy layer's plane in order: stored, drawn (``noise_0``, ...) or none."""
        check_noise_mode(mode)
        if mode == "random":
            return [latents[f"noise_{i}"] for i in range(self.rows - 1)]
        if mode == "none":
            return [None] * (self.rows - 1)
        layers = (module for module in self.modules() if isinstance(module, StyledConv))
        return [layer.noise_const for layer in layers]

    def noise_spec(self, n: int, inner_h: int, inner_w: int) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of drawn planes for innermost features of the given size."""
        levels = [(i + 1) // 2 for i in range(self.rows - 1)]
        return {
            f"noise_{i}": (n, 1, inner_h << level, inner_w << level)
            for i, level in enumerate(levels)
        }
