"""The bundled portrait."""

from __future__ import annotations

import numpy as np
import pytest

from facemask_inpaint import MaskClass, SemanticMasker, data
from facemask_inpaint.errors import OptionError


@pytest.mark.parametrize("size", data.SAMPLE_SIZES)
def test_picture_and_labels_belong_together(size: int) -> None:
    sample = data.sample(size)
    assert sample.image.mode == "RGB"
    assert sample.image.size == (size, size)
    assert sample.label_map.shape == (size, size)
    assert sample.label_map.dtype == np.uint8
    assert set(np.unique(sample.label_map)) == {0, 1, 2, *range(4, 14), 17, 18}


def test_all_twelve_classes_occur() -> None:
    assert SemanticMasker().present(data.sample().label_map) == list(MaskClass)


def test_skin_looks_like_skin_and_hair_is_darker() -> None:
    sample = data.sample(256)
    pixels = np.asarray(sample.image, dtype=float)
    skin, hair = (pixels[sample.label_map == label].mean(axis=0) for label in (1, 13))
    assert skin[0] > skin[1] > skin[2]
    assert hair.mean() < skin.mean()


def test_the_provenance_is_told() -> None:
    assert "public domain" in data.sample().provenance


def test_other_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="512"):
        data.sample(1024)
