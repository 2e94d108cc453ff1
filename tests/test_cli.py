"""The command line on real files: folders, resuming, formats, and one clear line on bad input."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.cli import main


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/, labels/ and masks/ of three small portraits in three formats."""
    folder = tmp_path_factory.mktemp("faces")
    sample = fmi.data.sample(256)
    for name in ("images", "labels", "masks"):
        (folder / name).mkdir()
    hole = fmi.SemanticMasker()(sample.label_map, "nose")
    for stem, suffix in (("a", "png"), ("b", "jpg"), ("c", "webp")):
        sample.image.save(folder / "images" / f"{stem}.{suffix}")
        Image.fromarray(sample.label_map).save(folder / "labels" / f"{stem}.png")
        Image.fromarray(hole.astype(np.uint8) * 255).save(folder / "masks" / f"{stem}.png")
    return folder


def test_demo_fills_all_classes_and_lays_out_a_sheet(tmp_path: Path) -> None:
    result = _call("demo", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "12 mask classes inpainted" in result.output
    assert len(list(tmp_path.glob("*_filled.png"))) == 12
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 500
        below = np.asarray(sheet)[-30:].min(axis=2)
    assert (below < 100).any()  # the note that names a published network


def test_demo_takes_an_own_picture(tmp_path: Path, faces: Path) -> None:
    arguments = ["--image", faces / "images/b.jpg", "--labels", faces / "labels/b.png"]
    result = _call("demo", *arguments, "--classes", "hair,A", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.glob("*_filled.png")} == {
        "hair_filled.png",
        "eyes_filled.png",
    }


def test_mask_writes_what_the_masker_says(tmp_path: Path, faces: Path) -> None:
    result = _call("mask", faces / "labels", "--classes", "A-C", "--dilate", 3, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    expected = fmi.SemanticMasker(dilate=3)(fmi.data.sample(256).label_map, "full_mouth")
    written = np.asarray(Image.open(tmp_path / "full_mouth" / "b.png"))
    assert np.array_equal(written == 255, expected)
    assert set(np.unique(written)) == {0, 255}


@pytest.mark.parametrize("kind", ["palette", "dark"])
def test_photos_that_look_like_label_maps(kind: str, tmp_path: Path) -> None:
    photo = fmi.data.sample(256).image
    dark = photo.convert("L").point(lambda level: level // 14).convert("RGB")
    {"palette": photo.quantize(16), "dark": dark}[kind].save(tmp_path / "odd.png")
    given = ("mask", tmp_path / "odd.png", "--classes", "eyes", "--out", tmp_path / "masks")
    warned = _call(*given)
    assert "they are odd.png; if they are photos, say so by --parser" in warned.output
    result = _call(*given, "--parser", "small")
    assert "warning" not in result.output
    if kind == "palette":
        assert result.exit_code == 0, result.output
        expected = fmi.SemanticMasker(parser="small")(photo, "eyes")
        hole, expected = (
            np.asarray(each) > 0 for each in (Image.open(tmp_path / "masks/eyes/odd.png"), expected)
        )
        assert (hole & expected).sum() > 0.6 * (hole | expected).sum()
    else:  # as dark as this, no parser finds a face
        assert "face" in result.output


@pytest.mark.parametrize("command", ["mask", "inpaint"])
@pytest.mark.parametrize("parser", ["smal", "landmarks"])
def test_a_parser_that_cannot_be_loaded_is_said_once(
    command: str, parser: str, tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    given = (faces / "images", "--classes", "eyes", "--parser", parser, "--out", tmp_path / "out")
    result = _call(command, *given)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "a.png" not in result.output
    assert not list(tmp_path.rglob("*.png"))


def test_label_maps_of_other_ids_name_the_option(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 200).save(tmp_path / "map.png")
    result = _call("mask", tmp_path / "map.png", "--classes", "eyes", "--out", tmp_path / "out")
    assert "--label-order" in result.output


def test_folder_keeps_formats_and_known_pixels(tmp_path: Path, faces: Path) -> None:
    result = _call("inpaint", faces / "images", "--mask", faces / "masks", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.jpg", "c.webp"]
    before, after = (np.asarray(Image.open(at / "a.png")) for at in (faces / "images", tmp_path))
    hole = np.asarray(Image.open(faces / "masks" / "a.png")) == 255
    assert np.array_equal(before[~hole], after[~hole])
    assert not np.array_equal(before[hole], after[hole])


def test_an_interrupted_run_goes_on(tmp_path: Path, faces: Path) -> None:
    arguments = ["inpaint", faces / "images", "--mask", faces / "masks", "--out", tmp_path]
    assert _call(*arguments).exit_code == 0
    (tmp_path / "b.jpg").unlink()
    os.utime(tmp_path / "a.png", (1, 1))
    result = _call(*arguments)
    assert "1 of 1" in result.output
    assert (tmp_path / "a.png").stat().st_mtime == 1
    assert "nothing to do" in _call(*arguments).output


def test_a_single_picture_may_go_into_a_folder_of_any_name(tmp_path: Path, faces: Path) -> None:
    out = tmp_path / "filled.v1"
    out.mkdir()
    arguments = ["--mask", faces / "masks/a.png", "--out", out]
    result = _call("inpaint", faces / "images/a.png", *arguments)
    assert result.exit_code == 0, result.output
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_in_place_only_on_request(tmp_path: Path, faces: Path) -> None:
    picture = shutil.copy(faces / "images/a.png", tmp_path)
    before = Path(picture).read_bytes()
    arguments = ["inpaint", picture, "--mask", faces / "masks/a.png", "--out", picture]
    assert "--overwrite" in _call(*arguments).output
    assert Path(picture).read_bytes() == before
    assert _call(*arguments, "--overwrite").exit_code == 0
    assert Path(picture).read_bytes() != before


def test_hidden_files_are_no_pictures(tmp_path: Path, faces: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(faces / "images", folder)
    (folder / "._a.png").write_bytes(b"left by another system")
    (folder / ".a.fmi.part.png").write_bytes(b"half a file")
    result = _call("inpaint", folder, "--mask", faces / "masks", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "3 of 3" in result.output


def test_a_warning_is_one_line_that_names_the_file(tmp_path: Path, faces: Path) -> None:
    soft = tmp_path / "soft.png"
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    Image.fromarray(ramp).save(soft)
    arguments = ["--mask", soft, "--out", tmp_path / "out.png"]
    lines = _call("inpaint", faces / "images/a.png", *arguments).output.splitlines()
    assert [line for line in lines if "soft.png" in line] == [lines[0]]
    assert lines[0].startswith("Warning: ")
    assert len(lines) == 2


def test_labels_with_several_classes(tmp_path: Path, faces: Path) -> None:
    arguments = ["--labels", faces / "labels", "--classes", "hair,lips", "--out", tmp_path]
    result = _call("inpaint", faces / "images", *arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "hair" / "c.webp").exists()
    assert (tmp_path / "lips" / "a.png").exists()


def test_one_bad_picture_costs_nothing_else(tmp_path: Path, faces: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(faces / "images", folder)
    data = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(data[: len(data) // 2])
    result = _call("inpaint", folder, "--mask", faces / "masks", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 failed" in result.output
    assert "a.png" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.jpg", "c.webp"]


def test_absent_components_are_named_and_no_failure(tmp_path: Path, faces: Path) -> None:
    table = tmp_path / "classes.json"
    table.write_text('{"glasses": ["eye_g"], "nose": ["nose"]}')
    arguments = ["--labels", faces / "labels", "--class-table", table, "--classes", "all"]
    result = _call("inpaint", faces / "images", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "3 components absent" in result.output
    assert len(list((tmp_path / "out" / "nose").iterdir())) == 3
    assert not (tmp_path / "out" / "glasses").exists()


def test_models_lists_every_card_and_shows_one() -> None:
    listing = _call("models").output
    assert all(name in listing for name in fmi.models.list_pretrained())
    assert max(map(len, listing.splitlines())) <= 120
    assert "Apache-2.0" in _call("models", "lama").output


def test_convert_and_use(tmp_path: Path, faces: Path, official_lama: Path) -> None:
    result = _call("convert", "lama", official_lama, "--out", tmp_path / "weights")
    assert result.exit_code == 0, result.output
    arguments = ["--mask", faces / "masks/a.png", "--model", tmp_path / "weights"]
    result = _call("inpaint", faces / "images/a.png", *arguments, "--out", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "out.png").size == (256, 256)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inpaint", "{f}/images/a.png", "--out", "{o}"], "--mask"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/none.png", "--out", "{o}"], "none"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/small.png", "--out", "{o}"], "64"),
        (["inpaint", "{f}/notes.png", "--mask", "{f}/masks/a.png", "--out", "{o}"], "notes.png"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--model", "lamma",
          "--out", "{o}"], "lama"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--refine", "--out", "{o}"],
         "does not take refine"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/small.png", "--out", "{o}"], "small.png"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--classes", "hair",
          "--out", "{o}"], "--labels"),
        (["inpaint", "{f}/images", "--mask", "{f}/masks", "--out", "{o}.png"], "folder"),
        (["inpaint", "{f}/images", "--mask", "{f}/masks", "--out", "{f}/notes.png"], "folder"),
        (["inpaint", "{f}/images", "--mask", "{f}/masks", "--out", "{f}/images"], "itself"),
        (["inpaint", "{f}/images", "--mask", "{f}/masks", "--num-samples", "2", "--out", "{o}",
          "--model", "harmonic"], "Error: Harmonic is deterministic"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--out", "{o}",
          "--device", "nonsense"], "device 'nonsense'"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--out", "{o}",
          "--batch-size", "0"], "--batch-size"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--out", "{o}",
          "--model", "{f}/images"], "config.json"),
        (["inpaint", "{f}/images/a.png", "--mask", "{f}/masks/a.png", "--out", "{o}",
          "--model", "{f}/notes.png"], "convert"),
        (["inpaint", "{f}/images/a.png", "--labels", "{f}/small_labels.png", "--classes", "nose",
          "--out", "{o}"], "small_labels.png is 64 x 64"),
        (["demo", "--image", "{f}/images/a.png", "--labels", "{f}/small_labels.png",
          "--out", "{o}"], "small_labels.png is 64 x 64"),
        (["mask", "{f}/labels", "--classes", ",", "--out", "{o}"], "no class"),
        (["mask", "{f}/labels", "--dilate", "nan", "--out", "{o}"], "dilate"),
        (["mask", "{f}/labels", "--out", "{f}/notes.png"], "folder"),
        (["mask", "{f}/labels", "--classes", "beard", "--out", "{o}"], "beard"),
        (["mask", "{f}/notes.png", "--out", "{o}"], "notes.png"),
        (["models", "lamma"], "lama"),
        (["convert", "lama", "{f}/notes.png", "--out", "{o}"], "notes.png"),
        (["convert", "lama", "{f}/foreign.pt", "--out", "{o}"], "foreign.pt"),
        (["convert", "lama", "{f}/notes.png", "{f}/notes.png", "--out", "{o}"], "one file"),
        (["demo", "--labels", "{f}/labels/a.png", "--out", "{o}"], "--image"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line(
    arguments: list[str], words: str, tmp_path: Path, faces: Path
) -> None:
    Image.new("L", (64, 64), 255).save(faces / "small.png")
    Image.new("L", (64, 64), 2).save(faces / "small_labels.png")
    (faces / "notes.png").write_text("this is not a picture")
    torch.save({"weight": torch.zeros(2)}, faces / "foreign.pt")
    out = tmp_path / "out"
    result = _call(*(text.format(f=faces, o=out) for text in arguments))
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert not out.exists() or not any(out.rglob("*.*"))


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_help_has_an_example(command: str) -> None:
    result = _call(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert "facemask-inpaint" in result.output


def test_masks_by_class_go_straight_into_inpaint(tmp_path: Path, faces: Path) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    common = ("--out", out, "--model", "harmonic")
    assert _call("mask", faces / "labels", "--classes", "nose,hair", "--out", masks).exit_code == 0
    result = _call("inpaint", faces / "images", "--mask", masks, *common)
    assert result.exit_code == 0, result.output
    assert "6 of 6 images inpainted" in result.output
    assert {path.name for path in (out / "hair").iterdir()} == {"a.png", "b.jpg", "c.webp"}
    hole = np.asarray(Image.open(masks / "nose" / "a.png")) == 255
    before = np.asarray(Image.open(faces / "images" / "a.png"))
    after = np.asarray(Image.open(out / "nose" / "a.png"))
    np.testing.assert_array_equal((before != after).any(axis=-1) & ~hole, np.zeros_like(hole))
    for path in (masks / "hair").iterdir():
        path.unlink()
    (masks / "hair").rmdir()
    result = _call("inpaint", faces / "images/a.png", "--mask", masks, "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "one").glob("[!.]*")] == ["a.png"]


def test_results_that_their_format_cannot_hold_become_png(tmp_path: Path, faces: Path) -> None:
    folder, masks = tmp_path / "images", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    portrait = Image.open(faces / "images" / "a.png")
    portrait.quantize(64).save(folder / "palette.gif")
    portrait.convert("RGBA").save(folder / "lie.jpg", "PNG")
    portrait.save(folder / "true.jfif", "JPEG")
    for path in folder.iterdir():
        shutil.copy(faces / "masks" / "a.png", masks / f"{path.stem}.png")
    (folder / "notes.cr2").write_bytes(b"")
    out = tmp_path / "out"
    result = _call("inpaint", folder, "--mask", masks, "--out", out, "--model", "harmonic")
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.glob("[!.]*")} == {"palette.png", "lie.png", "true.jfif"}
    assert "lie.jpg as .png, palette.gif as .png" in result.output
    assert "notes.cr2" in result.output
    hole = np.asarray(Image.open(masks / "lie.png")) == 255
    for name in ("palette.gif", "lie.jpg"):
        before = Image.open(folder / name)
        after = Image.open(out / f"{Path(name).stem}.png")
        known = [np.asarray(one.convert(after.mode))[~hole] for one in (before, after)]
        np.testing.assert_array_equal(*known)


def test_training_takes_all_of_a_folder_without_a_list(tmp_path: Path, faces: Path) -> None:
    root = tmp_path / "faces"
    shutil.copytree(faces, root)
    common = ("train", "--recipe", "lite-smoke", "--data", root, "--check")
    assert "3 portraits" in _call(*common).output
    (root / "test.txt").write_text("b\n")
    result = _call(*common, "--validation-split", "test")
    assert "2 portraits" in result.output
    assert "1 portraits" in result.output
    (root / "train.txt").write_text("\ufeffa.png\r\n")
    assert "1 portraits" in _call(*common).output
    assert "3 portraits" in _call(*common, "--split", "all").output
    assert _call(*common, "--split", "val").exit_code == 1


def test_a_check_ends_with_status_1_for_what_training_refuses(tmp_path: Path, faces: Path) -> None:
    root = tmp_path / "faces"
    shutil.copytree(faces, root)
    for kind in ("images", "labels"):
        path = root / kind / "a.png"
        Image.open(path).crop((0, 0, 256, 200)).save(path)
    for command in ("train", "benchmark"):
        extra = ("--out", tmp_path / "out") if command == "benchmark" else ()
        result = _call(command, "--data", root, "--check", *extra)
        assert result.exit_code == 1
        assert "a.png is 256 x 200: crop it to a square" in result.output
        assert "1 of 3 portraits cannot be used" in result.output


@pytest.mark.parametrize("mode", ["I;16", "F", "CMYK"])
def test_demo_takes_pictures_of_every_mode(tmp_path: Path, faces: Path, mode: str) -> None:
    portrait = Image.open(faces / "images" / "a.png")
    grey = np.asarray(portrait.convert("L"))
    own = {
        "I;16": lambda: Image.fromarray(grey.astype(np.uint16) * 257),
        "F": lambda: Image.fromarray(grey.astype(np.float32) / 255),
        "CMYK": lambda: portrait.convert("CMYK"),
    }[mode]()
    own.save(tmp_path / "own.tif")
    out = tmp_path / "out"
    common = ("--labels", faces / "labels/a.png", "--classes", "nose", "--model", "harmonic")
    result = _call("demo", "--image", tmp_path / "own.tif", *common, "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / ("nose_filled.png" if mode == "I;16" else "nose_filled.tif")).exists()
    cell = np.asarray(Image.open(out / "contact_sheet.png").convert("L"))[70:200, 40:150]
    assert abs(cell.mean() - grey[20:230, 20:230].mean()) < 40
