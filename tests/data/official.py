"""Portraits laid out as CelebAMask-HQ's authors distribute them, made from the bundled sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.masks import LABEL_NAMES

SIDE = 64
"""Side of the label maps written here; the images are twice as large."""


def sample_labels() -> np.ndarray:
    """The sample's label map at :data:`SIDE`."""
    return np.ascontiguousarray(data.sample(256).label_map[::4, ::4])


def write_face(root: Path, key: int, labels: np.ndarray | None = None) -> None:
    """Write one image and its part files; label maps of one face shift a little by key."""
    images = root / "CelebA-HQ-img"
    images.mkdir(parents=True, exist_ok=True)
    data.sample(256).image.convert("RGB").resize((2 * SIDE, 2 * SIDE)).save(images / f"{key}.jpg")
    labels = np.roll(sample_labels(), key % 7, axis=1) if labels is None else labels
    for label in np.unique(labels[labels > 0]):
        path = part_file(root, key, LABEL_NAMES[label])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(labels == label) * 255).convert("RGB").save(path)


def part_file(root: Path, key: int, name: str) -> Path:
    """Where the authors put a part."""
    return root / "CelebAMask-HQ-mask-anno" / str(key // 2000) / f"{key:05d}_{name}.png"


def write_mapping(root: Path, indices: Mapping[int, int]) -> None:
    """Write the mapping file: index in CelebA by image."""
    rows = [f"{key:<8} {index:<8} {index + 1:06d}.jpg" for key, index in indices.items()]
    heading = "idx     orig_idx    orig_file"
    path = root / "CelebA-HQ-to-CelebA-mapping.txt"
    path.write_text("\n".join([heading, *rows]) + "\n")


def write_dataset(root: Path, keys: Iterable[int]) -> None:
    """Write images, parts and a mapping file that deals them to train, val and test in turn."""
    keys = list(keys)
    for key in keys:
        write_face(root, key)
    starts = (1_000, 170_000, 190_000)
    write_mapping(root, {key: starts[number % 3] + key for number, key in enumerate(keys)})
