"""Checkpoint files as the authors' own code writes them, small and with made-up weights."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.parity import recipe


def write_lama(path: Path, width: int = 8) -> Path:
    """A checkpoint file of LaMa with all its keys and ``width`` / 64 of its channels."""
    torch.save({"state_dict": {**_narrow_lama(width), "loss.weight": torch.zeros(2)}}, path)
    return path


def _narrow_lama(width: int) -> dict[str, torch.Tensor]:
    tensors = {}
    for key, tensor in recipe.official_tensors("lama", "manifest.json").items():
        narrow = (slice(side * width // 64 if side >= 64 else side) for side in tensor.shape)
        tensors[key] = tensor[tuple(narrow)].clone()
    return tensors
