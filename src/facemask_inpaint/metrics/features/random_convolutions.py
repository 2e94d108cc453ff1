"""An extractor without weights, to rehearse with; its numbers compare with nothing published."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.metrics.features.custom import CustomExtractor, custom
from facemask_inpaint.metrics.table import RANDOM_CONVOLUTIONS

_SIDE = 64
_WIDTHS = (3, 16, 32, 64)


@ordinary_torch()
def random_convolutions(device: str | torch.device | None = None) -> CustomExtractor:
    """Return an extractor of 64 features per image from three untrained convolutions.

    They see colours and edges, so runs can be rehearsed and relative changes shown where the
    published weights are not at hand. Their weights are fixed, and every benchmark score made with
    them says so.

    Args:
        device: ``None`` is CUDA when there, else the CPU.

    Example:
        >>> import torch
        >>> from facemask_inpaint import metrics
        >>> extractor = metrics.random_convolutions("cpu")
        >>> extractor(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape
        torch.Size([2, 64])
    """
    where = resolve_device(device)
    generator = torch.Generator().manual_seed(2015)
    kernels = [
        torch.randn((wide, narrow, 3, 3), generator=generator) * (2 / (9 * narrow)) ** 0.5
        for narrow, wide in pairwise(_WIDTHS)
    ]
    placed = [kernel.to(where) for kernel in kernels]

    @ordinary_torch()
    def features(images: Tensor) -> Tensor:
        maps = images.float() / 127.5 - 1
        maps = F.interpolate(maps, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        for kernel in placed:
            maps = F.relu(F.conv2d(maps, kernel, stride=2, padding=1))
        return maps.mean(dim=(2, 3))

    return custom(
        features, f"{RANDOM_CONVOLUTIONS}: a stand-in, not comparable with published numbers", where
    )
