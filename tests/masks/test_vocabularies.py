"""Label maps of other things than faces: built-in vocabularies, one's own, and single objects."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint import MixedMaskSampler, SemanticMasker
from facemask_inpaint.errors import (
    ComponentAbsentError,
    LabelMapError,
    OptionError,
    UnknownNameError,
)
from facemask_inpaint.masks import (
    FACES,
    Vocabulary,
    connected_objects,
    flip_label_map,
    list_vocabularies,
    open_label_map,
    open_vocabulary,
    parse_vocabulary,
)

STREETS = open_vocabulary("cityscapes")


def street() -> np.ndarray:
    """Road with two cars, a truck, and a strip that nobody labelled."""
    ids = np.zeros((32, 48), dtype=np.uint8)
    ids[4:10, 4:16] = ids[20:24, 30:36] = STREETS.labels["car"]
    ids[14:18, 4:10] = STREETS.labels["truck"]
    ids[:, 46:] = 255
    return ids


@pytest.mark.parametrize(
    ("name", "labels", "ids"),
    [
        ("lip", 20, {"hat": 1, "face": 13, "left_arm": 14, "right_shoe": 19}),
        ("atr", 18, {"hat": 1, "face": 11, "left_shoe": 9, "scarf": 17}),
        ("cityscapes", 19, {"road": 0, "sky": 10, "car": 13, "bicycle": 18}),
        ("ade20k", 150, {"wall": 1, "person": 13, "car": 21, "flag": 150}),
    ],
)
def test_published_ids(name: str, labels: int, ids: dict[str, int]) -> None:
    vocabulary = open_vocabulary(name)
    assert len(vocabulary.labels) == labels
    assert ids.items() <= vocabulary.labels.items()
    assert vocabulary.source
    assert vocabulary.licence
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    assert SemanticMasker(vocabulary=name).select("all") == list(vocabulary.classes)


def test_streets_are_masked_by_class_label_and_union() -> None:
    masker = SemanticMasker(0, vocabulary="cityscapes")
    ids = street()
    car, truck = STREETS.labels["car"], STREETS.labels["truck"]
    np.testing.assert_array_equal(masker(ids, "car"), ids == car)
    np.testing.assert_array_equal(masker(ids, "vehicle"), np.isin(ids, (car, truck)))
    np.testing.assert_array_equal(masker(ids, {"truck", "car"}), np.isin(ids, (car, truck)))
    np.testing.assert_array_equal(masker(ids, truck), ids == truck)
    assert {"road", "car", "vehicle", "street", "traffic"} == set(masker.present(ids))
    with pytest.raises(ComponentAbsentError, match=r"person \(person\) does not occur"):
        masker(ids, "person")
    with pytest.raises(UnknownNameError, match="eyes"):
        masker(ids, "eyes")
    with pytest.raises(
        LabelMapError, match=r"19: Cityscapes .* from 0 to 18, and 255 without a label"
    ):
        masker(np.full((4, 4), 19), "car")


def test_ignored_pixels_belong_to_nothing_and_survive() -> None:
    ids = street()
    masks = SemanticMasker(0, vocabulary="cityscapes").all(ids)
    assert not any(mask[:, 46:].any() for mask in masks.values())
    flipped = flip_label_map(ids, STREETS)
    np.testing.assert_array_equal(flipped, ids[:, ::-1])
    assert open_label_map(ids, STREETS).areas[0] == (ids == 0).sum()


def test_people_keep_their_left() -> None:
    people = open_vocabulary("lip")
    ids = np.zeros((8, 8), dtype=np.uint8)
    ids[1, 1:3], ids[1, 5:8] = people.labels["right_arm"], people.labels["left_arm"]
    flipped = flip_label_map(torch.from_numpy(ids), people).numpy()
    assert (flipped[1] == people.labels["left_arm"]).tolist() == [False] * 5 + [True, True, False]
    assert (flipped[1] == people.labels["right_arm"]).sum() == 3


def test_one_object_at_a_time() -> None:
    masker = SemanticMasker(0, vocabulary="cityscapes", instances="one")
    ids = street()
    assert masker.count(ids, "car") == 2
    first, second = masker(ids, "car"), masker(ids, "car", instance=1)
    assert (first.sum(), second.sum()) == (72, 24)
    np.testing.assert_array_equal(first | second, ids == STREETS.labels["car"])
    assert masker.count(ids, "vehicle") == 3
    assert masker.count(ids, "person") == 0
    with pytest.raises(OptionError, match="no object 2: there are 2"):
        masker(ids, "car", instance=2)
    large = SemanticMasker(0, vocabulary="cityscapes", instances="one", min_area=50)
    assert large.count(ids, "car") == 1
    assert len(connected_objects(np.eye(4, dtype=bool))) == 1  # corners touch


def test_samplers_draw_any_of_the_objects_and_repeat_themselves() -> None:
    masker = SemanticMasker(0, vocabulary="cityscapes", instances="one")
    sampler = MixedMaskSampler(48, 1.0, masker=masker, classes="car")
    square = np.pad(street(), ((0, 16), (0, 0)), constant_values=255)
    draws = [sampler(square, index=index).mask for index in range(12)]
    assert {int(mask.sum()) for mask in draws} == {72, 24}
    again = [sampler(square, index=index).mask for index in range(12)]
    assert all((a == b).all() for a, b in zip(draws, again))


def test_sixteen_bits() -> None:
    wide = parse_vocabulary({"name": "wide", "labels": {"ground": 0, "tree": 300, "rock": 65535}})
    ids = np.zeros((6, 6), dtype=np.uint16)
    ids[:2], ids[3] = 300, 65535
    masker = SemanticMasker(0, vocabulary=wide)
    for label_map in (ids, Image.fromarray(ids), torch.from_numpy(ids.astype(np.int32))):
        mask = np.asarray(masker(label_map, "tree"))
        np.testing.assert_array_equal(mask > 0, ids == 300)
    assert wide.dtype == np.uint16
    assert open_label_map(ids, wide).areas[65535] == 6
    np.testing.assert_array_equal(flip_label_map(ids, wide), ids)
    with pytest.raises(LabelMapError, match="numbers from 0 to 65,535"):
        parse_vocabulary({"name": "too wide", "labels": {"x": 65536}} | {"name": "w"})


def test_files_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "birds.yaml"
    file.write_text(
        "labels: [ground, Left Wing, right-wing, beak]\nmirrored: [[left wing, right wing]]\n"
        "ignored: [255]\nclasses:\n  wings: [left_wing, right_wing]\n"
        "  bird: {labels: [left_wing, right_wing, beak], fill_holes: true}\n"
    )
    birds = open_vocabulary(file)
    assert birds.name == "birds"
    assert birds.labels == {"ground": 0, "left_wing": 1, "right_wing": 2, "beak": 3}
    masker = SemanticMasker(0, vocabulary=str(file))
    ring = np.ones((5, 5), dtype=np.uint8)
    ring[2, 2] = 0
    assert masker(ring, "bird").all()
    assert masker(ring, "wings").sum() == 24
    assert flip_label_map(ring, birds)[0, 0] == 2
    assert SemanticMasker(vocabulary=file).vocabulary.digest == birds.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels: [a, A]", "same name"),
        ("labels: {a: 1, b: 1}", "the id 1"),
        ("labels: [a]\nignored: [0]", "the id 0"),
        ("labels: [a, b]\nmirrored: [[a, c]]", "no label 'c'"),
        ("labels: [a]\nclases: {x: [a]}", "did you mean 'classes'"),
        ("labels: [a]\nclasses: {x: [b]}", "'b'"),
        ("labels: {a: one}", "labels.a is a number"),
        ("name: x", "needs labels"),
        ("labels: [a]\nclasses: {x: {labels: [a], behind_glasses: true}}", "no label of glasses"),
        ("[1, 2]", "not a vocabulary"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises((LabelMapError, UnknownNameError), match=words) as caught:
        open_vocabulary(file)
    assert "own.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_vocabularies_and_mixed_up_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cityscapes'"):
        SemanticMasker(vocabulary="cityscape")
    assert list_vocabularies()[0] == "faces"
    assert open_vocabulary("faces") is FACES
    opened = open_label_map(street(), STREETS)
    with pytest.raises(LabelMapError, match="of cityscapes, and the masker cuts faces"):
        SemanticMasker()(opened, "hair")


def test_records_say_which_vocabulary_masks_are_of() -> None:
    assert SemanticMasker().settings().keys() == {"dilate", "glasses", "fill_holes", "min_area"}
    settings = SemanticMasker(vocabulary="lip", instances="one").settings()
    assert settings["vocabulary"] == f"lip {open_vocabulary('lip').digest}"
    other = Vocabulary("lip", {"a": 1}, {})
    assert other.digest != open_vocabulary("lip").digest
