"""Checkpoint files as the authors' own code writes them, small and with made-up weights."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.parity import recipe


def write_lama(path: Path, width: int = 8) -> Path:
    """A checkpoint file of LaMa with all its keys and ``width`` / 64 of its channels."""
    tensors = {f"generator.{key}": value for key, value in lama_tensors(width).items()}
    torch.save({"state_dict": {**tensors, "loss.weight": torch.zeros(2)}}, path)
    return path


def lama_tensors(width: int = 8) -> dict[str, torch.Tensor]:
    """Tensors under LaMa's own keys, with ``width`` / 64 of its channels."""
    tensors = {}
    for key, tensor in recipe.official_tensors("lama", "manifest.json").items():
        narrow = (slice(side * width // 64 if side >= 64 else side) for side in tensor.shape)
        tensors[key.removeprefix("generator.")] = tensor[tuple(narrow)].clone()
    return tensors
