"""Checkpoint files as the authors' own code writes them, small and with made-up weights."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
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


def inception_tensors() -> dict[str, torch.Tensor]:
    """Made-up weights of the Inception network under pytorch-fid's keys."""
    path = Path(__file__).parent / "metrics" / "data" / "inception_manifest.json.xz"
    manifest = json.loads(lzma.decompress(path.read_bytes()))
    counter = {"num_batches_tracked": np.array(0)}
    return {
        key: torch.from_numpy(recipe.fill_tensor(key, shape, rule, literals=counter))
        for key, (shape, rule) in manifest.items()
    }
