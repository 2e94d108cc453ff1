"""Free-form masks of anybody's generator: made into one kind, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint.errors import MaskError
from facemask_inpaint.masks import MixedMaskSampler

SIZE = 64


def corner(size: int) -> np.ndarray:
    hole = np.zeros((size, size), bool)
    hole[:9, :20] = True
    return hole


FOREIGN: dict[str, Callable[[np.ndarray], Any]] = {
    "flipped": lambda hole: np.ascontiguousarray(hole[:, ::-1])[:, ::-1],
    "0 and 255": lambda hole: hole.astype(np.uint8) * 255,
    "big-endian floats": lambda hole: hole.astype(">f8"),
    "long double": lambda hole: hole.astype(np.longdouble),
    "channel behind": lambda hole: hole[..., None],
    "channel before": lambda hole: hole[None].astype(np.float16),
    "read-only": lambda hole: np.broadcast_to(hole, hole.shape),
    "tensor": torch.from_numpy,
    "image": lambda hole: Image.fromarray(hole).convert("RGB"),
    "soft": lambda hole: np.where(hole, 0.7, 0.2),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_anybodys_generator_gives_masks_of_one_kind(kind: str, labels: np.ndarray) -> None:
    sampler = MixedMaskSampler(
        SIZE, semantic_probability=0.0, random=lambda size, rng: FOREIGN[kind](corner(size))
    )
    mask = sampler(labels, index=0).mask
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, corner(SIZE))
    batch = sampler.batch([labels], indices=[0])
    assert batch.shape == (1, 1, SIZE, SIZE)
    assert batch.unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros((SIZE // 2, SIZE // 2)), "32 x 32 pixels"),
        (np.zeros((SIZE, SIZE, 2)), r"must be \(H, W\)"),
        (np.zeros((1, 1, SIZE, SIZE)), r"must be \(H, W\)"),
        (np.full((SIZE, SIZE), np.nan), "NaN"),
        (np.full((SIZE, SIZE), 3.5), r"from 3\.5 to 3\.5"),
        (np.full((SIZE, SIZE), -1), "from -1 to -1"),
        (np.zeros((SIZE, SIZE), complex), "complex128"),
        (None, "NoneType"),
    ],
)
def test_a_generator_that_gives_no_mask_is_refused(
    answer: Any, words: str, labels: np.ndarray
) -> None:
    sampler = MixedMaskSampler(SIZE, semantic_probability=0.0, random=lambda size, rng: answer)
    with pytest.raises(MaskError, match=f"the random mask .*{words}"):
        sampler(labels, index=0)
