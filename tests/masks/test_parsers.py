"""A masker with a parser: what counts as a photo, and what comes back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint import MaskClass, SemanticMasker, data
from facemask_inpaint.errors import ComponentAbsentError, ImageError, LabelMapError, OptionError
from facemask_inpaint.masks import LABEL_IDS


class Known:
    """A parser that knows the bundled portrait's labels, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.labels_of_portrait = data.sample(256).label_map

    def __call__(self, image: Any) -> np.ndarray:
        self.asked += 1
        return self.labels_of_portrait


@pytest.fixture
def masker() -> SemanticMasker:
    return SemanticMasker(parser=Known())


@pytest.fixture
def expected() -> np.ndarray:
    return SemanticMasker()(data.sample(256).label_map, "hair")


def test_masks_follow_the_kind_of_photo(
    masker: SemanticMasker, expected: np.ndarray, tmp_path: Path
) -> None:
    image = data.sample(256).image
    pixels = np.asarray(image)
    floats = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    image.save(tmp_path / "photo.jpg")
    for photo in (image, image.convert("RGBA"), tmp_path / "photo.jpg"):
        mask = masker(photo, "hair")
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask) == 255, expected)
    np.testing.assert_array_equal(masker(pixels, "hair"), expected)
    np.testing.assert_array_equal(masker(np.stack([pixels] * 2), "hair"), [expected] * 2)
    assert torch.equal(masker(floats, "hair"), torch.from_numpy(expected))
    assert masker(floats[None], "hair").shape == (1, 256, 256)


def test_label_maps_are_not_parsed(
    masker: SemanticMasker, expected: np.ndarray, tmp_path: Path
) -> None:
    labels = data.sample(256).label_map
    Image.fromarray(labels).save(tmp_path / "labels.png")
    for source in (labels, Image.fromarray(labels), tmp_path / "labels.png"):
        mask = np.asarray(masker(source, "hair"))
        np.testing.assert_array_equal(mask > 0, expected)
    assert masker(torch.from_numpy(np.stack([labels] * 3)), "hair").shape == (3, 256, 256)
    assert masker.parser.asked == 0


def test_a_photo_is_parsed_once_for_all_classes(masker: SemanticMasker) -> None:
    masks = masker.all(data.sample(256).image)
    assert list(masks) == list(MaskClass)
    assert masker.parser.asked == 1
    assert masker.present(data.sample(256).image) == list(MaskClass)
    labels = masker.parse(data.sample(256).image)
    assert isinstance(labels, Image.Image)
    np.testing.assert_array_equal(np.asarray(labels), data.sample(256).label_map)


def test_without_a_parser_a_photo_is_no_label_map() -> None:
    with pytest.raises(LabelMapError):
        SemanticMasker()(data.sample(256).image, "hair")


def test_a_photo_is_turned_upright_by_its_exif(
    masker: SemanticMasker, expected: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = data.sample(256).image.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.jpg", exif=exif)
    for photo in (tmp_path / "turned.jpg", Image.open(tmp_path / "turned.jpg")):
        np.testing.assert_array_equal(np.asarray(masker(photo, "hair")) == 255, expected)


def test_wrong_parsers_are_refused_clearly() -> None:
    with pytest.raises(OptionError, match="callable"):
        SemanticMasker(parser=3)
    photo = data.sample(512).image
    with pytest.raises(LabelMapError, match="512 x 512"):
        SemanticMasker(parser=Known())(photo, "hair")
    wild = SemanticMasker(parser=lambda image: np.full((512, 512), 77, dtype=np.uint8))
    with pytest.raises(LabelMapError, match="77"):
        wild(photo, "hair")


def test_what_a_parser_never_gives_is_told_apart_from_what_is_absent() -> None:
    parser = Known()
    parser.labels = ("skin", "nose")
    masker = SemanticMasker(parser=parser)
    photo = data.sample(256).image
    assert np.asarray(masker(photo, "nose")).any()
    with pytest.raises(ComponentAbsentError, match="not available from Known"):
        masker(photo, "hair")
    assert masker(data.sample(256).label_map, "hair").any()
    assert "face_oval" in masker.unavailable()
    assert "nose" not in masker.unavailable()
    assert SemanticMasker().unavailable() == []


def test_errors_name_the_file(tmp_path: Path) -> None:
    def blind(image: Any) -> np.ndarray:
        raise ImageError("no face was found in this image")

    data.sample(256).image.save(tmp_path / "anna.png")
    with pytest.raises(ImageError, match=r"anna\.png: no face"):
        SemanticMasker(parser=blind)(tmp_path / "anna.png", "hair")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "I;16", "I", "F", "CMYK", "YCbCr", "HSV", "LAB"])
def test_photos_in_every_mode_are_photos(
    masker: SemanticMasker, expected: np.ndarray, tmp_path: Path, mode: str
) -> None:
    image = data.sample(256).image
    grey = np.asarray(image.convert("L"))
    photo = {
        "I;16": lambda: Image.fromarray(grey.astype(np.uint16) * 257),
        "I": lambda: Image.fromarray(grey.astype(np.int32) * 257),
        "F": lambda: Image.fromarray(grey.astype(np.float32) / 255),
        "P": lambda: image.quantize(48),
        "LAB": lambda: Image.merge("LAB", image.split()),
    }.get(mode, lambda: image.convert(mode))()
    np.testing.assert_array_equal(np.asarray(masker(photo, "hair")) == 255, expected)
    assert masker.parser.asked == 1


def test_grey_arrays_are_photos_if_they_hold_more_than_labels(
    masker: SemanticMasker, expected: np.ndarray
) -> None:
    grey = np.asarray(data.sample(256).image.convert("L"))
    for photo in (grey, grey.astype(np.float32) / 255, grey.astype(np.uint16) * 257):
        np.testing.assert_array_equal(masker(photo, "hair"), expected)
    floats = torch.from_numpy(grey / 255)
    np.testing.assert_array_equal(masker(floats, "hair").numpy(), expected)
    assert masker.parser.asked == 4


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_label_maps_in_equal_channels_are_no_photos(
    masker: SemanticMasker, expected: np.ndarray, mode: str
) -> None:
    labels = Image.fromarray(data.sample(256).label_map)
    source = Image.frombytes("P", labels.size, labels.tobytes()) if mode == "P" else labels
    source = source if mode == "P" else labels.convert(mode)
    np.testing.assert_array_equal(np.asarray(masker(source, "hair")) == 255, expected)
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(masker(np.asarray(source), "hair"), expected)
    assert masker.parser.asked == 0


@pytest.mark.parametrize("side", [32, 300])
def test_a_label_map_in_colours_is_not_taken_for_a_photo_without_a_word(side: int) -> None:
    palette = np.random.default_rng(0).integers(0, 256, (19, 3), dtype=np.uint8)
    ids = np.arange(side * side).reshape(side, side) * 19 // side**2
    masker = SemanticMasker(parser=lambda photo: np.full((side, side), LABEL_IDS["hair"]))
    for painted in (palette[ids], Image.fromarray(palette[ids])):
        with pytest.warns(UserWarning, match="only 19 colours"):
            masker(painted, "hair")
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masker(noise, "hair")
        masker(np.zeros((side, side, 3), np.float32), "hair")
