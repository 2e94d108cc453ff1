"""A narrow, untrained LatentPaint, and what its tests measure it by."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.models import _registry
from facemask_inpaint.models.latentpaint import LatentPaint
from tests.models.reduced import REDUCED

SIDE, GRID = 64, 16


def made(**options: Any) -> LatentPaint:
    """A small network, the same for the same options."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cast(
            LatentPaint,
            _registry.create("latentpaint", **{**REDUCED["latentpaint"].options, **options}),
        )


def latents_of(network: LatentPaint, n: int = 1) -> dict[str, Tensor]:
    """All latents of a run, as tensors."""
    generator = torch.Generator().manual_seed(3)
    spec = network.latent_spec(n, SIDE, SIDE)
    return {name: torch.randn(shape, generator=generator) for name, shape in spec.items()}


def known_cells(hole: Tensor) -> Tensor:
    """Latent cells whose pixels are all known, as a bool map."""
    return (F.avg_pool2d(1 - hole, 4) == 1).expand(-1, 3, -1, -1)


def plain_ddim(network: LatentPaint, x: Tensor) -> Tensor:
    """The base model's own run."""
    schedule = network.schedule()
    for time in schedule.timesteps:
        x = schedule.step(x, network.epsilon(x, time), time, None)
    return x


@torch.no_grad()
def last_state(
    network: LatentPaint, known: Tensor, hole: Tensor, latents: dict[str, Any]
) -> Tensor:
    *_, last = network.states(known, hole, latents)
    return last
