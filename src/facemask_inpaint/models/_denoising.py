"""What one step of a diffusion network computes, for whoever runs the steps elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DenoisingStep:
    """The part of a diffusion network that is called at every step.

    Attributes:
        predict: from the inputs, in order, to the prediction ``(N, C, h, w)``: the noise, and
            in ``repaint`` the variance behind it.
        inputs: shape of each input for one image, by name: ``sample``, ``timestep`` and what
            else the network is shown.
        alphas_cumprod: ``(1000,)``, share of the clean image's variance at each timestep.
    """

    predict: Callable[..., Tensor]
    inputs: Mapping[str, tuple[int, ...]]
    alphas_cumprod: Sequence[float]
