"""Softer seams: cross-fading and gradient-domain blending of a prediction with its image."""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.harmonic import fill_harmonically


def feather_alpha(hole: Tensor, radius: int) -> Tensor:
    """Return the prediction's weight in a cross-fade outside the hole.

    Args:
        hole: ``(H, W)`` bool.
        radius: reach of the fade in pixels (Euclidean); 0 is a hard edge.

    Returns:
        ``(H, W)`` float32 on the hole's device: 1 in the hole, so that nothing hidden shows
        through, falling along a smoothstep with the distance from it, 0 beyond ``radius``.

    Raises:
        OptionError: the radius is negative.

    Example:
        >>> hole = torch.tensor([[True, False, False, False]])
        >>> feather_alpha(hole, 1).tolist()
        [[1.0, 0.5, 0.0, 0.0]]
    """
    if radius < 0:
        raise OptionError(f"radius must not be negative, got {radius}")
    if not hole.any():
        return torch.zeros(hole.shape, device=hole.device)
    distance = torch.from_numpy(ndimage.distance_transform_edt(~hole.cpu().numpy())).float()
    weight = (1 - distance / (radius + 1)).clamp_min(0)
    smooth = weight.square() * (3 - 2 * weight)
    return torch.where(distance <= radius, smooth, 0.0).to(hole.device)


def poisson_blend(rgb: Tensor, prediction: Tensor, hole: Tensor) -> Tensor:
    """Blend a prediction into its image in the gradient domain.

    Pérez, Gangnet and Blake, "Poisson Image Editing", 2003, eq. 4: inside the hole the gradients of
    the prediction are kept, and the harmonic interpolation of its difference from the image at the
    hole's border is added, so that its colours meet those around it.

    Args:
        rgb: ``(3, H, W)`` float, the image; what lies under the hole is ignored.
        prediction: ``(3, H, W)``, including what the network predicts for the known pixels beside
            the hole: where it repeats those of ``rgb``, there is nothing to correct.
        hole: ``(H, W)`` bool.

    Returns:
        ``(3, H, W)`` like ``rgb``: its own values at known pixels, the blended prediction, clamped
        to [-1, 1], in the hole.

    Example:
        >>> hole = torch.zeros(4, 4, dtype=torch.bool)
        >>> hole[1:3, 1:3] = True
        >>> poisson_blend(torch.zeros(3, 4, 4), torch.ones(3, 4, 4), hole).unique()
        tensor([0.])
    """
    prediction = prediction.to(rgb)
    correction = fill_harmonically(rgb - prediction, hole)
    return torch.where(hole, (prediction + correction).clamp(-1, 1), rgb)
