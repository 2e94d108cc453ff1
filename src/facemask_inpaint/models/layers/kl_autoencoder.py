"""The autoencoder in front of latent diffusion that encodes to a normal distribution.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022 (arXiv
2112.10752), in the size of Podell et al., "SDXL", 2023 (arXiv 2307.01952), by ``diffusers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from facemask_inpaint.models.layers.diffusion_unet import diffusers, steady_norms
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.latent_official import current_names

LATENT_CHANNELS = 4
CELL = 8
"""Side in pixels of one latent cell."""

WIDTHS = (128, 256, 512, 512)


class KLAutoencoder(Float32Module):
    """Image to the distribution of its latent map, and back; in float32 at every precision.

    In half precision the decoder of published weights is known to overflow.

    Args:
        widths: channels of every scale, finest first.
        groups: of the group normalisations.
        scale: factor that gives latents about unit variance.
    """

    def __init__(self, *, widths: tuple[int, ...] = WIDTHS, groups: int = 32, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.net = diffusers().AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=tuple(widths),
            layers_per_block=2,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=groups,
            scaling_factor=scale,
            force_upcast=False,
        )
        steady_norms(self.net)

    def encode(self, image: Tensor, noise: Tensor | None) -> Tensor:
        """Return the scaled latent map of an image.

        Args:
            image: ``(N, 3, H, W)`` in [-1, 1].
            noise: ``(N, 4, H / 8, W / 8)`` standard normal draws, for a sample of the
                distribution; ``None`` is its mean.

        Returns:
            ``(N, 4, H / 8, W / 8)`` float32.
        """
        mean, deviation = self.distribution(image)
        return self.scale * (mean if noise is None else mean + deviation * noise.to(mean))

    def distribution(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of an image's latent map, not scaled."""
        normal = self._exactly(self.net.encode, image)[0]
        return normal.mean, normal.std

    def decode(self, latent: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` float32, about [-1, 1], of a scaled latent map."""
        output: Tensor = self._exactly(self.net.decode, latent / self.scale)[0]
        return output

    def _exactly(self, call: Callable[..., Any], x: Tensor) -> Any:
        weight = self.net.quant_conv.weight
        with torch.autocast(x.device.type, enabled=False):
            return call(x.to(weight).contiguous(), return_dict=False)


def official_widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Read the channels of every scale off an autoencoder's tensors."""
    widths: list[int] = []
    while (key := f"encoder.down_blocks.{len(widths)}.resnets.0.conv2.weight") in tensors:
        widths.append(tensors[key].shape[0])
    return tuple(widths)


def translate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of :class:`KLAutoencoder` from tensors under former or present keys."""
    return {f"net.{key}": tensor for key, tensor in current_names(tensors).items()}


def hidden_cells(hole: Tensor) -> Tensor:
    """Return the latent cells ``(N, 1, H / 8, W / 8)`` whose first pixel is in the hole."""
    return hole[..., ::CELL, ::CELL]
