"""Semantic masks hide every pixel of their component, in every kind and size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from facemask_inpaint.errors import ComponentAbsentError, LabelMapError, OptionError
from facemask_inpaint.masks import (
    LABEL_IDS,
    MASK_CLASSES,
    Annotation,
    MaskClass,
    SemanticMasker,
    morphology,
    resize_hole,
)

shapes = npst.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=20)
label_maps = shapes.flatmap(lambda s: npst.arrays(np.uint8, s, elements=st.integers(0, 18)))
exact = SemanticMasker(dilate=0, missing="empty", glasses="ignore", fill_holes=False)


def component_pixels(labels, member):
    return np.isin(labels, member.label_ids)


@given(label_maps, st.sampled_from(MaskClass))
def test_without_extras_a_mask_is_exactly_its_labels(labels: np.ndarray, member: MaskClass) -> None:
    np.testing.assert_array_equal(exact(labels, member), component_pixels(labels, member))


@given(label_maps, st.sampled_from(MaskClass), st.integers(0, 4), st.booleans())
def test_every_pixel_of_the_component_is_in_the_hole(
    labels: np.ndarray, member: MaskClass, dilate: int, fill: bool
) -> None:
    masker = SemanticMasker(dilate, missing="empty", fill_holes=fill)
    hole = masker(labels, member)
    assert hole[component_pixels(labels, member)].all()
    assert hole.any() == bool(masker.present(labels).count(member))


@settings(deadline=None)
@given(label_maps, st.sampled_from(MaskClass), st.integers(1, 24), st.integers(1, 24))
def test_no_hole_pixel_is_lost_in_another_size(
    labels: np.ndarray, member: MaskClass, height: int, width: int
) -> None:
    hole = exact(labels, member)
    resized = exact(labels, member, size=(height, width))
    assert resized.shape == (height, width)
    rows, columns = hole.shape
    for row, column in np.argwhere(hole):
        # Shrinking: the target pixel under it is hole. Growing: some pixel of its own area is,
        # as nearest sampling visits each source pixel.
        top, bottom = row * height // rows, -(-(row + 1) * height // rows)
        left, right = column * width // columns, -(-(column + 1) * width // columns)
        assert resized[top:bottom, left:right].any()


def test_size_may_be_one_side(portrait_labels: np.ndarray) -> None:
    hole = exact(portrait_labels, "nose")
    np.testing.assert_array_equal(exact(portrait_labels, "nose", size=64), resize_hole(hole, 64))


@given(label_maps)
def test_all_gives_the_twelve_classes_as_single_requests_do(labels: np.ndarray) -> None:
    masker = SemanticMasker(1, missing="empty")
    masks = masker.all(labels)
    assert list(masks) == list(MaskClass)
    for member, hole in masks.items():
        np.testing.assert_array_equal(hole, masker(labels, member))


def test_the_default_dilation_is_a_hundredth_of_the_side(portrait_labels: np.ndarray) -> None:
    expected = morphology.dilate(exact(portrait_labels, "hair"), 3)
    np.testing.assert_array_equal(SemanticMasker()(portrait_labels, "hair"), expected)
    np.testing.assert_array_equal(SemanticMasker(3.0)(portrait_labels, "hair"), expected)


def test_unions_are_the_union_of_their_parts(portrait_labels: np.ndarray) -> None:
    masker = SemanticMasker(2)
    union = masker(portrait_labels, {"nose", MaskClass.LIPS, "l_ear"})
    parts = [masker(portrait_labels, part) for part in ("nose", "J", "l_ear")]
    np.testing.assert_array_equal(union, np.logical_or.reduce(parts))


def ring(label):
    labels = np.zeros((12, 12), np.uint8)
    labels[2:10, 2:10] = label
    labels[4:8, 4:8] = LABEL_IDS["hat"]
    return labels


@pytest.mark.parametrize(
    ("component", "fill_holes", "filled"),
    [
        ("face_oval", None, True),
        ("head", None, True),
        ("face", None, False),
        ("face", True, True),
        ("head", False, False),
    ],
)
def test_only_some_classes_fill_what_they_enclose(
    component: Any, fill_holes: bool | None, filled: bool
) -> None:
    hole = SemanticMasker(0, fill_holes=fill_holes)(ring(LABEL_IDS["skin"]), component)
    assert hole[5, 5] == filled
    assert not hole[0, 0]


def test_a_head_fills_its_face_but_not_loops_of_hair() -> None:
    assert not SemanticMasker(0)(ring(LABEL_IDS["hair"]), "head")[5, 5]


def spectacled():
    """Eyes behind glasses at rows 4-7; a second pair of glasses lies apart at row 12."""
    labels = np.zeros((16, 16), np.uint8)
    labels[3:8, 2:14] = LABEL_IDS["eye_g"]
    labels[5, 4:6], labels[5, 10:12] = LABEL_IDS["r_eye"], LABEL_IDS["l_eye"]
    labels[12, 3:8] = LABEL_IDS["eye_g"]
    return labels


@pytest.mark.parametrize("component", ["eyes", "eyes_and_eyebrows", {"eyes", "nose"}])
def test_glasses_over_the_eyes_are_included(component: Any) -> None:
    hole = SemanticMasker(0)(spectacled(), component)
    assert hole[3:8, 2:14].all()
    assert hole.sum() == 5 * 12


def test_glasses_are_ignored_on_request_and_by_other_classes() -> None:
    assert SemanticMasker(0, glasses="ignore")(spectacled(), "eyes").sum() == 4
    assert SemanticMasker(0)(spectacled(), {"l_eye", "r_eye"}).sum() == 4


def test_dark_glasses_stand_for_the_eyes_behind_them() -> None:
    labels = np.where(spectacled() == LABEL_IDS["eye_g"], 3, 0)
    assert SemanticMasker(0)(labels, "eyes").sum() == (labels == 3).sum()
    with pytest.raises(ComponentAbsentError):
        SemanticMasker(0, glasses="ignore")(labels, "eyes")


def test_absent_components_are_an_error_or_empty() -> None:
    labels = np.zeros((8, 8), np.uint8)
    with pytest.raises(ComponentAbsentError, match=r"ears \(l_ear, r_ear\)"):
        SemanticMasker()(labels, "ears")
    assert not SemanticMasker(missing="empty")(labels, "ears").any()
    assert not SemanticMasker().all(labels)["ears"].any()


def test_small_components_count_as_absent() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[0, :4] = LABEL_IDS["nose"]
    for too_much in (5, 0.05):
        masker = SemanticMasker(min_area=too_much, missing="empty")
        assert not masker(labels, "nose").any()
        assert masker.present(labels) == []
    assert SemanticMasker(min_area=4)(labels, "nose").any()


def test_present_names_what_occurs(portrait_labels: np.ndarray) -> None:
    assert SemanticMasker().present(portrait_labels) == list(MaskClass)
    without_ears = np.where(np.isin(portrait_labels, (8, 9)), 0, portrait_labels)
    assert set(MaskClass) - set(SemanticMasker().present(without_ears)) == {"ears"}


# Kinds


def test_numpy_in_numpy_out(portrait_labels: np.ndarray) -> None:
    hole = SemanticMasker()(portrait_labels, "hair")
    assert hole.dtype == bool
    assert hole.shape == portrait_labels.shape


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_torch_in_torch_out(portrait_labels: np.ndarray, dtype: torch.dtype) -> None:
    hole = SemanticMasker()(torch.from_numpy(portrait_labels).to(dtype), "hair")
    assert hole.dtype == torch.bool
    np.testing.assert_array_equal(hole.numpy(), SemanticMasker()(portrait_labels, "hair"))


def test_images_and_paths_give_pictures(portrait_labels: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(portrait_labels)
    image.save(tmp_path / "labels.png")
    expected = np.uint8(SemanticMasker()(portrait_labels, "hair")) * 255
    for given_ in (image, tmp_path / "labels.png", str(tmp_path / "labels.png")):
        hole = SemanticMasker()(given_, "hair")
        assert hole.mode == "L"
        np.testing.assert_array_equal(np.asarray(hole), expected)


@pytest.mark.parametrize("stack", [np.stack, lambda maps: torch.from_numpy(np.stack(maps))])
def test_batches_are_their_single_masks(portrait_labels: np.ndarray, stack: Callable) -> None:
    masker = SemanticMasker()
    maps = [portrait_labels, portrait_labels[:, ::-1].copy()]
    holes = masker(stack(maps), "hair", size=100)
    assert holes.shape == (2, 100, 100)
    for hole, labels in zip(holes, maps):
        np.testing.assert_array_equal(hole, masker(labels, "hair", size=100))
    assert masker.all(stack(maps))["ears"].shape == (2, 256, 256)


def test_batches_say_which_images_lack_the_component(portrait_labels: np.ndarray) -> None:
    batch = np.stack([portrait_labels, np.zeros_like(portrait_labels)])
    with pytest.raises(ComponentAbsentError, match=r"\[1\]"):
        SemanticMasker()(batch, "hair")
    with pytest.raises(LabelMapError, match="no label maps"):
        SemanticMasker()(batch[:0], "hair")


def test_annotations_keep_what_other_parts_overlap() -> None:
    ear, hair = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    ear[2:6, 2:6], hair[:4] = True, True
    annotation = Annotation((8, 8), {LABEL_IDS["l_ear"]: ear, LABEL_IDS["hair"]: hair})
    masker = SemanticMasker(0)
    np.testing.assert_array_equal(masker(annotation, "ears"), ear)
    assert masker(annotation.merged(), "ears").sum() == 8
    assert masker.all(annotation)["hair"].sum() == 32


def test_feathered_masks_fade_outside_the_hole(portrait_labels: np.ndarray) -> None:
    hard = SemanticMasker()(portrait_labels, "nose")
    soft = SemanticMasker(feather=6)(portrait_labels, "nose")
    assert soft.dtype == np.float32
    np.testing.assert_array_equal(soft == 1, hard)
    assert ((soft > 0) & (soft < 1)).any()
    image = SemanticMasker(feather=6)(Image.fromarray(portrait_labels), "nose")
    assert np.abs(np.asarray(image) / 255 - soft).max() <= 0.5 / 255 + 1e-6


# Own classes and options


def test_own_classes_replace_the_twelve_in_all(portrait_labels: np.ndarray, tmp_path: Path) -> None:
    table = tmp_path / "classes.json"
    table.write_text('{"upper": ["l_eye", "r_eye", "l_brow", "r_brow"], "neckline": ["neck"]}')
    for classes in ({"upper": [4, 5, 6, 7], "neckline": ["neck"]}, table):
        masker = SemanticMasker(0, classes=classes)
        assert list(masker.all(portrait_labels)) == ["upper", "neckline"]
        np.testing.assert_array_equal(
            masker(portrait_labels, "upper"), np.isin(portrait_labels, (4, 5, 6, 7))
        )
        assert masker(portrait_labels, "hair").any()
        assert masker.select("all") == ["upper", "neckline"]


@pytest.mark.parametrize(
    "options",
    [
        {"dilate": -1},
        {"dilate": 1.5},
        {"dilate": float("nan")},
        {"feather": -2},
        {"min_area": -1},
        {"missing": "skip"},
        {"glasses": "maybe"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        SemanticMasker(**options)


def test_sizes_must_be_positive(portrait_labels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="size"):
        SemanticMasker()(portrait_labels, "hair", size=0)


@pytest.mark.parametrize("size", [1.5, "64", (3,), (3, 4, 5), (2.5, 3)])
def test_sizes_must_be_whole_numbers(portrait_labels: np.ndarray, size: Any) -> None:
    with pytest.raises(OptionError, match="size"):
        SemanticMasker()(portrait_labels, "hair", size=size)
    assert SemanticMasker()(portrait_labels, "hair", size=np.int64(9)).shape == (9, 9)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_equal_channels_behind_are_one_label_map(
    portrait_labels: np.ndarray, channels: int
) -> None:
    stacked = np.stack([portrait_labels] * channels, axis=-1)
    expected = SemanticMasker()(portrait_labels, "hair")
    np.testing.assert_array_equal(SemanticMasker()(stacked, "hair"), expected)
    if channels > 1:
        stacked[0, 0, 1] += 1
        with pytest.raises(LabelMapError, match=r"\(H, W\)"):
            SemanticMasker()(stacked, "hair")


def test_dilation_beyond_the_image_covers_all_of_it(portrait_labels: np.ndarray) -> None:
    assert SemanticMasker(dilate=10**9)(portrait_labels, "eyes").all()


def test_the_label_map_stays_as_it_is(portrait_labels: np.ndarray) -> None:
    before = portrait_labels.copy()
    SemanticMasker().all(portrait_labels)
    np.testing.assert_array_equal(portrait_labels, before)


def test_the_table_of_classes_is_the_enum() -> None:
    assert list(MASK_CLASSES) == list(MaskClass)
