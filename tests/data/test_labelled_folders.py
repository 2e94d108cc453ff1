"""Portraits beside label maps in folders of any name, and opening either layout by its path."""

from __future__ import annotations

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
        np.testing.assert_array_equal(face.read_labels().ids, sample_labels())
        assert face.label_files() == [face.labels]


def test_keys_choose_and_order(folder: Path) -> None:
    listed = data.labelled_folder(folder, keys=folder / "test.txt")
    assert [face.key for face in listed] == ["c", "a"]
    assert listed.name == "faces test"
    assert [face.key for face in data.labelled_folder(folder, keys=["b"])] == ["b"]
    (folder / "test.txt").write_text("a\nd.jpg\n")
    with pytest.raises(OptionError, match=r"images has no picture d, which test\.txt asks for"):
        data.labelled_folder(folder, keys=folder / "test.txt")
    with pytest.raises(OptionError, match=r"none\.txt: cannot be read as a list"):
        data.labelled_folder(folder, keys=folder / "none.txt")
    with pytest.raises(OptionError, match="empty"):
        data.labelled_folder(folder, keys=[])


def test_folders_may_have_any_name_and_place(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(tmp_path / "photos")
    faces = data.labelled_folder(images=tmp_path / "photos", labels=folder / "labels")
    assert faces.name == "photos"
    faces[0].read_labels()
    alone = data.labelled_folder(tmp_path, images="photos", labels=None)
    with pytest.raises(LabelMapError, match="has no label map"):
        alone[0].read_labels()


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(OptionError, match="photos: there is no such folder of portraits"):
        data.labelled_folder(folder, images="photos")
    with pytest.raises(OptionError, match="maps: there is no such folder of label maps"):
        data.labelled_folder(folder, labels="maps")
    (folder / "labels" / "b.png").unlink()
    with pytest.raises(ImageError, match=r"labels/b\.png: there is no such file"):
        data.labelled_folder(folder)[1].read_labels()


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
