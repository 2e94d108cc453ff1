"""DINOv2 and CLIP as extractors: beside transformers' own preprocessing and networks."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, MissingDependencyError, UnknownNameError
from facemask_inpaint.metrics import FeatureReader, VisionTransformer, VisionTransformerExtractor
from facemask_inpaint.metrics.features.vision_transformers import (
    VISION_TRANSFORMERS,
    resampled_positions,
)

from . import synth

transformers = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 14,
}
PROCESSORS = {"dinov2": "BitImageProcessor", "clip": "CLIPImageProcessor"}


def small(name: str) -> VisionTransformer:
    record = VISION_TRANSFORMERS[name]
    further = {"intermediate_size": 64, "projection_dim": 16} if name == "clip" else {}
    return replace(record, config={**record.config, **SMALL, **further})


def network(record: VisionTransformer) -> torch.nn.Module:
    config, model = (getattr(transformers, part) for part in record.classes)
    torch.manual_seed(0)
    built: torch.nn.Module = model(config(**record.config, image_size=record.side)).eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return built


def as_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the names in the file, with the text encoder that CLIP's holds."""
    renamed = {}
    for key, tensor in tensors.items():
        for part, old in (("q", "query"), ("k", "key"), ("v", "value")):
            if key.startswith("encoder.layer"):
                key = key.replace(f"attention.{part}_proj", f"attention.attention.{old}")
        renamed[key.replace("attention.o_proj", "attention.output.dense")] = tensor
    return {**renamed, "text_model.final_layer_norm.weight": torch.ones(8)}


def saved(tensors: Mapping[str, Tensor], folder: Path) -> Path:
    path = folder / "pytorch_model.bin"
    torch.save(dict(tensors), path)
    return path


def processor(name: str, record: VisionTransformer) -> Any:
    """Its processor on PIL, set up as the official code prepares images."""
    built = getattr(transformers, PROCESSORS[name] + "Pil", None)
    return (built or getattr(transformers, PROCESSORS[name]))(
        size={"height": record.side, "width": record.side},
        resample=Image.Resampling.BICUBIC,
        do_center_crop=False,
        image_mean=list(record.mean),
        image_std=list(record.std),
    )


@pytest.mark.parametrize("name", PROCESSORS)
def test_transformers_gives_the_same_features(name: str, tmp_path: Path) -> None:
    record = small(name)
    theirs = network(record)
    weights = saved(as_published(theirs.state_dict()), tmp_path)
    extractor = VisionTransformerExtractor(record, weights=weights, device="cpu")
    images = synth.pictures(3, 250, 230)
    # CMMD cuts out the middle square, FD-DINOv2 squeezes the image.
    cut = images[:, 10:240] if record.crop else images
    prepared = processor(name, record)(list(cut), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        expected = getattr(theirs(pixel_values=prepared), record.output)
    if record.unit:
        expected = expected / expected.norm(dim=1, keepdim=True)
    found = FeatureReader(extractor, progress=False).read(images).values
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert extractor.identity.startswith(record.identity)


def test_positions_are_resampled_as_by_the_authors() -> None:
    # Row and column of a table, read at (i + 1/2) * 37 / 16.1 - 1/2. Where 16 stood for 16.1, the
    # last rows would be 0.2 further; PyTorch's cubic kernel bends a straight line by 0.05.
    grid = torch.arange(37.0)
    table = torch.stack([grid[:, None].expand(37, 37), grid.expand(37, 37)], dim=-1)
    tokens = torch.cat([torch.full((1, 1, 2), 7.0), table.reshape(1, -1, 2)], dim=1)
    resampled = resampled_positions(tokens, 257)
    assert resampled.shape == (1, 257, 2)
    assert resampled[0, 0].tolist() == [7, 7]
    inner = (torch.arange(16.0) + 0.5) * 37 / 16.1 - 0.5
    rows = resampled[0, 1:].reshape(16, 16, 2)
    torch.testing.assert_close(rows[1:-1, 5, 0], inner[1:-1], rtol=0, atol=0.06)
    torch.testing.assert_close(rows[5, 1:-1, 1], inner[1:-1], rtol=0, atol=0.06)
    assert resampled_positions(tokens, 1 + 37 * 37) is tokens


def test_a_larger_table_is_resampled_when_it_is_loaded(tmp_path: Path) -> None:
    record = small("dinov2")
    tensors = as_published(network(record).state_dict())
    tensors["embeddings.position_embeddings"] = torch.randn(1, 1 + 37 * 37, 32)
    weights = saved(tensors, tmp_path)
    extractor = VisionTransformerExtractor(record, weights=weights, device="cpu")
    assert extractor(extractor.prepare(torch.zeros(2, 3, 30, 40, dtype=torch.uint8))).shape == (
        2,
        32,
    )


@pytest.mark.parametrize("damage", ["missing", "other width"])
def test_other_weights_are_refused(damage: str, tmp_path: Path) -> None:
    record = small("dinov2")
    tensors = as_published(network(record).state_dict())
    key = "layernorm.bias"
    tensors[key] = torch.zeros(5)
    if damage == "missing":
        del tensors[key]
    with pytest.raises(CheckpointError, match=r"not the weights of dinov2-vit-l-14.*layernorm"):
        VisionTransformerExtractor(record, weights=saved(tensors, tmp_path), device="cpu")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *rest: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return builtins.__import__(name, *rest)

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(MissingDependencyError, match=r"facemask-inpaint\[distances\]"):
        VisionTransformerExtractor("clip", device="cpu")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="dinov2"):
        VisionTransformerExtractor("dinov3")


def test_published_sizes() -> None:
    assert {name: record.side for name, record in VISION_TRANSFORMERS.items()} == {
        "dinov2": 224,
        "clip": 336,
    }
    for record in VISION_TRANSFORMERS.values():
        assert record.source.revision is not None
        assert np.isclose(np.mean(record.mean), 0.45, atol=0.03)
