"""MAT's generator: mapping network, coarse stage, refinement stage."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.checks import require_multiple, require_power_of_two
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.skip_decoder import NoiseMode, check_noise_mode
from facemask_inpaint.models.layers.stylegan2 import MappingNetwork, lay_out_convolutions
from facemask_inpaint.models.mat import official
from facemask_inpaint.models.mat.coarse import HEADS, TOKEN_SIDE, CoarseStage
from facemask_inpaint.models.mat.refinement import INNER_SIDE, RefinementStage


class MAT(InpaintingNetwork):
    """MAT generator; pluralistic, and composited: known pixels come back as they are.

    Random draws: ``z``; ``keep1`` and ``keep2``, which features of either stage survive (each
    with probability 1/2, at inference too); and ``noise_0``, ... if the noise is random.

    Args:
        resolution: side of the images, a power of two of at least 128.
        width: channels of the first stage, a multiple of six.
        channel_base: the second stage has ``channel_base / side`` channels at each scale, ...
        channel_max: ... but not more than this.
        latent_dim: length of ``z`` and ``w``.
        noise_mode: ``"const"`` uses the planes stored with the weights, and takes images of
            ``resolution`` only; ``"random"`` draws new ones, and ``"none"`` adds none, both
            for all sizes that are multiples of ``resolution``.
        truncation: below 1, latents are drawn towards their average: less variety.

    The last two may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create(
        ...     "mat", resolution=128, width=12, channel_base=1024, channel_max=16
        ... )
        >>> network(torch.zeros(1, 3, 128, 128), torch.ones(1, 1, 128, 128)).shape
        torch.Size([1, 3, 128, 128])
    """

    anchors = ("synthesis.first_stage.conv_first.conv.weight",)
    optional = ("noise_const", "noise_strength")

    def __init__(
        self,
        *,
        resolution: int = 512,
        width: int = 180,
        channel_base: int = 32768,
        channel_max: int = 512,
        latent_dim: int = 512,
        noise_mode: NoiseMode = "const",
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        require_power_of_two("resolution", resolution, 2 * TOKEN_SIDE)
        require_multiple("width", width, HEADS)
        check_noise_mode(noise_mode)
        self.native_resolution = self.size_multiple = resolution
        self.width, self.channel_max = width, channel_max
        self.noise_mode, self.truncation = noise_mode, truncation
        self.mapping = MappingNetwork(latent_dim)
        self.coarse = CoarseStage(resolution, width, latent_dim)
        self.refinement = RefinementStage(
            channel_plan(resolution, channel_base, channel_max), latent_dim
        )

    @property
    def any_size(self) -> bool:  # type: ignore[override]
        """Whether multiples of the resolution are taken; stored noise has one size only."""
        return self.noise_mode != "const"

    @override
    def lay_out(self) -> None:
        lay_out_convolutions(self)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        w = self.mapping(latents["z"], self.truncation)
        ws = w[:, None].expand(-1, self.refinement.decoder.rows, -1)
        return self.both_stages(masked_image, hole, ws, latents)[0]

    def both_stages(
        self, masked_image: Tensor, hole: Tensor, ws: Tensor, latents: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the images of both stages, as training needs them.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            ws: ``(N, rows, latent_dim)``, from :attr:`mapping`; rows differ in style mixing.
            latents: the draws of :meth:`latent_spec` but ``z``.

        Returns:
            Final and coarse image, ``(N, 3, H, W)``, both composited.
        """
        masked_image = fast_maps(masked_image)
        noise = self.refinement.decoder.noise(self.noise_mode, latents)
        coarse = self.coarse(masked_image, hole, ws[:, -1], latents["keep1"])
        final = self.refinement(masked_image, hole, coarse, ws, latents["keep2"], noise)
        return final, coarse

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        side = self.native_resolution or 1
        inner_h, inner_w = h * INNER_SIDE // side, w * INNER_SIDE // side
        spec: dict[str, tuple[int, ...]] = {
            "z": (n, self.mapping.w_avg.shape[0]),
            "keep1": (n, inner_h * inner_w, self.width),
            "keep2": (n, self.channel_max, inner_h, inner_w),
        }
        if self.noise_mode != "random":
            return spec
        return spec | self.refinement.decoder.noise_spec(n, inner_h, inner_w)

    @override
    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        if name in ("keep1", "keep2"):
            return (torch.rand(shape, generator=generator) < 0.5).float()
        return super().draw(name, shape, generator)

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        return official.generator_options(tensors)

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return official.translate_generator(tensors)


def channel_plan(resolution: int, base: int, largest: int) -> list[int]:
    """Return ``min(base / side, largest)`` for ``resolution``, half of it, ... and 16."""
    levels = int(math.log2(resolution // INNER_SIDE)) + 1
    return [min(base * 2**i // resolution, largest) for i in range(levels)]
