"""Optimisers with schedules, and the running average of weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from facemask_inpaint.training.recipes import Optimiser

Network = TypeVar("Network", bound=nn.Module)

RAMP = 0.05
"""Longest half-life of the weights' average, as a share of the pictures seen."""


def build(network: nn.Module, recipe: Optimiser) -> torch.optim.Adam:
    """Adam over a network's weights, with the correction for lazy regularisation."""
    first, second = (beta**recipe.lazy for beta in recipe.betas)
    return torch.optim.Adam(network.parameters(), recipe.rate * recipe.lazy, (first, second))


def set_rate(optimiser: torch.optim.Adam, recipe: Optimiser, step: int, steps: int) -> None:
    """Give the optimiser its learning rate for a step out of ``steps``."""
    factor = min(1.0, (step + 1) / recipe.warm_up) if recipe.warm_up else 1.0
    start = recipe.decay_from * steps
    if step > start:
        factor *= max(0.0, (steps - step) / (steps - start))
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate * recipe.lazy * factor


def averaged(network: Network) -> Network:
    """A copy that will follow the network's average, in inference mode."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def follow(
    average: nn.Module, network: nn.Module, *, pictures: int, seen: int, half_life: float
) -> None:
    """Move an average towards a network; buffers are copied.

    Args:
        average: what follows.
        network: what it follows.
        pictures: seen since the last call.
        seen: in the whole run so far.
        half_life: pictures after which half of the old average is forgotten. At first it is a
            share of ``seen`` (Karras et al., 2020, StyleGAN2-ADA), so that a short run does not
            end with the average of its untrained weights.
    """
    half_life = min(half_life, RAMP * seen)
    keep = 0.5 ** (pictures / half_life) if half_life > 0 else 0.0
    for mean, weight in zip(average.parameters(), network.parameters()):
        mean.lerp_(weight, 1 - keep)
    for kept, value in zip(average.buffers(), network.buffers()):
        kept.copy_(value)
