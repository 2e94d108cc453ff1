"""What samplers of diffusion models share: noise levels, noising, and a loop one can stop.

Ho et al., "Denoising Diffusion Probabilistic Models", 2020 (arXiv 2006.11239); Nichol and Dhariwal,
"Improved Denoising Diffusion Probabilistic Models", 2021 (arXiv 2102.09672).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from facemask_inpaint._internal.progress import progress_bar

Item = TypeVar("Item")
StepWatcher = Callable[[int, int], None]
"""Told after each step how many are done, and of how many; what it raises ends the run."""


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """Variances added by each forward step, ``(steps,)`` float64, evenly spaced."""
    return np.linspace(first, last, steps, dtype=np.float64)


def scaled_linear_betas(first: float, last: float, steps: int = 1000) -> np.ndarray:
    """Variances whose square roots are evenly spaced, ``(steps,)`` float64."""
    return np.linspace(first**0.5, last**0.5, steps, dtype=np.float64) ** 2


def signal_shares(betas: np.ndarray) -> np.ndarray:
    """Share of the clean picture's variance left after each step, ``(steps,)`` float64."""
    return np.cumprod(1 - betas)


def noised(clean: Tensor, noise: Tensor, share: float) -> Tensor:
    """``clean`` mixed with standard normal ``noise`` so that ``share`` of its variance is left."""
    return share**0.5 * clean + (1 - share) ** 0.5 * noise


class Stepped:
    """Mixin for networks that answer in many steps: shows them, and can be stopped between two.

    Attributes:
        progress: show a bar of steps.
        on_step: called after each step with how many are done and of how many. To cancel, raise
            in it; the error reaches the caller, and the network can be used again.
    """

    progress: bool = False
    on_step: StepWatcher | None = None

    def paced(self, steps: Sequence[Item]) -> Iterator[Item]:
        """The steps one by one; the next is not handed out before watchers know of the last."""
        bar = progress_bar(steps, shown=self.progress, unit="step", leave=False)
        for done, step in enumerate(bar, start=1):
            yield step
            if self.on_step is not None:
                self.on_step(done, len(steps))
