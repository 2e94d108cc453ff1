"""The example scripts run as their users run them, and say what is true."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageFilter

from facemask_inpaint import MixedMaskSampler, data, metrics
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.metrics.features import efficientnet

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL_PORTRAITS = Path(__file__).parent / "data_portraits"
PORTRAITS = Path(__file__).parents[1] / "../shared/data/portraits"


def run(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, with one thread."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def output(script: str, *arguments: str, cwd: Path) -> str:
    """What a script prints, when nothing goes wrong."""
    done = run(script, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tally(line: str) -> Counter[str]:
    """Mask classes in a line that ends in ``…; 2 hair, 3 random``."""
    pairs = re.findall(r"(\d+) ([a-z_]+)", line.rpartition("; ")[2])
    return Counter({name: int(count) for count, name in pairs})


def drawn(pictures: int, epoch: int) -> Counter[str]:
    """Mask classes that the sampler of the examples draws for the bundled portrait."""
    sampler, labels = MixedMaskSampler(256, 0.5, seed=0), data.sample(256).label_map
    samples = [sampler(labels, index=index, epoch=epoch) for index in range(pictures)]
    return Counter(str(sample.mask_class or "random") for sample in samples)


def test_dataloader(tmp_path: Path) -> None:
    lines = output("mixed_masks_in_a_dataloader.py", cwd=tmp_path).splitlines()
    tallies = [tally(line) for line in lines]
    assert [sum(one.values()) for one in tallies] == [24, 24, 24]
    assert tallies[0] == {"random": 24}
    assert 0 < tallies[2]["random"] < 24


@pytest.mark.parametrize(
    ("script", "said", "pictures"),
    [
        ("mixed_masks_in_a_lightning_module.py", "plain loop", 24),
        ("mixed_masks_in_a_datasets_transform.py", "list of dictionaries", 12),
    ],
)
def test_other_libraries_loops_run_without_them(
    script: str, said: str, pictures: int, tmp_path: Path
) -> None:
    first, *epochs = output(script, "--epochs", "2", "--plain", cwd=tmp_path).splitlines()
    assert said in first
    assert [tally(line) for line in epochs] == [drawn(pictures, 0), drawn(pictures, 1)]


@pytest.mark.parametrize(
    ("library", "script", "pictures"),
    [
        ("lightning", "mixed_masks_in_a_lightning_module.py", 24),
        ("datasets", "mixed_masks_in_a_datasets_transform.py", 12),
    ],
)
def test_other_libraries_loops(library: str, script: str, pictures: int, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    printed = output(script, "--epochs", "2", cwd=tmp_path)
    epochs = [line for line in printed.splitlines() if line.startswith("epoch ")]
    assert printed.lower().startswith(library)
    assert [tally(line) for line in epochs] == [drawn(pictures, 0), drawn(pictures, 1)]


def test_numpy_loop(tmp_path: Path) -> None:
    lines = output("mixed_masks_in_a_numpy_loop.py", "--epochs", "2", cwd=tmp_path).splitlines()
    assert [tally(line) for line in lines] == [drawn(12, 0), drawn(12, 1)]
    for line in lines:
        known, holes = map(float, re.findall(r"([\d.]+)% ones", line))
        assert holes < 50 < known
        assert known + holes == pytest.approx(100, abs=0.11)


def test_numpy_data_sets_have_opposite_polarity() -> None:
    example = load("mixed_masks_in_a_numpy_loop.py")
    sample = data.sample(256)
    portraits = [(np.array(sample.image), sample.label_map)]
    sampler = MixedMaskSampler(256, 1.0, seed=0, classes="hair")
    image, keep = example.ForMAT(portraits, sampler)[0]
    item = example.ForLaMa(portraits, sampler)[0]
    hair = sampler.masker(sample.label_map, "hair")
    assert image.dtype == np.uint8
    assert keep.dtype == item["image"].dtype == item["mask"].dtype == np.float32
    assert np.array_equal(keep[0] == 0, hair)
    assert np.array_equal(item["mask"][0] == 1, hair)
    assert np.allclose(item["image"] * 255, image)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the bundled portrait, shifted and toned: eight to train on, three held out."""
    root, sample = tmp_path_factory.mktemp("faces"), data.sample(256)
    pixels = np.array(sample.image)
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for number in range(11):
        shift = (3 * number - 15, 2 * number - 10)
        toned = np.clip(pixels * (0.7 + 0.05 * number), 0, 255).astype(np.uint8)
        Image.fromarray(np.roll(toned, shift, (0, 1))).save(root / f"images/{number}.png")
        Image.fromarray(np.roll(sample.label_map, shift, (0, 1))).save(
            root / f"labels/{number}.png"
        )
    (root / "train.txt").write_text("\n".join(map(str, range(8))), encoding="utf-8")
    (root / "test.txt").write_text("8\n9\n10\n", encoding="utf-8")
    return root


