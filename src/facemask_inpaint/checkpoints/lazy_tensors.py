"""Tensors that know where their bytes are and are read only when asked for."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.checkpoints.inert import Budget, Global, StandIn
from facemask_inpaint.errors import CheckpointError

STORAGE_DTYPES: dict[str, torch.dtype] = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
}
"""Torch's storage class names and the element type each stands for."""

NUMPY_DTYPES: dict[str, torch.dtype] = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}
"""NumPy type codes that hold plain numbers; objects and structures are not among them."""

_MAX_DIMENSIONS = 32
_RELEASE_BYTES = 1 << 20


class Storage:
    """A flat run of numbers in the file.

    Args:
        dtype: element type.
        numel: number of elements the file declares.
        budget: limits of the file.
        data: the bytes; attached later where they follow the pickle.
    """

    __slots__ = ("_budget", "_data", "_tensor", "dtype", "numel")

    def __init__(
        self, dtype: torch.dtype, numel: Any, budget: Budget, data: memoryview | None = None
    ) -> None:
        if type(numel) is not int or numel < 0:
            raise CheckpointError(f"{budget.file}: a storage of {str(numel)[:40]} elements")
        self.dtype, self.numel = dtype, numel
        self._budget = budget
        self._data: memoryview | None = None
        self._tensor: Tensor | None = None
        if data is not None:
            self.attach(data)

    def attach(self, data: memoryview) -> None:
        """Say where the bytes are.

        Raises:
            CheckpointError: there are not as many as the elements need.
        """
        if len(data) != self.numel * self.dtype.itemsize:
            raise CheckpointError(
                f"{self._budget.file}: a storage of {self.numel} {self.dtype} elements holds "
                f"{len(data)} bytes instead of {self.numel * self.dtype.itemsize}"
            )
        self._data = data

    def tensor(self) -> Tensor:
        """The elements as a 1-D tensor of its own memory; read once, then shared."""
        if self._tensor is None:
            if self._data is None:
                raise CheckpointError(f"{self._budget.file}: cut off: a tensor has no data")
            self._budget.spend_bytes(len(self._data))
            raw = torch.empty(len(self._data), dtype=torch.uint8)
            raw.numpy()[:] = np.frombuffer(self._data, dtype=np.uint8)
            self._tensor = raw.view(self.dtype)
            _release(self._data)
        return self._tensor


@dataclass(slots=True, eq=False)
class LazyTensor:
    """A strided view of a storage; its bounds are checked on creation."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    file: str

    def __post_init__(self) -> None:
        if not _is_view(self.offset, self.size, self.stride):
            raise CheckpointError(f"{self.file}: a tensor with an impossible size or stride")
        numel, last = 1, self.offset
        for extent, step in zip(self.size, self.stride):
            numel *= extent
            last += (extent - 1) * step
        # More elements than the storage has would let a small file fill the memory.
        if numel and (last >= self.storage.numel or numel > self.storage.numel):
            raise CheckpointError(
                f"{self.file}: a tensor of size {self.size} reaches outside its storage of "
                f"{self.storage.numel} elements"
            )

    def tensor(self) -> Tensor:
        """Read the elements."""
        if 0 in self.size:
            return torch.empty(self.size, dtype=self.storage.dtype)
        return self.storage.tensor().as_strided(self.size, self.stride, self.offset)


@dataclass(slots=True, eq=False)
class ArrayDtype(StandIn):
    """Stand-in for ``numpy.dtype``: a plain number type in little-endian order."""

    dtype: torch.dtype
    file: str

    def set_state(self, state: Any) -> None:
        """Check the byte order, the only thing in the state that plain numbers have."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|", "="):
            raise CheckpointError(f"{self.file}: a NumPy array that is not little-endian")


class LazyArray(StandIn):
    """Stand-in for ``numpy.ndarray``: empty until its state says where the numbers are."""

    __slots__ = ("_budget", "_lazy")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lazy: LazyTensor | None = None

    def set_state(self, state: Any) -> None:
        """Take ``(version, shape, dtype, is_fortran, bytes)``."""
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, ArrayDtype) or not isinstance(shape, tuple):
            raise CheckpointError(f"{self._budget.file}: a NumPy array of no plain number type")
        if not isinstance(data, memoryview) or len(shape) > _MAX_DIMENSIONS:
            raise CheckpointError(f"{self._budget.file}: a NumPy array of an impossible kind")
        storage = Storage(dtype.dtype, len(data) // dtype.dtype.itemsize, self._budget, data)
        strides = _dense_strides(shape, bool(fortran))
        self._lazy = LazyTensor(storage, 0, shape, strides, self._budget.file)

    @property
    def is_scalar(self) -> bool:
        """Whether it holds one number and has no dimensions."""
        return self._lazy is not None and self._lazy.size == ()

    def tensor(self) -> Tensor:
        """Read the elements."""
        if self._lazy is None:
            raise CheckpointError(f"{self._budget.file}: a NumPy array without data")
        return self._lazy.tensor()


Lazy = LazyTensor | LazyArray
"""What a reader finds where a file holds numbers."""


def storage_dtype(kind: Any, file: str) -> torch.dtype:
    """Element type behind a storage class as a file names it.

    Raises:
        CheckpointError: it is not a storage of plain numbers.
    """
    dtype = STORAGE_DTYPES.get(kind.path) if isinstance(kind, Global) else None
    if dtype is None:
        raise CheckpointError(f"{file}: a storage of an unknown type")
    return dtype


def _release(data: memoryview) -> None:
    """Let go of the mapped pages of a file, which count as memory in use while they stay."""
    mapped = data.obj
    if len(data) >= _RELEASE_BYTES and isinstance(mapped, mmap.mmap):
        with contextlib.suppress(AttributeError, OSError):  # not every system can
            mapped.madvise(mmap.MADV_DONTNEED)


def _is_view(offset: Any, size: Any, stride: Any) -> bool:
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        return False
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        return False
    return all(type(number) is int and 0 <= number < 2**63 for number in (offset, *size, *stride))


def _dense_strides(shape: tuple[Any, ...], fortran: bool) -> tuple[int, ...]:
    strides, step = [], 1
    for extent in shape if fortran else reversed(shape):
        strides.append(step)
        step *= max(int(extent), 1)
    return tuple(strides if fortran else reversed(strides))
