"""What a feature extractor is, and extractors made of the user's own networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError


class FeatureExtractor(Protocol):
    """What turns images into features; write one, or wrap a function with :func:`custom`.

    Example:
        >>> from facemask_inpaint import metrics
        >>> class MeanColour(metrics.FeatureExtractor):
        ...     identity = "mean colour"
        ...     def __call__(self, images):
        ...         return images.float().mean((2, 3))
    """

    @property
    def identity(self) -> str:
        """Line that names network, weights and resize rule.

        Features are comparable, and found again in a cache, only under the same identity.
        """

    @property
    def device(self) -> torch.device:
        """Device on which images have to be."""

    def prepare(self, images: Tensor) -> Tensor:
        """Turn images into network input.

        Args:
            images: ``(N, 3, H, W)`` uint8; sizes may differ between calls, and what several calls
                return is stacked to one batch.
        """

    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute features.

        Args:
            prepared: what :meth:`prepare` returned.

        Returns:
            ``(N, d)`` floats on the same device.
        """


class CustomExtractor:
    """A user's network or function, made by :func:`custom`."""

    def __init__(
        self, function: Callable[[Tensor], Tensor], identity: str, device: torch.device
    ) -> None:
        self._function = function
        self.identity = identity
        self.device = device

    def prepare(self, images: Tensor) -> Tensor:
        """Return the images as they are: the function resizes them, or they are of one size."""
        return images

    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute features ``(N, d)`` float32 of images ``(N, 3, H, W)`` uint8."""
        return self._function(prepared).float()


def custom(
    function: Callable[[Tensor], Tensor],
    identity: str,
    device: str | torch.device = "cpu",
) -> CustomExtractor:
    """Make an extractor of any module or function.

    Example:
        >>> from facemask_inpaint import metrics
        >>> extractor = metrics.custom(lambda images: images.float().mean((2, 3)), "mean colour")

    Args:
        function: takes images ``(N, 3, H, W)`` uint8 on ``device`` and returns features
            ``(N, d)``; modules in eval mode.
        identity: line that names network, weights and resize rule; see
            :attr:`FeatureExtractor.identity`.
        device: where the function wants its images.

    Raises:
        OptionError: the identity is empty.
    """
    if not identity.strip():
        raise OptionError("an extractor needs an identity: name its network and weights")
    return CustomExtractor(function, identity, torch.device(device))
