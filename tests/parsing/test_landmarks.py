"""Label maps from landmarks, in both layouts, against the bundled portrait's own label map."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import SemanticMasker, data
from facemask_inpaint.errors import (
    ComponentAbsentError,
    ImageError,
    MissingDependencyError,
    OptionError,
    UnknownNameError,
)
from facemask_inpaint.masks import LABEL_IDS
from facemask_inpaint.parsing import LandmarkParser, label_map_from_landmarks, load_parser
from tests.parsing.painted import overlap

POINTS = np.load(Path(__file__).parent / "data" / "mediapipe_sample_512.npy")
"""MediaPipe 0.10.21's 478 landmarks of the bundled portrait of 512 pixels."""

IBUG_IN_MEDIAPIPE = [
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
]
"""Points of the mesh that lie about where iBUG's 68 do."""

LEAST = {
    "mediapipe": {
        **{"skin": 0.75, "nose": 0.75, "l_eye": 0.6, "r_eye": 0.6, "l_brow": 0.65, "r_brow": 0.65},
        **{"mouth": 0.9, "u_lip": 0.85, "l_lip": 0.85},
    },
    "ibug-68": {
        **{"skin": 0.7, "nose": 0.65, "l_eye": 0.55, "r_eye": 0.55, "l_brow": 0.5, "r_brow": 0.5},
        **{"mouth": 0.8, "u_lip": 0.8, "l_lip": 0.7},
    },
}
"""Intersection over union with the bundled label map. Its face has no forehead under the hair."""


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return data.sample(512).label_map


@pytest.mark.parametrize("layout", LEAST)
def test_every_part_lies_where_the_label_map_has_it(labels: np.ndarray, layout: str) -> None:
    points = POINTS if layout == "mediapipe" else POINTS[IBUG_IN_MEDIAPIPE]
    ours = label_map_from_landmarks(points, labels.shape)
    np.testing.assert_array_equal(
        ours, label_map_from_landmarks(points, labels.shape, layout=layout)
    )
    found = {name: round(overlap(ours, labels, name), 2) for name in LEAST[layout]}
    assert all(found[name] >= least for name, least in LEAST[layout].items()), found
    assert set(np.unique(ours)) == {0, *(LABEL_IDS[name] for name in found)}


def test_left_is_the_persons_own(labels: np.ndarray) -> None:
    ours = label_map_from_landmarks(POINTS, labels.shape)
    for name in ("eye", "brow"):
        left = np.nonzero(ours == LABEL_IDS[f"l_{name}"])[1].mean()
        right = np.nonzero(ours == LABEL_IDS[f"r_{name}"])[1].mean()
        assert left > right


def test_a_face_that_leaves_the_image_is_cut_off(labels: np.ndarray) -> None:
    whole = label_map_from_landmarks(POINTS, (512, 512))
    part = label_map_from_landmarks(POINTS - [200, 180], (240, 200))
    assert np.mean(part == whole[180:420, 200:400]) > 0.999
    assert not label_map_from_landmarks(POINTS + 5000, (64, 64)).any()


def test_masks_from_landmarks_and_what_they_cannot_give() -> None:
    photo = data.sample(512).image
    parser = LandmarkParser(lambda image: [POINTS])
    masker = SemanticMasker(parser=parser, dilate=0)
    eyes = np.asarray(masker(photo, "eyes")) == 255
    expected = SemanticMasker(dilate=0)(data.sample(512).label_map, "eyes")
    assert (eyes & expected).sum() / (eyes | expected).sum() > 0.6
    for name in ("hair", "ears", "head"):
        with pytest.raises(ComponentAbsentError, match="not available from LandmarkParser"):
            masker(photo, name)
    assert masker.unavailable() == ["ears", "hair", "head"]


def test_several_faces_or_none() -> None:
    photo = Image.new("RGB", (600, 520))
    small = POINTS * 0.3 + [400, 300]
    faces = [small, POINTS]
    largest = LandmarkParser(lambda image: faces)(photo)
    np.testing.assert_array_equal(largest, label_map_from_landmarks(POINTS, (520, 600)))
    second = LandmarkParser(lambda image: faces, face=1)(photo)
    np.testing.assert_array_equal(second, label_map_from_landmarks(small, (520, 600)))
    both = LandmarkParser(lambda image: faces, face="all")(photo)
    assert ((both > 0) == ((largest > 0) | (second > 0))).all()
    with pytest.raises(ImageError, match="this image has 2"):
        LandmarkParser(lambda image: faces, face=2)(photo)
    with pytest.raises(ImageError, match="no face"):
        LandmarkParser(lambda image: [])(photo)


def test_bad_landmarks_are_refused() -> None:
    with pytest.raises(OptionError, match=r"5 landmarks.*ibug-68: 68"):
        label_map_from_landmarks(np.zeros((5, 2)), (9, 9))
    with pytest.raises(OptionError, match="68 landmarks"):
        label_map_from_landmarks(np.zeros((68, 2)), (9, 9), layout="mediapipe")
    with pytest.raises(OptionError, match="finite"):
        label_map_from_landmarks(np.full((68, 2), np.nan), (9, 9))
    with pytest.raises(UnknownNameError, match="ibug-68"):
        label_map_from_landmarks(np.zeros((68, 2)), (9, 9), layout="ibug68")


def test_without_mediapipe_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .mediapipe"):
        load_parser("landmarks")
