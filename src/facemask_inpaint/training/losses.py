"""Losses of inpainting networks, one number per picture.

Every function answers ``(N,)``: a batch split over passes or processes then has the same gradient
as the whole batch, and pictures can be weighted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_l1(answer: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean absolute difference over each picture's region; 0 where the region is empty.

    Args:
        answer: ``(N, C, H, W)``.
        truth: of the same shape.
        region: ``(N, 1, H, W)`` weights, 0 for pixels that do not count.
    """
    total = ((answer - truth).abs() * region).sum(dim=(1, 2, 3))
    return total / (region.sum(dim=(1, 2, 3)) * truth.shape[1]).clamp(min=1)


def mean_logistic(logits: Tensor, weight: Tensor | None = None) -> Tensor:
    """Softplus of minus the logits, averaged per picture: small where they are large.

    With logits ``D(G(x))`` the non-saturating generator loss, with ``D(real)`` and ``-D(fake)``
    the two halves of the discriminator's (Goodfellow et al., 2014).

    Args:
        logits: ``(N, K)``, one or several judgements of each picture.
        weight: ``(N, K)``, summing to at most 1 for each picture; ``None`` weighs all alike.
    """
    each = F.softplus(-logits)
    return each.mean(dim=1) if weight is None else (each * weight).sum(dim=1)


def gradient_penalty(logits: Tensor, picture: Tensor) -> Tensor:
    """Squared norm of the logits' gradient with respect to each real picture (R1).

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, equation 9,
    without the factor gamma / 2.

    Args:
        logits: ``(N, K)`` of ``picture``; several judgements are averaged.
        picture: ``(N, 3, H, W)`` that requires a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.mean(dim=1).sum(), picture, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor], hole: Tensor) -> Tensor:
    """Mean absolute difference of a discriminator's features, over the positions that see the hole.

    Wang et al., "High-Resolution Image Synthesis with Conditional GANs", 2018, equation 4,
    restricted to the hole so that a small one counts as much as a large one.

    Args:
        real: features ``(N, C, h, w)`` of the real pictures, by layer.
        fake: of the filled ones.
        hole: ``(N, 1, H, W)``, 1 = filled.
    """
    layers = [
        weighted_l1(filled, true.detach(), F.adaptive_max_pool2d(hole, filled.shape[2:]))
        for true, filled in zip(real, fake)
    ]
    return torch.stack(layers).mean(dim=0)
