"""Latent diffusion: a picture's latent map is drawn step by step out of noise, then decoded.

Rombach, Blattmann, Lorenz, Esser and Ommer, "High-Resolution Image Synthesis with Latent Diffusion
Models", CVPR 2022 (arXiv 2112.10752). Official code and weights:
github.com/CompVis/latent-diffusion (MIT). Two of its models are of use here: the one that was
trained to inpaint, on scenes, and the one of whole faces, whose known part is put back at every
step. U-Net, autoencoder and scheduler are those of ``diffusers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from facemask_inpaint.errors import unknown_name
from facemask_inpaint.models.layers.float32 import widened
from facemask_inpaint.models.layers.latent_diffusion import (
    LatentDiffusionNetwork,
    covered,
    latent_shape,
)
from facemask_inpaint.models.layers.step_draws import draws_of_step
from facemask_inpaint.models.layers.vector_autoencoder import SHRINKAGE

MaskReduction = Literal["nearest", "cover"]


class LDM(LatentDiffusionNetwork):
    """Latent diffusion model as an inpainting network; pluralistic.

    Random draws, all standard normal, of the latent map's shape: ``start``, out of which a run
    denoises; ``posterior``, one for each step, if ``eta`` is above 0; and ``known``, one for each
    step, in models of whole pictures, for the known part at that step's noise level.

    Answers are for inference: no gradient passes through a run.

    Args:
        conditioned: the model that was trained to inpaint; otherwise one of whole pictures.
        width: channels of the U-Net on the latent grid, a multiple of 32.
        picture_width: channels of the autoencoder at full size, a multiple of 32.
        codes: size of its codebook.
        steps: calls of the U-Net per picture, 1 to 999.
        eta: noise that a step adds, from 0 (none) to 1 (as much as ancestral sampling).
        mask_reduction: which of the 4 x 4 pixels of a latent cell decide that it is hidden:
            ``"nearest"``, the first one, as in the authors' script; ``"cover"``, any of them, so
            that no thin hole is missed. ``None`` is ``"nearest"`` for the conditioned model, which
            was trained so, and ``"cover"`` for others.

    The last three may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.
        MissingDependencyError: ``diffusers`` is not installed.
    """

    def __init__(
        self,
        *,
        conditioned: bool = True,
        width: int = 256,
        picture_width: int = 128,
        codes: int = 8192,
        steps: int = 50,
        eta: float = 0.0,
        mask_reduction: MaskReduction | None = None,
    ) -> None:
        super().__init__(
            conditioned=conditioned,
            width=width,
            picture_width=picture_width,
            codes=codes,
            steps=steps,
            eta=eta,
        )
        self.native_size = 512 if conditioned else 256
        # Faces are expected whole and aligned; scenes at any scale.
        self.preferred_strategy = None if conditioned else "resize"
        self.mask_reduction = mask_reduction or ("nearest" if conditioned else "cover")
        if self.mask_reduction not in get_args(MaskReduction):
            raise unknown_name("mask_reduction", self.mask_reduction, get_args(MaskReduction))

    @torch.no_grad()
    def fill(self, visible: Tensor, hole: Tensor, latents: Mapping[str, Any]) -> Tensor:
        if self.conditioned:
            states = self.inpainted(self.condition(visible, hole), latents)
        else:
            keep = 1 - self.hidden_cells(hole)
            states = self.completed(self.encode_known(visible, hole), keep, latents)
        *_, latent = states
        return self.decode(latent)

    def condition(self, visible: Tensor, hole: Tensor) -> Tensor:
        """What the conditioned model is shown.

        Args:
            visible: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.

        Returns:
            ``(N, 4, H / 4, W / 4)``: latent map of the picture with a black hole, and mask, -1 =
            known, 1 = hidden.
        """
        return torch.cat([self.encode(visible - hole), 2 * self.hidden_cells(hole) - 1], 1)

    def hidden_cells(self, hole: Tensor) -> Tensor:
        """Latent cells ``(N, 1, H / 4, W / 4)``, 1 = hidden, by :attr:`mask_reduction`."""
        if self.mask_reduction == "cover":
            return covered(hole)
        return hole[..., ::SHRINKAGE, ::SHRINKAGE]

    def inpainted(self, condition: Tensor, latents: Mapping[str, Any]) -> Iterator[Tensor]:
        """Run of the conditioned model: the state ``(N, 3, h, w)`` after each step.

        Args:
            condition: ``(N, 4, h, w)``, as :meth:`condition` gives it.
            latents: draws by the names of :meth:`latent_spec`.
        """
        ladder = self.ladder()
        x = widened(latents["start"])
        for index, time in self.paced(list(enumerate(ladder.times))):
            epsilon = self.epsilon(torch.cat([x, condition.to(x)], 1), time)
            x = ladder.down(x, epsilon, time, self.posterior(latents, index, x))
            yield x

    def completed(
        self, known: Tensor, keep: Tensor, latents: Mapping[str, Any]
    ) -> Iterator[Tensor]:
        """Run of a model of whole pictures: the state ``(N, 3, h, w)`` after each step.

        Known latents are put back, at the right noise level, before every step.

        Args:
            known: ``(N, 3, h, w)``, latent map of the known part.
            keep: ``(N, 1, h, w)``, 1 where it holds.
            latents: draws by the names of :meth:`latent_spec`.
        """
        ladder = self.ladder()
        x = widened(latents["start"])
        known, keep = known.to(x), keep.to(x)
        for index, time in self.paced(list(enumerate(ladder.times))):
            noise = draws_of_step(latents["known"], index).to(x)
            x = torch.where(keep > 0, ladder.noised(known, noise, time), x)
            epsilon = self.epsilon(x, time)
            x = ladder.down(x, epsilon, time, self.posterior(latents, index, x))
            yield x

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        spec = super().latent_spec(n, h, w)
        if not self.conditioned:
            spec["known"] = (n, self.steps, *latent_shape(h, w))
        return spec
