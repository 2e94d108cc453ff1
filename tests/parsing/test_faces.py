"""Single faces: found in label maps and photos, with landmarks, however they lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.labels import LABEL_IDS
from facemask_inpaint.parsing import (
    FiveLandmarks,
    PhotoParser,
    labelled_faces,
    load_parser,
    read_landmarks,
)
from tests.parsing.painted import network, painted

MOUTH = [LABEL_IDS[name] for name in ("mouth", "u_lip", "l_lip")]


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    return data.sample(256).label_map


def _turned(labels: NDArray[np.uint8], degrees: float, side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(labels).rotate(-degrees, Image.Resampling.NEAREST)
    return np.asarray(image.resize((side, side), Image.Resampling.NEAREST))


def _mapped(landmarks: FiveLandmarks, degrees: float, side: int) -> NDArray[np.float64]:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return ((landmarks.points - 128) @ turn + 128) * side / 256


@pytest.mark.parametrize("degrees", [0, 30, -45, 90, 180, 250])
@pytest.mark.parametrize("side", [100, 512])
def test_landmarks_turn_with_the_face(labels: NDArray[np.uint8], degrees: float, side: int) -> None:
    expected = _mapped(read_landmarks(labels), degrees, side)
    ours = read_landmarks(_turned(labels, degrees, side)).points
    assert np.linalg.norm(ours - expected, axis=1).max() < 0.01 * side


@pytest.mark.parametrize("hidden", [["r_eye"], ["l_eye", "r_eye"], ["nose"], MOUTH])
def test_hidden_landmarks_are_put_where_a_face_has_them(
    labels: NDArray[np.uint8], hidden: list[str | int]
) -> None:
    whole = read_landmarks(labels).points
    ids = [LABEL_IDS[each] if isinstance(each, str) else each for each in hidden]
    covered = np.where(np.isin(labels, ids), LABEL_IDS["skin"], labels)
    distances = np.linalg.norm(read_landmarks(covered).points - whole, axis=1)
    assert distances.max() < 0.35 * np.linalg.norm(whole[1] - whole[0])


def test_too_little_of_a_face_is_told_so(labels: NDArray[np.uint8]) -> None:
    nose = np.where(labels == LABEL_IDS["nose"], labels, LABEL_IDS["skin"])
    with pytest.raises(ComponentAbsentError, match="cannot be framed"):
        read_landmarks(nose)


def test_clothes_do_not_make_the_parts_of_a_face_specks(labels: NDArray[np.uint8]) -> None:
    dressed = np.full((900, 900), LABEL_IDS["cloth"], np.uint8)
    dressed[20:276, 300:556] = np.where(labels > 0, labels, LABEL_IDS["cloth"])
    expected = read_landmarks(labels).moved(300, 20)
    np.testing.assert_allclose(read_landmarks(dressed).points, expected.points, atol=0.5)


def test_faces_of_a_label_map(labels: NDArray[np.uint8]) -> None:
    scene = np.zeros((900, 1400), np.uint8)
    scene[50:450, 100:500] = _turned(labels, 20, 400)
    scene[300:380, 900:980] = _turned(labels, -30, 80)
    large, small = labelled_faces(scene)
    assert large.crop.width > small.crop.width
    assert math.degrees(large.landmarks.roll) == pytest.approx(23, abs=3)
    assert math.degrees(small.landmarks.roll) == pytest.approx(-27, abs=4)
    for face, other in ((large, small), (small, large)):
        whole = np.zeros_like(scene)
        whole[face.region] = face.label_map
        middle = (round(other.crop.y), round(other.crop.x))
        assert (face.label_map > 0).sum() == (whole > 0).sum() > 1000
        assert whole[middle] == 0 != scene[middle]
        assert max(face.label_map.shape) < 2 * face.crop.width
    assert labelled_faces(np.zeros_like(scene)) == []


def test_every_face_of_a_group_is_found_with_its_score(labels: NDArray[np.uint8]) -> None:
    """A large face does not keep small ones from being searched."""
    scene = np.zeros((900, 1400), np.uint8)
    places = ((10, 60, 420), (40, 560, 300), (500, 600, 240), (560, 980, 130), (150, 1010, 200))
    for top, left, side in places:
        scene[top : top + side, left : left + side] = _turned(labels, 0, side)
    faces = PhotoParser(network()).labelled_faces(painted(scene))
    sides = [face.crop.width for face in faces]
    assert len(faces) == len(places)
    assert sides == sorted(sides, reverse=True)
    assert all(0 < face.score <= 1 for face in faces)


def test_a_photo_is_parsed_once_however_often_it_is_asked_for(
    labels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = painted(_turned(labels, 0, 400))
    parser, parsed = PhotoParser(network()), []
    search = PhotoParser._scored_faces
    monkeypatch.setattr(
        PhotoParser,
        "_scored_faces",
        lambda self, photo: parsed.append(photo.size) or search(self, photo),
    )
    first, again = parser.labelled_faces(photo), parser.labelled_faces(np.asarray(photo))
    assert [face.crop for face in first] == [face.crop for face in again]
    assert len(parsed) == 1
    with pytest.raises(ValueError, match="read-only"):
        first[0].label_map[:] = 0
    photo.putpixel((0, 0), (1, 2, 3))
    parser.labelled_faces(photo)
    assert len(parsed) == 2


def test_a_pattern_that_is_much_less_surely_a_face_is_none(
    labels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = np.zeros((900, 1400), np.uint8)
    for left, side in ((60, 420), (700, 300)):
        scene[100 : 100 + side, left : left + side] = _turned(labels, 0, side)
    scores = iter(np.tile([0.92, 0.67], 9))
    monkeypatch.setattr(PhotoParser, "_turned", lambda self, photo, face: face)
    monkeypatch.setattr(PhotoParser, "_confidence", lambda self, face: next(scores))
    (face,) = PhotoParser(network()).labelled_faces(painted(scene))
    assert face.crop.x < 500


@pytest.mark.parametrize(
    ("turn", "size"),
    [
        (None, (600, 450)),
        (Image.Transpose.ROTATE_90, (600, 450)),
        (Image.Transpose.ROTATE_180, (600, 450)),
        (Image.Transpose.ROTATE_180, (2400, 1800)),
    ],
)
def test_the_shipped_parser_finds_a_face_in_a_turned_photo(
    turn: Image.Transpose | None, size: tuple[int, int]
) -> None:
    sample = data.sample(256)
    photo = Image.new("RGB", size, (92, 104, 88))
    photo.paste(sample.image, (250, 120))
    expected = read_landmarks(sample.label_map).moved(250, 120)
    if turn is not None:
        photo = photo.transpose(turn)
    (face,) = load_parser("small", device="cpu").labelled_faces(photo)
    right, left = (np.array(eye) for eye in (face.landmarks.right_eye, face.landmarks.left_eye))
    distance = np.linalg.norm(np.subtract(expected.right_eye, expected.left_eye))
    assert np.linalg.norm(left - right) == pytest.approx(distance, rel=0.1)
    turns = {None: 0, Image.Transpose.ROTATE_90: -90, Image.Transpose.ROTATE_180: 180}[turn]
    roll = math.degrees(face.landmarks.roll - expected.roll) - turns
    assert math.remainder(roll, 360) == pytest.approx(0, abs=6)
