"""Portraits beside label maps in folders of any name, and opening either layout by its path."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import ImageError, LabelMapError, OptionError, UnknownNameError
from tests.data.official import sample_labels

PORTRAITS = Path(__file__).parents[3] / "shared" / "data" / "portraits"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three portraits in three formats with label maps, and a list."""
    root = tmp_path / "faces"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for name in ("a.jpg", "b.png", "c.webp"):
        data.sample(256).image.convert("RGB").save(root / "images" / name)
        Image.fromarray(sample_labels()).save(root / "labels" / f"{name[0]}.png")
    (root / "test.txt").write_text("c\na\n")
    return root


def test_files_are_paired_by_stem(folder: Path) -> None:
    faces = data.labelled_folder(folder)
    assert [face.key for face in faces] == ["a", "b", "c"]
    assert faces.name == "faces"
    for face in faces:
        assert face.read_image().size == (256, 256)
        np.testing.assert_array_equal(face.read_label_map().ids, sample_labels())
        assert face.label_files() == [face.label_map]


def test_keys_choose_and_order(folder: Path) -> None:
    listed = data.labelled_folder(folder, keys=folder / "test.txt")
    assert [face.key for face in listed] == ["c", "a"]
    assert listed.name == "faces test"
    assert [face.key for face in data.labelled_folder(folder, keys=["b"])] == ["b"]
    (folder / "test.txt").write_text("a\nd.jpg\n")
    with pytest.raises(OptionError, match=r"images has no image d, which test\.txt asks for"):
        data.labelled_folder(folder, keys=folder / "test.txt")
    with pytest.raises(OptionError, match=r"none\.txt: cannot be read as a list"):
        data.labelled_folder(folder, keys=folder / "none.txt")
    with pytest.raises(OptionError, match="empty"):
        data.labelled_folder(folder, keys=[])


def test_folders_may_have_any_name_and_place(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(tmp_path / "photos")
    faces = data.labelled_folder(images=tmp_path / "photos", label_maps=folder / "labels")
    assert faces.name == "photos"
    faces[0].read_label_map()
    alone = data.labelled_folder(tmp_path, images="photos", label_maps=None)
    with pytest.raises(LabelMapError, match="has no label map"):
        alone[0].read_label_map()


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(OptionError, match="photos: there is no such folder of portraits"):
        data.labelled_folder(folder, images="photos")
    with pytest.raises(OptionError, match="maps: there is no such folder of label maps"):
        data.labelled_folder(folder, label_maps="maps")
    (folder / "labels" / "b.png").unlink()
    with pytest.raises(ImageError, match=r"labels/b\.png: there is no such file"):
        data.labelled_folder(folder)[1].read_label_map()


def test_a_path_opens_either_layout(folder: Path, celebamask: Path) -> None:
    assert [face.key for face in data.open_faces(folder)] == ["a", "b", "c"]
    assert [face.key for face in data.open_faces(folder, "all")] == ["a", "b", "c"]
    assert [face.key for face in data.open_faces(folder, "test")] == ["c", "a"]
    assert data.open_faces(celebamask) == data.celebamask_hq(celebamask, "test")
    assert data.open_faces(celebamask, "train") == data.celebamask_hq(celebamask, "train")


def test_other_paths_are_refused_with_what_was_expected(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown split .*did you mean 'test'"):
        data.open_faces(folder, "tests")
    with pytest.raises(OptionError, match=r"neither CelebA-HQ-img .* nor images and labels"):
        data.open_faces(folder / "images")


@pytest.mark.skipif(not PORTRAITS.is_dir(), reason="the shared portraits are not here")
def test_the_shared_portraits_fit() -> None:
    faces = data.open_faces(PORTRAITS, "test")
    found = data.check(faces, progress=False)
    assert found.ok
    assert len(found.usable) == len(faces) == 80
    assert found.image_sizes == found.label_sizes == {(256, 256): 80}
    assert found.counts["nose"] == 80


NAMES = ("IMG_2024.01.12", "anna.v2", "Zoe\u0308", "train.jpg", "ben")


@pytest.fixture
def oddly_named(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for name in NAMES:
        data.sample(256).image.resize((32, 32)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(sample_labels()).save(tmp_path / "labels" / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("form", ["{}", "{}.png", "images/{}.png", "C:\\faces\\{}.png", "./{}.PNG"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_of_keys_come_as_people_write_them(
    oddly_named: Path, form: str, encoding: str, end: str
) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    wanted = NAMES[::-1]
    text = mark + end.join(form.format(name) for name in wanted) + end * 2
    (oddly_named / "test.txt").write_bytes(text.encode(encoding))
    faces = data.open_faces(oddly_named, "test")
    assert [face.key for face in faces] == [unicodedata.normalize("NFC", name) for name in wanted]
    assert data.check(faces, progress=False).ok


def test_a_composed_list_finds_a_decomposed_file(oddly_named: Path) -> None:
    (face,) = data.labelled_folder(oddly_named, keys=["Zo\u00eb"])
    assert face.image.stem == "Zoe\u0308"
    assert face.read_label_map().shape == sample_labels().shape


def test_a_dot_begins_no_suffix_unless_a_format_goes_by_it(oddly_named: Path) -> None:
    for listed in (["anna"], ["IMG_2024.01"], ["ben.v2"], ["ben.png.bak"]):
        with pytest.raises(OptionError, match=f"has no image {listed[0]}"):
            data.labelled_folder(oddly_named, keys=listed)


def test_a_preferred_split_is_taken_where_it_is(folder: Path) -> None:
    def keys(**options: str) -> list[str]:
        return [face.key for face in data.open_faces(folder, **options)]

    assert keys(preferred="test") == ["c", "a"]
    assert keys(preferred="train") == ["a", "b", "c"]
    assert keys(split="all", preferred="test") == ["a", "b", "c"]
    with pytest.raises(UnknownNameError, match="train"):
        keys(split="train", preferred="test")


def test_the_sample_has_its_label_map_under_the_name_of_earlier_scripts_too() -> None:
    sample = data.sample(256)
    assert sample.labels is sample.label_map
