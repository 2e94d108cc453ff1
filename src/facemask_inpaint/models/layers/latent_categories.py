"""Latent diffusion that inpaints under two learned prompts instead of text.

Xu et al., "PixelHacker: Image Inpainting with Structural and Semantic Consistency", 2025 (arXiv
2504.20438); Duan et al., "Moebius", 2026 (arXiv 2606.19195). Sampling after Song et al.,
"Denoising Diffusion Implicit Models", ICLR 2021 (arXiv 2010.02502), guided after Ho and Salimans,
"Classifier-Free Diffusion Guidance", 2022 (arXiv 2207.12598).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import unknown_name
from facemask_inpaint.models._conditions import (
    BatchConditions,
    Condition,
    ConditionSpec,
    steps_condition,
)
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers import kl_autoencoder
from facemask_inpaint.models.layers.diffusion import TRAINED_STEPS, DDIMSchedule
from facemask_inpaint.models.layers.kl_autoencoder import (
    CELL,
    LATENT_CHANNELS,
    KLAutoencoder,
    hidden_cells,
)
from facemask_inpaint.models.layers.official import OfficialTensors
from facemask_inpaint.models.layers.token_unet import TokenUNet, TokenUNetShape

FIRST_BETA, LAST_BETA = 0.00085, 0.012
LATENT_SCALE = 0.13025

PROMPT_LENGTH = 10
"""Learned tokens of a prompt: first those of what is wanted, then those of what is not."""

MOST_GUIDANCE = 100.0

Posterior = Literal["sample", "mode"]


class LatentCategoryNetwork(InpaintingNetwork):
    """A U-Net that denoises latent maps under a learned prompt, guided away from another one.

    The image that the network sees is encoded with a grey hole. A run starts from pure noise, or
    for a ``strength`` below 1 from those same latents under noise: unlike the official samplers,
    which encode the whole image for that, it never sees hidden pixels. The state between steps is
    float32 at every precision.

    Random draws, all standard normal: ``z_masked`` for a sample of the encoder's distribution,
    and the start's noise and its ``noise_offset``.

    Args:
        shape: the U-Net's.
        autoencoder_widths: channels of the autoencoder, finest first.
        autoencoder_groups: of its group normalisations.
        steps: timesteps of a full run, 1 to 1000; each calls the U-Net twice.
        guidance_scale: how far the noise is pushed from the unwanted prompt's to the wanted one's
            and beyond; at 1 the unwanted prompt is not looked at.
        strength: share of the steps that is taken, the last ones.
        noise_offset: deviation of a number that is added to all noise of a channel at the start.
        posterior: whether the known part is a ``"sample"`` of the encoder's distribution, as the
            official samplers take it, or its ``"mode"``.

    The last five may be changed later, as attributes; ``steps`` and ``guidance_scale`` are
    conditions, which a call can set for itself.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.
    """

    preferred_strategy = "resize"
    noise_names = ("z_noise", "z_offset")
    """Names of the start's noise and of its offset among the draws."""

    def __init__(
        self,
        shape: TokenUNetShape,
        *,
        autoencoder_widths: tuple[int, ...],
        autoencoder_groups: int,
        steps: int,
        guidance_scale: float,
        strength: float,
        noise_offset: float,
        posterior: Posterior,
    ) -> None:
        super().__init__()
        if posterior not in get_args(Posterior):
            raise unknown_name("posterior", posterior, get_args(Posterior))
        self.steps, self.guidance_scale, self.strength = steps, guidance_scale, strength
        self.noise_offset, self.posterior = noise_offset, posterior
        noise_schedule(steps, strength)
        self.embedding_layer = nn.Embedding(2 * PROMPT_LENGTH, shape.token_width)
        self.unet = TokenUNet(shape)
        self.autoencoder = KLAutoencoder(
            widths=tuple(autoencoder_widths), groups=autoencoder_groups, scale=LATENT_SCALE
        )

    @override
    def condition_spec(self) -> ConditionSpec:
        guidance = Condition(
            value_type=float,
            meaning="how far the wanted prompt counts more than the unwanted one",
            default=self.guidance_scale,
            minimum=0,
            maximum=MOST_GUIDANCE,
        )
        return {
            "steps": steps_condition(self.steps, TRAINED_STEPS),
            "guidance_scale": guidance,
        }

    @override
    def denoising_step(self, h: int, w: int) -> DenoisingStep:
        """Return the U-Net with its table of tokens.

        See :meth:`InpaintingNetwork.denoising_step`. The first :data:`PROMPT_LENGTH` rows of the
        table are the wanted prompt, the others the unwanted one.
        """
        shown = 2 * LATENT_CHANNELS + 1  # the state, the mask, and the known part's latents
        inputs = {
            "sample": (shown, h // CELL, w // CELL),
            "timestep": (),
            "tokens": (PROMPT_LENGTH,),
        }
        alphas = noise_schedule(self.steps).alphas_cumprod.tolist()
        return DenoisingStep(self.epsilon, inputs, alphas)

    @override
    @torch.no_grad()
    def fill_conditioned(
        self,
        masked_image: Tensor,
        hole: Tensor,
        latents: Mapping[str, Tensor],
        conditions: BatchConditions,
    ) -> Tensor:
        schedule = noise_schedule(conditions["steps"], self.strength)
        condition = self.condition(masked_image, hole, latents)
        start = self.start(schedule, masked_image, condition, latents)
        *_, latent = self.states(schedule, start, condition, conditions["guidance_scale"])
        return self.decode(latent).to(masked_image.dtype)

    def encode(self, image: Tensor, noise: Tensor | None) -> Tensor:
        """Return the latent map ``(N, 4, H / 8, W / 8)``; see :meth:`KLAutoencoder.encode`."""
        return self.autoencoder.encode(image, noise)

    def decode(self, latent: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` float32 of a latent map ``(N, 4, H / 8, W / 8)``."""
        return self.autoencoder.decode(latent)

    def condition(
        self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        """Return what the U-Net is shown beside the state.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            latents: draws by the names of :meth:`latent_spec`.

        Returns:
            ``(N, 5, H / 8, W / 8)`` float32: the mask, 1 = hidden, and the known part's latents.
        """
        known = self.encode(masked_image, latents.get("z_masked"))
        return torch.cat([hidden_cells(hole).to(known), known], 1)

    def start(
        self,
        schedule: DDIMSchedule,
        masked_image: Tensor,
        condition: Tensor,
        latents: Mapping[str, Tensor],
    ) -> Tensor:
        """Return the state ``(N, 4, H / 8, W / 8)`` before the first step.

        Args:
            schedule: of the steps to come.
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            condition: as :meth:`condition` gives it.
            latents: draws by the names of :meth:`latent_spec`.
        """
        noise = self.noise(latents).to(condition)
        if self.strength == 1:
            return noise
        known = self.known_latents(masked_image, condition, latents)
        return schedule.add_noise(known, noise, schedule.timesteps[0])

    def known_latents(
        self, masked_image: Tensor, condition: Tensor, latents: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the known part's latents, from which a run of less strength starts."""
        return condition[:, 1:]

    def noise(self, latents: Mapping[str, Tensor]) -> Tensor:
        """Return the noise ``(N, 4, h, w)`` of the start, its offset added."""
        noise, offset = self.noise_names
        if offset not in latents:
            return latents[noise]
        return latents[noise] + self.noise_offset * latents[offset]

    def states(
        self, schedule: DDIMSchedule, start: Tensor, condition: Tensor, guidance_scale: float
    ) -> Iterator[Tensor]:
        """Yield the state ``(N, 4, h, w)`` after each step of a run.

        Args:
            schedule: of the steps.
            start: ``(N, 4, h, w)``, the state before the first one.
            condition: as :meth:`condition` gives it.
            guidance_scale: how far the wanted prompt counts more than the unwanted one.
        """
        x = start
        for timestep in self.with_progress(schedule.timesteps):
            epsilon = self.guided_epsilon(torch.cat([x, condition], 1), timestep, guidance_scale)
            x = schedule.step(x, epsilon, timestep)
            yield x

    def guided_epsilon(self, x: Tensor, timestep: int, guidance_scale: float) -> Tensor:
        """Return the noise ``(N, 4, h, w)`` that is taken to be in ``x`` ``(N, 9, h, w)``."""
        wanted, unwanted = torch.arange(2 * PROMPT_LENGTH, device=x.device).chunk(2)
        if guidance_scale == 1:
            return self.epsilon(x, timestep, wanted[None])
        # One after the other: on a CPU a batch of two gains nothing and holds twice the memory.
        away, towards = (self.epsilon(x, timestep, ids[None]) for ids in (unwanted, wanted))
        return away + guidance_scale * (towards - away)

    def epsilon(self, x: Tensor, timestep: int | Tensor, ids: Tensor) -> Tensor:
        """Return the noise that the U-Net sees, as precise as ``x``.

        Args:
            x: ``(N, 9, h, w)``: state, mask, known part's latents.
            timestep: 0 … 999: one for all, or ``(N,)``.
            ids: ``(N, 10)`` or ``(1, 10)`` int64, rows of the table of tokens.
        """
        context = self.unet.context(self.embedding_layer(ids)).expand(len(x), -1, -1)
        x = self.unet(x.to(context), timestep, context).to(x.dtype)
        return x

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        grid = (n, LATENT_CHANNELS, h // CELL, w // CELL)
        noise, offset = self.noise_names
        spec: dict[str, tuple[int, ...]] = {"z_masked": grid} if self.posterior == "sample" else {}
        spec[noise] = grid
        if self.noise_offset:
            spec[offset] = (n, LATENT_CHANNELS, 1, 1)
        return spec

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        unet, autoencoder = official_parts(tensors, cls.__name__)
        levels = sum(f"down_blocks.{i}.resnets.0.norm2.weight" in unet for i in range(len(unet)))
        return {
            "widths": tuple(
                unet[f"down_blocks.{level}.resnets.0.norm2.weight"].shape[0]
                for level in range(levels)
            ),
            "token_width": unet["encoder_hid_proj.weight"].shape[1],
            "context_width": unet["encoder_hid_proj.weight"].shape[0],
            "autoencoder_widths": kl_autoencoder.official_widths(autoencoder),
        }

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        unet, autoencoder = official_parts(tensors, cls.__name__)
        table = unet.pop(_TABLE)
        return {
            _TABLE: table,
            **{f"unet.{key}": tensor for key, tensor in unet.items()},
            **{
                f"autoencoder.{key}": tensor
                for key, tensor in kl_autoencoder.translate(autoencoder).items()
            },
        }


def noise_schedule(steps: int, strength: float = 1.0) -> DDIMSchedule:
    """Return the timesteps of a run.

    Args:
        steps: timesteps of a full run, 1 to 1000.
        strength: share of them that is taken, above 0 to 1.

    Raises:
        OptionError: an argument is outside its range, or leaves no step.
    """
    return DDIMSchedule(steps, FIRST_BETA, LAST_BETA, strength=strength)


_TABLE = "embedding_layer.weight"
_AUTOENCODER = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
_ROLES = ("unet/", "vae/")


def official_parts(
    tensors: Mapping[str, Tensor], network: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split both published files' tensors into U-Net with its table of tokens, and autoencoder.

    Args:
        tensors: under the official keys, which may stand behind the file's role: ``unet/`` or
            ``vae/``.
        network: name for error messages.

    Raises:
        CheckpointError: a part is not there, or some tensor belongs to neither.
    """
    plain = {}
    for key, tensor in tensors.items():
        for role in _ROLES:
            key = key.removeprefix(role)
        plain[key] = tensor
    official = OfficialTensors(plain, network)
    table = official.take(_TABLE)
    unet = {_TABLE: table, **official.take_all("diff_model.")}
    autoencoder = {
        f"{part}{key}": tensor
        for part in _AUTOENCODER
        for key, tensor in official.take_all(part).items()
    }
    official.finish()
    for part, key in ((unet, "encoder_hid_proj.weight"), (autoencoder, "quant_conv.weight")):
        OfficialTensors(part, network).take(key)
    return unet, autoencoder
