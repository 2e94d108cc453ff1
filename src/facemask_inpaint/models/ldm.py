"""Latent diffusion: an image's latent map is drawn step by step out of noise, then decoded.

Rombach, Blattmann, Lorenz, Esser and Ommer, "High-Resolution Image Synthesis with Latent Diffusion
Models", CVPR 2022 (arXiv 2112.10752). Official code and weights:
github.com/CompVis/latent-diffusion (MIT). Two of its models are of use here: the one that was
trained to inpaint, on scenes, and the one of whole faces, whose known part is put back at every
step. U-Net, autoencoder and scheduler are those of ``diffusers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor
from typing_extensions import override

from facemask_inpaint.errors import unknown_name
from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.latent_diffusion import (
    LatentDiffusionNetwork,
    covered,
    latent_shape,
)
from facemask_inpaint.models.layers.vector_autoencoder import CELL

MaskReduction = Literal["nearest", "cover"]


class LDM(LatentDiffusionNetwork):
    """Latent diffusion model as an inpainting network; pluralistic.

    Random draws, all standard normal, of the latent map's shape: ``start``, out of which a run
    denoises; ``posterior``, one for each step, if ``eta`` is above 0; and ``known``, one for each
    step, in models of whole images, for the known part at that step's noise level.

    Predictions are for inference: no gradient passes through a run.

    Args:
        conditioned: the model that was trained to inpaint; otherwise one of whole images.
        width: of the U-Net; it and the arguments up to ``eta`` are those of
            :class:`~facemask_inpaint.models.layers.latent_diffusion.LatentDiffusionNetwork`.
        mask_reduction: which of the 4 x 4 pixels of a latent cell decide that it is hidden:
            ``"nearest"``, the first one, as in the authors' script; ``"cover"``, any of them, so
            that no thin hole is missed. ``None`` is ``"nearest"`` for the conditioned model, which
            was trained so, and ``"cover"`` for others.

    ``steps``, ``eta`` and ``mask_reduction`` may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("ldm", width=32, autoencoder_width=32, codes=64, steps=2)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(
        self,
        *,
        conditioned: bool = True,
        width: int = 256,
        autoencoder_width: int = 128,
        codes: int = 8192,
        steps: int = 50,
        eta: float = 0.0,
        mask_reduction: MaskReduction | None = None,
    ) -> None:
        super().__init__(
            conditioned=conditioned,
            width=width,
            autoencoder_width=autoencoder_width,
            codes=codes,
            steps=steps,
            eta=eta,
        )
        self.native_resolution = 512 if conditioned else 256
        # Faces are expected whole and aligned; scenes at any scale.
        self.preferred_strategy = None if conditioned else "resize"
        self.mask_reduction = mask_reduction or ("nearest" if conditioned else "cover")
        if self.mask_reduction not in get_args(MaskReduction):
            raise unknown_name("mask_reduction", self.mask_reduction, get_args(MaskReduction))

    @override
    @torch.no_grad()
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        if self.conditioned:
            states = self.inpainted(self.condition(masked_image, hole), latents)
        else:
            known_cells = 1 - self.hidden_cells(hole)
            states = self.completed(self.encode_known(masked_image, hole), known_cells, latents)
        *_, latent = states
        return self.decode(latent)

    def condition(self, masked_image: Tensor, hole: Tensor) -> Tensor:
        """Return what the conditioned model is shown beside the state.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.

        Returns:
            ``(N, 4, H / 4, W / 4)``: latent map of the image with a black hole, and mask, -1 =
            known, 1 = hidden.
        """
        return torch.cat([self.encode(masked_image - hole), 2 * self.hidden_cells(hole) - 1], 1)

    def hidden_cells(self, hole: Tensor) -> Tensor:
        """Return latent cells ``(N, 1, H / 4, W / 4)``, 1 = hidden, by :attr:`mask_reduction`."""
        if self.mask_reduction == "cover":
            return covered(hole)
        return hole[..., ::CELL, ::CELL]

    def inpainted(self, condition: Tensor, latents: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """Yield the state ``(N, 3, h, w)`` after each step of the conditioned model.

        Args:
            condition: ``(N, 4, h, w)``, as :meth:`condition` returns it.
            latents: draws by the names of :meth:`latent_spec`.
        """
        schedule = self.schedule()
        x = upcast(latents["start"])
        for index, timestep in self.with_progress(list(enumerate(schedule.timesteps))):
            epsilon = self.epsilon(torch.cat([x, condition.to(x)], 1), timestep)
            x = schedule.step(x, epsilon, timestep, self.posterior(latents, index, x))
            yield x

    def completed(
        self, known: Tensor, known_cells: Tensor, latents: Mapping[str, Tensor]
    ) -> Iterator[Tensor]:
        """Yield the state ``(N, 3, h, w)`` after each step of a model of whole images.

        Known latents are put back, at the right noise level, before every step.

        Args:
            known: ``(N, 3, h, w)``, latent map of the known part.
            known_cells: ``(N, 1, h, w)``, 1 where it holds.
            latents: draws by the names of :meth:`latent_spec`.
        """
        schedule = self.schedule()
        x = upcast(latents["start"])
        known, is_known = known.to(x), known_cells.to(x.device) > 0
        for index, timestep in self.with_progress(list(enumerate(schedule.timesteps))):
            noise = latents["known"][:, index].to(x)
            x = torch.where(is_known, schedule.add_noise(known, noise, timestep), x)
            epsilon = self.epsilon(x, timestep)
            x = schedule.step(x, epsilon, timestep, self.posterior(latents, index, x))
            yield x

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        spec = super().latent_spec(n, h, w)
        if not self.conditioned:
            spec["known"] = (n, self.steps, *latent_shape(h, w))
        return spec
