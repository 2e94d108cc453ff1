"""CelebAMask-HQ as distributed: splits, part files, merged maps, and what is wrong by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.data.celebamask import find_root
from facemask_inpaint.errors import ImageError, LabelMapError, OptionError, UnknownNameError
from facemask_inpaint.masks import LABEL_IDS, Annotation
from tests.data.official import part_file, sample_labels, write_face, write_mapping


def keys(root: Path, *arguments: object) -> list[str]:
    return [face.key for face in data.celebamask_hq(root, *arguments)]


def test_images_and_parts_are_read_from_both_numbered_folders(celebamask: Path) -> None:
    for face in data.celebamask_hq(celebamask, "all"):
        assert face.read_image().size == (128, 128)
        labels = face.read_label_map()
        assert isinstance(labels, Annotation)
        expected = np.roll(sample_labels(), int(face.key) % 7, axis=1)
        np.testing.assert_array_equal(labels.merged(), expected)


def test_the_partition_goes_by_the_index_in_celeba(celebamask: Path) -> None:
    assert keys(celebamask, "train") == ["0", "1999"]
    assert keys(celebamask, "val") == ["1", "2000"]
    assert keys(celebamask) == keys(celebamask, "test") == ["2", "2001"]
    assert keys(celebamask, "all") == ["0", "1", "2", "1999", "2000", "2001"]


@pytest.mark.parametrize(
    ("index", "split"),
    [(0, "train"), (162_770, "train"), (162_771, "val"), (182_637, "val"), (182_638, "test")],
)
def test_thresholds_are_those_of_the_authors(tmp_path: Path, index: int, split: str) -> None:
    write_face(tmp_path, 0)
    write_mapping(tmp_path, {0: index})
    assert keys(tmp_path, split) == ["0"]


def test_every_image_of_celeba_is_in_exactly_one_part(tmp_path: Path) -> None:
    write_face(tmp_path, 0)
    write_mapping(tmp_path, {key: 7 * key for key in range(28_942)})
    parts = [keys(tmp_path, split) for split in ("train", "val", "test")]
    assert sorted((key for part in parts for key in part), key=int) == keys(tmp_path, "all")


def test_first_n_needs_no_mapping_file(celebamask: Path) -> None:
    (celebamask / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    assert keys(celebamask, "train", "first-2000") == ["0", "1", "2", "1999"]
    assert keys(celebamask, "test", "first-2000") == ["2000", "2001"]
    with pytest.raises(UnknownNameError, match="unknown split 'val'"):
        keys(celebamask, "val", "first-2000")


def test_first_24000_is_the_plain_split(tmp_path: Path) -> None:
    write_face(tmp_path, 0)
    write_mapping(tmp_path, {key: key for key in range(30_000)})
    train, test = (keys(tmp_path, split, "first-24000") for split in ("train", "test"))
    assert (len(train), len(test)) == (24_000, 6_000)
    assert (train[-1], test[0]) == ("23999", "24000")


def test_lists_of_file_names_serve_as_a_partition(celebamask: Path, tmp_path: Path) -> None:
    flist = tmp_path / "val_shuffled.flist"
    flist.write_text("2000.jpg\ntrain/00001.jpg\n\n")
    lists = {"train": ["0", "2"], "test": flist}
    assert keys(celebamask, "test", lists) == ["2000", "1"]
    assert keys(celebamask, "train", lists) == ["0", "2"]
    assert len(keys(celebamask, "all", lists)) == 6
    assert data.celebamask_hq(celebamask, "test", lists).name == "CelebAMask-HQ test (own lists)"
    with pytest.raises(OptionError, match=r"'test' names images .*: 7$"):
        keys(celebamask, "test", {"test": ["0", "7"]})
    with pytest.raises(OptionError, match="'face' is no image"):
        keys(celebamask, "test", {"test": ["face.jpg"]})


def test_merged_maps_can_stand_in_for_the_parts(celebamask: Path, tmp_path: Path) -> None:
    merged = tmp_path / "CelebAMaskHQ-mask"
    merged.mkdir()
    Image.fromarray(sample_labels()).save(merged / "2.png")
    face = data.celebamask_hq(celebamask, "test", label_maps=merged)[0]
    np.testing.assert_array_equal(face.read_label_map().ids, sample_labels())


def test_overlaps_survive_in_the_parts_only(celebamask: Path) -> None:
    hair = part_file(celebamask, 2, "hair")
    Image.new("L", (64, 64), 255).save(hair)
    labels = data.celebamask_hq(celebamask)[0].read_label_map()
    assert labels.areas[LABEL_IDS["nose"]] == (sample_labels() == LABEL_IDS["nose"]).sum()
    assert not (labels.merged() == LABEL_IDS["nose"]).any()


def test_the_folder_may_be_that_above(celebamask: Path) -> None:
    assert find_root(celebamask.parent) == find_root(celebamask) == celebamask
    assert keys(celebamask.parent) == ["2", "2001"]


def test_what_is_no_celebamask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no CelebA-HQ-img in it; unpack"):
        data.celebamask_hq(tmp_path)
    (tmp_path / "CelebA-HQ-img").mkdir()
    with pytest.raises(OptionError, match="CelebAMask-HQ-mask-anno: there is no such folder"):
        data.celebamask_hq(tmp_path)
    (tmp_path / "CelebAMask-HQ-mask-anno").mkdir()
    with pytest.raises(OptionError, match="'first-24000' does not"):
        data.celebamask_hq(tmp_path)
    with pytest.raises(OptionError, match="holds no images"):
        data.celebamask_hq(tmp_path, "test", "first-3")
    with pytest.raises(UnknownNameError, match="did you mean 'first-24000'"):
        data.celebamask_hq(tmp_path, "test", "first24000")


def test_a_damaged_mapping_file_is_refused_by_its_line(celebamask: Path) -> None:
    path = celebamask / "CelebA-HQ-to-CelebA-mapping.txt"
    path.write_text(path.read_text() + "2002 nonsense\n")
    with pytest.raises(OptionError, match=r"mapping\.txt, line 8: not a row"):
        data.celebamask_hq(celebamask)
    path.write_text("idx orig_idx orig_file\n")
    with pytest.raises(OptionError, match="has no rows"):
        data.celebamask_hq(celebamask)


def test_missing_files_fail_when_they_are_read(celebamask: Path) -> None:
    (celebamask / "CelebA-HQ-img" / "2.jpg").unlink()
    for path in part_file(celebamask, 2, "skin").parent.glob("00002_*"):
        path.unlink()
    face = data.celebamask_hq(celebamask)[0]
    with pytest.raises(ImageError, match=r"2\.jpg: there is no such file"):
        face.read_image()
    with pytest.raises(LabelMapError, match="no part file of image 2"):
        face.read_label_map()
    assert face.label_files() == []


def test_known_faults_can_be_left_out(tmp_path: Path) -> None:
    write_face(tmp_path, 0)
    write_mapping(tmp_path, {key: key for key in range(30_000)})
    faces = data.celebamask_hq(tmp_path, "all")
    assert set(data.KNOWN_DEFECTS) <= {face.key for face in faces}
    assert len(faces.without(data.KNOWN_DEFECTS)) == 30_000 - len(data.KNOWN_DEFECTS)
    assert len(faces.without(["no such key"])) == 30_000
