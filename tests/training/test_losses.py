from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from facemask_inpaint.training import losses
from facemask_inpaint.training.perceptual import BLOCKS, PerceptualLoss


def test_l1_is_the_mean_over_each_images_own_region() -> None:
    truth = torch.zeros(2, 3, 4, 4)
    answer = truth.clone()
    region = torch.zeros(2, 1, 4, 4)
    region[0, :, :2, :2] = 1
    region[1] = 1
    answer[0, :, 0, 0] = 0.8
    answer[0, :, 3, 3] = 9.0  # outside the region
    answer[1] = -0.5
    assert losses.weighted_l1(answer, truth, region).tolist() == pytest.approx([0.2, 0.5])
    assert losses.weighted_l1(answer, truth, region * 0).tolist() == [0, 0]


def test_the_logistic_loss_weighs_judgements() -> None:
    logits = torch.tensor([[0.0, 100.0]])
    assert float(losses.mean_logistic(logits)) == pytest.approx(math.log(2) / 2)
    weight = torch.tensor([[0.0, 1.0]])
    assert float(losses.mean_logistic(logits, weight)) == pytest.approx(0)


def test_the_penalty_of_a_linear_discriminator_is_its_squared_norm() -> None:
    discriminator = nn.Linear(12, 1)
    image = torch.randn(3, 3, 2, 2, requires_grad=True)
    penalty = losses.gradient_penalty(discriminator(image.flatten(1)), image)
    assert penalty.tolist() == pytest.approx(
        [float(discriminator.weight.detach().square().sum())] * 3
    )
    penalty.sum().backward()  # a loss must reach the discriminator's weights
    assert discriminator.weight.grad is not None
    assert discriminator.weight.grad.flatten().tolist() == pytest.approx(
        (6 * discriminator.weight.detach()).flatten().tolist()
    )


def test_feature_matching_looks_at_the_hole_only() -> None:
    hole = torch.zeros(1, 1, 8, 8)
    hole[..., :4, :4] = 1
    real, fake = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    fake[..., 3, 3] = 5
    assert float(losses.feature_matching([real], [fake], hole)) == 0
    fake[..., :2, :2] = 1
    assert float(losses.feature_matching([real], [fake], hole)) == pytest.approx(1)


def test_perceptual_features_are_those_before_the_relu() -> None:
    torch.manual_seed(0)
    layers, channels = nn.Sequential(), 3
    for width, count in BLOCKS:
        for _ in range(count):
            layers.extend([nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()])
            channels = width
        layers.append(nn.MaxPool2d(2))
    loss = PerceptualLoss()
    loss.load_official({f"features.{k}": v for k, v in layers.state_dict().items()})
    first, second = torch.rand(2, 1, 3, 32, 32) * 2 - 1

    def features(image: torch.Tensor) -> list[torch.Tensor]:
        x = ((image + 1) / 2 - loss.mean) / loss.deviation
        return [layers[: end + 1](x) for end in (25, 34)]  # conv4_4 and conv5_4 in VGG-19

    assert isinstance(layers[25], nn.Conv2d)
    assert isinstance(layers[34], nn.Conv2d)
    expected = sum(
        weight * (a - b).abs().mean()
        for weight, a, b in zip((0.25, 0.5), features(first), features(second))
    )
    assert float(loss(first, second)) == pytest.approx(float(expected), rel=1e-4)
    assert float(loss(first, first)) == 0
