"""Training within a program that has set something of its own."""

from __future__ import annotations

from pathlib import Path

from facemask_inpaint import data, training
from facemask_inpaint.training import Recipe
from tests.internal.test_torch_state import host, state


def weights(recipe: Recipe, portraits: Path, out: Path) -> bytes:
    """Train for three steps; what came of it."""
    faces = data.open_faces(portraits, "train")
    training.train(recipe.changed(steps=3), faces, out=out, device="cpu", progress=False)
    return (out / "model" / "model.safetensors").read_bytes()


def test_weights_do_not_depend_on_the_host(recipe: Recipe, portraits: Path, tmp_path: Path) -> None:
    expected = weights(recipe, portraits, tmp_path / "nothing")
    for kind in ("float64", "device", "autocast", "inference_mode"):
        with host(kind):
            before = state()  # what PyTorch imports when training begins is there by now
            assert weights(recipe, portraits, tmp_path / kind) == expected, kind
            assert state() == before
