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
from facemask_inpaint.images import as_hole, decode_mask, decode_masks

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
    "float 0 and 255": HOLE * 255.0,
    "float tensor 0 and 255": PLANE.float() * 255,
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
        (HOLE.T, "mask is 6 x 9 pixels, its image 9 x 6"),
        (torch.ones(1, 7, 9), "9 x 7"),
        (np.zeros(SIZE), "empty"),
        (HOLE * 18, "label map"),
        (np.where(HOLE, np.nan, 0), "NaN"),
        (HOLE * 254.5, "from 0 to 254.5"),
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
    with pytest.raises(MaskError, match="3 masks for 2 images"):
        decode_masks([HOLE] * 3, [SIZE, SIZE])
    with pytest.raises(MaskError, match="3 masks for 2 images"):
        decode_masks(np.stack([HOLE] * 3), [SIZE, SIZE])
    with pytest.raises(MaskError, match="its image 5 x 4"):
        decode_masks(HOLE, [SIZE, (4, 5)])
    with pytest.raises(MaskError, match=r"mask\[1\]"):
        decode_masks([HOLE, HOLE.T], [SIZE, SIZE])


LAYOUTS: dict[str, Any] = {
    "flipped": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda a: np.asfortranarray(a),
    "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", ["?", "u1", "<u2", ">u2", ">i4", "<i8", "u8", "<f2", ">f2", ">f4", ">f8", "g"]
)
def test_layout_and_width_of_the_numbers_do_not_matter(dtype: str, layout: str) -> None:
    for scale in (1, 255) if np.dtype(dtype).kind in "ui" else (1,):
        mask = LAYOUTS[layout]((HOLE * scale).astype(dtype))
        assert torch.equal(decode_mask(mask, SIZE), PLANE)
        assert torch.equal(decode_mask(mask[None], SIZE), PLANE)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int8, torch.float8_e4m3fn, torch.bfloat16])
def test_tensors_of_rare_dtypes_are_masks_too(dtype: torch.dtype) -> None:
    assert torch.equal(decode_mask(PLANE.float().to(dtype), SIZE), PLANE)


@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(SIZE, device="meta"),
        PLANE.float().to_sparse(),
        torch.quantize_per_tensor(PLANE.float(), 0.1, 0, torch.quint8),
        np.array(HOLE, dtype=object),
        np.array(HOLE, dtype="datetime64[s]"),
    ],
)
def test_what_holds_no_numbers_in_memory_gets_one_sentence(mask: Any) -> None:
    with pytest.raises(MaskError, match="mask is a"):
        decode_mask(mask, SIZE)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("picture_format", "quality"),
    [("WEBP", 1), ("WEBP", 30), ("WEBP", 80), ("JPEG", 20), ("JPEG", 80), ("AVIF", 30)],
)
def test_lossy_files_hold_masks(
    tmp_path: Path, picture_format: str, quality: int, mode: str
) -> None:
    rows, columns = np.mgrid[:64, :64]
    hole = (rows - 30) ** 2 + (columns - 25) ** 2 < 300
    path = tmp_path / "mask"
    Image.fromarray(hole).convert(mode).save(path, picture_format, quality=quality)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert int((decode_mask(path, (64, 64)).numpy() != hole).sum()) < 12


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 1), (0, 9, 20)])
def test_almost_grey_is_grey_without_a_word(shift: tuple[int, int, int]) -> None:
    near = np.clip(FULL[..., None] + np.array(shift) * np.where(HOLE, -1, 1)[..., None], 0, 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(decode_mask(near.astype(np.uint8), SIZE), PLANE)
        assert torch.equal(decode_mask(near / 255, SIZE), PLANE)


def test_a_hue_is_a_hue_wherever_it_is() -> None:
    mask = np.dstack([FULL] * 3)
    mask[2, 3] = (255, 200, 255)
    with pytest.raises(MaskError, match="coloured"):
        decode_mask(mask, SIZE)


def test_a_mask_may_be_empty_or_soft_where_that_is_no_matter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not as_hole(np.zeros(SIZE)).any()
        assert as_hole(np.full(SIZE, 0.6), SIZE).all()
        assert as_hole(Image.fromarray(FULL)).shape == SIZE
    with pytest.raises(MaskError, match="its image 3 x 3"):
        as_hole(FULL, (3, 3))
