"""Discriminators: what generators are trained against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError

MAX_LEVELS = 12
"""More halvings than any image has."""

SLOPE = 0.2
"""Of the discriminators' leaky rectifiers below zero."""

DETAIL_GAIN = 10
"""Brings a portrait's detail to about the range of the portrait itself."""


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What a discriminator says of a batch of pictures.

    Attributes:
        logits: ``(N, K)``, higher for what looks real.
        weight: ``(N, K)``, summing to at most 1 for each picture; ``None`` weighs all alike.
        features: ``(N, C, h, w)`` by layer; empty if the discriminator shows none.
    """

    logits: Tensor
    weight: Tensor | None = None
    features: tuple[Tensor, ...] = ()


class PatchDiscriminator(nn.Module):
    """Judges every patch of a picture, and counts those that see the hole.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    section 3.2.2. It sees the hole, as the discriminators of all inpainting networks here do, and
    beside the picture its detail, amplified: fillings are told by their softness, but detail is so
    small a part of a picture that a discriminator of plain pictures takes very long to look at it.

    Args:
        width: channels after the first convolution; doubled at each halving up to ``8 * width``.
        levels: how often height and width are halved.
        patch_limit: a hole that shows in ``n`` patches, more than so many, counts
            ``patch_limit / n`` instead of 1. A network that draws nothing cannot make up hair:
            pressed for it, it answers with a pattern that repeats.
    """

    def __init__(self, *, width: int = 32, levels: int = 4, patch_limit: float = math.inf) -> None:
        super().__init__()
        if width < 1 or not 1 <= levels <= MAX_LEVELS or not patch_limit > 0:
            raise OptionError(
                f"a discriminator has a width and a patch limit above 0 and 1 to "
                f"{MAX_LEVELS} levels, not {width}, {patch_limit} and {levels}"
            )
        self.patch_limit = patch_limit
        channels = [7, *(min(width * 2**level, 8 * width) for level in range(levels))]
        self.levels = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.last = nn.Conv2d(channels[-1], channels[-1], 3, padding=1)
        self.verdict = nn.Conv2d(channels[-1], 1, 1)
        for layer in (*self.levels, self.last):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)

    def forward(self, picture: Tensor, hole: Tensor) -> DiscriminatorOutput:
        """Judge pictures ``(N, 3, H, W)`` in [-1, 1] whose ``hole`` ``(N, 1, H, W)`` is filled."""
        x = torch.cat([picture, DETAIL_GAIN * detail(picture), hole], dim=1)
        features = []
        for level in self.levels:
            x = F.leaky_relu(level(x), SLOPE)
            features.append(x)
        logits = self.verdict(F.leaky_relu(self.last(x), SLOPE))
        seen = F.adaptive_max_pool2d(hole, logits.shape[2:]).flatten(1)
        count = seen.sum(dim=1, keepdim=True).clamp(min=1)
        weight = seen / count * (self.patch_limit / count).clamp(max=1)
        return DiscriminatorOutput(logits.flatten(1), weight, tuple(features))


def detail(picture: Tensor) -> Tensor:
    """What each pixel of ``(N, C, H, W)`` differs from the mean of the 5 x 5 around it."""
    return picture - F.avg_pool2d(picture, 5, stride=1, padding=2, count_include_pad=False)
