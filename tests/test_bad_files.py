"""Ten good pictures among more than ten bad ones: every command does the good and names the bad."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.cli import main
from facemask_inpaint.images import opening
from tests.bad_files import write_bad

SIDE = 64
GOOD = [f"good{index}" for index in range(10)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PIPE_SECONDS", 0.05)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``images``, ``labels`` and ``masks`` of ten portraits, and bad files among the images."""
    root = tmp_path_factory.mktemp("faces")
    sample = fmi.data.sample(256)
    portrait = sample.image.resize((SIDE, SIDE))
    labels = Image.fromarray(sample.label_map).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    hole = Image.fromarray(fmi.SemanticMasker()(np.asarray(labels), "nose"))
    for kind in ("images", "labels", "masks"):
        (root / kind).mkdir()
    for index, key in enumerate(GOOD):
        portrait.point(lambda level, shift=index: min(255, level + shift)).save(
            root / "images" / f"{key}.png"
        )
    bad = [Path(name).stem for name in write_bad(root / "images")]
    for key in [*GOOD, *bad]:
        labels.save(root / "labels" / f"{key}.png")
        hole.save(root / "masks" / f"{key}.png")
    (root / "bad.list").write_text("\n".join(bad))
    return root


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _require_all_named(result: Result, faces: Path) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    bad = (faces / "bad.list").read_text().split()
    assert len(bad) > 10
    assert not [key for key in bad if key not in result.output], result.output


def test_mask(tmp_path: Path, faces: Path) -> None:
    folder = shutil.copytree(faces / "labels", tmp_path / "labels")
    for key in (faces / "bad.list").read_text().split():
        (folder / f"{key}.png").unlink()
    write_bad(folder)
    result = _call("mask", folder, "--classes", "nose,hair", "--out", tmp_path / "out")
    _require_all_named(result, faces)
    assert sorted(path.stem for path in (tmp_path / "out" / "nose").iterdir()) == GOOD
    assert sorted(path.stem for path in (tmp_path / "out" / "hair").iterdir()) == GOOD


def test_inpaint(tmp_path: Path, faces: Path) -> None:
    common = ("--model", "harmonic", "--out", tmp_path)
    result = _call("inpaint", faces / "images", "--mask", faces / "masks", *common)
    _require_all_named(result, faces)
    assert sorted(path.stem for path in tmp_path.glob("[!.]*")) == GOOD


def test_inpaint_with_bad_masks_and_labels(tmp_path: Path, faces: Path) -> None:
    for option, kind in (("--mask", "masks"), ("--labels", "labels")):
        folder = shutil.copytree(faces / kind, tmp_path / kind)
        images = tmp_path / f"{kind} images"
        images.mkdir()
        for key in (faces / "bad.list").read_text().split():
            (folder / f"{key}.png").unlink()
            shutil.copy(faces / "images" / "good0.png", images / f"{key}.png")
        shutil.copy(faces / "images" / "good1.png", images)
        write_bad(folder)
        extra = ("--classes", "nose") if kind == "labels" else ()
        out = tmp_path / f"{kind} out"
        common = ("--model", "harmonic", "--out", out)
        result = _call("inpaint", images, option, folder, *extra, *common)
        _require_all_named(result, faces)
        assert [path.name for path in out.glob("[!.]*")] == ["good1.png"]


@pytest.mark.parametrize("bad_side", ["real", "fake"])
def test_evaluate(tmp_path: Path, faces: Path, bad_side: str) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    for key in [*GOOD, *(faces / "bad.list").read_text().split()]:
        shutil.copy(faces / "images" / "good0.png", whole / f"{key}.png")
    sides = (faces / "images", whole) if bad_side == "real" else (whole, faces / "images")
    table = tmp_path / "table.csv"
    result = _call("evaluate", *sides, "--metrics", "psnr,l1", "--csv", table)
    _require_all_named(result, faces)
    assert "l1" in table.read_text()
    assert table.read_text().splitlines()[-1].endswith(",10")
    stopped = _call("evaluate", *sides, "--metrics", "l1", "--on-error", "raise")
    assert stopped.exit_code == 1
    assert "failed:" not in stopped.output


def test_compare(tmp_path: Path, faces: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for key in [*GOOD, *(faces / "bad.list").read_text().split()]:
            shutil.copy(faces / "images" / "good0.png", tmp_path / name / f"{key}.png")
    (tmp_path / "two" / "good3.png").write_bytes(b"")
    named = [f"{name}={tmp_path / name}" for name in ("one", "two")]
    common = ("--extractor", "random-convolutions", "--no-cache", "--json", tmp_path / "found.json")
    result = _call("compare", faces / "images", *named, *common)
    _require_all_named(result, faces)
    assert "two/good3.png" in result.output
    assert '"n": 9' in (tmp_path / "found.json").read_text()


def test_benchmark(tmp_path: Path, faces: Path) -> None:
    options = ("--model", "harmonic", "--classes", "nose", "--size", SIDE, "--no-report")
    common = ("benchmark", "--data", faces, *options, "--metrics", "psnr_hole", "--out", tmp_path)
    _require_all_named(_call(*common, "--check"), faces)
    result = _call(*common)
    _require_all_named(result, faces)
    assert "cases: 10;" in result.output


def test_train_check(faces: Path) -> None:
    result = _call("train", "--recipe", "lite-smoke", "--data", faces, "--check")
    _require_all_named(result, faces)
    assert f"{len((faces / 'bad.list').read_text().split())} of" in result.output


def test_a_silent_pipe_ends_the_command(tmp_path: Path, faces: Path) -> None:
    """With the patience that users get, in a process of its own."""
    command = (sys.executable, "-m", "facemask_inpaint", "mask", faces / "images" / "pipe.png")
    found = subprocess.run(
        [*map(str, command), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 1
    assert "pipe.png" in found.stderr
