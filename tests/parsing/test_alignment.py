"""Where a portrait is cut so that its face is framed as aligned data sets frame it."""

from __future__ import annotations

import numpy as np
import pytest

from facemask_inpaint import data
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.masks import LABEL_IDS
from facemask_inpaint.parsing.alignment import EYE_DISTANCE, EYE_HEIGHT, face_box


def centre(labels: np.ndarray, name: str) -> np.ndarray:
    rows, columns = np.nonzero(labels == LABEL_IDS[name])
    return np.array([columns.mean(), rows.mean()]) / len(labels)


def test_the_eyes_end_up_where_networks_expect_them() -> None:
    labels = data.sample(512).label_map
    left, top, right, bottom = face_box(labels)
    assert right - left == bottom - top < 512
    framed = labels[top:bottom, left:right]
    eyes = centre(framed, "l_eye"), centre(framed, "r_eye")
    assert np.hypot(*(eyes[0] - eyes[1])) == pytest.approx(EYE_DISTANCE, abs=0.01)
    assert (eyes[0] + eyes[1])[1] / 2 == pytest.approx(EYE_HEIGHT, abs=0.01)


def test_the_box_stays_inside_the_picture() -> None:
    labels = np.zeros((100, 80), np.uint8)
    labels[3:6, 60:64] = LABEL_IDS["l_eye"]
    labels[3:6, 2:6] = LABEL_IDS["r_eye"]
    left, top, right, bottom = face_box(labels)
    assert (left, top, right, bottom) == (0, 0, 80, 80)


def test_a_face_without_eyes_cannot_be_framed() -> None:
    with pytest.raises(ComponentAbsentError, match="l_eye"):
        face_box(np.zeros((64, 64), np.uint8))
