"""CMT's generator: coarse stage and refinement stage."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.cmt import official
from facemask_inpaint.models.cmt.coarse import CoarseStage
from facemask_inpaint.models.cmt.refinement import SMALLEST_RESOLUTION, RefinementStage
from facemask_inpaint.models.layers.checks import require_multiple


class CMT(InpaintingNetwork):
    """CMT generator; deterministic, for square images of one size.

    The published networks take 256 x 256 images, and work on blue, green, red; that order does
    not leave this class.

    Args:
        resolution: side of the images, a multiple of 128.
        width: channels of a token of the coarse stage.
        depth: number of its layers.
        heads: number of attention heads in each, of 64 channels.
        hidden: channels inside its perceptrons.
        refine_width: channels of the refinement at a quarter of the resolution, a multiple of 16.

    Raises:
        OptionError: ``resolution`` or ``refine_width`` is outside its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create(
        ...     "cmt", resolution=128, width=32, depth=1, heads=1, hidden=32, refine_width=16
        ... )
        >>> network(torch.zeros(1, 3, 128, 128), torch.ones(1, 1, 128, 128)).shape
        torch.Size([1, 3, 128, 128])
    """

    anchors = ("coarse.pos_embedding",)
    any_size = False

    def __init__(
        self,
        *,
        resolution: int = 256,
        width: int = 768,
        depth: int = 15,
        heads: int = 16,
        hidden: int = 1024,
        refine_width: int = 32,
    ) -> None:
        super().__init__()
        require_multiple("resolution", resolution, SMALLEST_RESOLUTION)
        require_multiple("refine_width", refine_width, 16)
        self.native_resolution = resolution
        self.coarse = CoarseStage(resolution, width=width, depth=depth, heads=heads, hidden=hidden)
        self.refinement = RefinementStage(resolution, refine_width)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        return self.stages(masked_image, hole)[-1]

    def stages(self, masked_image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return both coarse images and the final one.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.

        Returns:
            The image of the regular grid of patches, the one with the overlapping grid painted
            over it, and the refined one; ``(N, 3, H, W)`` in [-1, 1], none composited.
        """
        masked_image = masked_image.flip(1)
        regular, overlapped = self.coarse(masked_image, 1 - hole)
        context = [masked_image + image * hole for image in (regular, overlapped)]
        refined = self.refinement(torch.cat([*context, hole], dim=1))
        return regular.flip(1), overlapped.flip(1), refined.flip(1)

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        return official.options(tensors)

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return official.translate(tensors)
