"""`evaluate` and `compare` on the command line, on folders as `inpaint` writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from facemask_inpaint.cli import main


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real/, and two models' fillings of six pictures by class."""
    folder = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(0)
    for index in range(6):
        picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        for name, noise in (("real", 0), ("good/nose", 4), ("bad/nose", 60)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            noisy = picture + rng.integers(-noise, noise + 1, picture.shape)
            changed = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            changed.save(folder / name / f"{index}.png")
    return folder


def test_pixel_metrics_need_no_weights(filled: Path, tmp_path: Path) -> None:
    arguments = ["--metrics", "psnr,l1", "--json", tmp_path / "all.json"]
    arguments += ["--csv", tmp_path / "table.csv"]
    result = _call("evaluate", filled / "real", filled / "good/nose", *arguments)
    assert result.exit_code == 0, result.output
    table = (tmp_path / "table.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["metric", "psnr", "l1"]
    assert json.loads((tmp_path / "all.json").read_text())["psnr"]["n"] == 6
    assert "PSNR" in result.output


def test_fid_of_a_folder_with_itself_is_zero(
    filled: Path, tmp_path: Path, inception_file: Path
) -> None:
    arguments = ["--metrics", "fid", "--weights", inception_file, "--cache", tmp_path]
    result = _call("evaluate", filled / "real", filled / "real", *arguments)
    assert result.exit_code == 0, result.output
    assert "n = 6" in result.output
    assert "warning" in result.output


def test_what_is_not_defined_for_so_few_images_takes_nothing_down(
    filled: Path, tmp_path: Path
) -> None:
    for side in ("real", "good/nose"):
        (tmp_path / side).mkdir(parents=True)
        shutil.copy(filled / side / "0.png", tmp_path / side)
    arguments = ["--extractor", "random-convolutions", "--no-cache", "--json", tmp_path / "a.json"]
    result = _call("evaluate", tmp_path / "real", tmp_path / "good/nose", *arguments)
    assert result.exit_code == 0, result.output
    assert "warning (left out): FID needs 2 images a side; there is 1" in result.output
    found = json.loads((tmp_path / "a.json").read_text())
    assert {name for name, score in found.items() if score["value"] is None} == {"fid", "kid"}
    assert {"pids", "uids", "l1", "psnr", "ssim"} < found.keys()
    alone = _call("evaluate", filled / "real", filled / "real", "--metrics", "fid_infinity",
                  "--extractor", "random-convolutions", "--no-cache")  # fmt: skip
    assert alone.exit_code == 1
    assert "FID∞ needs 20 images a side; there are 6" in alone.output


def test_compare_by_class(filled: Path, tmp_path: Path, inception_file: Path) -> None:
    arguments = ["--weights", inception_file, "--cache", tmp_path / "cache"]
    arguments += ["--replicates", 50, "--exchanges", 49, "--json", tmp_path / "all.json"]
    models = [f"good={filled / 'good'}", f"bad={filled / 'bad'}"]
    result = _call("compare", filled / "real", *models, *arguments)
    assert result.exit_code == 0, result.output
    assert "nose" in result.output
    assert json.loads((tmp_path / "all.json").read_text())["differences"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "{f}/real", "{f}/good/nose", "--metrics", "fidd"], "fidd"),
        (["evaluate", "{f}/real", "{f}/empty", "--metrics", "l1"], "empty"),
        (["compare", "{f}/real", "good"], "NAME=FOLDER"),
        (["compare", "{f}/real", "a={f}/good", "a={f}/bad"], "method 'a' is given twice"),
        (["train", "--show", "--set", "steps=1", "--set", "steps=2"], "setting 'steps' is given"),
        (["evaluate", "{f}/real", "{f}/real", "--metrics", "l1", "--dtype", "int8"], "int8"),
        (["evaluate", "{f}/real", "{f}/real", "--metrics", "fid", "--extractor",
          "random-convolutions", "--dtype", "float16"], "random-convolutions computes in float32"),
        (["evaluate", "{f}/real", "{f}/real", "--metrics", "fid@efficientnet-lite0", "--dtype",
          "bfloat16"], "efficientnet-lite0 computes in float32 only"),
        (["evaluate", "{f}/real", "{f}/real", "--null-swaps", "-5"], "--null-swaps"),
        (["evaluate", "{f}/real", "{f}/real", "--metrics", "l1_hole"], "--masks"),
        (["evaluate", "{f}/real/0.npz", "{f}/real", "--metrics", "fid"], "metrics.fid alone"),
        (["evaluate", "{f}/real", "{f}/real", "--metrics", "fid", "--weights",
          "{f}/real/0.png"], "0.png"),
    ],
)  # fmt: skip
def test_bad_input(arguments: list[str], words: str, filled: Path) -> None:
    (filled / "empty").mkdir(exist_ok=True)
    (filled / "real/0.npz").touch()
    result = _call(*(text.format(f=filled) for text in arguments))
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    assert words in result.output.strip().splitlines()[-1]
