"""Losses of inpainting networks, one number per image.

Every function returns ``(N,)``: a batch that is split over passes or processes then has the same
gradient as the whole batch, and images can be weighted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_l1(prediction: Tensor, target: Tensor, region: Tensor) -> Tensor:
    """Return the mean absolute difference over each image's region; 0 where it is empty.

    Args:
        prediction: ``(N, C, H, W)``.
        target: of the same shape.
        region: ``(N, 1, H, W)`` weights, 0 for pixels that do not count.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training.losses import weighted_l1
        >>> weighted_l1(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4))
        tensor([1.])
    """
    total = ((prediction - target).abs() * region).sum(dim=(1, 2, 3))
    return total / (region.sum(dim=(1, 2, 3)) * target.shape[1]).clamp(min=1)


def mean_logistic(logits: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return softplus of minus the logits, averaged per image: small where they are large.

    With logits ``D(G(x))`` this is the non-saturating generator loss; with ``D(real)`` and
    ``-D(fake)`` the two halves of the discriminator's (Goodfellow et al., 2014).

    Args:
        logits: ``(N, K)``, one or several of each image.
        weight: ``(N, K)``, summing to at most 1 for each image; ``None`` weighs all alike.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training.losses import mean_logistic
        >>> mean_logistic(torch.zeros(1, 4))
        tensor([0.6931])
    """
    each = F.softplus(-logits)
    return each.mean(dim=1) if weight is None else (each * weight).sum(dim=1)


def gradient_penalty(logits: Tensor, image: Tensor) -> Tensor:
    """Return the squared norm of the logits' gradient with respect to each real image (R1).

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018, equation 9,
    without the factor gamma / 2.

    Args:
        logits: ``(N, K)`` of ``image``; several logits of an image are averaged.
        image: ``(N, 3, H, W)`` that requires a gradient.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training.losses import gradient_penalty
        >>> image = torch.zeros(1, 3, 2, 2, requires_grad=True)
        >>> gradient_penalty(image.flatten(1), image).item()
        0.0833...
    """
    (gradient,) = torch.autograd.grad(logits.mean(dim=1).sum(), image, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor], hole: Tensor) -> Tensor:
    """Return the mean absolute difference of features, over the positions that see the hole.

    Wang et al., "High-Resolution Image Synthesis with Conditional GANs", 2018, equation 4,
    restricted to the hole so that a small one counts as much as a large one.

    Args:
        real: features ``(N, C, h, w)`` of real images in a discriminator, by layer.
        fake: features of composites.
        hole: ``(N, 1, H, W)``, 1 = hole.

    Example:
        >>> import torch
        >>> from facemask_inpaint.training.losses import feature_matching
        >>> features = [torch.zeros(1, 8, 4, 4)]
        >>> feature_matching(features, features, torch.ones(1, 1, 16, 16))
        tensor([0.])
    """
    layers = [
        weighted_l1(ours, theirs.detach(), F.adaptive_max_pool2d(hole, ours.shape[2:]))
        for theirs, ours in zip(real, fake)
    ]
    return torch.stack(layers).mean(dim=0)
