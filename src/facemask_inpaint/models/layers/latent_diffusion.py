"""What networks that inpaint by diffusion in a latent space share.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022 (arXiv
2112.10752); sampling after Song et al., "Denoising Diffusion Implicit Models", ICLR 2021 (arXiv
2010.02502).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models._conditions import BatchConditions, ConditionSpec, steps_condition
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.checks import require_multiple
from facemask_inpaint.models.layers.diffusion import (
    TRAINED_STEPS,
    DDIMSchedule,
    exact_alphas_cumprod,
)
from facemask_inpaint.models.layers.diffusion_unet import GROUPS, UNetShape
from facemask_inpaint.models.layers.harmonic_fill import harmonic_fill
from facemask_inpaint.models.layers.latent_official import LatentTensors
from facemask_inpaint.models.layers.vector_autoencoder import (
    CELL,
    LATENT_CHANNELS,
    VectorAutoencoder,
)

FIRST_BETA = 0.0015
LAST_BETA = {True: 0.0205, False: 0.0195}
"""Largest variance that a step adds, by whether the model is conditioned."""

_MULTIPLIERS = (1, 2, 3, 4)
_CONDITION_CHANNELS = LATENT_CHANNELS + 1


def unet_shape(width: int, conditioned: bool) -> UNetShape:
    """Return the U-Net of a published latent diffusion model, or a narrower one of its kind.

    Args:
        width: channels on the latent grid, a multiple of 32.
        conditioned: the inpainting model, which is shown the known part; otherwise a model of
            whole images. They differ in attention's heads and in how levels change, too.
    """
    return UNetShape(
        in_channels=LATENT_CHANNELS + (_CONDITION_CHANNELS if conditioned else 0),
        out_channels=LATENT_CHANNELS,
        widths=tuple(width * multiplier for multiplier in _MULTIPLIERS),
        attention_from=1,
        heads=8 if conditioned else None,
        head_width=width // 8 if conditioned else min(32, width // 2),
        scale_shift=False,
        residual_resampling=conditioned,
    )


class LatentDiffusionNetwork(InpaintingNetwork):
    """A U-Net that denoises latent maps, between an encoder and a decoder.

    The state between steps is float32 at every precision of the network.

    Args:
        conditioned: whether the U-Net is shown the known part; see :func:`unet_shape`.
        width: channels of the U-Net on the latent grid, a multiple of 32.
        autoencoder_width: channels of the first stage at full size, a multiple of 32.
        codes: size of its codebook.
        steps: noise levels of a run, 1 to 999, so calls of the U-Net per image.
        eta: noise that a step adds, from 0 (none) to 1 (as much as ancestral sampling).

    Both last ones may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.
    """

    anchors = (
        "model_ema.diffusion_modelinput_blocks00weight",
        "model.diffusion_model.input_blocks.0.0.weight",
        "first_stage_model.encoder.conv_in.weight",
        "unet/conv_in.weight",
        "vqvae/encoder.conv_in.weight",
    )
    size_multiple = CELL * 2 ** (len(_MULTIPLIERS) - 1)
    stepwise = frozenset({"known", "posterior"})
    ends_clean = False
    """Whether the last step leaves no noise at all; the official sampler leaves a trace."""

    def __init__(
        self,
        *,
        conditioned: bool,
        width: int,
        autoencoder_width: int,
        codes: int,
        steps: int,
        eta: float,
    ) -> None:
        super().__init__()
        for name, value in {"width": width, "autoencoder_width": autoencoder_width}.items():
            require_multiple(name, value, GROUPS)
        if codes < 1:
            raise OptionError(f"codes must be at least 1, not {codes}")
        self.conditioned, self.steps, self.eta = conditioned, steps, eta
        self.unet = unet_shape(width, conditioned).build()
        self.autoencoder = VectorAutoencoder(
            width=autoencoder_width, codes=codes, attention=not conditioned
        )
        self.schedule()

    def schedule(self) -> DDIMSchedule:
        """Return the timesteps of a run with the present settings.

        Raises:
            OptionError: ``steps`` or ``eta`` is outside its range.
        """
        betas = FIRST_BETA, LAST_BETA[self.conditioned]
        return DDIMSchedule(
            self.steps,
            *betas,
            eta=self.eta,
            ends_clean=self.ends_clean,
            steps_offset=1,
            table=exact_alphas_cumprod(*betas),
        )

    @override
    def condition_spec(self) -> ConditionSpec:
        """Return the condition ``steps``."""
        return {"steps": steps_condition(self.steps, TRAINED_STEPS - 1)}

    @override
    def denoising_step(self, h: int, w: int) -> DenoisingStep:
        """Return the U-Net; see :meth:`InpaintingNetwork.denoising_step`."""
        channels, *grid = latent_shape(h, w)
        channels += _CONDITION_CHANNELS if self.conditioned else 0
        inputs = {"sample": (channels, *grid), "timestep": ()}
        return DenoisingStep(self.epsilon, inputs, self.schedule().alphas_cumprod.tolist())

    @override
    def under(self, conditions: BatchConditions) -> LatentDiffusionNetwork:
        """Return a network of the same weights that takes so many steps."""
        if conditions["steps"] == self.steps:
            return self
        other = copy.copy(self)
        other.steps = conditions["steps"]
        return other

    def encode(self, image: Tensor) -> Tensor:
        """Return the latent map ``(N, 3, H / 4, W / 4)``, not quantised.

        Args:
            image: ``(N, 3, H, W)`` in [-1, 1].
        """
        return self.autoencoder.encode(image)

    def decode(self, latent: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` of the codes nearest to a latent map."""
        return self.autoencoder.decode(latent)

    def encode_known(self, masked_image: Tensor, hole: Tensor) -> Tensor:
        """Return the latent map ``(N, 3, H / 4, W / 4)`` of the known part.

        The hole is filled harmonically first. The encoder normalises over the whole frame, so a
        hole of one colour would shift the latents of known pixels far from it.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
        """
        return self.encode(harmonic_fill(masked_image, hole))

    def epsilon(self, x: Tensor, timestep: int | Tensor) -> Tensor:
        """Return the noise ``(N, 3, h, w)`` that the U-Net sees, as precise as ``x``.

        Args:
            x: ``(N, C, h, w)``, the state, and in conditioned models what it is shown beside it.
            timestep: 0 … 999: one for all, or ``(N,)``.
        """
        dtype = self.autoencoder.net.quant_conv.weight.dtype
        epsilon: Tensor = self.unet(x.to(dtype), timestep)
        return epsilon.to(x.dtype)

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        grid = latent_shape(h, w)
        spec: dict[str, tuple[int, ...]] = {"start": (n, *grid)}
        if self.eta > 0:
            spec["posterior"] = (n, self.steps, *grid)
        return spec

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        official = LatentTensors.of(tensors)
        width, channels = official.entry().shape[:2]
        return {
            "conditioned": channels > LATENT_CHANNELS,
            "width": width,
            "autoencoder_width": official.autoencoder_width(),
            "codes": official.codes(),
        }

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        official = LatentTensors.of(tensors)
        width, channels = official.entry().shape[:2]
        return official.translate(unet_shape(width, channels > LATENT_CHANNELS), cls.__name__)

    def posterior(self, latents: Mapping[str, Tensor], index: int, like: Tensor) -> Tensor | None:
        """Return the noise that a step adds, or None if it adds none.

        Args:
            latents: draws by the names of :meth:`latent_spec`.
            index: number of the step.
            like: tensor whose dtype and device it gets.
        """
        draws = latents.get("posterior")
        return None if draws is None else draws[:, index].to(like)


def latent_shape(h: int, w: int) -> tuple[int, int, int]:
    """Return the shape of the latent map of an image of ``h`` x ``w``."""
    return LATENT_CHANNELS, h // CELL, w // CELL


def covered(hole: Tensor) -> Tensor:
    """Return latent cells ``(N, 1, H / 4, W / 4)``, 1 where any pixel is in the hole."""
    return F.max_pool2d(hole, CELL)
