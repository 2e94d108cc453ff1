"""The table of mask classes, and what requests are taken to mean."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from facemask_inpaint.errors import LabelMapError, UnknownNameError
from facemask_inpaint.masks import (
    LABEL_IDS,
    LABEL_NAMES,
    MASK_CLASSES,
    Component,
    MaskClass,
    load_classes,
    parse_classes,
)
from facemask_inpaint.masks.class_tables import resolve, select

EXPECTED = {
    "eyes": ("A", {4, 5}),
    "eyebrows": ("B", {6, 7}),
    "full_mouth": ("C", {10, 11, 12}),
    "nose": ("D", {2}),
    "mouth_and_nose": ("E", {2, 10, 11, 12}),
    "ears": ("F", {8, 9}),
    "hair": ("G", {13}),
    "eyes_and_eyebrows": ("H", {4, 5, 6, 7}),
    "face": ("I", {1}),
    "lips": ("J", {11, 12}),
    "face_oval": ("K", {1, 2, 3, 4, 5, 6, 7, 10, 11, 12}),
    "head": ("L", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}),
}


def names(component, classes=MASK_CLASSES):
    return [part.name for part in resolve(component, classes)]


def test_the_twelve_classes_are_the_published_table() -> None:
    assert {
        member.value: (member.letter, set(member.label_ids)) for member in MaskClass
    } == EXPECTED


def test_only_three_letters_come_from_the_study() -> None:
    assert {member.letter for member in MaskClass if member.letter_from_study} == {"C", "G", "I"}


def test_labels_stand_in_celebamask_order() -> None:
    assert len(LABEL_NAMES) == 19
    pinned = {"background": 0, "eye_g": 3, "l_lip": 12, "hair": 13, "ear_r": 15, "cloth": 18}
    assert pinned.items() <= LABEL_IDS.items()


def test_members_are_strings_and_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(MaskClass.HEAD)) is MaskClass.HEAD
    assert {MaskClass.HAIR: 1}["hair"] == 1
    assert all(member.description for member in MaskClass)


@pytest.mark.parametrize("request_", ["hair", "G", "g", " Hair ", MaskClass.HAIR, 13])
def test_one_component_has_many_spellings(request_: Any) -> None:
    assert names(request_) == ["hair"]


@pytest.mark.parametrize("request_", ["mouth and nose", "Mouth-And-Nose", "E"])
def test_case_spaces_and_hyphens_do_not_matter(request_: Any) -> None:
    assert names(request_) == [MaskClass.MOUTH_AND_NOSE]


def test_a_label_is_not_the_class_of_a_similar_name() -> None:
    (mouth,) = resolve("mouth", MASK_CLASSES)
    assert mouth.label_ids == (LABEL_IDS["mouth"],)


def test_unions_take_classes_and_labels_together() -> None:
    assert set(names({"nose", "l_ear", MaskClass.LIPS})) == {"nose", "l_ear", "lips"}


def test_own_classes_come_before_the_twelve_but_members_mean_themselves() -> None:
    own = parse_classes({"hair": ["hat"]})
    assert resolve("hair", own)[0].label_ids == (14,)
    assert resolve(MaskClass.HAIR, own)[0].label_ids == (13,)


@pytest.mark.parametrize("request_", ["hare", "", "M", {"nose", "earlobe"}, []])
def test_unknown_components_are_refused(request_: Any) -> None:
    with pytest.raises(UnknownNameError):
        resolve(request_, MASK_CLASSES)


def test_the_refusal_names_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="'eyebrows'"):
        resolve("eye brow", MASK_CLASSES)


@pytest.mark.parametrize("label", [-1, 19, True, 1.5, None])
def test_ids_outside_the_nineteen_are_refused(label: Any) -> None:
    with pytest.raises(LabelMapError, match="0 … 18"):
        resolve(label, MASK_CLASSES)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("all", list(MaskClass)),
        ("A-L", list(MaskClass)),
        ("c-d", ["full_mouth", "nose"]),
        ("hair,eyes", ["hair", "eyes"]),
        ("A-B, hair ,B", ["eyes", "eyebrows", "hair"]),
        (["G", MaskClass.FACE], ["hair", "face"]),
    ],
)
def test_lists_and_ranges_of_classes(spec: Any, expected: list[str]) -> None:
    assert select(spec, MASK_CLASSES) == expected


@pytest.mark.parametrize("spec", ["D-A", "A-Z", "skin", "hair,,eyes"])
def test_lists_of_something_else_are_refused(spec: Any) -> None:
    with pytest.raises(UnknownNameError):
        select(spec, MASK_CLASSES)


@pytest.mark.parametrize("spec", ["", " , ", "hair,", []])
def test_an_empty_list_of_classes_is_refused(spec: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"no class was asked for.*eyes"):
        select(spec, MASK_CLASSES)


def test_only_classes_are_suggested_where_labels_will_not_do() -> None:
    with pytest.raises(UnknownNameError) as refused:
        select("hta", MASK_CLASSES)
    assert "'hat'" not in str(refused.value)


def test_a_table_file_with_a_mistake_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"beard": ["skinn"]}')
    with pytest.raises(UnknownNameError, match=r"own\.json.*skinn.*skin"):
        load_classes(path)


def test_names_of_classes_are_text() -> None:
    with pytest.raises(LabelMapError, match="True"):
        parse_classes({True: ["nose"]})  # YAML reads the key yes as True


def test_a_table_of_classes_from_plain_data() -> None:
    table = parse_classes(
        {
            "beard_area": ["skin", 10],
            "all_ears": {"labels": ["l_ear", "r_ear", "ear_r"], "fill_holes": True},
            "gaze": {"labels": ["l_eye"], "behind_glasses": True},
            "given": Component("given", (18,)),
        }
    )
    assert table["beard_area"] == Component("beard_area", (1, 10))
    assert table["all_ears"].filled_ids == (8, 9, 15)
    assert table["gaze"].behind_glasses
    assert table["given"].label_ids == (18,)


@pytest.mark.parametrize(
    "entry",
    [[], "hair", 13, {"labels": []}, {"fill_holes": True}, ["no_such"], [19], {"lables": ["hair"]}],
)
def test_tables_with_mistakes_are_refused(entry: Any) -> None:
    with pytest.raises((LabelMapError, UnknownNameError)):
        parse_classes({"mine": entry})


def test_json_and_yaml_tables_say_the_same(tmp_path: Path) -> None:
    table = {"upper": ["l_eye", "r_eye"], "lower": {"labels": ["u_lip"], "fill_holes": True}}
    as_json, as_yaml = tmp_path / "t.json", tmp_path / "t.yaml"
    as_json.write_text(json.dumps(table))
    as_yaml.write_text("upper: [l_eye, r_eye]\nlower:\n  labels: [u_lip]\n  fill_holes: true\n")
    pytest.importorskip("yaml")
    assert load_classes(as_json) == load_classes(str(as_yaml)) == parse_classes(table)


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.json", "{"), ("t.json", "[1]"), ("t.json", "{}"), ("t.yaml", "a: [b"), ("t.yaml", "")],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelMapError):
        load_classes(tmp_path / name)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelMapError, match="nowhere"):
        load_classes(tmp_path / "nowhere.json")
