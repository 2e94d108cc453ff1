"""`inpaint` again on a folder: what changed is made anew, what did not is left, nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageOps

import facemask_inpaint as fmi
from facemask_inpaint.cli import main

KEYS = ("a", "b", "c")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Three small portraits in ``images``, with ``labels`` and ``masks``."""
    sample = fmi.data.sample(256)
    image = sample.image.resize((64, 64))
    labels = Image.fromarray(sample.label_map).resize((64, 64), Image.Resampling.NEAREST)
    hole = fmi.SemanticMasker()(np.asarray(labels), "nose")
    for name, picture in (("images", image), ("labels", labels), ("masks", Image.fromarray(hole))):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for key in KEYS:
            picture.save(tmp_path / "faces" / name / f"{key}.png")
    return tmp_path / "faces"


def with_masks(faces: Path, *more: object, model: object = "harmonic") -> Result:
    given = (faces / "images", "--mask", faces / "masks", "--out", faces.parent / "out")
    return call("inpaint", *given, "--model", model, *more)


def with_labels(faces: Path, *more: object) -> Result:
    given = (faces / "images", "--labels", faces / "labels", "--out", faces.parent / "out")
    return call("inpaint", *given, "--model", "harmonic", *more)


def times(faces: Path) -> dict[str, int]:
    out = faces.parent / "out"
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in sorted(out.rglob("[!.]*.png"))}


def mirror(path: Path, keep_time: bool = False) -> None:
    status = path.stat()
    with Image.open(path) as picture:
        turned = ImageOps.mirror(picture)
    turned.save(path)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "more",
    [("--seed", 1), ("--blend", "poisson"), ("--strategy", "crop"), ("--dtype", "float64")],
)
def test_other_options_make_everything_anew(faces: Path, more: tuple[object, ...]) -> None:
    assert "3 of 3 images inpainted" in with_masks(faces).output
    before = times(faces)
    assert "nothing to do" in with_masks(faces, "--batch-size", 2).output
    assert times(faces) == before
    assert "3 of 3 images inpainted" in with_masks(faces, *more).output
    assert "nothing to do" in with_masks(faces, *more).output
    assert "3 of 3 images inpainted" in with_masks(faces).output


@pytest.mark.parametrize(
    "more", [("--dilate", 3), ("--classes", "eyes"), ("--class-table", "{f}/own.json")]
)
def test_other_masks_of_label_maps_make_everything_anew(
    faces: Path, more: tuple[object, ...]
) -> None:
    (faces / "own.json").write_text('{"nose": ["nose", "skin"]}')
    assert "3 of 3" in with_labels(faces, "--classes", "nose").output
    assert "nothing to do" in with_labels(faces, "--classes", "nose").output
    given = [str(one).format(f=faces) for one in ("--classes", "nose", *more)]
    assert "3 of 3" in with_labels(faces, *given).output


