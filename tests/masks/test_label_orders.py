"""Label orders: every record against a hand-written list, flipped, masked, and told from others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemask_inpaint import SemanticMasker
from facemask_inpaint.errors import ComponentAbsentError, LabelMapError, OptionError
from facemask_inpaint.labels import LABEL_ORDERS, PAIRED_LABELS
from facemask_inpaint.masks import (
    LABEL_IDS,
    flip_label_map,
    open_label_map,
    order_violations,
    order_warning,
    reorder_label_map,
)
from tests.masks.faces import BOXES, PERSONS, expected, face, face_in

ORDERS = list(LABEL_ORDERS)


def test_every_order_has_a_list_written_by_hand() -> None:
    assert set(PERSONS) == set(ORDERS)


@pytest.mark.parametrize("order", ORDERS)
def test_a_lopsided_face_comes_out_of_every_order(order: str) -> None:
    np.testing.assert_array_equal(reorder_label_map(face_in(order), order), expected(order))
    both = torch.from_numpy(np.stack([face_in(order)] * 2)).long()
    assert (reorder_label_map(both, order)[1].numpy() == expected(order)).all()


@pytest.mark.parametrize("order", ORDERS)
def test_left_stays_left_when_mirrored(order: str) -> None:
    """Mirroring the image and exchanging the source's own left and right is the same."""
    label_map = open_label_map(face_in(order), label_order=order)
    flipped = flip_label_map(label_map)
    assert flipped.label_order == label_map.label_order
    for left, right in PAIRED_LABELS:
        for one, other in ((left, right), (right, left)):
            now, before = (
                lm.select((LABEL_IDS[n],)) for lm, n in ((flipped, one), (label_map, other))
            )
            np.testing.assert_array_equal(now, before[:, ::-1])
    names = PERSONS[order].split()
    sides = {a: b for pair in PAIRED_LABELS for a, b in (pair, pair[::-1])}
    swap = [
        names.index(sides[name]) if sides.get(name) in names else i for i, name in enumerate(names)
    ]
    raw = np.array(swap, dtype=np.uint8)[face_in(order)][:, ::-1]
    np.testing.assert_array_equal(reorder_label_map(raw, order), flipped.ids)


@pytest.mark.parametrize("order", ORDERS)
def test_masks_hide_the_side_that_was_asked_for(order: str) -> None:
    masker = SemanticMasker(0, label_order=order)
    for name in ("l_eye", "r_eye", "l_brow", "r_brow"):
        top, bottom, left, right = BOXES[name]
        hole = masker(face_in(order), name)
        assert hole[top:bottom, left:right].all(), name
        assert hole.sum() == (bottom - top) * (right - left), name


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("order", ["easyportrait", "ibugmask-14"])
def test_unstated_sides_are_told_by_where_they_lie(order: str, swapped: bool) -> None:
    raw = face_in(order)
    names = PERSONS[order].split()
    if swapped:  # whoever labelled meant the other left
        sides = {a: b for pair in PAIRED_LABELS for a, b in (pair, pair[::-1])}
        other = [
            names.index(sides.get(n, n)) if sides.get(n, n) in names else i
            for i, n in enumerate(names)
        ]
        raw = np.array(other, dtype=np.uint8)[raw]
    np.testing.assert_array_equal(reorder_label_map(raw, order), expected(order))


UNAVAILABLE = {
    "lapa": {"ears", "head"},
    "facer-lapa": {"ears", "head"},
    "ibugmask-14": set(),
    "easyportrait": {"nose", "mouth_and_nose", "ears", "hair", "face", "head"},
}


@pytest.mark.parametrize("order", ORDERS)
def test_what_an_order_cannot_give_is_not_an_empty_mask(order: str) -> None:
    masker = SemanticMasker(0, label_order=order, missing="empty")
    masks = masker.all(face_in(order))
    lacking = set(masker.classes) - set(masks)
    assert lacking == UNAVAILABLE.get(order, set())
    assert not lacking & set(masker.present(face_in(order)))
    for name in lacking:
        with pytest.raises(ComponentAbsentError, match=f"{name} is not available from this data: "):
            masker(face_in(order), name)
    opened = open_label_map(face_in(order), label_order=order)  # also without the masker's help
    assert set(SemanticMasker().all(opened)) == set(masks)


def test_inseparable_labels_are_not_available_alone() -> None:
    masker = SemanticMasker(0, label_order="easyportrait")
    raw = face_in("easyportrait")
    assert masker(raw, "lips").sum() == np.isin(raw, 7).sum()
    assert masker(raw, "face_oval")[30, 30]  # with the nose, which is skin here
    with pytest.raises(ComponentAbsentError, match="no separate l_lip"):
        masker(raw, "l_lip")
    with pytest.raises(ComponentAbsentError, match=r"LaPa, HELEN.* has no l_ear, r_ear"):
        SemanticMasker(label_order="lapa")(face_in("lapa"), "ears")


def test_ignored_and_foreign_labels() -> None:
    raw = face_in("facesynthetics")
    raw[0, :3] = 14, 18, 255  # beard, facewear, not labelled
    ids = reorder_label_map(raw, "facesynthetics")
    assert ids[0, :3].tolist() == [LABEL_IDS["skin"], 0, 0]
    with pytest.raises(
        LabelMapError, match="19: those of FaceSynthetics run from 0 to 18, and 255"
    ):
        reorder_label_map(np.full((2, 2), 19), "facesynthetics")
    with pytest.raises(LabelMapError, match="11"):
        open_label_map(np.full((2, 2), 11), label_order="lapa")


def test_orders_of_ones_own() -> None:
    mirrored = replace(LABEL_ORDERS["lapa"], left="person")
    ids = reorder_label_map(face_in("lapa"), mirrored)
    assert (ids == LABEL_IDS["l_eye"]).sum() == (face() == LABEL_IDS["r_eye"]).sum()
    assert "l_eye to the left of r_eye in the image" in order_violations(ids)
    with pytest.raises(OptionError, match="label_order is of faces"):
        SemanticMasker(vocabulary="lip", label_order="lapa")


@pytest.mark.parametrize("written", ORDERS)
@pytest.mark.parametrize("read", ORDERS)
def test_wrong_orders_are_noticed(written: str, read: str) -> None:
    raw = face_in(written)
    right = reorder_label_map(raw, written)
    try:
        source = open_label_map(raw, label_order=read)
    except LabelMapError:
        return
    assert bool(order_violations(source)) == (source.ids != right).any()


def test_the_warning_names_the_orders_that_fit() -> None:
    raw = face_in("bisenet")
    warning = order_warning([raw] * 3)
    assert warning is not None
    assert warning.startswith("3 of 3 label maps show no upright face when their ids are read as")
    assert "faces come out in the order bisenet (label_order=, --label-order)" in warning
    assert order_warning([raw], "bisenet") is None
    assert order_warning([face(), face(), raw]) is None
    assert order_warning([np.zeros((2, 2, 3))]) is None  # no label map at all
