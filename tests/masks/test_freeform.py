"""Free-form holes: published distributions, purity, and windows of the hole ratio."""

from __future__ import annotations

import pickle
import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import freeform
from facemask_inpaint.masks._canvas import Canvas

BENCHMARK = Path(__file__).parents[2] / "examples/benchmarks/masks.py"


def draw_many(generator, size, count, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([generator(size, rng) for _ in range(count)])


def ratios(generator, size, count, seed=0):
    """Covered shares of the image, without keeping the holes."""
    rng = np.random.default_rng(seed)
    return np.array([generator(size, rng).mean() for _ in range(count)])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(freeform.GENERATORS)), st.integers(24, 200), st.integers(0, 2**32))
def test_holes_are_pure_functions_of_size_and_state(name: str, size: int, seed: int) -> None:
    generator = freeform.GENERATORS[name]
    hole, again = (generator(size, np.random.default_rng(seed)) for _ in range(2))
    assert hole.shape == (size, size)
    assert hole.dtype == bool
    assert hole.flags.writeable
    assert 0 < hole.sum() < hole.size
    np.testing.assert_array_equal(hole, again)


@pytest.mark.parametrize("name", sorted(freeform.GENERATORS))
def test_global_random_state_is_neither_read_nor_moved(name: str) -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = draw_many(freeform.GENERATORS[name], 64, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    np.testing.assert_array_equal(draw_many(freeform.GENERATORS[name], 64, 3), first)
    other = draw_many(freeform.GENERATORS[name], 64, 3, seed=1)
    assert np.array_equal(other, first) == (name == "centre")  # the one that draws nothing


@pytest.mark.parametrize(
    ("size", "small", "mean", "spread"),
    [
        (512, False, 0.398, 0.169),
        (256, False, 0.407, 0.186),
        (512, True, 0.221, 0.142),
        (256, True, 0.219, 0.150),
    ],
)
def test_mat_covers_as_much_as_the_published_generator(
    size: int, small: bool, mean: float, spread: float
) -> None:
    """Mean and standard deviation of the hole ratio, as measured on the official generator."""
    covered = ratios(partial(freeform.mat, small=small), size, 1200)
    assert covered.mean() == pytest.approx(mean, abs=0.015)
    assert covered.std() == pytest.approx(spread, abs=0.015)


def test_a_narrow_hole_range_draws_fewer_shapes() -> None:
    """The official 256 generator has a mean of 0.279 within (0.2, 0.4)."""
    covered = ratios(partial(freeform.mat, hole_range=(0.2, 0.4)), 256, 600)
    assert 0.2 < covered.min() < covered.max() < 0.4
    assert covered.mean() == pytest.approx(0.279, abs=0.01)


def test_a_range_that_leaves_less_than_one_shape_of_a_kind_still_draws() -> None:
    covered = ratios(partial(freeform.mat, hole_range=(0.0, 0.4)), 256, 50)
    assert 0 < covered.min() < covered.max() < 0.4


@pytest.mark.parametrize("name", ["mat", "comodgan"])
def test_the_distribution_is_that_of_the_plain_loop(name: str) -> None:
    """Hole ratios by a Kolmogorov-Smirnov test, and where the holes lie cell by cell."""
    plain = runpy.run_path(str(BENCHMARK))
    counts = plain["COUNTS"][name]
    holes = draw_many(freeform.GENERATORS[name], 512, 300)
    expected = draw_many(partial(plain["plain_mask"], counts=counts), 512, 300, seed=7)
    means = [drawn.mean(axis=(1, 2)) for drawn in (holes, expected)]
    assert stats.ks_2samp(*means).pvalue > 0.01
    cells = [drawn.reshape(-1, 4, 128, 4, 128).mean(axis=(2, 4)) for drawn in (holes, expected)]
    error = np.sqrt(sum(cell.var(axis=0) / len(cell) for cell in cells))
    assert (np.abs(cells[0].mean(axis=0) - cells[1].mean(axis=0)) < 4 * error).all()


def test_deepfill_has_a_box_of_nearly_half_the_side() -> None:
    for hole in draw_many(freeform.deepfill, 256, 100):
        rows = np.lib.stride_tricks.sliding_window_view(hole, 96, axis=1).all(axis=-1)
        assert np.lib.stride_tricks.sliding_window_view(rows, 96, axis=0).all(axis=-1).any()


def test_lama_presets_grow_from_thin_to_thick_strokes() -> None:
    """Thickness as the share of a hole that survives an erosion by a 15-pixel box."""

    def kept(generator):
        holes = draw_many(generator, 256, 60)
        eroded = [ndimage.binary_erosion(hole, np.ones((15, 15))) for hole in holes]
        return np.sum(eroded) / holes.sum()

    thin, medium, thick = map(kept, (freeform.lama_thin, freeform.lama_medium, freeform.lama_thick))
    assert thin < medium < thick


@pytest.mark.parametrize("name", ["lama_thin", "lama_medium", "lama_thick"])
@pytest.mark.parametrize("size", [256, 512])
def test_lama_presets_cover_less_than_half(name: str, size: int) -> None:
    covered = ratios(freeform.GENERATORS[name], size, 60)
    assert covered.max() < 0.5
    assert covered.std() > 0.05


def test_lama_training_masks_scale_with_the_size() -> None:
    small, large = (ratios(freeform.lama, size, 400) for size in (128, 512))
    assert small.mean() == pytest.approx(large.mean(), abs=0.03)


def test_rectangles_are_one_full_box() -> None:
    for hole in draw_many(freeform.rectangle, 64, 50):
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert len(rows) * len(columns) == hole.sum()
        assert {len(rows), len(columns)} <= set(range(16, 33))


def test_halves_are_all_four_sides() -> None:
    holes = draw_many(freeform.half, 8, 40)
    assert (holes.mean(axis=(1, 2)) == 0.5).all()
    assert len(np.unique(holes.reshape(40, -1), axis=0)) == 4


@pytest.mark.parametrize("low", [0.0, 0.1, 0.4])
def test_windows_hold(low: float) -> None:
    generator = freeform.with_hole_ratio(freeform.mat, low, low + 0.1)
    covered = ratios(generator, 128, 30)
    assert low < covered.min() < covered.max() < low + 0.1


def test_windows_pickle_with_their_generator() -> None:
    generator = freeform.with_hole_ratio(freeform.comodgan, 0.2, 0.6)
    copy = pickle.loads(pickle.dumps(generator))
    np.testing.assert_array_equal(draw_many(copy, 64, 3), draw_many(generator, 64, 3))


def test_a_window_out_of_reach_is_given_up() -> None:
    with pytest.raises(OptionError, match=r"between 60\.0% and 70\.0%"):
        freeform.with_hole_ratio(freeform.half, 0.6, 0.7)(16, np.random.default_rng(0))


@pytest.mark.parametrize("bounds", [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.4), (0.5, 1.1)])
def test_windows_that_make_no_sense_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="low < high"):
        freeform.with_hole_ratio(freeform.mat, *bounds)


def test_sizes_must_be_positive() -> None:
    with pytest.raises(OptionError, match="size"):
        freeform.mat(0, np.random.default_rng(0))


def test_the_canvas_draws_into_its_own_hole() -> None:
    canvas = Canvas(16)
    canvas.box(-2, 3, 6, 2)
    np.testing.assert_array_equal(np.argwhere(canvas.hole.any(1)).ravel(), [3, 4])
    np.testing.assert_array_equal(np.argwhere(canvas.hole.any(0)).ravel(), [0, 1, 2, 3])
    canvas.stroke([(8, 8), (12, 8)], 4)
    assert canvas.hole[8, 6:15].all()
    assert canvas.hole[6:11, 12].all()
    assert not canvas.hole[5, 8]
