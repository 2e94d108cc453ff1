"""An image painted in label colours, and a network that reads them: geometry without learning."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint.masks import LABEL_NAMES
from facemask_inpaint.parsing import LabelNetwork

COLOURS = np.random.default_rng(5).permutation(
    np.array([[r, g, b] for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 255)])
)
COLOURS = np.concatenate([[[60, 60, 60]], COLOURS]).astype(np.uint8)
"""Colour of each label, far from one another; grey for background."""


class Nearest(nn.Module):
    """Scores of a colour: minus its distance from the colour of each label."""

    def forward(self, rgb: Tensor) -> Tensor:
        colours = torch.from_numpy(COLOURS).float() / 255
        distance = (rgb[:, None] - colours[None, :, :, None, None]).square().sum(dim=2)
        return -distance


def paint(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` image of a label map."""
    return COLOURS[labels]


def painted(labels: NDArray[np.uint8]) -> Image.Image:
    """The same as a PIL image."""
    return Image.fromarray(paint(labels))


def network(side: int = 256) -> LabelNetwork:
    """Reads painted images pixel by pixel."""
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return LabelNetwork(Nearest(), side, LABEL_NAMES, mean=zeros, std=ones)


def overlap(ours: NDArray[np.uint8], expected: NDArray[np.uint8], name: str) -> float:
    """Intersection over union of one label; 1 where it is in neither."""
    label = LABEL_NAMES.index(name)
    a, b = ours == label, expected == label
    return float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0
