"""Graphs in 8 bits: what calibrates them, and what they still compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint import Inpainter
from facemask_inpaint.errors import MaskError, OptionError
from facemask_inpaint.export import quantise
from facemask_inpaint.models import InpaintingNetwork

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIDE = 64


class Smoothing(InpaintingNetwork):
    """Two convolutions, small enough to be traced in a second."""

    architecture = "migan"
    native_resolution = SIDE
    any_size = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def fill(self, masked_image: Tensor, hole: Tensor, latents: Any) -> Tensor:
        return torch.tanh(self.second(F.relu(self.first(torch.cat([masked_image, hole], dim=1)))))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "smoothing"
    return Inpainter(Smoothing(), device="cpu").export(folder, pipeline=False)


def example(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    hole = np.zeros((side, side), dtype=bool)
    hole[side // 4 : side // 2, side // 4 : side // 2] = True
    return pixels, hole


def pictures() -> Sequence[tuple[Any, Any]]:
    """Examples of several types and sizes."""
    (first, hole), (second, other) = example(SIDE, 1), example(100, 2)
    return [
        (first, hole),
        (Image.fromarray(second), Image.fromarray(other)),
        (torch.from_numpy(first).permute(2, 0, 1), torch.from_numpy(hole)),
    ]


@pytest.mark.parametrize("calibration", [None, pictures()])
def test_a_graph_in_8_bits_fills_nearly_as_before(
    exported: Path, tmp_path: Path, calibration: Any
) -> None:
    folder = quantise(exported, tmp_path / "int8", calibration=calibration)
    pixels, hole = example(SIDE, 3)
    before, after = (
        np.asarray(Inpainter.from_onnx(each)(pixels, hole)).astype(int)
        for each in (exported, folder)
    )
    assert np.array_equal(after[~hole], pixels[~hole])
    assert 0 <= np.abs(after - before)[hole].mean() < 4
    kinds = (folder / "config.json").read_text(encoding="utf-8")
    assert ("int8 (dynamic)" if calibration is None else "int8 (static)") in kinds


def test_examples_are_checked_and_nothing_is_written(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no examples"):
        quantise(exported, tmp_path / "int8", calibration=[])
    pixels, _ = example(SIDE, 1)
    with pytest.raises(MaskError, match="calibration mask 0"):
        quantise(exported, tmp_path / "int8", calibration=[(pixels, np.ones((9, 9), bool))])
    assert not list(tmp_path.rglob("*.onnx"))
