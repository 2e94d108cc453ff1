"""What networks that inpaint by diffusion in a latent space share.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022 (arXiv
2112.10752); sampling after Song et al., "Denoising Diffusion Implicit Models", ICLR 2021 (arXiv
2010.02502).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models._conditions import Condition, ConditionSpec
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.diffusion import (
    Stepped,
    noised,
    scaled_linear_betas,
    signal_shares,
)
from facemask_inpaint.models.layers.diffusion_unet import GROUPS, UNetShape, diffusers
from facemask_inpaint.models.layers.latent_official import LatentTensors
from facemask_inpaint.models.layers.step_draws import draws_of_step
from facemask_inpaint.models.layers.vector_autoencoder import (
    LATENT_CHANNELS,
    SHRINKAGE,
    VectorAutoencoder,
)

TRAINED_STEPS = 1000
"""Steps of the schedule that the networks learnt."""

FIRST_BETA = 0.0015
LAST_BETA = {True: 0.0205, False: 0.0195}
"""Largest variance that a step adds, by whether the model is conditioned."""

_MULTIPLIERS = (1, 2, 3, 4)
_CONDITION_CHANNELS = LATENT_CHANNELS + 1


def unet_shape(width: int, conditioned: bool) -> UNetShape:
    """The U-Net of a published latent diffusion model, or a narrower one of its kind.

    Args:
        width: channels on the latent grid, a multiple of 32.
        conditioned: the inpainting model, which is shown the known part; otherwise a model of
            whole pictures. They differ in attention's heads and in how levels change, too.
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


class Ladder:
    """The noise levels of one run, from the noisiest down.

    Args:
        steps: how many, 1 to 999.
        eta: noise that a step adds, from 0 (none) to 1 (as much as ancestral sampling).
        last_beta: largest variance that a step of the training's schedule adds.
        ends_clean: whether the last step leaves no noise at all; otherwise that of time 0.

    Attributes:
        times: what the network is told at each level, 999 … 1.
        shares: ``(1000,)``, share of the clean latents' variance that is left at each time.

    Raises:
        OptionError: an argument is outside its range.
    """

    def __init__(
        self, steps: int, eta: float, last_beta: float, *, ends_clean: bool = False
    ) -> None:
        if not 0 <= eta <= 1:
            raise OptionError(f"eta must be 0 to 1, not {eta}")
        if not 1 <= steps < TRAINED_STEPS:
            raise OptionError(f"steps must be 1 to {TRAINED_STEPS - 1}, not {steps}")
        self._scheduler = diffusers().DDIMScheduler(
            num_train_timesteps=TRAINED_STEPS,
            beta_schedule="scaled_linear",
            beta_start=FIRST_BETA,
            beta_end=last_beta,
            clip_sample=False,
            set_alpha_to_one=ends_clean,
            steps_offset=1,
            timestep_spacing="leading",
        )
        # Its own tables are summed up in float32.
        shares = signal_shares(scaled_linear_betas(FIRST_BETA, last_beta))
        self.shares = torch.from_numpy(shares).float()
        self._scheduler.alphas_cumprod = self.shares
        if not ends_clean:
            self._scheduler.final_alpha_cumprod = self.shares[0]
        self._scheduler.set_timesteps(steps)
        self.times: list[int] = self._scheduler.timesteps.tolist()
        self.eta = eta

    def noised(self, clean: Tensor, noise: Tensor, time: int) -> Tensor:
        """``clean`` at the noise level of a time."""
        return noised(clean, noise, float(self.shares[time]))

    def down(self, x: Tensor, epsilon: Tensor, time: int, noise: Tensor | None) -> Tensor:
        """The state one level below.

        Args:
            x: ``(N, C, h, w)``, the state at ``time``.
            epsilon: the noise that the network sees in it.
            time: one of :attr:`times`.
            noise: standard normal draws, needed if ``eta`` is above 0.
        """
        step = self._scheduler.step
        return step(epsilon, time, x, eta=self.eta, variance_noise=noise, return_dict=False)[0]


