"""The discriminator that networks without one of their own are trained against."""

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
"""Of the leaky rectifiers below zero."""

DETAIL_GAIN = 10
"""Brings the detail of a portrait to about the range of the portrait itself."""


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What a discriminator says about a batch of images.

    Attributes:
        logits: ``(N, K)``, higher for what looks real.
        weight: ``(N, K)``, summing to at most 1 for each image; ``None`` weighs all alike.
        features: ``(N, C, h, w)`` by layer; empty if the discriminator shows none.
    """

    logits: Tensor
    weight: Tensor | None = None
    features: tuple[Tensor, ...] = ()


class PatchDiscriminator(nn.Module):
    """Rates every patch of an image, and counts the patches that see the hole.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    section 3.2.2. It sees the hole, like the discriminators of all inpainting networks here, and
    beside the image its amplified detail: predictions are recognised by their softness, but detail
    is so small a part of an image that a discriminator of plain images takes very long to find it.

    Args:
        width: channels after the first convolution; doubled at each level up to ``8 * width``.
        levels: how often height and width are halved.
        patch_limit: a hole that covers ``n`` patches, more than this many, counts
            ``patch_limit / n`` instead of 1. A network that draws nothing cannot make up hair:
            pressed for it, its output is a pattern that repeats.

    Raises:
        OptionError: An argument is out of its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training.discriminators import PatchDiscriminator
        >>> image, hole = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
        >>> PatchDiscriminator(width=8)(image, hole).logits.shape
        torch.Size([1, 16])
    """

    def __init__(self, *, width: int = 32, levels: int = 4, patch_limit: float = math.inf) -> None:
        super().__init__()
        if width < 1 or not 1 <= levels <= MAX_LEVELS or not patch_limit > 0:
            raise OptionError(
                "a discriminator has a width and a patch limit above 0 and 1 to "
                f"{MAX_LEVELS} levels, not {width}, {patch_limit} and {levels}"
            )
        self.patch_limit = patch_limit
        channels = [7, *(min(width * 2**level, 8 * width) for level in range(levels))]
        self.levels = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.last = nn.Conv2d(channels[-1], channels[-1], 3, padding=1)
        self.to_logit = nn.Conv2d(channels[-1], 1, 1)
        for layer in (*self.levels, self.last):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)

    def forward(self, image: Tensor, hole: Tensor) -> DiscriminatorOutput:
        """Rate images ``(N, 3, H, W)`` in [-1, 1] with holes ``(N, 1, H, W)``, 1 = filled."""
        x = torch.cat([image, DETAIL_GAIN * detail(image), hole], dim=1)
        features = []
        for level in self.levels:
            x = F.leaky_relu(level(x), SLOPE)
            features.append(x)
        logits = self.to_logit(F.leaky_relu(self.last(x), SLOPE))
        seen = F.adaptive_max_pool2d(hole, logits.shape[2:]).flatten(1)
        count = seen.sum(dim=1, keepdim=True).clamp(min=1)
        weight = seen / count * (self.patch_limit / count).clamp(max=1)
        return DiscriminatorOutput(logits.flatten(1), weight, tuple(features))


def detail(image: Tensor) -> Tensor:
    """Return how each pixel of ``(N, C, H, W)`` differs from the mean of the 5 x 5 around it."""
    return image - F.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
