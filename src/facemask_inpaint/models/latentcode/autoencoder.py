"""The convolutional autoencoders: the composing one, the refining one and the VQGAN.

Encoder and decoder are those of Esser et al., "Taming Transformers for High-Resolution Image
Synthesis", CVPR 2021 (arXiv 2012.09841), without skip connections between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.latentcode import official
from facemask_inpaint.models.latentcode.blocks import (
    GroupNorm,
    SelfAttention,
    activated,
    level_widths,
)
from facemask_inpaint.models.layers.cheaper_convs import ImageConv2d
from facemask_inpaint.models.layers.token_unet import Upsample


class Autoencoder(nn.Module):
    """Image to latent map and back.

    Args:
        in_channels: channels of the input.
        width: channels at full size, a multiple of 32.
        code_dim: channels of the latent map.
    """

    def __init__(self, in_channels: int, width: int, code_dim: int) -> None:
        super().__init__()
        self.encoder = Encoder(in_channels, width, code_dim)
        self.squeeze = nn.Conv2d(code_dim, code_dim, 1)
        self.stretch = nn.Conv2d(code_dim, code_dim, 1)
        self.decoder = Decoder(code_dim, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to an image ``(N, 3, H, W)``, nominally in [-1, 1]."""
        return self.from_latent(self.to_latent(x))

    def to_latent(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, code_dim, H / 16, W / 16)``."""
        x = self.squeeze(self.encoder(x.contiguous()))
        return x

    def from_latent(self, latent: Tensor) -> Tensor:
        """Map ``(N, code_dim, H / 16, W / 16)`` to ``(N, 3, H, W)``."""
        output: Tensor = self.decoder(self.stretch(latent.contiguous()))
        return output


class Composer(Autoencoder):
    """Autoencoder of the masked image whose hidden cells lean on given code vectors.

    The encoder sees the whole frame without partial convolutions, so
    that hidden cells have a guess of their own; it counts one half there.
    """

    def forward(self, x: Tensor, vectors: Tensor, clear: Tensor) -> Tensor:  # type: ignore[override]
        """Paint an image.

        Args:
            x: ``(N, 4, H, W)``, mask and masked image.
            vectors: ``(N, code_dim, H / 16, W / 16)``, vector of every cell's code.
            clear: ``(N, 1, H / 16, W / 16)``, 1 where a cell's code was seen.

        Returns:
            ``(N, 3, H, W)``, nominally in [-1, 1].
        """
        return self.from_latent(torch.lerp(self.to_latent(x), vectors, (1 - clear) / 2))


class VQGAN(Autoencoder):
    """Autoencoder whose latent cells are words of a codebook.

    Inpainting takes only the codebook from it. The rest makes the targets for training: what
    codes a whole image has.

    Args:
        width: channels at full size, a multiple of 32.
        codes: size of the codebook.
        code_dim: length of its vectors.

    Example:
        >>> import torch
        >>> from facemask_inpaint.models.latentcode.autoencoder import VQGAN
        >>> VQGAN(width=32, codes=8, code_dim=4).encode(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 2, 2])
    """

    def __init__(self, *, width: int = 128, codes: int = 1024, code_dim: int = 256) -> None:
        super().__init__(3, width, code_dim)
        self.codebook = nn.Embedding(codes, code_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` in [-1, 1] that its codes render."""
        return self.decode(self.encode(x))

    def encode(self, image: Tensor) -> Tensor:
        """Return the nearest code of every cell, ``(N, H / 16, W / 16)`` int64."""
        latent = rearrange(self.to_latent(image).float(), "n c h w -> n h w c")
        words = self.codebook.weight.float()
        # Squared distance without the part that is the same for all words.
        return (words.square().sum(1) - 2 * latent @ words.T).argmin(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` of codes ``(N, H / 16, W / 16)``."""
        return self.from_latent(rearrange(self.codebook(codes), "n h w c -> n c h w"))

    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        """Return the constructor arguments that an official VQGAN file's shapes tell."""
        return official.vqgan_options(tensors)

    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this class's state dict from the tensors of an official VQGAN file."""
        return official.translate_vqgan(tensors)


class Encoder(nn.Module):
    """Downsamples an image sixteen times; attention on the latent grid only.

    Args:
        in_channels: channels of the input.
        width: channels at full size, a multiple of 32.
        code_dim: channels of the output.
    """

    def __init__(self, in_channels: int, width: int, code_dim: int) -> None:
        super().__init__()
        widths = level_widths(width)
        self.enter = nn.Conv2d(in_channels, width, 3, padding=1)
        self.levels = nn.Sequential(
            *(
                Level(before, channels, blocks=2, resample=Downsample(channels))
                for before, channels in zip([width, *widths], widths[:-1])
            ),
            Level(widths[-2], widths[-1], blocks=2, attend=True),
        )
        self.middle = middle(widths[-1])
        self.norm = GroupNorm(widths[-1])
        self.leave = nn.Conv2d(widths[-1], code_dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, code_dim, H / 16, W / 16)``."""
        x = self.middle(self.levels(self.enter(x)))
        x = self.leave(activated(self.norm, x))
        return x


class Decoder(nn.Module):
    """Upsamples a latent map sixteen times.

    Args:
        code_dim: channels of the latent map.
        width: channels at full size, a multiple of 32.
    """

    def __init__(self, code_dim: int, width: int) -> None:
        super().__init__()
        widths = level_widths(width)[::-1]
        self.enter = nn.Conv2d(code_dim, widths[0], 3, padding=1)
        self.middle = middle(widths[0])
        self.levels = nn.Sequential(
            Level(widths[0], widths[0], blocks=3, attend=True, resample=Upsample(widths[0])),
            *(
                Level(before, channels, blocks=3, resample=Upsample(channels))
                for before, channels in pairwise(widths[:-1])
            ),
            Level(widths[-2], width, blocks=3),
        )
        self.norm = GroupNorm(width)
        self.leave = ImageConv2d(width, 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Map ``(N, code_dim, H / 16, W / 16)`` to ``(N, 3, H, W)``."""
        x = self.levels(self.middle(self.enter(latent)))
        output: Tensor = self.leave(activated(self.norm, x))
        return output


class Level(nn.Module):
    """Residual blocks of one scale, each with attention or without, then a change of scale.

    Args:
        in_channels: channels of the input.
        channels: channels of all blocks' outputs.
        blocks: how many.
        attend: whether attention follows each block.
        resample: what changes the scale at the end, if anything.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        blocks: int,
        attend: bool = False,
        resample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        inputs = [in_channels] + [channels] * (blocks - 1)
        self.blocks = nn.ModuleList(ResidualBlock(before, channels) for before in inputs)
        self.attention = nn.ModuleList(
            SelfAttention(channels) if attend else nn.Identity() for _ in inputs
        )
        self.resample = resample or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, channels, H', W')``."""
        for block, attention in zip(self.blocks, self.attention):
            x = attention(block(x))
        x = self.resample(x)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions, each behind normalisation and activation, and a shortcut.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm2 = GroupNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        # Blocks start near their shortcuts, or rounding grows from each to the next until it shows.
        nn.init.normal_(self.conv2.weight, std=0.05 / math.sqrt(9 * channels))
        changes = in_channels != channels
        self.shortcut = nn.Conv2d(in_channels, channels, 1) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        h = self.conv1(activated(self.norm1, x))
        x = self.shortcut(x) + self.conv2(activated(self.norm2, h))
        return x


class Downsample(nn.Module):
    """Halves height and width; zeros are put on the right and below only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, C, H / 2, W / 2)``."""
        x = self.conv(F.pad(x, (0, 1, 0, 1)))
        return x


def middle(channels: int) -> nn.Sequential:
    """Return the innermost part of encoder and decoder."""
    return nn.Sequential(
        ResidualBlock(channels, channels),
        SelfAttention(channels),
        ResidualBlock(channels, channels),
    )
