"""``Inpainter.compile``: what it changes, and what it leaves as it was."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import MissingDependencyError
from tests.models.reduced import build


def reduced(name: str) -> fmi.Inpainter:
    return fmi.Inpainter(build(name), device="cpu")


def scene(side: int) -> tuple[Tensor, Tensor]:
    image, hole = torch.rand(3, side, side), torch.zeros(side, side)
    hole[10:30, 5:25] = 1
    return image, hole


@pytest.mark.parametrize("name", ["lama", "migan"])
def test_predictions_and_files_are_the_same(name: str, tmp_path: Path) -> None:
    inpainter = reduced(name)
    image, hole = scene(inpainter.network.native_resolution or 64)
    before = inpainter(image, hole, seed=1)
    inpainter.save_pretrained(tmp_path / "before")
    assert inpainter.compile(backend="eager") is inpainter
    torch.testing.assert_close(inpainter(image, hole, seed=1), before, rtol=0, atol=1e-5)
    inpainter.save_pretrained(tmp_path / "after")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("before", "after")]
    assert files[0] == files[1]


def test_copies_are_not_compiled() -> None:
    network = reduced("lama").compile(backend="eager").network
    assert all(part._compiled_call_impl for part in network.children())
    assert not any(part._compiled_call_impl for part in copy.deepcopy(network).children())


def test_unknown_backend_is_refused_at_once() -> None:
    with pytest.raises(MissingDependencyError, match="needs a C\\+\\+ compiler"):
        reduced("lama").compile(backend="none-such")


@pytest.mark.slow
def test_missing_compiler_is_one_sentence(tmp_path: Path) -> None:
    code = "import facemask_inpaint as f; f.Inpainter.from_pretrained('lite').compile()"
    missing = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **missing}, capture_output=True, text=True
    )
    assert "MissingDependencyError: torch.compile cannot build anything here" in run.stderr
