"""Masks of every kind: polarity, shapes, sizes, soft values, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint.errors import ImageError, MaskError
from facemask_inpaint.images import decode_mask, decode_masks

SIZE = (6, 9)
HOLE = np.zeros(SIZE, bool)
HOLE[1:4, 2:7] = True
FULL = (HOLE * 255).astype(np.uint8)
PLANE = torch.from_numpy(HOLE)


def rgba(colours: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colours] * 3 + [alpha]).astype(np.uint8))


KINDS: dict[str, Any] = {
    "bool array": HOLE,
    "0 and 1": HOLE.astype(np.uint8),
    "0 and 255": FULL,
    "0 and 65535": (HOLE * 65535).astype(">u2"),
    "int64": HOLE.astype(np.int64),
    "float": HOLE.astype(np.float64),
    "float16": HOLE.astype(np.float16),
    "(1, H, W)": FULL[None],
    "(H, W, 1)": FULL[..., None],
    "(H, W, 3)": np.dstack([FULL] * 3),
    "flipped view": HOLE[::-1][::-1],
    "bool tensor": PLANE,
    "byte tensor": PLANE.byte() * 255,
    "half tensor": PLANE.half()[None],
    "(3, H, W) tensor": PLANE.float().expand(3, *SIZE),
    "PIL 1": Image.fromarray(HOLE),
    "PIL L": Image.fromarray(FULL),
    "PIL RGB": Image.fromarray(FULL).convert("RGB"),
    "PIL P": Image.fromarray(FULL).convert("P"),
    "PIL I;16": Image.fromarray((HOLE * 65535).astype(np.uint16)),
    "PIL F": Image.fromarray(HOLE.astype(np.float32)),
    "PIL LA": Image.fromarray(FULL).convert("LA"),
    "PIL RGBA, alpha ignored": rgba(FULL, np.arange(54).reshape(SIZE)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_hole_without_a_warning(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hole = decode_mask(KINDS[kind], SIZE)
    assert hole.dtype == torch.bool
    assert torch.equal(hole, PLANE)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (HOLE.T, "mask is 6 x 9 pixels, its picture 9 x 6"),
        (torch.ones(1, 7, 9), "9 x 7"),
        (np.zeros(SIZE), "empty"),
        (HOLE * 18, "label map"),
        (np.where(HOLE, np.nan, 0), "NaN"),
        (HOLE * 255.0, "from 0 to 255"),
        (HOLE * -1, "from -1 to 0"),
        (HOLE * 70000, "70000"),
        (HOLE.astype(complex), "complex128"),
        (PLANE.to(torch.complex64), "complex64"),
        (np.array([["a"]]), "<U1"),
        (None, "NoneType"),
        (HOLE[None, None], "must be (H, W)"),
        (np.zeros((*SIZE, 4)), "must be (H, W)"),
        (np.dstack([FULL, FULL, FULL * 0]), "coloured"),
        (rgba(FULL * 0, FULL), "getchannel('A')"),
    ],
)
def test_masks_that_are_none_get_one_sentence(mask: Any, words: str) -> None:
    with pytest.raises(MaskError) as caught:
        decode_mask(mask, SIZE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_soft_masks_are_cut_at_the_half_with_a_warning() -> None:
    soft = np.zeros(SIZE, np.uint8)
    soft[2, 1:6] = (90, 127, 128, 200, 255)
    with pytest.warns(UserWarning, match="4 of 54 pixels"):
        hole = decode_mask(soft, SIZE)
    assert hole[2].tolist() == [False, False, False, True, True, True, False, False, False]
    with pytest.warns(UserWarning, match="4 of 54 pixels"):
        again = decode_mask(torch.from_numpy(soft / 255), SIZE)
    assert torch.equal(hole, again)


def test_a_mask_that_seems_inverted_is_warned_about() -> None:
    with pytest.warns(UserWarning, match="72% of mask is hole: did you invert it"):
        decode_mask(~HOLE, SIZE)


def test_masks_are_read_from_files(tmp_path: Path) -> None:
    Image.fromarray(FULL).save(tmp_path / "hole.png")
    assert torch.equal(decode_mask(tmp_path / "hole.png", SIZE), PLANE)
    assert torch.equal(decode_mask(str(tmp_path / "hole.png"), SIZE), PLANE)
    with pytest.raises(ImageError, match=r"other\.png"):
        decode_mask(tmp_path / "other.png", SIZE)


def test_input_is_not_written_to() -> None:
    for mask in (HOLE.copy(), FULL.copy(), HOLE.astype(np.float32)):
        before = mask.copy()
        decode_mask(mask, SIZE).fill_(True)
        np.testing.assert_array_equal(mask, before)


OTHER = np.roll(HOLE, 1, axis=1)


@pytest.mark.parametrize(
    "masks",
    [
        [FULL, Image.fromarray(OTHER)],
        (PLANE, OTHER),
        np.stack([HOLE, OTHER]),
        np.stack([HOLE, OTHER])[:, None],
        np.stack([HOLE, OTHER])[..., None],
        torch.from_numpy(np.stack([HOLE, OTHER])).float()[:, None],
    ],
)
def test_one_mask_each(masks: Any) -> None:
    first, second = decode_masks(masks, [SIZE, SIZE])
    assert torch.equal(first, PLANE)
    assert torch.equal(second, torch.from_numpy(OTHER))


@pytest.mark.parametrize("mask", [HOLE, PLANE[None], PLANE[None, None], Image.fromarray(FULL)])
def test_one_mask_for_all(mask: Any) -> None:
    for count in (1, 2, 3):
        holes = decode_masks(mask, [SIZE] * count)
        assert len(holes) == count
        assert all(torch.equal(hole, PLANE) for hole in holes)


def test_masks_must_fit_in_number_and_size() -> None:
    with pytest.raises(MaskError, match="3 masks for 2 pictures"):
        decode_masks([HOLE] * 3, [SIZE, SIZE])
    with pytest.raises(MaskError, match="3 masks for 2 pictures"):
        decode_masks(np.stack([HOLE] * 3), [SIZE, SIZE])
    with pytest.raises(MaskError, match="its picture 5 x 4"):
        decode_masks(HOLE, [SIZE, (4, 5)])
    with pytest.raises(MaskError, match=r"mask\[1\]"):
        decode_masks([HOLE, HOLE.T], [SIZE, SIZE])
