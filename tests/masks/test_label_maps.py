"""Label maps of every kind, flips and orders, and the raw annotation folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from facemask_inpaint.errors import ImageError, LabelMapError, UnknownNameError
from facemask_inpaint.masks import (
    LABEL_IDS,
    flip_label_map,
    open_label_map,
    read_annotation_folder,
    reorder_label_map,
)

ids = npst.arrays(np.uint8, (5, 7), elements=st.integers(0, 18))
SIDES = {"l_eye": "r_eye", "l_brow": "r_brow", "l_ear": "r_ear"}


def as_palette(labels):
    image = Image.fromarray(labels)
    image.putpalette(list(range(256)) * 3)
    return image


KINDS = {
    "uint8": np.array,
    "int64": lambda labels: labels.astype(np.int64),
    "int16 view": lambda labels: labels.astype(np.int16)[::-1][::-1],
    "torch uint8": torch.from_numpy,
    "torch int64": lambda labels: torch.from_numpy(labels).long(),
    "L": Image.fromarray,
    "P": as_palette,
    "I": lambda labels: Image.fromarray(labels.astype(np.int32)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_to_the_same_ids(portrait_labels: np.ndarray, kind: str) -> None:
    opened = open_label_map(KINDS[kind](portrait_labels))
    assert opened.ids.dtype == np.uint8
    np.testing.assert_array_equal(opened.ids, portrait_labels)


def test_paths_open_too(portrait_labels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(portrait_labels).save(tmp_path / "labels.png")
    for path in (tmp_path / "labels.png", str(tmp_path / "labels.png")):
        np.testing.assert_array_equal(open_label_map(path).ids, portrait_labels)


@given(ids)
def test_areas_count_every_label(labels: np.ndarray) -> None:
    expected = np.bincount(labels.ravel(), minlength=19).tolist()
    assert open_label_map(labels).areas == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((2, 2), 19), "19"),
        (np.array([[-1, 0]]), "-1"),
        (torch.full((2, 2), 255), "255"),
        (np.arange(40).reshape(5, 8), r"19, 20, 21, 22, 23, 24, 25, 26, …"),
        (np.zeros((2, 2), np.float32), "float32"),
        (np.zeros((2, 2), bool), "bool"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (Image.new("RGB", (4, 4), "red"), "RGB"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_label_map_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(LabelMapError, match=message):
        open_label_map(wrong)


def test_half_a_file_is_refused(portrait_labels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.fromarray(portrait_labels).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ImageError, match=r"half\.png"):
        open_label_map(path)


@given(ids)
def test_flipping_twice_changes_nothing(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(flip_label_map(flip_label_map(labels)), labels)


@given(ids)
def test_flipping_exchanges_sides_and_mirrors(labels: np.ndarray) -> None:
    flipped = flip_label_map(labels)
    sides = SIDES | {right: left for left, right in SIDES.items()}
    for name, label in LABEL_IDS.items():
        now = flipped == LABEL_IDS[sides.get(name, name)]
        np.testing.assert_array_equal(now, (labels == label)[:, ::-1])


def test_flips_keep_the_kind(portrait_labels: np.ndarray) -> None:
    expected = flip_label_map(portrait_labels)
    tensor = torch.from_numpy(portrait_labels).long()
    batch = flip_label_map(torch.stack([tensor, tensor]))
    assert batch.dtype == torch.int64
    np.testing.assert_array_equal(batch[1].numpy(), expected)
    image = flip_label_map(as_palette(portrait_labels))
    assert image.mode == "P"
    assert image.getpalette() == as_palette(portrait_labels).getpalette()
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_the_left_eye_is_on_the_right_of_the_image_before_and_after(
    portrait_labels: np.ndarray,
) -> None:
    for labels in (portrait_labels, flip_label_map(portrait_labels)):
        columns = {
            name: np.nonzero(labels == LABEL_IDS[name])[1].mean()
            for pair in SIDES.items()
            for name in pair
        }
        assert all(columns[left] > columns[right] for left, right in SIDES.items())


def test_bisenet_order_is_translated_by_name() -> None:
    published = [0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14]
    labels = np.arange(19, dtype=np.int32).reshape(1, 19)
    assert reorder_label_map(labels, "bisenet").tolist() == [published]
    assert reorder_label_map(torch.from_numpy(labels), "bisenet").tolist() == [published]
    image = reorder_label_map(Image.fromarray(labels.astype(np.uint8)), "bisenet")
    assert np.asarray(image).tolist() == [published]


def test_unknown_orders_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="bisenet"):
        reorder_label_map(np.zeros((2, 2), np.uint8), "facer")


# The raw annotation folder


def write_part(folder, image_id, name, mask, *, numbered=True, mode="RGB"):
    directory = folder / str(image_id // 2000) if numbered else folder
    directory.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.uint8(mask) * 255).convert(mode)
    image.save(directory / f"{image_id:05d}_{name}.png")


def square(row, column, side=4):
    mask = np.zeros((16, 16), bool)
    mask[row : row + side, column : column + side] = True
    return mask


@pytest.fixture
def annotated(tmp_path):
    """Picture 2345: hair over an ear, an empty brow, a file without bytes, no mouth at all."""
    write_part(tmp_path, 2345, "skin", square(4, 4, 8))
    write_part(tmp_path, 2345, "l_ear", square(4, 12), mode="L")
    write_part(tmp_path, 2345, "hair", square(0, 10, 6))
    write_part(tmp_path, 2345, "l_brow", np.zeros((16, 16)))
    (tmp_path / "1" / "02345_r_brow.png").touch()
    return tmp_path


def test_parts_are_read_with_their_overlaps(annotated: Path) -> None:
    annotation = read_annotation_folder(annotated, 2345)
    assert annotation.shape == (16, 16)
    assert set(annotation.parts) == {LABEL_IDS[name] for name in ("skin", "l_ear", "hair")}
    np.testing.assert_array_equal(annotation.select([8]), square(4, 12))
    np.testing.assert_array_equal(annotation.select([8, 13, 10]), square(4, 12) | square(0, 10, 6))
    assert annotation.areas[8] == 16
    assert annotation.areas[LABEL_IDS["mouth"]] == 0


def test_merging_puts_later_labels_on_top(annotated: Path) -> None:
    merged = read_annotation_folder(annotated, 2345).merged()
    np.testing.assert_array_equal(merged == 13, square(0, 10, 6))
    np.testing.assert_array_equal(merged == 8, square(4, 12) & ~square(0, 10, 6))
    assert set(np.unique(merged)) == {0, 1, 8, 13}


def test_a_flat_folder_will_do(tmp_path: Path) -> None:
    write_part(tmp_path, 7, "nose", square(2, 2), numbered=False)
    np.testing.assert_array_equal(read_annotation_folder(tmp_path, 7).select([2]), square(2, 2))


def test_annotations_flip_with_their_sides(annotated: Path) -> None:
    flipped = flip_label_map(read_annotation_folder(annotated, 2345))
    np.testing.assert_array_equal(flipped.select([9]), square(4, 0))
    assert not flipped.select([8]).any()


def test_an_image_without_parts_is_refused(annotated: Path) -> None:
    with pytest.raises(LabelMapError, match=r"image 2346 \(02346_skin"):
        read_annotation_folder(annotated, 2346)


def test_parts_of_different_sizes_are_refused(annotated: Path) -> None:
    write_part(annotated, 2345, "nose", np.ones((8, 8)))
    with pytest.raises(LabelMapError, match="differ in size"):
        read_annotation_folder(annotated, 2345)


def test_a_damaged_part_is_refused(annotated: Path) -> None:
    path = annotated / "1" / "02345_nose.png"
    path.write_bytes((annotated / "1" / "02345_skin.png").read_bytes()[:50])
    with pytest.raises(ImageError, match="02345_nose"):
        read_annotation_folder(annotated, 2345)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "I", "I;16"])
def test_label_maps_come_in_many_modes(tmp_path: Path, mode: str) -> None:
    ids = np.arange(60, dtype=np.uint8).reshape(6, 10) % 19
    grey = Image.fromarray(ids)
    image = {
        "P": lambda: Image.frombytes("P", grey.size, grey.tobytes()),
        "I": lambda: Image.fromarray(ids.astype(np.int32)),
        "I;16": lambda: Image.fromarray(ids.astype(np.uint16)),
    }.get(mode, lambda: grey.convert(mode))()
    assert image.mode == mode
    image.save(tmp_path / "labels.tif")
    for source in (image, tmp_path / "labels.tif"):
        np.testing.assert_array_equal(open_label_map(source).ids, ids)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i4", ">i8", "u8"])
def test_label_maps_come_in_any_layout(dtype: str) -> None:
    ids = (np.arange(60).reshape(6, 10) % 19).astype(dtype)
    for source in (ids[::-1][::-1], np.asfortranarray(ids), ids[..., None], np.dstack([ids] * 3)):
        np.testing.assert_array_equal(open_label_map(source).ids, ids)
    np.testing.assert_array_equal(open_label_map(ids[:, ::-1]).ids, ids[:, ::-1])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Image.linear_gradient("L"), "a photo's"),
        (Image.fromarray(np.eye(8, dtype=np.uint8) * 255), "a hole mask's"),
        (np.full((4, 4), 33), "reorder_label_map"),
        (Image.linear_gradient("L").convert("CMYK"), "CMYK"),
        (torch.zeros(4, 4, device="meta", dtype=torch.uint8), "meta"),
        (torch.zeros(4, 4, dtype=torch.uint8).to_sparse(), "sparse"),
    ],
)
def test_messages_say_what_it_may_be_instead(wrong: Any, words: str) -> None:
    with pytest.raises(LabelMapError, match=words):
        open_label_map(wrong)


def test_ids_in_jpeg_are_refused_since_they_changed(tmp_path: Path) -> None:
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8) % 19
    for name in ("labels.jpg", "labels.JPEG", "labels.jfif"):
        Image.fromarray(ids).save(tmp_path / name, "JPEG")
        with pytest.raises(LabelMapError, match=rf"{name}: JPEG changes label ids"):
            open_label_map(tmp_path / name)
    for kind in (torch.bfloat16, torch.float8_e4m3fn, torch.complex64):
        with pytest.raises(LabelMapError, match="whole numbers"):
            open_label_map(torch.zeros(4, 4).to(kind))
