"""Co-Mod-GAN's generator: mapping network, encoder, co-modulated decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.comodgan import official
from facemask_inpaint.models.layers.checks import require_power_of_two
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.skip_decoder import NoiseMode, SkipDecoder, check_noise_mode
from facemask_inpaint.models.layers.stylegan2 import (
    EqualConv2d,
    EqualLinear,
    MappingNetwork,
    lay_out_convolutions,
)

INNER_SIDE = 4
"""Side of the innermost features."""


class CoModGAN(InpaintingNetwork):
    """Co-Mod-GAN generator; pluralistic, predicts the whole frame without compositing.

    Random draws: ``z``; ``dropout_keep``, which numbers of the global code survive, if
    ``code_dropout``; and ``noise_0``, ... if the noise is random.

    Args:
        resolution: side of the images, a power of two of at least 8; published: 256, 512, 1024.
        channel_base: there are ``channel_base / side`` channels at each scale, ...
        channel_max: ... but not more than this.
        latent_dim: length of ``z`` and ``w``.
        code_dim: length of the global code, the encoder's part of every style.
        activation_clamp: limit of every activation; the MI-GAN authors' networks have 256, the
            original has none.
        skip_innermost: add the encoder's 4 x 4 map in the decoder. The known conversion of the
            original to PyTorch leaves this out, though it has the weights.
        code_dropout: drop each number of the global code with probability 1/2 and double the
            rest. The authors' published results are made so; their expected code is the same.
        noise_mode: ``"const"`` uses the planes stored with the weights, ``"random"`` draws new
            ones, ``"none"`` adds none.
        truncation: below 1, latents are drawn towards their average: less variety.

    The last four may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("comodgan", resolution=64, channel_base=512, channel_max=16)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("encoder.b4.fc.weight", "G_mapping.G_mapping.Dense0.weight", "dlatent_avg")
    optional = ("noise_const", "noise_strength")
    any_size = False

    def __init__(
        self,
        *,
        resolution: int = 512,
        channel_base: int = 32768,
        channel_max: int = 512,
        latent_dim: int = 512,
        code_dim: int = 1024,
        activation_clamp: float | None = None,
        skip_innermost: bool = True,
        code_dropout: bool = False,
        noise_mode: NoiseMode = "const",
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        require_power_of_two("resolution", resolution, 8)
        check_noise_mode(noise_mode)
        self.native_resolution, self.latent_dim, self.code_dim = resolution, latent_dim, code_dim
        self.skip_innermost, self.code_dropout = skip_innermost, code_dropout
        self.noise_mode, self.truncation = noise_mode, truncation
        sides = [2**level for level in range(2, resolution.bit_length())]  # 4, 8, …, resolution
        channels = [min(channel_base // side, channel_max) for side in sides]
        clamp, inner = activation_clamp, channels[0]
        self.mapping = MappingNetwork(latent_dim, clamp=clamp)
        self.encoder = Encoder(channels[::-1], code_dim, clamp)
        self.expand = EqualLinear(code_dim, inner * INNER_SIDE**2, activate=True, clamp=clamp)
        self.decoder = SkipDecoder(
            channels, latent_dim + code_dim, inner_side=INNER_SIDE, clamp=clamp
        )

    @override
    def lay_out(self) -> None:
        lay_out_convolutions(self)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        w = self.mapping(latents["z"], self.truncation)
        return self.synthesize(
            masked_image, hole, w[:, None].expand(-1, self.decoder.rows, -1), latents
        )

    def synthesize(
        self, masked_image: Tensor, hole: Tensor, ws: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the image ``(N, 3, H, W)`` for given intermediate latents, as training needs it.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            ws: ``(N, rows, latent_dim)``, from :attr:`mapping`; rows differ in style mixing.
            latents: the draws of :meth:`latent_spec` but ``z``.
        """
        x = fast_maps(torch.cat([0.5 - hole, masked_image], 1))
        code, skips = self.encoder(x)
        if self.code_dropout:
            code = code * (2 * latents["dropout_keep"])
        inner, *skips = skips[::-1]
        x = self.expand(code).view_as(inner)
        if self.skip_innermost:
            x = x + inner
        noise = self.decoder.noise(self.noise_mode, latents)
        output: Tensor = self.decoder(x, skips, ws, code, noise)
        return output

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        spec: dict[str, tuple[int, ...]] = {"z": (n, self.latent_dim)}
        if self.code_dropout:
            spec["dropout_keep"] = (n, self.code_dim)
        if self.noise_mode == "random":
            spec |= self.decoder.noise_spec(n, INNER_SIDE, INNER_SIDE)
        return spec

    @override
    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        if name == "dropout_keep":
            return (torch.rand(shape, generator=generator) < 0.5).float()
        return super().draw(name, shape, generator)

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        return official.options(tensors)

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return official.translate(tensors)


class Encoder(nn.Module):
    """Downsamples the image to 4 x 4, then makes the global code of it.

    Args:
        channels: channels by scale, from full size down to 4 x 4.
        code_dim: length of the global code.
        clamp: limit of the activations, or ``None``.
    """

    def __init__(self, channels: Sequence[int], code_dim: int, clamp: float | None) -> None:
        super().__init__()
        last = channels[-1]
        self.enter = EqualConv2d(4, channels[0], kernel_size=1, clamp=clamp)
        self.convs = nn.ModuleList(EqualConv2d(c, c, clamp=clamp) for c in channels)
        self.downsamples = nn.ModuleList(
            EqualConv2d(c, out, resample="down", clamp=clamp) for c, out in pairwise(channels)
        )
        self.code = EqualLinear(last * INNER_SIDE**2, code_dim, activate=True, clamp=clamp)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the global code ``(N, code_dim)``, and the map of each scale, largest first."""
        first, *others = self.convs
        skips = [first(self.enter(x))]
        for downsample, conv in zip(self.downsamples, others):
            skips.append(conv(downsample(skips[-1])))
        return self.code(skips[-1].flatten(1)), skips
