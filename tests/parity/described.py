"""Cases that ``cases.json`` describes one by one, and the arrays that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageFilter
from torch import Tensor

from tests.parity.adapter import Answer
from tests.parity.cases import Case


def described_cases(
    archive: Path, salt: str, held: Callable[[Mapping[str, Any], Case], bool]
) -> list[Case]:
    """Every described case of an archive, labelled by its name.

    Args:
        archive: a ``cases*.npz`` file.
        salt: of the weights behind the answers.
        held: whether an archive holds a case's arrays; slim ones hold few.
    """
    everything = Case(archive.parent.name, archive, 0, salt)
    return [
        Case(everything.network, archive, number_of(facts["name"]), salt, facts["name"])
        for facts in everything.facts
        if facts["file"] == archive.name and held(facts, everything)
    ]


def facts_of(case: Case) -> Mapping[str, Any]:
    """What ``cases.json`` says about a case that its name labels."""
    (facts,) = (one for one in case.facts if one["name"] == case.label)
    return facts


def number_of(name: str) -> int:
    """Number at the end of a case's name; 0 if there is none."""
    match = re.search(r"_(\d+)$", name)
    return int(match[1]) if match else 0


def image_of(case: Case, name: str) -> Tensor:
    """A recorded image as ``(1, 3, H, W)`` in [-1, 1]."""
    picture = case.array(name).astype(np.float32) * 2 / 255 - 1
    return rearrange(torch.from_numpy(picture), "h w c -> 1 c h w").contiguous()


def hole_of(case: Case, name: str, kernel: int = 0) -> Tensor:
    """A recorded mask as ``(1, 1, H, W)``, 1 = hole, grown by a square of ``kernel`` pixels."""
    mask = case.array(name)
    if kernel:
        mask = np.asarray(Image.fromarray(mask).filter(ImageFilter.MaxFilter(kernel)))
    return torch.from_numpy((mask > 127).astype(np.float32))[None, None]


def relative(name: str, ours: Tensor, expected: np.ndarray, bar: float) -> Answer:
    """Compared in units of the largest value."""
    largest = np.abs(expected).max()
    return Answer(name, ours[0].numpy() / largest, expected / largest, bar)


def tensor_of(case: Case, name: str) -> Tensor:
    """A recorded array with a batch axis of one before it."""
    return torch.from_numpy(case.array(name))[None]
