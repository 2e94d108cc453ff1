"""The vector-quantised autoencoder in front of latent diffusion, by the parts of ``diffusers``.

Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021 (arXiv
2012.09841), in the size called VQ-f4 by Rombach et al., CVPR 2022 (arXiv 2112.10752).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models.layers.diffusion_unet import GROUPS, diffusers, steady_norms
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.official import OfficialTensors

MULTIPLIERS = (1, 2, 4)
"""Width of each scale, in units of the first; each scale has half the side of the one before."""

CELL = 2 ** (len(MULTIPLIERS) - 1)
"""Side in pixels of one latent cell."""

LATENT_CHANNELS = 3
"""Channels of the latent map, and length of the codebook's vectors."""

_CELLS_AT_ONCE = 4096
"""Cells whose distances to all codes are in memory together."""

_RENAMES = (
    (re.compile(r"\.mid\.block_1\."), ".mid_block.resnets.0."),
    (re.compile(r"\.mid\.block_2\."), ".mid_block.resnets.1."),
    (re.compile(r"\.mid\.attn_1\.norm\."), ".mid_block.attentions.0.group_norm."),
    (re.compile(r"\.mid\.attn_1\.proj_out\."), ".mid_block.attentions.0.to_out.0."),
    (re.compile(r"\.mid\.attn_1\.([qkv])\."), r".mid_block.attentions.0.to_\1."),
    (re.compile(r"\.(down|up)\.(\d+)\.block\."), r".\1_blocks.\2.resnets."),
    (re.compile(r"\.(down|up)\.(\d+)\.(?:down|up)sample\."), r".\1_blocks.\2.\1samplers.0."),
    (re.compile(r"\.nin_shortcut\."), ".conv_shortcut."),
    (re.compile(r"\.norm_out\."), ".conv_norm_out."),
)
_DECODER_LEVEL = re.compile(r"^decoder\.up\.(\d+)\.")


class VectorAutoencoder(nn.Module):
    """Image to latent map, and back through the nearest codes.

    Args:
        width: channels at full size, a multiple of 32.
        codes: size of the codebook.
        attention: whether encoder and decoder have a layer of attention on the latent grid.
    """

    def __init__(self, *, width: int = 128, codes: int = 8192, attention: bool) -> None:
        super().__init__()
        self.net = diffusers().VQModel(
            down_block_types=("DownEncoderBlock2D",) * len(MULTIPLIERS),
            up_block_types=("UpDecoderBlock2D",) * len(MULTIPLIERS),
            block_out_channels=tuple(width * multiplier for multiplier in MULTIPLIERS),
            layers_per_block=2,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=GROUPS,
            num_vq_embeddings=codes,
            scaling_factor=1.0,
            mid_block_add_attention=attention,
        )
        # Distances in half precision choose other codes.
        del self.net.quantize
        self.codebook = Codebook(codes, LATENT_CHANNELS)
        steady_norms(self.net)

    def encode(self, image: Tensor) -> Tensor:
        """Return the latent map ``(N, 3, H / 4, W / 4)``, not quantised, of an image in [-1, 1]."""
        output: Tensor = self.net.encode(image, return_dict=False)[0]
        return output

    def decode(self, latent: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)``, about [-1, 1], of the codes nearest to ``latent``."""
        return self.render(self.codebook(latent))

    def render(self, codes: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` of codes ``(N, H / 4, W / 4)``."""
        vectors = self.codebook.of(codes).to(self.net.post_quant_conv.weight.dtype)
        output: Tensor = self.net.decode(vectors, force_not_quantize=True, return_dict=False)[0]
        return output


class Codebook(Float32Module):
    """The latent vectors that a decoder knows; in float32 at every precision.

    Args:
        codes: how many.
        channels: their length.
    """

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(codes, channels)

    def forward(self, latent: Tensor) -> Tensor:
        """Return the nearest code ``(N, h, w)`` of every cell; the first of equals."""
        with torch.autocast(latent.device.type, enabled=False):
            return self.forward_float32(latent.to(self.vectors.weight))

    @override
    def forward_float32(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        words = self.vectors.weight
        # Squared distance without the part that is the same for all words.
        length = words.square().sum(1)
        cells = torch.split(rearrange(x, "n c h w -> (n h w) c"), _CELLS_AT_ONCE)
        nearest = [torch.addmm(length, some, words.T, alpha=-2).argmin(1) for some in cells]
        return rearrange(torch.cat(nearest), "(n h w) -> n h w", n=n, h=h, w=w)

    def of(self, codes: Tensor) -> Tensor:
        """Return the vectors ``(N, C, h, w)`` of codes ``(N, h, w)``."""
        output: Tensor = rearrange(self.vectors(codes), "n h w c -> n c h w")
        return output


def translate(tensors: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """Return the state dict of :class:`VectorAutoencoder` from tensors under the authors' keys.

    Args:
        tensors: exactly those of the autoencoder, without a prefix.
        network: name for error messages.

    Raises:
        CheckpointError: this is no such autoencoder.
    """
    official = OfficialTensors(tensors, network)
    state = {"codebook.vectors.weight": official.take("quantize.embedding.weight")}
    for key, tensor in official.take_all("").items():
        # Levels of the decoder are counted from full size there, in order of work here.
        key = _DECODER_LEVEL.sub(_in_order, key)
        for pattern, replacement in _RENAMES:
            key = pattern.sub(replacement, key)
        is_linear = ".attentions." in key and tensor.ndim == 4
        state[f"net.{key}"] = tensor.flatten(1) if is_linear else tensor
    return state


def _in_order(match: re.Match[str]) -> str:
    return f"decoder.up.{len(MULTIPLIERS) - 1 - int(match[1])}."
