"""Softer seams: cross-fading and gradient-domain blending of a filling with its surroundings."""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.harmonic import fill_harmonically


def feather_alpha(hole: Tensor, radius: int) -> Tensor:
    """Weight of the filling for a cross-fade that lies outside the hole.

    Args:
        hole: ``(H, W)`` bool.
        radius: reach of the fade in pixels (Euclidean); 0 is a hard edge.

    Returns:
        ``(H, W)`` float32 on the hole's device: 1 in the hole, so that nothing hidden shows
        through, falling along a smoothstep with the distance from it, 0 beyond ``radius``.

    Raises:
        OptionError: the radius is negative.
    """
    if radius < 0:
        raise OptionError(f"radius must not be negative, got {radius}")
    if not hole.any():
        return torch.zeros(hole.shape, device=hole.device)
    distance = torch.from_numpy(ndimage.distance_transform_edt(~hole.cpu().numpy())).float()
    weight = (1 - distance / (radius + 1)).clamp_min(0)
    smooth = weight.square() * (3 - 2 * weight)
    return torch.where(distance <= radius, smooth, 0.0).to(hole.device)


def poisson_blend(rgb: Tensor, filled: Tensor, hole: Tensor) -> Tensor:
    """Gradient-domain blending (Pérez, Gangnet and Blake, "Poisson Image Editing", 2003, eq. 4).

    Inside the hole the gradients of ``filled`` stay; a membrane that spans the hole and carries
    the difference at its border is added, so that the colours meet those around it.

    Args:
        rgb: ``(3, H, W)`` float, the picture; what lies under the hole is ignored.
        filled: ``(3, H, W)``, the filling *with its own view of the known pixels* beside the
            hole: where it repeats those of ``rgb``, there is nothing to correct.
        hole: ``(H, W)`` bool.

    Returns:
        ``(3, H, W)`` like ``rgb``: its own values at known pixels, the blended filling, clamped
        to [-1, 1], in the hole.
    """
    filled = filled.to(rgb)
    correction = fill_harmonically(rgb - filled, hole)
    return torch.where(hole, (filled + correction).clamp(-1, 1), rgb)
