"""NumPy arrays, PIL images and files need no PyTorch, whose import takes longer than most work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from facemask_inpaint import data, images
from facemask_inpaint.masks import morphology

NUMPY = """
import numpy as np
from facemask_inpaint import MixedMaskSampler, SemanticMasker, data, masks
sample = data.sample(256)
masker = SemanticMasker(feather=3)
assert masker(sample.label_map, "hair").any()
assert masker.all(sample.label_map)["lips"].max() == 1
mirrored = masks.flip_label_map(masks.flip_label_map(sample.label_map))
assert np.array_equal(mirrored, sample.label_map)
for sampler in (MixedMaskSampler(128), masks.AdaptiveMaskSampler(128)):
    kinds = {sampler(sample.label_map, index=index).kind for index in range(20)}
    assert kinds == {"random", "semantic"}
"""
PIL = """
import sys
from PIL import Image
from facemask_inpaint import SemanticMasker, masks
image = Image.open(sys.argv[1])
assert SemanticMasker()(image, "hair", size=100).size == (100, 100)
assert SemanticMasker()(sys.argv[1], "eyes").mode == "L"
assert masks.flip_label_map(image).size == image.size
"""
COMMAND = """
import sys
from facemask_inpaint.cli import main
try:
    main(["mask", sys.argv[1], "--out", sys.argv[1] + ".masks"])
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("code", [NUMPY, PIL, COMMAND], ids=["numpy", "pil", "command"])
def test_no_torch_is_imported(code: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.png"
    Image.fromarray(data.sample(256).label_map).save(file)
    check = "\nassert 'torch' not in sys.modules, 'torch was imported'"
    command = [sys.executable, "-c", f"import sys\n{code}{check}", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@st.composite
def holes(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.random((height, width)) < draw(st.floats(0, 1))


@settings(deadline=None)  # the first call imports torch
@given(holes(), st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_arrays_are_resampled_as_tensors_are(hole: np.ndarray, size: tuple[int, int]) -> None:
    expected = images.resample_hole(images.as_tensor(hole), size).numpy()
    np.testing.assert_array_equal(morphology.resample(hole, size), expected)


@given(holes())
def test_enclosed_regions_are_those_that_scipy_finds(hole: np.ndarray) -> None:
    expected = ndimage.binary_fill_holes(hole)
    np.testing.assert_array_equal(morphology.fill_holes(hole), expected)
