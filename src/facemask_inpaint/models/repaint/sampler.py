"""RePaint's sampler: a loop around any denoising network, for one batch of images.

Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models", CVPR 2022
(arXiv 2201.09865). As in the official code, and unlike algorithm 1, known pixels are put back
before a step, with the noise of the level where it starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from facemask_inpaint.models.layers.diffusion import add_noise
from facemask_inpaint.models.repaint.schedule import CLEAN, Move, Sampling

Denoiser = Callable[[Tensor, int], Tensor]
"""State ``(N, 3, H, W)`` and timestep 0 … 999 to noise and variance logit ``(N, 6, H, W)``."""

LARGEST_LOG_VARIANCE = 2 * math.log(100)
"""Far beyond what a trained network predicts (the highest level itself has variance 1), and far
below what overflows."""


class Sampler:
    """One run over a batch of images.

    Args:
        denoise: the network.
        sampling: how to run.
        clean: ``(N, 3, H, W)`` in [-1, 1]; only known pixels matter. Everything is computed in
            its type and on its device.
        hole: ``(N, 1, H, W)``, 1 = fill.
        draws: standard normal numbers for every step by role, those that :meth:`counts` names.

    Attributes:
        bounded: whether the learned variance passed :data:`LARGEST_LOG_VARIANCE` somewhere and
            was held to it; a bool tensor.
    """

    def __init__(
        self,
        denoise: Denoiser,
        sampling: Sampling,
        clean: Tensor,
        hole: Tensor,
        draws: Mapping[str, Tensor],
    ) -> None:
        self._denoise, self._clean, self._hole = denoise, clean, hole > 0
        self._solver, self._levels = sampling.solver, sampling.levels
        self._draws, self._drawn = draws, dict.fromkeys(draws, 0)
        self._last: tuple[Tensor, float] | None = None
        self.bounded = torch.zeros((), dtype=torch.bool, device=clean.device)

    @staticmethod
    def counts(sampling: Sampling) -> dict[str, int]:
        """Return how many draws a run takes, by role, where it takes any.

        ``posterior``: noise that a step down leaves; the last leaves none. ``known``: noise of
        the known pixels before a step; there is none before the first, which starts from noise
        everywhere. ``renoise``: noise that a step up adds.
        """
        counts = {
            "posterior": sampling.evaluations - 1 if sampling.solver == "ancestral" else 0,
            "known": sampling.evaluations - 1,
            "renoise": sampling.renoisings,
        }
        return {role: count for role, count in counts.items() if count}

    def states(self, x: Tensor, moves: Iterable[Move]) -> Iterator[Tensor]:
        """Yield the state ``(N, 3, H, W)`` after each move, from ``x`` before the first."""
        for number, move in enumerate(moves):
            if move.denoises:
                x = self._down(x if number == 0 else self._with_known(x, move.before), move)
            else:
                x = self._up(x, move)
            yield x

    def _with_known(self, x: Tensor, level: int) -> Tensor:
        known = add_noise(self._clean, self._draw("known"), self._levels.alpha_cumprod(level))
        return torch.where(self._hole, x, known)

    def _up(self, x: Tensor, move: Move) -> Tensor:
        self._last = None
        return add_noise(x, self._draw("renoise"), 1 - self._levels.beta(move.after))

    def _down(self, x: Tensor, move: Move) -> Tensor:
        output = self._denoise(x, int(self._levels.timesteps[move.before])).to(x.dtype)
        epsilon, logit = output.chunk(2, 1)
        alpha = self._levels.alpha_cumprod(move.before)
        estimate = math.sqrt(1 / alpha) * x - math.sqrt(1 / alpha - 1) * epsilon
        estimate = estimate.clamp(-1, 1)
        if self._solver == "dpm":
            return self._straight(x, self._extrapolated(estimate, move), move)
        return self._ancestral(x, estimate, logit, move)

    def _ancestral(self, x: Tensor, estimate: Tensor, logit: Tensor, move: Move) -> Tensor:
        """A draw from the model's distribution one level below (arXiv 2102.09672, eq. 15)."""
        of_clean, of_state = self._levels.posterior(move.before)
        mean = of_clean * estimate + of_state * x
        if move.after == CLEAN:
            return mean
        least, largest = self._levels.log_variances(move.before)
        log_variance = least + (logit + 1) / 2 * (largest - least)
        self.bounded |= (log_variance > LARGEST_LOG_VARIANCE).any()
        deviation = torch.exp(log_variance.clamp(max=LARGEST_LOG_VARIANCE) / 2)
        return mean + deviation * self._draw("posterior")

    def _extrapolated(self, estimate: Tensor, move: Move) -> Tensor:
        """Estimate half-way down, from this and the last one (arXiv 2211.01095, algorithm 2)."""
        stride = self._levels.log_snr(move.after) - self._levels.log_snr(move.before)
        last, self._last = self._last, (estimate, stride)
        if last is None or move.after == CLEAN:
            return estimate
        return estimate + (estimate - last[0]) * (stride / last[1] / 2)

    def _straight(self, x: Tensor, estimate: Tensor, move: Move) -> Tensor:
        """The state below if ``estimate`` is the clean image and the noise stays the same."""
        alpha = self._levels.alpha_cumprod(move.before)
        epsilon = (x - math.sqrt(alpha) * estimate) / math.sqrt(1 - alpha)
        return add_noise(estimate, epsilon, self._levels.alpha_cumprod(move.after))

    def _draw(self, role: str) -> Tensor:
        draws = self._draws[role][:, self._drawn[role]]
        self._drawn[role] += 1
        return draws.to(self._clean)
