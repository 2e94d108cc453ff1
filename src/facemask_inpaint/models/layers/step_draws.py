"""Random draws for every step of a long run, of which only one step is in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_SEEDS = 2**63 - 1


class StepDraws:
    """Standard normal draws that stand for a tensor ``(N, steps, ...)``.

    Each picture has a stream of its own, seeded by its generator when this object is made, so a
    picture's draws depend neither on the others nor on what else is drawn meanwhile.

    Args:
        shape: ``(N, steps, ...)``.
        generators: one per picture, or one for all together; ``None`` is PyTorch's own.
    """

    def __init__(
        self, shape: tuple[int, ...], generators: Sequence[torch.Generator | None]
    ) -> None:
        self.shape = shape
        self._seeds = [int(torch.randint(_SEEDS, (), generator=one)) for one in generators]
        self._restart()

    def step(self, index: int) -> Tensor:
        """Draws ``(N, ...)`` of one step, float32 on the CPU; quick when asked for in order.

        Raises:
            IndexError: there is no such step.
        """
        if not 0 <= index < self.shape[1]:
            raise IndexError(f"there is no step {index} among {self.shape[1]}")
        if index < self._next:
            self._restart()
        for _ in range(self._next, index):
            self._draw()
        return self._draw()

    def stacked(self) -> Tensor:
        """All draws ``(N, steps, ...)`` at once."""
        if not self.shape[1]:
            return torch.empty(self.shape)
        return torch.stack([self.step(index) for index in range(self.shape[1])], 1)

    def _restart(self) -> None:
        self._next = 0
        self._streams = [torch.Generator().manual_seed(seed) for seed in self._seeds]

    def _draw(self) -> Tensor:
        self._next += 1
        shape = (self.shape[0] // len(self._streams), *self.shape[2:])
        return torch.cat([torch.randn(shape, generator=stream) for stream in self._streams])


Latent = Tensor | StepDraws
"""A network's random draw: a tensor, or where it has a step axis, something lighter."""


def draws_of_step(latent: Latent, index: int) -> Tensor:
    """``latent[:, index]`` of either kind."""
    return latent.step(index) if isinstance(latent, StepDraws) else latent[:, index]