class LatentDiffusionNetwork(Stepped, InpaintingNetwork):
    """A U-Net that denoises latent maps, between an encoder and a decoder.

    The state between steps is float32 at every precision of the network.

    Args:
        conditioned: whether the U-Net is shown the known part; see :func:`unet_shape`.
        width: channels of the U-Net on the latent grid, a multiple of 32.
        picture_width: channels of the first stage at full size, a multiple of 32.
        codes: size of its codebook.
        steps: noise levels of a run, 1 to 999, so calls of the U-Net per picture.
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
    size_multiple = SHRINKAGE * 2 ** (len(_MULTIPLIERS) - 1)
    stepwise = frozenset({"known", "posterior"})
    ends_clean = False
    """Whether the last step leaves no noise at all; the official sampler leaves a trace."""

    def __init__(
        self,
        *,
        conditioned: bool,
        width: int,
        picture_width: int,
        codes: int,
        steps: int,
        eta: float,
    ) -> None:
        super().__init__()
        for name, value in {"width": width, "picture_width": picture_width}.items():
            if value < GROUPS or value % GROUPS:
                raise OptionError(f"{name} must be a multiple of {GROUPS}, not {value}")
        if codes < 1:
            raise OptionError(f"codes must be at least 1, not {codes}")
        self.conditioned, self.steps, self.eta = conditioned, steps, eta
        self.unet = unet_shape(width, conditioned).build()
        self.autoencoder = VectorAutoencoder(
            width=picture_width, codes=codes, attention=not conditioned
        )
        self.ladder()

    def ladder(self) -> Ladder:
        """Noise levels of a run with the present settings.

        Raises:
            OptionError: ``steps`` or ``eta`` is outside its range.
        """
        last_beta = LAST_BETA[self.conditioned]
        return Ladder(self.steps, self.eta, last_beta, ends_clean=self.ends_clean)

    def condition_spec(self) -> ConditionSpec:
        return {
            "steps": Condition(
                kind=int,
                meaning="noise levels of a run",
                default=self.steps,
                minimum=1,
                maximum=TRAINED_STEPS - 1,
            )
        }

    def under(self, conditions: Mapping[str, Any]) -> LatentDiffusionNetwork:
        if conditions["steps"] == self.steps:
            return self
        other = copy.copy(self)  # with the same weights
        other.steps = conditions["steps"]
        return other

    def encode(self, picture: Tensor) -> Tensor:
        """Latent map ``(N, 3, H / 4, W / 4)``, not quantised, of ``(N, 3, H, W)`` in [-1, 1]."""
        return self.autoencoder.encode(picture)

    def decode(self, latent: Tensor) -> Tensor:
        """Picture ``(N, 3, H, W)`` of the codes nearest to ``latent`` ``(N, 3, H / 4, W / 4)``."""
        return self.autoencoder.decode(latent)

    def encode_known(self, visible: Tensor, hole: Tensor) -> Tensor:
        """Latent map ``(N, 3, H / 4, W / 4)`` of the known part, the hole filled by a membrane.

        The encoder normalises over the whole frame, so a hole of one colour would shift the
        latents of known pixels far from it.

        Args:
            visible: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
        """
        pairs = zip(visible, hole[:, 0] > 0.5)
        return self.encode(torch.stack([fill_harmonically(one, inside) for one, inside in pairs]))

    def epsilon(self, x: Tensor, time: int | Tensor) -> Tensor:
        """Noise ``(N, 3, h, w)`` that the U-Net sees in ``x`` ``(N, C, h, w)``, as precise as x."""
        dtype = self.autoencoder.net.quant_conv.weight.dtype
        return self.unet(x.to(dtype), time).to(x.dtype)

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        grid = latent_shape(h, w)
        spec: dict[str, tuple[int, ...]] = {"start": (n, *grid)}
        if self.eta > 0:
            spec["posterior"] = (n, self.steps, *grid)
        return spec

    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        found = LatentTensors.of(tensors)
        width, channels = found.entry().shape[:2]
        return {
            "conditioned": channels > LATENT_CHANNELS,
            "width": width,
            "picture_width": found.picture_width(),
            "codes": found.codes(),
        }

    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = LatentTensors.of(tensors)
        width, channels = found.entry().shape[:2]
        return found.translate(unet_shape(width, channels > LATENT_CHANNELS), cls.__name__)

    def posterior(self, latents: Mapping[str, Any], index: int, like: Tensor) -> Tensor | None:
        """Noise that a step adds, of the type and device of ``like``; None if it adds none."""
        draws = latents.get("posterior")
        return None if draws is None else draws_of_step(draws, index).to(like)


def latent_shape(h: int, w: int) -> tuple[int, int, int]:
    """Shape of the latent map of a picture of ``h`` x ``w``."""
    return LATENT_CHANNELS, h // SHRINKAGE, w // SHRINKAGE


def covered(hole: Tensor) -> Tensor:
    """Latent cells ``(N, 1, H / 4, W / 4)`` that have any pixel in ``hole`` ``(N, 1, H, W)``."""
    return F.max_pool2d(hole, SHRINKAGE)
