"""Made-up weights that are the same on every machine.

A fixture stores no weights: its manifest names every checkpoint tensor with a shape and a fill
rule, and the numbers follow from the key (NumPy never changes the ``RandomState`` streams).

Fill rules:
    ``normal:STD[:MEAN]``   normal distribution
    ``absnormal:STD:MEAN``  MEAN plus the absolute value of a centred normal draw (variances)
    ``const:V``             V everywhere
    ``literal:NAME``        array NAME of ``literals.npz``
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

DATA = Path(__file__).parent / "data"
"""Bundled manifests, literals and slim cases: one folder per network."""

SHARED = Path(__file__).parents[3] / "shared" / "parity"
"""Full fixtures beside the checkout, run as well where they are."""


def fill_tensor(
    key: str,
    shape: list[int],
    rule: str,
    salt: str = "",
    literals: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Value of one checkpoint tensor: float32, or whatever type a literal has."""
    kind, *arguments = rule.split(":")
    if kind == "literal":
        return np.asarray((literals or {})[arguments[0]])
    numbers = [float(argument) for argument in arguments]
    if kind == "const":
        return np.full(shape, numbers[0], dtype=np.float32)
    if kind not in ("normal", "absnormal"):
        raise ValueError(f"unknown fill rule {rule!r} for {key!r}")
    std, mean = (*numbers, 0.0)[:2]
    stream = np.random.RandomState(zlib.crc32((salt + key).encode()))
    values = stream.standard_normal(int(np.prod(shape))) * std
    if kind == "absnormal":
        values = np.abs(values)
    return np.asarray(values + mean, dtype=np.float32).reshape(shape)


def manifest_path(network: str, name: str) -> Path:
    """Where the bundled manifest ``name`` (such as ``manifest.json``) of a network lies."""
    return DATA / network / f"{name}.xz"


def official_shapes(network: str, manifest: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a manifest, under the keys of the published checkpoint."""
    return {key: tuple(entry["shape"]) for key, entry in _entries(network, manifest).items()}


def official_tensors(
    network: str,
    manifest: str,
    salt: str = "",
    narrow: Callable[[str, list[int]], list[int]] = lambda key, shape: shape,
) -> dict[str, torch.Tensor]:
    """All tensors of a manifest under the keys of the published checkpoint.

    Args:
        network: folder of the manifest.
        manifest: its name.
        salt: for other numbers.
        narrow: from a key and its published shape to the shape to make; literals stay as they are.
    """
    path = DATA / network / "literals.npz"
    literals = np.load(path) if path.exists() else None
    tensors = {}
    for key, entry in _entries(network, manifest).items():
        shape = narrow(key, entry["shape"])
        value = fill_tensor(key, shape, entry["fill"], salt, literals)
        tensors[key] = torch.from_numpy(value)
    return tensors


def _entries(network: str, manifest: str) -> dict[str, dict[str, Any]]:
    packed = manifest_path(network, manifest).read_bytes()
    return json.loads(lzma.decompress(packed))["tensors"]
