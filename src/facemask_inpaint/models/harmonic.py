"""Membrane interpolation as a network without weights: the baseline of every table.

The hole is filled by the solution of Laplace's equation, the smoothest continuation of what is
known (:mod:`facemask_inpaint.images.harmonic`). Nothing is learned, so whatever a learned network
adds shows as a distance to this one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models._network import InpaintingNetwork


class Harmonic(InpaintingNetwork):
    """Harmonic filling for pictures of any size, one after the other.

    Known pixels come back unchanged. The system is solved on the CPU in float64 whatever the
    input's device and dtype; the answer is on the input's. A picture of which nothing is known
    is answered with mid-grey (0). It is not differentiable.
    """

    def fill(self, visible: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        """Each picture's hole as a membrane; see :meth:`InpaintingNetwork.fill`."""
        pairs = zip(visible, hole[:, 0] > 0.5)
        return torch.stack([fill_harmonically(picture, inside) for picture, inside in pairs])