CHANGES: dict[str, Callable[[Path], object]] = {
    "picture": lambda faces: mirror(faces / "images/b.png"),
    "picture with its old time": lambda faces: mirror(faces / "images/b.png", keep_time=True),
    "mask": lambda faces: mirror(faces / "masks/b.png"),
    "result": lambda faces: (faces.parent / "out/b.png").unlink(),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_file_is_filled_anew_and_no_other(faces: Path, kind: str) -> None:
    with_masks(faces)
    before = times(faces)
    CHANGES[kind](faces)
    assert "1 of 1 images inpainted with harmonic" in (said := with_masks(faces).output)
    assert "2 were already there" in said
    after = times(faces)
    assert [name for name in after if after[name] != before[name]] == ["b.png"]


def test_other_weights_in_the_same_folder_are_another_model(faces: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        from tests.models.reduced import build

        weights = fmi.Inpainter(build("migan", seed=seed), device="cpu").save_pretrained(
            tmp_path / "weights"
        )
        assert "3 of 3" in with_masks(faces, model=weights).output
        assert "nothing to do" in with_masks(faces, model=weights).output


def test_files_that_only_moved_are_the_same(faces: Path, tmp_path: Path) -> None:
    with_masks(faces)
    shutil.move(faces / "images", tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").iterdir():
        path.touch()
    given = (tmp_path / "elsewhere", "--mask", faces / "masks", "--out", tmp_path / "out")
    assert "nothing to do" in call("inpaint", *given, "--model", "harmonic").output


def test_one_picture_is_always_written(faces: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "out.png", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        given = ("inpaint", faces / "images/a.png", "--mask", faces / "masks/a.png", "--out", out)
        for model in ("harmonic", "lite", "lite"):
            assert "1 of 1 images inpainted" in call(*given, "--model", model).output
    lone = tmp_path / "folder" / "a.png"
    assert lone.read_bytes() == (tmp_path / "out.png").read_bytes()
    given = (faces / "images", "--mask", faces / "masks", "--out", tmp_path / "folder")
    assert "2 of 2" in (said := call("inpaint", *given, "--model", "lite").output)
    assert "1 were already there" in said


OUTS = {"file": "keep.png", "folder": "out", "samples": "keep.png"}


@pytest.mark.parametrize("partner", ["mask", "labels"])
@pytest.mark.parametrize("kind", OUTS)
def test_one_picture_replaces_nothing_unasked(
    partner: str, kind: str, faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / OUTS[kind]
    foreign = {"file": out, "folder": out / "a.png", "samples": tmp_path / "keep_1.png"}[kind]
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"precious")
    given: list[object] = [faces / "images/a.png", "--out", out, "--model", "harmonic"]
    if kind == "samples":
        given[-1:] = ["mat", "--num-samples", 2]
    if partner == "mask":
        given += ["--mask", faces / "masks/a.png"]
    else:
        given += ["--labels", faces / "labels/a.png", "--classes", "nose"]
    result = call("inpaint", *given)
    assert result.exit_code == 1
    assert f"{foreign}" in result.output
    assert "--overwrite" in result.output
    assert foreign.read_bytes() == b"precious"
    if kind != "samples":
        for more in (["--overwrite"], []):
            assert "1 of 1" in call("inpaint", *given, *more).output
        assert foreign.read_bytes() != b"precious"


@pytest.mark.parametrize("many", [False, True], ids=["one", "folder"])
def test_results_of_another_picture_of_the_same_name_stay(
    many: bool, faces: Path, tmp_path: Path
) -> None:
    shutil.copytree(faces, tmp_path / "others")
    mirror(tmp_path / "others/images/a.png")
    name = "" if many else "a.png"
    more = ("--out", tmp_path / "out", "--model", "harmonic")
    of = {
        root: (tmp_path / root / "images" / name, "--mask", tmp_path / root / "masks" / name)
        for root in ("faces", "others")
    }
    (tmp_path / "out").mkdir()
    assert call("inpaint", *of["faces"], *more).exit_code == 0
    before = (tmp_path / "out/a.png").read_bytes()
    refused = call("inpaint", *of["others"], *more)
    assert refused.exit_code == 1
    assert "made of other images" in refused.output
    assert (tmp_path / "out/a.png").read_bytes() == before
    mirror(faces / "images/a.png")  # the same picture, painted over, may be done again
    assert call("inpaint", *of["faces"], *more).exit_code == 0
    assert (tmp_path / "out/a.png").read_bytes() != before
    assert call("inpaint", *of["others"], *more, "--overwrite").exit_code == 0


@pytest.mark.parametrize("suffix", [".xyz", ".gif"])
def test_a_format_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    suffix: str, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fmi.Inpainter, "from_pretrained", None)
    given = (faces / "images/a.png", "--classes", "eyes", "--out", tmp_path / f"o{suffix}")
    result = call("inpaint", *given)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_foreign_pictures_are_not_replaced_unasked(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").write_bytes(b"precious")
    result = with_masks(faces)
    assert result.exit_code != 0
    assert "b.png" in result.output.splitlines()[-1]
    assert "--overwrite" in result.output.splitlines()[-1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
    assert (tmp_path / "out" / "b.png").read_bytes() == b"precious"
    assert "3 of 3" in with_masks(faces, "--overwrite").output
    assert "nothing to do" in with_masks(faces).output


def test_a_component_that_is_gone_leaves_no_old_result(faces: Path, tmp_path: Path) -> None:
    with_labels(faces, "--classes", "nose")
    Image.new("L", (64, 64), 1).save(faces / "labels/b.png")
    assert "1 components absent" in with_labels(faces, "--classes", "nose").output
    assert sorted(times(faces)) == ["a.png", "c.png"]
    assert "nothing to do" in with_labels(faces, "--classes", "nose").output


def test_the_folder_holds_nothing_but_results(faces: Path, tmp_path: Path) -> None:
    with_masks(faces)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("damage", ["half a li", '{"target": 3}\n', '{"target": "a.png"}\n', "\0"])
def test_a_damaged_record_costs_work_only(faces: Path, tmp_path: Path, damage: str) -> None:
    with_masks(faces)
    (record,) = tmp_path.glob(".out.*")
    record.write_text(record.read_text() + damage)
    assert with_masks(faces).exit_code == 0
    record.write_text(damage)
    assert with_masks(faces, "--overwrite").exit_code == 0
    assert "nothing to do" in with_masks(faces).output


def test_a_killed_run_goes_on_and_two_at_once_are_refused(faces: Path, tmp_path: Path) -> None:
    for number in range(40):
        for kind in ("images", "masks"):
            shutil.copy(faces / kind / "a.png", faces / kind / f"n{number}.png")
    given = [faces / "images", "--mask", faces / "masks", "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "facemask_inpaint", "inpaint", *given, "--model", "harmonic"]
    process = subprocess.Popen([*command, "--batch-size", "1"], stdout=subprocess.DEVNULL)
    while len(list((tmp_path / "out").glob("[!.]*.png"))) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # so that it cannot end before the other one has begun
    refused = with_masks(faces)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert refused.exit_code == 1
    assert f"is in use: process {process.pid} (inpaint" in refused.output
    before = times(faces)
    done = with_masks(faces)
    assert done.exit_code == 0, done.output
    after = times(faces)
    assert len(after) == 43
    kept = [name for name in before if before[name] == after[name]]
    assert f"{len(kept)} were already there" in done.output
    assert len(kept) >= len(before) - 1
    fresh = tmp_path / "fresh"
    call("inpaint", *given[:-1], fresh, "--model", "harmonic")
    for path in fresh.iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def masks(faces: Path, *more: object) -> Result:
    given = (faces / "labels", "--classes", "nose,eyes", "--out", faces.parent / "out")
    return call("mask", *given, *more)


@pytest.mark.parametrize("more", [("--dilate", 3), ("--size", 32), ("--face", "all")])
def test_masks_cut_otherwise_are_made_anew(faces: Path, more: tuple[object, ...]) -> None:
    assert "6 masks written" in masks(faces).output
    before = times(faces)
    assert "0 masks written" in (said := masks(faces).output)
    assert "6 were made before" in said
    assert times(faces) == before
    assert "6 masks written" in masks(faces, *more).output
    assert "0 masks written" in masks(faces, *more).output


def test_masks_of_a_changed_label_map_are_made_anew(faces: Path, tmp_path: Path) -> None:
    masks(faces)
    before = times(faces)
    mirror(faces / "labels/b.png", keep_time=True)
    assert "2 masks written" in masks(faces).output
    changed = {name for name, when in times(faces).items() if when != before[name]}
    assert changed == {"nose/b.png", "eyes/b.png"}
    Image.new("L", (64, 64), 1).save(faces / "labels/b.png")
    assert "2 components absent" in masks(faces).output
    assert not changed & times(faces).keys()
    assert "0 masks written" in masks(faces).output


def test_foreign_masks_are_not_replaced_unasked(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "nose").mkdir(parents=True)
    (tmp_path / "out" / "nose" / "b.png").write_bytes(b"painted by hand")
    result = masks(faces)
    assert result.exit_code != 0
    assert "--overwrite" in result.output.splitlines()[-1]
    assert (tmp_path / "out" / "nose" / "b.png").read_bytes() == b"painted by hand"
    assert "6 masks written" in masks(faces, "--overwrite").output


@pytest.mark.parametrize("command", ["inpaint", "mask", "demo", "convert"])
def test_a_folder_that_somebody_works_in(
    command: str, faces: Path, tmp_path: Path, official_lama: Path
) -> None:
    from facemask_inpaint._internal.locks import locked

    out = tmp_path / "out"
    given = {
        "inpaint": (faces / "images", "--mask", faces / "masks", "--model", "harmonic"),
        "mask": (faces / "labels", "--classes", "nose"),
        "demo": ("--model", "harmonic", "--classes", "nose"),
        "convert": ("lama", official_lama),
    }
    with locked(out, "train"):
        result = call(command, *given[command], "--out", out)
        assert [path.name for path in out.iterdir()] == [".fmi.lock"]
    assert result.exit_code == 1
    assert f"Error: {out} is in use: process {os.getpid()} (train" in result.output
