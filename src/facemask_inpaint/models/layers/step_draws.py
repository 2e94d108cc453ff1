"""Random draws for every step of a long run, of which only one step is in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_SEEDS = 2**63 - 1


class StepDraws:
    """Standard normal draws that stand for a tensor ``(N, steps, ...)``.

    Each image has a stream of its own, seeded by its generator when this object is made, so an
    image's draws depend neither on the others nor on what else is drawn meanwhile. Indexed as
    ``draws[:, step]``, like the tensor, it returns those of one step; quick when asked for
    in order.

    Args:
        shape: ``(N, steps, ...)``.
        generators: one per image, or one for all together; ``None`` is PyTorch's own.
    """

    def __init__(
        self, shape: tuple[int, ...], generators: Sequence[torch.Generator | None]
    ) -> None:
        self.shape = shape
        self._seeds = [int(torch.randint(_SEEDS, (), generator=source)) for source in generators]
        self._restart()

    def __getitem__(self, index: tuple[slice, int]) -> Tensor:
        """Draws ``(N, ...)`` of one step, float32 on the CPU, for ``[:, step]``.

        Raises:
            IndexError: there is no such step.
        """
        images, step = index
        if images != slice(None) or not 0 <= step < self.shape[1]:
            raise IndexError(f"there is no step {step} among {self.shape[1]}, or not of all images")
        if step < self._next:
            self._restart()
        for _ in range(self._next, step):
            self._draw()
        return self._draw()

    def stacked(self) -> Tensor:
        """Return all draws ``(N, steps, ...)`` at once."""
        if not self.shape[1]:
            return torch.empty(self.shape)
        return torch.stack([self[:, step] for step in range(self.shape[1])], 1)

    def _restart(self) -> None:
        self._next = 0
        self._streams = [torch.Generator().manual_seed(seed) for seed in self._seeds]

    def _draw(self) -> Tensor:
        self._next += 1
        shape = (self.shape[0] // len(self._streams), *self.shape[2:])
        return torch.cat([torch.randn(shape, generator=stream) for stream in self._streams])
