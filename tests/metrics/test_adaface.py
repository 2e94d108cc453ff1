"""AdaFace: the authors' numbers for made-up weights, their files, and faces on the template."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from facemask_inpaint import checkpoints, metrics
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.metrics.faces import adaface, dlib_networks
from facemask_inpaint.metrics.faces.adaface import TEMPLATE, UNITS, ImprovedResNet, align
from facemask_inpaint.parsing.five_landmarks import fit_similarity

PORTRAITS = Path(__file__).parents[1] / "data_portraits" / "images"
OFFICIAL = [
    [-0.054687, 0.019022, -0.01833, -0.002796, 0.00532, -0.030776],
    [-0.052586, 0.018304, -0.018747, -0.005417, 0.007145, -0.028659],
]
"""First components of the embeddings that github.com/mk-minchul/AdaFace computes for two inputs,
with the weights of :func:`made_up` in its IR-50."""


def made_up(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that follow from their keys, under which features neither vanish nor explode."""
    weights = {}
    for key, tensor in state.items():
        stream = np.random.RandomState(zlib.crc32(key.encode()))
        shape = tuple(tensor.shape)
        values = np.resize(stream.standard_normal(9973).astype(np.float32), shape)
        if key.endswith("num_batches_tracked"):
            values = np.zeros(shape, dtype=np.int64)
        elif key.endswith("running_var"):
            values = np.abs(values) + np.float32(0.5)
        elif tensor.ndim > 1:
            values *= np.float32(np.prod(shape[1:]) ** -0.5)
        else:
            values = values * np.float32(0.1) + np.float32(0.5 * key.endswith("weight"))
        weights[key] = torch.from_numpy(np.asarray(values))
    return weights


def inputs() -> Tensor:
    pixels = np.random.RandomState(0).randint(0, 256, (2, 3, 112, 112))
    return torch.from_numpy(pixels).float()


@pytest.fixture
def weights_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the embedder finds its weights; no dlib is needed, and no face is found."""
    path = tmp_path / "weights"
    monkeypatch.setattr(checkpoints, "fetch", lambda sources: path)
    finder = SimpleNamespace(prepare=lambda images: torch.zeros(len(images), 136))
    monkeypatch.setattr(adaface, "DlibLandmarks", lambda card: finder)
    return path


def test_embeddings_are_those_of_the_authors_code(weights_file: Path) -> None:
    weights = made_up(ImprovedResNet(UNITS["adaface-ir50"]).state_dict())
    lightning = {f"model.{key}": value for key, value in weights.items()}
    lightning["head.kernel"] = torch.zeros(512, 3)
    torch.save({"epoch": 25, "state_dict": lightning}, weights_file)
    embedder = metrics.open_extractor("adaface-ir50", "cpu")
    prepared = inputs()
    embeddings = embedder(prepared)
    assert torch.allclose(embeddings[:, :6], torch.tensor(OFFICIAL), atol=1e-5)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(2))
    assert "distance=cosine threshold=0.7" in embedder.identity


def test_the_deeper_network_has_the_authors_parameters() -> None:
    with torch.device("meta"):
        network = ImprovedResNet(UNITS["adaface-ir101"])
    assert len(network.state_dict()) == 917
    assert sum(parameter.numel() for parameter in network.parameters()) == 65_150_912


def test_the_hubs_files_take_rgb(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UNITS, "adaface-ir50", (1, 1, 1, 1))
    weights = made_up(ImprovedResNet((1, 1, 1, 1)).state_dict())
    torch.save({"state_dict": weights}, weights_file)
    embedder = metrics.open_extractor("adaface-ir50", "cpu")
    without_face = embedder.prepare(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    prepared = torch.cat([inputs()[:1], without_face])
    bgr = embedder(prepared)
    save_file({f"model.net.{key}": value for key, value in weights.items()}, weights_file)
    rgb = metrics.open_extractor("adaface-ir50", "cpu")(prepared.flip(1))
    assert torch.equal(rgb, bgr)
    assert not rgb[1].any()
    with pytest.raises(CheckpointError, match="weights of adaface-ir101"):
        metrics.open_extractor("adaface-ir101", "cpu")


def test_landmarks_come_to_lie_on_the_template() -> None:
    """In an image whose colours are its coordinates, the colours say what lies there."""
    rows, columns = torch.meshgrid(torch.arange(240), torch.arange(240), indexing="ij")
    image = torch.stack([columns, rows, rows]).to(torch.uint8)
    template = TEMPLATE @ (1, 1j)
    placed = 1.2 * np.exp(0.3j) * template + (60 + 30j)
    landmarks = torch.zeros(68, 2)
    for part, point in zip(adaface._FIVE, placed):
        landmarks[part] = torch.tensor([point.real, point.imag], dtype=torch.float32)
    aligned = align(image, landmarks)
    found = [aligned[:2, round(y), round(x)].tolist() for x, y in TEMPLATE]
    assert np.allclose(np.array(found) @ (1, 1j), placed, atol=1)


@pytest.mark.skipif(
    not dlib_networks.installed(), reason="dlib is not installed: the extra [identity]"
)
def test_an_aligned_portrait_is_already_aligned() -> None:
    """dlib finds landmarks in it that the template neither turns, scales nor shifts any more."""
    finder = metrics.open_extractor("dlib-68")
    path = min(PORTRAITS.iterdir())
    image = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
    aligned = align(image, finder.prepare(image[None]).reshape(68, 2))
    again = finder.prepare(aligned.round().clamp(0, 255).byte()[None]).reshape(68, 2)
    five = np.stack([again[part].mean(dim=0).numpy() for part in adaface._FIVE])
    factor, _ = fit_similarity(five, TEMPLATE)
    assert abs(factor - 1) < 0.04
    assert np.linalg.norm(five.mean(axis=0) - TEMPLATE.mean(axis=0)) < 1
    assert align(image, torch.zeros(68, 2)).isnan().all()
