"""Arrays and tensors of any origin, brought into one memory layout."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

_TORCH = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.float32): torch.float32,
}

_ORDERED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of tensors whose samples PyTorch compares as they are."""


def is_dense(tensor: Tensor) -> bool:
    """Tell whether a tensor holds its numbers in memory: not meta, sparse, nested or quantised.

    Example:
        >>> is_dense(torch.zeros(2)), is_dense(torch.zeros(2, device="meta"))
        (True, False)
    """
    return (
        tensor.layout == torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
        and not tensor.is_nested
    )


def ordered(samples: NDArray[np.generic] | Tensor, dtype: DTypeLike) -> Tensor:
    """Return the same numbers as a tensor of a dtype, a copy where need be.

    Byte order, strides, read-only memory, width of the numbers and gradients do not matter.

    Args:
        samples: an array of a real dtype, or a plain tensor.
        dtype: uint8, int64 or float32.

    Returns:
        A tensor, on the device of ``samples`` if that is a tensor, else on the CPU.
    """
    if isinstance(samples, Tensor):
        return samples.detach().to(_TORCH[np.dtype(dtype)])
    return torch.from_numpy(np.array(samples, dtype=dtype, order="C", copy=True, subok=False))


def extremes(samples: NDArray[np.generic] | Tensor) -> tuple[float, float]:
    """Return the smallest and the largest sample; NaN if one is."""
    if isinstance(samples, Tensor):
        if samples.dtype not in _ORDERED:
            samples = ordered(samples, np.float32)
        least, most = samples.detach().aminmax()
        return float(least), float(most)
    return float(samples.min()), float(samples.max())


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """Return an array as a tensor of its own dtype, copied only where torch needs it.

    Big-endian numbers take the machine's byte order and extended floats become float64.

    Example:
        >>> as_tensor(np.arange(3, dtype=">i2"))
        tensor([0, 1, 2], dtype=torch.int16)
    """
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    return torch.from_numpy(np.require(array, dtype, ["C", "W"]))
