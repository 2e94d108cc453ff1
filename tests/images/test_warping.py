"""Turning and scaling images: against SciPy, without aliasing, there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from facemask_inpaint.images.warping import Similarity, warp


def _smooth(height: int, width: int) -> torch.Tensor:
    noise = np.random.default_rng(0).normal(size=(3, height, width))
    smooth = ndimage.gaussian_filter(noise, (0, 6, 6), mode="reflect")
    return torch.from_numpy(smooth / np.abs(smooth).max()).float()


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.3])
def test_positions_are_those_of_scipy(scale: float) -> None:
    image = _smooth(90, 120)
    to_source = Similarity(scale, 0.6, 30.0, -9.0)
    ours = warp(image, to_source, (70, 80))
    y, x = np.mgrid[:70, :80] + 0.5
    source_x, source_y = to_source(torch.from_numpy(x), torch.from_numpy(y))
    places = np.stack([source_y.numpy(), source_x.numpy()]) - 0.5
    expected = ndimage.map_coordinates(image[0].numpy(), places, order=3, mode="reflect")
    assert np.abs(ours[0].numpy() - expected).max() < 0.02


@pytest.mark.parametrize("angle", [0.0, 0.5])
@pytest.mark.parametrize("scale", [2.0, 5.3])
def test_what_is_finer_than_the_result_averages_out(scale: float, angle: float) -> None:
    stripes = (torch.arange(400) % 2 * 2.0 - 1).expand(1, 400, 400).contiguous()
    shrunk = warp(stripes, Similarity(scale, angle, 150.0, 60.0), (40, 40))
    assert shrunk.abs().max() < 0.15, "at full contrast it would be 1"


def test_the_way_back_ends_where_it_began() -> None:
    there = Similarity(1.7, -2.2, 13.0, 4.0)
    x, y = there.inverse(*there(3.0, 8.0))
    assert (x, y) == (pytest.approx(3.0), pytest.approx(8.0))
    assert there.shifted(2.0, 1.0)(1.0, 1.0) == pytest.approx(np.add(there(1.0, 1.0), (2, 1)))


def test_a_window_holds_all_that_a_result_needs() -> None:
    image = _smooth(200, 300)
    to_source = Similarity(1.5, math.pi / 5, 150.0, 40.0)
    rows, columns = to_source.window((50, 50), (200, 300))
    assert rows.stop - rows.start < 200
    part = warp(image[:, rows, columns], to_source.shifted(-columns.start, -rows.start), (50, 50))
    torch.testing.assert_close(part, warp(image, to_source, (50, 50)), atol=1e-4, rtol=0)


def test_soft_values_stay_within_the_image() -> None:
    known = (torch.rand(1, 60, 60, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    for scale in (0.5, 3.0):
        soft = warp(known, Similarity(scale, 0.3, 2.0, 2.0), (30, 30), soft=True)
        assert soft.min() >= 0
        assert soft.max() <= 1 + 1e-6
