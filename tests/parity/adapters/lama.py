from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.parity.adapter import Adapter
from tests.parity.cases import Case


class NetworkAdapter(Adapter):
    """Official range [0, 1]; sizes are mirrored up to multiples of 8 on the right and below."""

    architecture = "lama"
    prefix = "generator."
    low = 0.0

    def inputs(self, case: Case) -> tuple[Tensor, Tensor]:
        image, mask = super().inputs(case)
        h, w = mask.shape[2:]
        pad = ((0, 0), (0, 0), (0, -h % 8), (0, -w % 8))
        padded = (np.pad(part.numpy(), pad, mode="symmetric") for part in (image, mask))
        image, mask = (torch.from_numpy(part) for part in padded)
        return image, mask