def test_table7_is_complete_and_goes_on(faces: Path, tmp_path: Path) -> None:
    options = ("--data", str(faces), "--out", "run", "--resolution", "64", "--threads", "1")
    printed = output("training/table7_in_miniature.py", *options, "--steps", "2", cwd=tmp_path)
    table = (tmp_path / "run/table7.md").read_text(encoding="utf-8")
    assert table in printed
    check_table(table)
    pictures = sorted((tmp_path / "run").glob("*/filled-000002/*/*.png"))
    assert len(pictures) == 3 * 12 * 3
    times = [path.stat().st_mtime_ns for path in pictures]
    (tmp_path / "run/table7.md").unlink()
    pictures[0].unlink()

    output("training/table7_in_miniature.py", *options, "--steps", "2", cwd=tmp_path)
    assert (tmp_path / "run/table7.md").read_text(encoding="utf-8") == table
    assert [path.stat().st_mtime_ns for path in pictures][1:] == times[1:]
    with Image.open(tmp_path / "run/table7.jpg") as sheet:
        assert sheet.width > 5 * 128

    fewer = run("training/table7_in_miniature.py", *options, "--steps", "1", cwd=tmp_path)
    assert fewer.returncode == 1
    assert "has 2 steps already" in fewer.stderr


def check_table(text: str) -> None:
    """Three strategies by twelve classes, all differences, and the features by name."""
    fid, l1, differences = text.split("\n### ")[1:]
    for table in (fid, l1):
        rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in cells(table)}
        assert [name.strip()[2:].replace(" ", "_") for name in rows["masks in training"]] == [
            str(one) for one in MaskClass
        ]
        for strategy in ("random", "semantic", "mixed"):
            values = [float(cell.strip(" *²³")) for cell in rows[strategy]]
            assert all(0 < value < 1e5 for value in values)
        assert [int(cell) for cell in rows["n"]] == [3] * 12
    assert len(cells(differences)) == 2 + 12 * 3 + 3
    assert "features: face layout" in text
    assert "not with published ones" in text


def cells(table: str) -> list[str]:
    """The lines of a Markdown table."""
    return [line for line in table.splitlines() if line.startswith("|")]


