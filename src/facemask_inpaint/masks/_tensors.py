"""Tensors for code that does not import PyTorch: who has a tensor has imported it already."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from typing_extensions import TypeIs


def is_tensor(value: object) -> TypeIs[Tensor]:
    """Return whether a value is a tensor, without importing PyTorch to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tensor_like(array: NDArray[np.generic], tensor: Tensor) -> Tensor:
    """Return an array as a tensor on the device of another."""
    import torch

    return torch.from_numpy(array).to(tensor.device)
