"""Two real processes against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facemask_inpaint._internal import distributed
from facemask_inpaint.errors import OptionError
from facemask_inpaint.training import train

ONE_STEP = """
import sys
import torch
from facemask_inpaint import data, training
from facemask_inpaint._internal import distributed
from facemask_inpaint.training import learner, loop

class Shows(learner.Learner):
    def train_step(self, batches):
        # The last layers begin at zero and would hide the gradient of all before them.
        draws = torch.Generator().manual_seed(0)
        for stage in (self.pair.generator.coarse, self.pair.generator.detail):
            torch.nn.init.normal_(stage.to_pixels.weight, std=0.05, generator=draws)
        terms = super().train_step(batches)
        if distributed.rank() == 0:
            torch.save({n: p.grad for n, p in self.pair.named_parameters()}, sys.argv[2])
        return terms

loop.Learner = Shows
recipe = training.open_recipe(sys.argv[3])
training.train(recipe, data.open_faces(sys.argv[1], "train"), out=sys.argv[4], device="cpu",
               progress=False)
"""


def gradients(recipe, portraits: Path, folder: Path, processes: int) -> dict[str, torch.Tensor]:
    folder.mkdir()
    script, file, found = folder / "step.py", folder / "recipe.yaml", folder / "gradients.pt"
    script.write_text(ONE_STEP)
    recipe.save(file)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher = launcher if processes > 1 else []
    subprocess.run(
        [sys.executable, *launcher, script, portraits, found, file, folder / "out"],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return torch.load(found, weights_only=True)


def test_two_processes_have_the_gradients_of_one(recipe, portraits, tmp_path) -> None:
    first = recipe.changed(steps=1, **{"losses.adversarial_from": 0, "losses.r1": 0})
    alone = gradients(first, portraits, tmp_path / "alone", 1)
    together = gradients(first, portraits, tmp_path / "together", 2)
    assert alone.keys() == together.keys()
    compared = 0
    for name, gradient in alone.items():
        if gradient is None:
            assert together[name] is None
            continue
        scale = max(float(gradient.abs().max()), 1e-3)
        assert float((gradient - together[name]).abs().max()) <= 1e-5 * max(scale, 1), name
        compared += float(gradient.abs().max()) > 0
    assert compared > 20


@pytest.mark.parametrize(("batch", "gradient_accumulation"), [(3, 1), (5, 1), (6, 2)])
def test_a_batch_that_cannot_be_split_is_refused(
    recipe, portraits, tmp_path, monkeypatch, batch, gradient_accumulation
) -> None:
    """That two processes count as two is what the test above shows."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    odd = recipe.changed(steps=1, batch_size=batch, gradient_accumulation=gradient_accumulation)
    with pytest.raises(OptionError, match=f"batch of {batch} cannot be split over 2"):
        train(odd, portraits, out=tmp_path / "run", device="cpu", progress=False)
    assert not (tmp_path / "run").exists()
