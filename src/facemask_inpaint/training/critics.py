"""Critics: what generators are trained against."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Judgement:
    """What a critic says of a batch of pictures.

    Attributes:
        logits: ``(N, K)``, higher for what looks real.
        weight: ``(N, K)``, summing to 1 for each picture; ``None`` weighs all alike.
        features: ``(N, C, h, w)`` by layer; empty if the critic shows none.
    """

    logits: Tensor
    weight: Tensor | None = None
    features: tuple[Tensor, ...] = ()


class PatchCritic(nn.Module):
    """Judges every patch of a picture, and counts those that see the hole.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    section 3.2.2. It sees the hole, as the critics of all inpainting networks here do. Maps are
    smoothed before they are halved (Zhang, "Making Convolutional Networks Shift-Invariant Again",
    2019): a critic with a grid of its own teaches generators to draw it.

    Args:
        width: channels after the first convolution; doubled at each halving up to ``8 * width``.
        levels: how often height and width are halved.
    """

    def __init__(self, *, width: int = 32, levels: int = 4) -> None:
        super().__init__()
        channels = [4, *(min(width * 2**level, 8 * width) for level in range(levels))]
        self.levels = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.last = nn.Conv2d(channels[-1], channels[-1], 3, padding=1)
        self.verdict = nn.Conv2d(channels[-1], 1, 1)

    def forward(self, picture: Tensor, hole: Tensor) -> Judgement:
        """Judge pictures ``(N, 3, H, W)`` in [-1, 1] whose ``hole`` ``(N, 1, H, W)`` is filled."""
        x = torch.cat([picture, hole], dim=1)
        features = []
        for level in self.levels:
            x = F.leaky_relu(level(smoothed(x)), 0.2)
            features.append(x)
        logits = self.verdict(F.leaky_relu(self.last(x), 0.2))
        seen = F.adaptive_max_pool2d(hole, logits.shape[2:]).flatten(1)
        weight = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
        return Judgement(logits.flatten(1), weight, tuple(features))


def smoothed(x: Tensor) -> Tensor:
    """Each value's mean with its eight neighbours."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