def test_table7_says_what_is_missing_before_it_trains(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMASK_INPAINT_INCEPTION", str(tmp_path / "nowhere.pth"))
    options = ("--data", str(faces), "--features", "inception", "--out", "run")
    done = run("training/table7_in_miniature.py", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere.pth" in done.stderr
    assert not (tmp_path / "run").exists()


def test_layout_measures_colours_and_edges() -> None:
    layout = load("training/layout_features.py")
    plain = torch.full((1, 3, 128, 128), 51, dtype=torch.uint8)
    plain[:, 0, :, 64:] = 255
    measured = layout.measure(plain).reshape(7, 8, 8)
    assert torch.allclose(measured[4, :, :4], torch.tensor(0.2))
    assert torch.allclose(measured[4, :, 4:], torch.tensor(1.0))
    assert torch.allclose(measured[5:], torch.tensor(0.2))
    across, down = measured[0], measured[2]
    assert across[:, 3:5].min() > 0.01
    assert across[:, [0, 1, 2, 5, 6, 7]].abs().max() < 1e-6
    assert down.abs().max() < 1e-6


def test_layout_distance_grows_with_the_fault() -> None:
    if not PORTRAITS.is_dir():
        pytest.skip("needs the shared portraits")
    layout = load("training/layout_features.py")
    learnt, held_out = (data.open_faces(PORTRAITS, split)[:100] for split in ("train", "test"))
    size = (128, 128)
    extractor = layout.fit(stacked([face.read_image().resize(size) for face in learnt]))
    whitened = extractor(stacked([face.read_image().resize(size) for face in learnt]))
    assert torch.allclose(whitened.std(dim=0), torch.ones(whitened.shape[1]), atol=1e-3)

    reader = metrics.FeatureReader(extractor, workers=1, progress=False)
    real = [face.read_image().resize(size) for face in held_out]
    distances = [
        float(metrics.fid(stacked(real), stacked(blurred(real, radius)), reader=reader))
        for radius in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert all(second > 1.2 * first for first, second in pairwise(distances))


def blurred(pictures: list[Image.Image], radius: float) -> list[Image.Image]:
    """Pictures whose lower half, where the mouth is, has lost its detail."""
    done = []
    for picture in pictures:
        lower = (0, picture.height // 2, picture.width, picture.height)
        copy = picture.copy()
        copy.paste(picture.filter(ImageFilter.GaussianBlur(radius)).crop(lower), lower)
        done.append(copy)
    return done


@pytest.mark.skipif(
    not efficientnet.installed(), reason="EfficientNet-Lite0 is not installed: the extra [features]"
)
def test_quality_by_class(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).symlink_to(SMALL_PORTRAITS / folder)
    keys = sorted(path.stem for path in (SMALL_PORTRAITS / "images").iterdir())
    (tmp_path / "test.txt").write_text("\n".join(keys[:2]))
    arguments = ("--data", ".", "--classes", "nose,face", "--parser", "small", "--people", "1")
    text = output("benchmarks/lite_quality.py", *arguments, "--out", "run", cwd=tmp_path)
    rows = re.findall(r"^(\w+) +(\w+) +n=2 .* sharpness +([\d.]+) .* ([\d.]+)$", text, re.MULTILINE)
    sharpness = {(name, model): float(value) for name, model, value, _ in rows}
    assert len(sharpness) == 6  # two classes and their mean
    assert sharpness["face", "lite"] > 2 * sharpness["face", "harmonic"]
    assert all(0 <= float(agreement) <= 1 for *_, agreement in rows)
    assert (tmp_path / "run" / "sheet.jpg").is_file()


def stacked(pictures: list[Image.Image]) -> torch.Tensor:
    """``(N, 3, H, W)`` uint8."""
    pixels = np.stack([np.array(picture) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def load(script: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(Path(script).stem, EXAMPLES / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_street_scenes_are_drawn_trained_on_and_compared(tmp_path: Path) -> None:
    arguments = ("--out", "run", "--scenes", "8", "--steps", "2")
    text = output("street_scenes.py", *arguments, cwd=tmp_path)
    assert "Cityscapes train: 8 portraits, 0 of them unusable" in text
    scores = re.findall(r"^(\w+) +(harmonic|mixed) +L1 in the hole (0\.\d+)$", text, re.MULTILINE)
    classes = {"road", "building", "vegetation", "person", "car", "signs"}
    assert {(name, method) for name, method, _ in scores} == {
        (name, method) for name in classes for method in ("harmonic", "mixed")
    }
    assert (tmp_path / "run" / "benchmark" / "report.html").is_file()


def test_people_are_drawn_masked_mirrored_and_trained_on(tmp_path: Path) -> None:
    arguments = ("--out", "run", "--people", "4", "--steps", "2")
    text = output("human_parsing.py", *arguments, cwd=tmp_path)
    feet, arms, left, mirrored = (int(count) for count in re.findall(r": (\d+) pixels", text))
    assert left < arms - left == mirrored  # the right arm is longer, and the left one in a mirror
    assert feet
    assert "a draw: arms" in text
    assert (tmp_path / "run" / "lite" / "model" / "config.json").is_file()


@pytest.mark.parametrize("limit", [8, pytest.param(None, marks=pytest.mark.slow)])
def test_wrong_label_orders_are_noticed(limit: int | None, tmp_path: Path) -> None:
    portraits = SMALL_PORTRAITS if limit else PORTRAITS
    text = output("benchmarks/label_orders.py", str(portraits.resolve()), cwd=tmp_path)
    rows = re.findall(r"^[\w-]+ +([\d.]+)% +([\d.]+)% \(as ", text, re.MULTILINE)
    assert len(rows) == 9
    assert all(float(alarms) <= 1 and float(warned) >= 95 for alarms, warned in rows)


def test_placed_portraits_are_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the judge is not installed")
    monkeypatch.syspath_prepend(str(EXAMPLES / "benchmarks"))
    script, root = importlib.import_module("placed_portraits"), tmp_path / "portraits"
    shutil.copytree(Path(__file__).parent / "data_portraits", root)
    (root / "test.txt").write_text("B000490", encoding="utf-8")
    arguments = ["--data", str(root), "--classes", "nose", "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(script.main, arguments, catch_exceptions=False).stdout
    assert "2 faces found, 0 missed" in first
    row = next(line for line in first.splitlines() if line.startswith("| nose | 2 |"))
    resampled, reduced, by_labels, by_parser, unframed = (
        tuple(map(float, pair)) for pair in re.findall(r"x ([\d.]+), x ([\d.]+)", row)
    )
    assert max(*resampled, *reduced, *by_labels, *by_parser) < 1.5
    assert unframed > by_parser
    monkeypatch.setattr(script.Measurement, "measure", None)
    assert CliRunner().invoke(script.main, arguments, catch_exceptions=False).stdout == first


def test_networks_whose_official_code_is_not_there_have_a_row_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "MAT").mkdir()
    arguments = ["--official", str(tmp_path), "--network", "migan-256", "--network", "mat"]
    _, _, migan, mat = output(
        "benchmarks/against_official.py", *arguments, cwd=tmp_path
    ).splitlines()
    assert "no clone of Picsart-AI-Research/MI-GAN" in migan
    assert "No module named 'networks'" in mat
