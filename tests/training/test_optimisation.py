"""The running average of weights."""

from __future__ import annotations

import torch
from torch import nn

from facemask_inpaint.training.optimisation import EMA_RAMP, averaged, update_average


def ones_following_zeros(steps: int, half_life: float) -> float:
    """Average after so many steps of ten images towards weights of one."""
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average = averaged(network)
    nn.init.ones_(network.weight)
    for step in range(steps):
        update_average(average, network, images=10, seen=10 * (step + 1), half_life=half_life)
    return average.weight.item()


def test_half_is_forgotten_after_a_half_life() -> None:
    network = nn.Linear(1, 1)
    average = averaged(network)
    before, seen = average.weight.item(), int(200 / EMA_RAMP)
    nn.init.ones_(network.weight)
    for _ in range(20):
        update_average(average, network, images=10, seen=seen, half_life=200)
    torch.testing.assert_close(average.weight.item(), (before + 1) / 2)


def test_a_short_run_forgets_its_untrained_weights() -> None:
    assert ones_following_zeros(20, half_life=1e6) > 0.99


def test_without_a_half_life_the_average_is_the_network() -> None:
    assert ones_following_zeros(1, half_life=0) == 1
