"""Left and right: the person's own, by geometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from facemask_inpaint import data
from facemask_inpaint.masks import LABEL_IDS, flip_label_map
from facemask_inpaint.parsing import assign_left_right
from facemask_inpaint.parsing.left_right import PAIRS, Axes


@pytest.fixture
def merged(portrait: data.Sample) -> np.ndarray:
    """The portrait's labels with every right part under the left one's id."""
    labels = portrait.label_map.copy()
    for left, right in PAIRS:
        labels[labels == right] = left
    return labels


def test_the_known_sides_are_found_again(portrait: data.Sample, merged: np.ndarray) -> None:
    assert not np.array_equal(merged, portrait.label_map)
    np.testing.assert_array_equal(assign_left_right(merged), portrait.label_map)


def test_a_mirrored_face_has_its_sides_exchanged(portrait: data.Sample, merged: np.ndarray) -> None:
    mirrored = np.ascontiguousarray(merged[:, ::-1])
    np.testing.assert_array_equal(assign_left_right(mirrored), flip_label_map(portrait.label_map))


@pytest.mark.parametrize("angle", [-150, -60, -25, 35, 90, 180])
def test_a_turned_face_keeps_its_sides(
    portrait: data.Sample, merged: np.ndarray, angle: float
) -> None:
    turned = ndimage.rotate(merged, angle, order=0)
    expected = ndimage.rotate(portrait.label_map, angle, order=0)
    np.testing.assert_array_equal(assign_left_right(turned), expected)
    # scipy turns anticlockwise as one looks at the image.
    roll = np.rad2deg(Axes.of(turned).roll - Axes.of(merged).roll)
    assert abs((roll + angle + 180) % 360 - 180) < 2


def test_a_single_part_is_on_its_own_side(portrait: data.Sample, merged: np.ndarray) -> None:
    for name in ("l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"):
        other = LABEL_IDS[{"l": "r", "r": "l"}[name[0]] + name[1:]]
        labels = np.where(portrait.label_map == other, LABEL_IDS["skin"], merged)
        expected = np.where(portrait.label_map == other, LABEL_IDS["skin"], portrait.label_map)
        np.testing.assert_array_equal(assign_left_right(labels), expected, err_msg=name)


def test_a_part_in_pieces_stays_one(portrait: data.Sample, merged: np.ndarray) -> None:
    """A strand over the only visible eye leaves two patches of it."""
    labels, expected = merged.copy(), portrait.label_map.copy()
    right, left = LABEL_IDS["r_eye"], LABEL_IDS["l_eye"]
    columns = np.nonzero(expected == left)[1]
    middle = int(columns.mean())
    for one in (labels, expected):
        one[portrait.label_map == right] = LABEL_IDS["skin"]
        one[:, middle : middle + 2][one[:, middle : middle + 2] == left] = LABEL_IDS["skin"]
    np.testing.assert_array_equal(assign_left_right(labels), expected)


def test_joined_brows_part_at_the_midline(portrait: data.Sample, merged: np.ndarray) -> None:
    brow, other = LABEL_IDS["l_brow"], LABEL_IDS["r_brow"]
    rows, columns = np.nonzero(merged == brow)
    row = int(rows.mean())
    merged[row : row + 2, columns.min() : columns.max()] = brow
    sides = assign_left_right(merged)
    assert (sides[portrait.label_map == brow] == brow).all()
    assert (sides[portrait.label_map == other] == other).all()


def test_a_map_without_a_face_stays_as_it_is() -> None:
    empty = np.zeros((8, 9), dtype=np.uint8)
    np.testing.assert_array_equal(assign_left_right(empty), empty)
