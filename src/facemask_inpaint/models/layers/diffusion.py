"""What samplers of diffusion models share: noise schedules, and DDIM's timesteps.

Ho et al., "Denoising Diffusion Probabilistic Models", 2020 (arXiv 2006.11239); Nichol and Dhariwal,
"Improved Denoising Diffusion Probabilistic Models", 2021 (arXiv 2102.09672); Song et al.,
"Denoising Diffusion Implicit Models", ICLR 2021 (arXiv 2010.02502).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models.layers.diffusion_unet import diffusers

TRAINED_STEPS = 1000
"""Timesteps of the noise schedule that the networks were trained with."""


def linear_betas(steps: int = TRAINED_STEPS, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Return evenly spaced variances that the forward steps add, ``(steps,)`` float64."""
    return np.linspace(first, last, steps, dtype=np.float64)


def scaled_linear_betas(first: float, last: float, steps: int = TRAINED_STEPS) -> np.ndarray:
    """Return variances whose square roots are evenly spaced, ``(steps,)`` float64."""
    return np.linspace(first**0.5, last**0.5, steps, dtype=np.float64) ** 2


def alphas_cumprod(betas: np.ndarray) -> np.ndarray:
    """Return the share of the clean image's variance left at each timestep, float64."""
    return np.cumprod(1 - betas)


def add_noise(clean: Tensor, noise: Tensor, alpha_cumprod: float) -> Tensor:
    """Mix ``clean`` with standard normal ``noise``, so that ``alpha_cumprod`` of it is left."""
    output: Tensor = alpha_cumprod**0.5 * clean + (1 - alpha_cumprod) ** 0.5 * noise
    return output


class DDIMSchedule:
    """The timesteps of one run of DDIM, and the step from each to the next.

    Args:
        steps: timesteps of a full run, 1 to 1000 less ``steps_offset``.
        beta_start: variance that the first step of the training's schedule adds.
        beta_end: variance that its last step adds; their roots are evenly spaced.
        eta: noise that a step adds, from 0 (none) to 1 (as much as ancestral sampling).
        strength: share of the steps that is taken, above 0 to 1; the noisiest are left out.
        ends_clean: whether the last step leaves no noise at all; otherwise that of timestep 0.
        steps_offset: the last timestep.
        table: ``(1000,)`` float32 to use as :attr:`alphas_cumprod`; by default that of
            ``diffusers``, which sums it up in float32.

    Attributes:
        timesteps: what the network is given at each step, from the noisiest down.
        alphas_cumprod: ``(1000,)`` float32, share of the clean latents' variance that is left at
            each timestep.

    Raises:
        OptionError: an argument is outside its range, or leaves no step.
        MissingDependencyError: ``diffusers`` is not installed.
    """

    def __init__(
        self,
        steps: int,
        beta_start: float,
        beta_end: float,
        *,
        eta: float = 0.0,
        strength: float = 1.0,
        ends_clean: bool = True,
        steps_offset: int = 0,
        table: Tensor | None = None,
    ) -> None:
        if not 0 <= eta <= 1:
            raise OptionError(f"eta must be 0 to 1, not {eta}")
        most = TRAINED_STEPS - steps_offset
        if not 1 <= steps <= most:
            raise OptionError(f"steps must be 1 to {most}, not {steps}")
        if not 0 < strength <= 1:
            raise OptionError(f"strength must be above 0 and at most 1, not {strength}")
        self._scheduler = diffusers().DDIMScheduler(
            num_train_timesteps=TRAINED_STEPS,
            beta_schedule="scaled_linear",
            beta_start=beta_start,
            beta_end=beta_end,
            clip_sample=False,
            set_alpha_to_one=ends_clean,
            steps_offset=steps_offset,
            timestep_spacing="leading",
        )
        if table is not None:
            self._scheduler.alphas_cumprod = table
            if not ends_clean:
                self._scheduler.final_alpha_cumprod = table[0]
        self.alphas_cumprod: Tensor = self._scheduler.alphas_cumprod
        self._scheduler.set_timesteps(steps)
        taken = int(steps * strength)
        if not taken:
            raise OptionError(f"strength {strength} leaves none of {steps} steps; take more steps")
        self.timesteps: list[int] = self._scheduler.timesteps.tolist()[steps - taken :]
        self._eta = eta

    def add_noise(self, clean: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """Return ``clean`` at the noise level of a timestep."""
        return add_noise(clean, noise, float(self.alphas_cumprod[timestep]))

    def step(
        self, x: Tensor, epsilon: Tensor, timestep: int, noise: Tensor | None = None
    ) -> Tensor:
        """Return the state one step further down.

        Args:
            x: ``(N, C, h, w)``, the state at ``timestep``.
            epsilon: the noise that the network sees in it.
            timestep: one of :attr:`timesteps`.
            noise: standard normal draws, needed if ``eta`` is above 0.
        """
        below: Tensor = self._scheduler.step(
            epsilon, timestep, x, eta=self._eta, variance_noise=noise, return_dict=False
        )[0]
        return below


def exact_alphas_cumprod(beta_start: float, beta_end: float) -> Tensor:
    """Return ``(1000,)`` float32 of the scaled linear schedule, summed up in float64."""
    return torch.from_numpy(alphas_cumprod(scaled_linear_betas(beta_start, beta_end))).float()
