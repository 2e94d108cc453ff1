"""Finding faces in ordinary photos and putting their labels back where they belong."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.masks import LABEL_IDS, LABEL_NAMES
from facemask_inpaint.parsing import PhotoParser
from facemask_inpaint.parsing._face_crops import find_faces
from facemask_inpaint.parsing.crops import Crop
from tests.parsing.painted import network, overlap, paint, painted

PARTS = ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "u_lip", "l_lip", "hair", "l_ear")


def _scene(*faces: tuple[np.ndarray, int, int], size: tuple[int, int] = (600, 900)) -> np.ndarray:
    """Label map with faces at (top, left)."""
    scene = np.zeros(size, dtype=np.uint8)
    for labels, top, left in faces:
        part = scene[top : top + labels.shape[0], left : left + labels.shape[1]]
        part[:] = np.where(labels > 0, labels, part)
    return scene


def _scaled(labels: np.ndarray, side: int, degrees: float = 0) -> np.ndarray:
    image = Image.fromarray(labels).rotate(-degrees)
    return np.asarray(image.resize((side, side), Image.Resampling.NEAREST))


def _mean_overlap(ours: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean([overlap(ours, expected, name) for name in PARTS]))


def test_an_aligned_portrait_is_parsed_as_it_is(portrait: data.Sample) -> None:
    labels = _scaled(portrait.label_map[46:196, 54:204], 512)  # the margin that CelebA-HQ has
    parser = PhotoParser(network())
    assert parser.find_faces(painted(labels)) == [Crop.square_around((512, 512))]
    assert _mean_overlap(parser(painted(labels)), labels) > 0.85


@pytest.mark.parametrize(("side", "degrees"), [(512, 0), (260, 0), (140, 0), (300, 30), (300, -50)])
def test_a_face_in_a_photo_is_found_and_put_back(
    portrait: data.Sample, side: int, degrees: float
) -> None:
    scene = _scene((_scaled(portrait.label_map, side, degrees), 60, 350))
    parser = PhotoParser(network())
    ours = parser(painted(scene))
    assert ours.shape == scene.shape
    assert ours.dtype == np.uint8
    assert _mean_overlap(ours, scene) > 0.9
    (crop,) = parser.find_faces(painted(scene))
    assert abs(math.degrees(crop.roll) - degrees) < 4
    assert (ours[scene == 0] > 0).mean() < 0.01


def test_a_small_face_gains_from_the_second_look(portrait: data.Sample) -> None:
    scene = _scene((_scaled(portrait.label_map, 120), 300, 500))
    once = PhotoParser(network(), align=False)(painted(scene))
    assert _mean_overlap(PhotoParser(network())(painted(scene)), scene) > 0.3 + _mean_overlap(
        once, scene
    )


def test_a_tiny_face_is_searched_in_quarters(portrait: data.Sample) -> None:
    scene = _scene((_scaled(portrait.label_map, 130), 700, 1300), size=(1200, 1600))
    first = PhotoParser(network())._score(painted(scene), Crop.square_around((1600, 1200)))
    assert not PhotoParser(network())._crops_in(first)
    assert _mean_overlap(PhotoParser(network())(painted(scene)), scene) > 0.95


def test_of_several_faces_the_largest_or_the_chosen_ones(portrait: data.Sample) -> None:
    small, large = _scaled(portrait.label_map, 200), _scaled(portrait.label_map, 400)
    photo = painted(_scene((small, 300, 40), (large, 100, 450)))
    alone = {
        0: _scene((large, 100, 450)),
        1: _scene((small, 300, 40)),
        "largest": _scene((large, 100, 450)),
        "all": _scene((small, 300, 40), (large, 100, 450)),
    }
    for face, expected in alone.items():
        ours = PhotoParser(network(), face=face)(photo)
        assert _mean_overlap(ours, expected) > 0.95, face
        assert (ours[expected == 0] > 0).mean() < 0.01, face
    with pytest.raises(ImageError, match="this image has 2"):
        PhotoParser(network(), face=2)(photo)


def test_a_face_at_the_border_of_the_photo(portrait: data.Sample) -> None:
    scene = _scene((_scaled(portrait.label_map, 400)[:, 110:], 0, 0))
    assert _mean_overlap(PhotoParser(network())(painted(scene)), scene) > 0.9


def test_hair_goes_on_beyond_the_crop_but_a_hand_does_not(portrait: data.Sample) -> None:
    scene = _scene((_scaled(portrait.label_map, 256), 100, 300), size=(900, 900))
    (crop,) = PhotoParser(network()).find_faces(painted(scene))
    lowest = round(crop.y + crop.height / 2)
    rows, columns = np.nonzero(scene == LABEL_IDS["hair"])
    left = int(columns[rows > rows.max() - 4].mean())
    scene[rows.max() - 4 : lowest + 60, left - 15 : left + 15] = LABEL_IDS["hair"]
    scene[lowest + 5 : lowest + 50, left + 40 : left + 90] = LABEL_IDS["skin"]
    scene[40:70, left - 15 : left + 15] = LABEL_IDS["hair"]
    ours = PhotoParser(network())(painted(scene))
    assert (ours[lowest - 20 : lowest + 55, left - 10 : left + 10] == LABEL_IDS["hair"]).all()
    assert not ours[lowest + 10 : lowest + 45, left + 45 : left + 85].any()
    assert not ours[40:70].any()


def test_an_image_without_a_face_is_told_so(street: Image.Image) -> None:
    skin_only = np.full((300, 300), LABEL_IDS["skin"], dtype=np.uint8)
    for photo in (painted(np.zeros((90, 70), dtype=np.uint8)), painted(skin_only)):
        with pytest.raises(ImageError, match="no face was found"):
            PhotoParser(network())(photo)


@pytest.mark.parametrize("face", [-1, 1.5, "first", True])
def test_a_choice_that_is_none_is_refused(face: object) -> None:
    with pytest.raises(OptionError, match=re.escape(repr(face))):
        PhotoParser(network(), face=face)


def test_kinds_of_images_are_alike(portrait: data.Sample) -> None:
    pixels = paint(_scene((_scaled(portrait.label_map, 400), 60, 350)))
    parser = PhotoParser(network())
    expected = parser(Image.fromarray(pixels))
    np.testing.assert_array_equal(parser(pixels), expected)
    np.testing.assert_array_equal(parser(np.float32(pixels) / 255), expected)


def test_crops_are_like_celeba_hqs(portrait: data.Sample) -> None:
    """Of a face that covers as much of it as faces there do, all of the image is the crop."""
    labels = portrait.label_map
    whole = Crop.square_around((256, 256))
    (crop,) = find_faces(labels, whole)
    inner = Image.fromarray(labels).crop(
        tuple(
            round(edge)
            for edge in (
                *(crop.x - crop.width / 2, crop.y - crop.width / 2),
                *(crop.x + crop.width / 2, crop.y + crop.width / 2),
            )
        )
    )
    oval = np.isin(np.asarray(inner), [LABEL_NAMES.index(name) for name in LABEL_NAMES[1:8]])
    assert 0.27 < oval.mean() < 0.36
    assert 0.45 < np.nonzero(oval)[0].mean() / len(oval) < 0.6


def test_a_view_restores_what_it_extracts() -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 19, (9, 12)), np.ones((40, 40))).astype(np.uint8)
    photo = painted(labels)
    reader = network(512)
    for crop in (
        Crop.whole(photo.size),
        Crop.square_around(photo.size),
        Crop(200, 150, 260, 260, 0.4),
        Crop(470, 20, 200, 200, -1.1),
        replace(Crop.square_around(photo.size), roll=0.3),
    ):
        seen = crop.uncrop(reader.scores(crop.extract(photo, reader.resolution)), photo.size)
        known = labels[seen.region][seen.inside]
        assert known.size
        assert np.mean(seen.channels[seen.inside] == known) > 0.9, crop
