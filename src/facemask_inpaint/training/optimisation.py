"""Optimisers with learning-rate schedules, and the moving average of weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from facemask_inpaint.training.recipes import Optimiser

Network = TypeVar("Network", bound=nn.Module)

EMA_RAMP = 0.05
"""Longest half-life of the weights' moving average, as a share of the images seen."""


def build(network: nn.Module, settings: Optimiser) -> torch.optim.Adam:
    """Create Adam over a network's weights, corrected for lazy regularisation."""
    first, second = (beta**settings.lazy_ratio for beta in settings.betas)
    rate = settings.learning_rate * settings.lazy_ratio
    return torch.optim.Adam(network.parameters(), rate, (first, second))


def set_learning_rate(
    optimiser: torch.optim.Adam, settings: Optimiser, step: int, steps: int
) -> None:
    """Give the optimiser its learning rate for a step out of ``steps``."""
    factor = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    start = settings.decay_start * steps
    if step > start:
        factor *= max(0.0, (steps - step) / (steps - start))
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * settings.lazy_ratio * factor


def averaged(network: Network) -> Network:
    """Return a copy that will hold the network's moving average, in inference mode."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, *, images: int, seen: int, half_life: float
) -> None:
    """Move an average towards a network; buffers are copied.

    Args:
        average: what follows.
        network: what it follows.
        images: number seen since the last call.
        seen: number seen in the whole run.
        half_life: images after which half of the old average is forgotten. Early in a run it is a
            share of ``seen`` (Karras et al., 2020, StyleGAN2-ADA), so that a short run does not
            end with the average of its untrained weights.
    """
    half_life = min(half_life, EMA_RAMP * seen)
    decay = 0.5 ** (images / half_life) if half_life > 0 else 0.0
    for mean, weight in zip(average.parameters(), network.parameters()):
        mean.lerp_(weight, 1 - decay)
    for copied, value in zip(average.buffers(), network.buffers()):
        copied.copy_(value)
