"""Self-consistency: patches of the known pixels, filled with the help of a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import OptionError
from facemask_inpaint.verification import self_consistency
from facemask_inpaint.verification.consistency import patch_mask

HOLE = np.zeros((96, 128), bool)
HOLE[30:70, 40:90] = True
IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def difference(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().mean())


def unchanged(image: Image.Image, mask: Image.Image) -> Image.Image:
    return image


def black(image: Image.Image, mask: Image.Image) -> Image.Image:
    return Image.new("RGB", image.size)


def test_a_perfect_fill_of_all_patches_scores_zero() -> None:
    result = self_consistency(unchanged, IMAGE, HOLE, passes=4, distance=difference)
    assert result.distances == (0, 0, 0, 0)


def test_patches_are_squares_outside_the_hole() -> None:
    for seed in range(5):
        mask = patch_mask(HOLE, 0.4, np.random.default_rng(seed))
        assert not (mask & HOLE).any()
        whole = patch_mask(np.zeros((96, 96), bool), 0.4, np.random.default_rng(seed))
        cells = whole.reshape(16, 6, 16, 6).swapaxes(1, 2).reshape(256, 36)
        assert {*cells.sum(axis=1)} == {0, 36}
        assert cells.any(axis=1).sum() == 102
        assert mask.sum() / (~HOLE).sum() == pytest.approx(0.4, abs=0.05)


def test_only_patches_change_and_the_mean_is_theirs() -> None:
    result = self_consistency(black, IMAGE, HOLE, passes=3, distance=difference, seed=1)
    generator = np.random.default_rng(1)
    expected = [
        np.where(patch_mask(HOLE, 0.4, generator)[..., None], IMAGE / 255, 0).mean()
        for _ in range(3)
    ]
    assert result.distances == pytest.approx(expected, rel=1e-5)
    assert float(result) == pytest.approx(np.mean(expected), rel=1e-5)
    assert "over 3 passes" in str(result)


def test_a_prediction_that_fits_is_more_consistent_than_noise() -> None:
    sample = fmi.data.sample(256)
    hole = np.asarray(fmi.SemanticMasker()(sample.label_map, "hair")) > 0
    inpaint = fmi.Inpainter.from_pretrained("harmonic", device="cpu")
    smooth = np.asarray(inpaint(sample.image, hole))
    noise = np.random.default_rng(0).integers(0, 256, smooth.shape, dtype=np.uint8)
    noisy = np.where(hole[..., None], noise, smooth)
    scores = [
        float(self_consistency(inpaint, image, hole, passes=3, distance=difference))
        for image in (smooth, noisy)
    ]
    assert scores[0] < scores[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"passes": 0}, "passes = 0"), ({"share": 1.0}, "share = 1.0")],
)
def test_refusals(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        self_consistency(unchanged, IMAGE, HOLE, distance=difference, **options)  # type: ignore[arg-type]


def test_a_mask_of_the_whole_image_is_refused() -> None:
    with pytest.raises(OptionError, match="no known pixels"):
        patch_mask(np.ones((32, 32), bool), 0.4, np.random.default_rng(0))
