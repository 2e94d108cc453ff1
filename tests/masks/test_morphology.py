"""Growing, filling and softening, against plain definitions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from facemask_inpaint.masks import morphology

holes = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(holes, st.integers(0, 9))
def test_dilation_marks_exactly_the_pixels_within_the_radius(hole: np.ndarray, radius: int) -> None:
    rows, columns = np.indices(hole.shape)
    expected = np.zeros_like(hole)
    for row, column in np.argwhere(hole):
        expected |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    np.testing.assert_array_equal(morphology.dilate(hole, radius), expected)


@given(holes)
def test_filling_adds_exactly_what_is_enclosed(hole: np.ndarray) -> None:
    expected = ndimage.binary_fill_holes(hole)
    np.testing.assert_array_equal(morphology.fill_holes(hole), expected)


@given(holes, holes)
def test_touching_keeps_whole_parts(region: np.ndarray, other: np.ndarray) -> None:
    other = np.resize(other, region.shape)
    square = np.ones((3, 3))
    seeds = region & ndimage.binary_dilation(other, square)
    expected = ndimage.binary_propagation(seeds, square, mask=region)
    np.testing.assert_array_equal(morphology.touching(region, other), expected)


@given(holes, st.integers(0, 6))
def test_feathering_is_one_on_the_hole_and_falls_outside(hole: np.ndarray, width: int) -> None:
    soft = morphology.feather(hole, width)
    assert soft.dtype == np.float32
    assert (soft[hole] == 1).all()
    assert (soft[~hole] < 1).all()
    reached = morphology.dilate(hole, width)
    assert (soft[reached] > 0).all()


def test_inputs_stay_as_they_are() -> None:
    hole = np.zeros((9, 9), dtype=bool)
    hole[2:7, 2:7] = True
    hole[4, 4] = False
    before = hole.copy()
    for change in (morphology.dilate, morphology.feather):
        change(hole, 2)
    morphology.fill_holes(hole)
    np.testing.assert_array_equal(hole, before)
