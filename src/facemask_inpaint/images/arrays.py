"""Arrays and tensors as they come from outside, brought into one memory layout."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

_TORCH = {np.dtype(np.float32): torch.float32, np.dtype(np.int64): torch.int64}


def is_dense(tensor: Tensor) -> bool:
    """Whether a tensor holds its numbers in memory, one by one: not meta, sparse or quantised."""
    return (
        tensor.layout == torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
        and not tensor.is_nested
    )


def ordered(samples: NDArray[np.generic] | Tensor, dtype: DTypeLike) -> Tensor:
    """The same numbers as a tensor of a dtype, a copy where need be.

    Byte order, strides, read-only memory, width of the numbers and gradients of what comes in do
    not matter.

    Args:
        samples: an array of a real dtype, or a plain tensor.
        dtype: float32 or int64.

    Returns:
        A tensor on a tensor's own device, else on the CPU.
    """
    if isinstance(samples, Tensor):
        return samples.detach().to(_TORCH[np.dtype(dtype)])
    return torch.from_numpy(np.array(samples, dtype=dtype, order="C", copy=True, subok=False))


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """An array as a tensor of its own dtype, copied only where torch cannot take it as it is.

    Big-endian numbers become the machine's own and extended floats float64.
    """
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    return torch.from_numpy(np.require(array, dtype, ["C", "W"]))
