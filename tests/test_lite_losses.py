"""The loss on mean features that ``lite`` is trained with has the gradient it is described by."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

TRAINING = Path(__file__).parents[1] / "examples" / "training"
CHANNELS = 112


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the training script."""
    monkeypatch.syspath_prepend(str(TRAINING))
    return importlib.import_module("lite_discriminators")


def features(seed: int, images: int) -> tuple[Tensor, Tensor]:
    """Features of predictions, with a gradient, and of originals."""
    torch.manual_seed(seed)
    return torch.randn(images, CHANNELS, requires_grad=True), torch.randn(images, CHANNELS)


def test_mean_features_have_the_gradient_of_the_squared_distance_of_means(losses: Any) -> None:
    fake, real = features(0, 6)
    kinds = torch.tensor([1, 0, 1, 1, 0, 1])
    losses.MeanFeatures(3)(fake, real, kinds).backward()
    again = fake.detach().requires_grad_()
    means = ((again - real)[kinds == kind].mean(dim=0) for kind in kinds)
    (torch.stack([mean.square().sum() for mean in means]).mean()).backward()
    torch.testing.assert_close(fake.grad, again.grad)


def test_mean_features_remember_earlier_batches_and_forget_old_ones(losses: Any) -> None:
    means = losses.MeanFeatures(1)
    kinds = torch.zeros(8, dtype=torch.long)
    batches = [features(seed, 8) for seed in range(5)]
    for fake, real in batches:
        means(fake, real, kinds)
    expected = torch.cat([fake - real for fake, real in batches]).mean(dim=0, keepdim=True)
    torch.testing.assert_close(means.apart, expected.detach())  # fewer images than it remembers
    same = torch.randn(8, CHANNELS)
    for _ in range(10 * losses.IMAGES_REMEMBERED // len(same)):
        means(same, same, kinds)
    assert means.apart.norm() < 1e-3 * expected.norm()


def test_means_of_one_kind_do_not_move_another(losses: Any) -> None:
    means = losses.MeanFeatures(2)
    means(*features(0, 4), torch.zeros(4, dtype=torch.long))
    assert means.apart[0].norm() > 0
    assert means.apart[1].norm() == 0
