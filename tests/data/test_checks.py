"""What a check says of each fault that a data set can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from facemask_inpaint import SemanticMasker, data
from facemask_inpaint.errors import UnknownNameError
from facemask_inpaint.masks import LABEL_IDS
from tests.data.official import part_file, sample_labels, write_face


def check(root: Path, **options: object) -> data.DataCheck:
    faces = data.celebamask_hq(root, "all")
    return data.check(faces, **{"min_count": 1, "min_side": 64, "progress": False, **options})


def problem(found: data.DataCheck) -> str:
    """The one problem found."""
    assert len(found.problems) == 1
    assert found.problems[0].key == "1"
    assert not found.ok
    assert found.usable == ("0", "2", "1999", "2000", "2001")
    return found.problems[0].message


def test_a_sound_data_set_passes(celebamask: Path) -> None:
    found = check(celebamask)
    assert found.ok
    assert not found.warnings
    assert len(found.usable) == 6
    assert set(found.counts.values()) == {6}
    assert found.image_sizes == {(128, 128): 6}
    assert found.label_sizes == {(64, 64): 6}
    assert "CelebAMask-HQ all: 6 portraits, 0 of them unusable" in str(found)


def test_a_missing_picture(celebamask: Path) -> None:
    (celebamask / "CelebA-HQ-img" / "1.jpg").unlink()
    found = check(celebamask)
    assert "CelebA-HQ-img/1.jpg: there is no such file" in problem(found)
    assert "CelebA-HQ-img/1.jpg: there is no such file" in str(found)
    assert found.counts["nose"] == 5


@pytest.mark.parametrize("kept", [20, 1500])
def test_an_image_cut_short(celebamask: Path, kept: int) -> None:
    path = celebamask / "CelebA-HQ-img" / "1.jpg"
    path.write_bytes(path.read_bytes()[:kept])
    assert "1.jpg: " in problem(check(celebamask))


def test_missing_label_files(celebamask: Path) -> None:
    for path in part_file(celebamask, 1, "skin").parent.glob("00001_*"):
        path.unlink()
    assert "no part file of image 1 (00001_skin.png, …)" in problem(check(celebamask))


def test_a_damaged_part(celebamask: Path) -> None:
    path = part_file(celebamask, 1, "nose")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert "00001_nose.png" in problem(check(celebamask))


def test_parts_of_another_size(celebamask: Path) -> None:
    Image.new("L", (32, 32), 255).save(part_file(celebamask, 1, "nose"))
    assert "differ in size" in problem(check(celebamask))


def test_parts_of_another_frame(celebamask: Path) -> None:
    Image.new("RGB", (128, 96)).save(celebamask / "CelebA-HQ-img" / "1.jpg")
    message = problem(check(celebamask))
    assert "1.jpg is 128 x 96, its label map 64 x 64: they do not show the same frame" in message


def test_unknown_ids_and_blank_maps(celebamask: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    Image.fromarray(sample_labels() + 100).save(merged / "2.png")
    Image.new("L", (64, 64)).save(merged / "2001.png")
    found = data.check(data.celebamask_hq(celebamask, label_maps=merged), progress=False)
    assert not found.usable
    assert "2.png: unknown label ids 100" in found.problems[0].message
    assert "2001.png marks nothing but background" in found.problems[1].message


def test_empty_parts_count_as_absent_and_are_listed(celebamask: Path) -> None:
    nothing, blank = part_file(celebamask, 1, "l_brow"), part_file(celebamask, 1, "r_brow")
    nothing.write_bytes(b"")
    Image.new("RGB", (64, 64)).save(blank)
    found = check(celebamask)
    assert found.ok
    assert set(found.empty_parts) == {nothing, blank}
    assert found.counts["eyebrows"] == 5
    assert str(blank) in str(found)


def test_components_that_are_rare_or_small_are_told(celebamask: Path) -> None:
    bald = sample_labels()
    bald[bald == LABEL_IDS["hair"]] = 0
    for path in part_file(celebamask, 0, "hair").parent.glob("00000_*"):
        path.unlink()
    write_face(celebamask, 0, bald)
    found = check(celebamask, min_count=6)
    assert found.counts["hair"] == 5
    assert found.warnings == ("portraits with hair: 5, fewer than 6",)
    picky = check(celebamask, classes=["hair", "eyes"], masker=SemanticMasker(min_area=0.1))
    assert picky.counts == {"hair": 5, "eyes": 0}
    with pytest.raises(UnknownNameError):
        check(celebamask, classes="beard")


def test_odd_sizes_are_told(celebamask: Path) -> None:
    small = celebamask / "CelebA-HQ-img" / "1.jpg"
    Image.open(small).resize((60, 60)).save(small)
    warnings = check(celebamask).warnings
    assert warnings[0] == "images with fewer than 64 pixels on a side: 1"
    assert warnings[1] == "images are of 2 sizes: 128 x 128 (5), 60 x 60 (1)"


def test_disk_space_is_about_that_of_the_pictures(celebamask: Path) -> None:
    found = check(celebamask, classes="eyes,hair")
    images = 3 * (6 + 6) + 6
    assert found.disk_space(methods=3, resolutions=(256,)) == round(1.6 * images * 256**2)
