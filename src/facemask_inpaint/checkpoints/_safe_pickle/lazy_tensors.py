"""Tensors that know where their bytes are and are read only when asked for."""

from __future__ import annotations

import contextlib
import mmap
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.checkpoints._safe_pickle.inert import Budget, Global, StandIn
from facemask_inpaint.errors import CheckpointError

DTYPES: dict[str, torch.dtype] = {
    str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)
}
"""Every element type that this version of torch has, by its name in files."""

_STORAGE_PREFIXES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QInt8": torch.qint8,
    "QInt32": torch.qint32,
    "QUInt8": torch.quint8,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}

STORAGE_DTYPES: dict[str, torch.dtype] = {
    **{f"torch.{name}Storage": dtype for name, dtype in _STORAGE_PREFIXES.items()},
    **{f"torch.cuda.{name}Storage": dtype for name, dtype in _STORAGE_PREFIXES.items()},
    "torch.storage.UntypedStorage": torch.uint8,
}
"""Torch's storage class names and the element type each stands for; untyped ones are bytes."""

View = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Offset, size and stride of a tensor in its storage, in elements."""

MAX_DIMENSIONS = 32

_RELEASE_BYTES = 1 << 20
_PACKED = {torch.quint4x2: 2, torch.quint2x4: 4}
_NO_TENSOR = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, NotImplementedError)


class Lazy(StandIn):
    """What a reader finds where a file holds numbers.

    Attributes:
        file: name of the file, for messages.
    """

    __slots__ = ("file",)

    def __init__(self, file: str) -> None:
        self.file = file

    @property
    def holds_numbers(self) -> bool:
        """Whether :meth:`tensor` has anything to read."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of the tensor, which only unusual kinds must be read for."""
        return tuple(self.tensor().shape)

    def set_state(self, state: object) -> None:
        """Ignore the attributes that somebody gave to a parameter."""

    def tensor(self) -> Tensor:
        """Read the elements.

        Raises:
            CheckpointError: they make no tensor.
        """
        try:
            return self._build()
        except CheckpointError:
            raise
        except _NO_TENSOR as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise CheckpointError(f"{self.file}: no such tensor is possible ({reason})") from error

    def _build(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define _build()")


class Storage:
    """A flat run of numbers in the file.

    Args:
        dtype: element type.
        numel: number of elements the file declares.
        budget: limits of the file.
        data: the bytes; attached later where they follow the pickle.
    """

    __slots__ = ("_data", "_tensor", "budget", "dtype", "numel")

    def __init__(
        self, dtype: torch.dtype, numel: object, budget: Budget, data: memoryview | None = None
    ) -> None:
        if type(numel) is not int or numel < 0:
            raise CheckpointError(f"{budget.file}: a storage of {str(numel)[:40]} elements")
        self.dtype, self.numel = dtype, numel
        self.budget = budget
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
                f"{self.budget.file}: a storage of {self.numel} {self.dtype} elements holds "
                f"{len(data)} bytes instead of {self.numel * self.dtype.itemsize}"
            )
        self._data = data

    def capacity(self, dtype: torch.dtype) -> int:
        """Return how many elements of a type fit."""
        per_byte = _PACKED.get(dtype, 1)
        return self.numel * self.dtype.itemsize // dtype.itemsize * per_byte

    def bytes(self) -> Tensor:
        """Return the bytes as a 1-D uint8 tensor of its own memory; read once, then shared."""
        if self._tensor is None:
            if self._data is None:
                raise CheckpointError(f"{self.budget.file}: cut off: a tensor has no data")
            self.budget.spend_bytes(len(self._data))
            self._tensor = torch.empty(len(self._data), dtype=torch.uint8)
            self._tensor.numpy()[:] = np.frombuffer(self._data, dtype=np.uint8)
            _release(self._data)
        return self._tensor


class StorageView:
    """Part of a storage, as torch wrote before version 0.4 where storages shared memory.

    Args:
        whole: the storage with the memory.
        start: first element of the part.
        numel: its number of elements.
    """

    __slots__ = ("numel", "start", "whole")

    def __init__(self, whole: Storage, start: object, numel: object) -> None:
        part = (start, numel)
        if not _are_counts(part) or sum(part) > whole.numel:
            raise CheckpointError(f"{whole.budget.file}: a storage that reaches outside another")
        self.whole = whole
        self.start, self.numel = part


class LazyTensor(Lazy):
    """A strided view of a storage; its bounds are checked on creation.

    Args:
        storage: where the elements are.
        offset: of the first one, in elements.
        size: of the tensor.
        stride: in elements.
        file: name of the file.
        dtype: element type where the storage does not say it.
        bits: ``"conj"`` and ``"neg"`` of a tensor that was a view of another's numbers.

    Raises:
        CheckpointError: the view reaches outside the storage.
    """

    __slots__ = ("bits", "dtype", "offset", "size", "storage", "stride")

    def __init__(
        self,
        storage: Storage,
        offset: object,
        size: object,
        stride: object,
        file: str,
        *,
        dtype: torch.dtype | None = None,
        bits: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(file)
        self.storage, self.dtype, self.bits = storage, dtype or storage.dtype, bits
        view = (offset, size, stride)
        if not is_view(view):
            raise CheckpointError(f"{file}: a tensor with an impossible size or stride")
        self.offset, self.size, self.stride = view
        numel, last = 1, self.offset
        for extent, step in zip(self.size, self.stride):
            numel *= extent
            last += (extent - 1) * step
        capacity = storage.capacity(self.dtype)
        # More elements than the storage has would let a small file fill the memory.
        if numel and (last >= capacity or numel > capacity):
            raise CheckpointError(
                f"{file}: a tensor of size {size} reaches outside its storage of "
                f"{capacity} elements"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    def _build(self) -> Tensor:
        if 0 in self.size:
            return torch.empty(self.size, dtype=self.dtype)
        memory = self.storage.bytes().untyped_storage()
        empty = torch.empty(0, dtype=self.dtype)
        tensor = empty.set_(memory, self.offset, self.size, self.stride)
        if self.bits:
            self.storage.budget.spend_bytes(tensor.nbytes)
            tensor = tensor.conj_physical() if "conj" in self.bits else tensor
            tensor = tensor.neg() if "neg" in self.bits else tensor
        return tensor


def storage_dtype(storage_class: object, file: str) -> torch.dtype:
    """Return the element type behind a storage class as a file names it.

    Raises:
        CheckpointError: it is not a storage of plain numbers.
    """
    dtype = STORAGE_DTYPES.get(storage_class.path) if isinstance(storage_class, Global) else None
    if dtype is None:
        raise CheckpointError(f"{file}: a storage of an unknown type")
    return dtype


def _release(data: memoryview) -> None:
    """Let go of the mapped pages of a file, which count as memory in use while they stay."""
    mapped = data.obj
    if len(data) >= _RELEASE_BYTES and isinstance(mapped, mmap.mmap):
        with contextlib.suppress(AttributeError, OSError):  # not every system can
            mapped.madvise(mmap.MADV_DONTNEED)


def is_view(view: tuple[object, object, object]) -> TypeGuard[View]:
    """Whether these are offset, size and stride that can describe a strided view."""
    offset, size, stride = view
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        return False
    if len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        return False
    return _are_counts((offset, *size, *stride))


def _are_counts(numbers: tuple[object, ...]) -> TypeGuard[tuple[int, ...]]:
    return all(type(number) is int and 0 <= number < 2**63 for number in numbers)
