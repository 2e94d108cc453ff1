"""Colours of the rim and grain of the surroundings, taken over by a prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from facemask_inpaint.images.tone import match_tone


def _hole() -> torch.Tensor:
    hole = torch.zeros(96, 96, dtype=torch.bool)
    hole[30:66, 28:70] = True
    return hole


@pytest.mark.parametrize("grain", [0.0, 0.02, 0.08])
def test_a_smooth_prediction_gets_the_grain_of_its_surroundings(grain: float) -> None:
    noise = np.random.default_rng(0).standard_normal((3, 96, 96)) * grain
    image = torch.from_numpy(noise).float()
    hole = _hole()
    matched = match_tone(image, torch.full_like(image, 0.5), hole)
    assert matched[:, hole].mean() == pytest.approx(0, abs=0.02)
    assert matched[:, hole].std() == pytest.approx(grain, rel=0.15, abs=0.003)
    assert torch.equal(matched[:, ~hole], image[:, ~hole])


def test_a_prediction_with_grain_enough_gets_none() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 96, 96))).float() * 0.1
    hole = _hole()
    matched = match_tone(noise, noise.flip(-1), hole)
    assert (matched - noise.flip(-1))[:, hole].std() < 0.05


def test_colours_follow_the_rim_and_single_pixels_draw_no_streak() -> None:
    slope = torch.linspace(-0.5, 0.5, 96).expand(3, 96, 96).clone()
    hole = _hole()
    plain = match_tone(slope, torch.zeros_like(slope), hole)
    assert (plain - slope)[:, hole].abs().max() < 0.05
    spot = slope.clone()
    spot[:, 48, 27] = 1.0
    touched = match_tone(spot, torch.zeros_like(slope), hole)
    assert (touched - plain)[:, hole].abs().max() < 0.15


def test_hidden_pixels_have_no_influence() -> None:
    noise = np.random.default_rng(1).standard_normal((3, 96, 96)).clip(-1, 1)
    image = torch.from_numpy(ndimage.gaussian_filter(noise, (0, 1, 1))).float()
    hole = _hole()
    prediction = torch.zeros_like(image)
    other = torch.where(hole, 0.9, image)
    ours, theirs = (match_tone(each, prediction, hole)[:, hole] for each in (image, other))
    assert torch.equal(ours, theirs)
