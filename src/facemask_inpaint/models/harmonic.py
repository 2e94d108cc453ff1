"""Harmonic inpainting as a network without weights: the baseline of every table.

The hole is filled by the solution of Laplace's equation, the smoothest continuation of what is
known (:mod:`facemask_inpaint.images.harmonic`). Nothing is learned, so whatever a learned network
adds shows as a distance to this one.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.harmonic_fill import harmonic_fill


class Harmonic(InpaintingNetwork):
    """Harmonic inpainting of images of any size, one after the other.

    Known pixels come back unchanged. The system is solved on the CPU in float64 whatever the
    input's device and dtype; the output is on the input's. An image of which nothing is known
    comes back as mid-grey (0). It is not differentiable.

    Example:
        >>> import torch
        >>> from facemask_inpaint.models.harmonic import Harmonic
        >>> image, mask = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
        >>> mask[..., 2:5, 2:5] = 1
        >>> float(Harmonic()(image, mask)[0, 0, 3, 3])
        0.5
    """

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        return harmonic_fill(masked_image, hole)
