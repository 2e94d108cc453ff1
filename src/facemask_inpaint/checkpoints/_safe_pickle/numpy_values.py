"""NumPy's arrays, scalars and random generators, as pickles name them.

Arrays and scalars of numbers become tensors, of text become text; all else stays inert.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from facemask_inpaint.checkpoints._safe_pickle.inert import Budget, StandIn
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import (
    MAX_DIMENSIONS,
    Lazy,
    LazyTensor,
    Storage,
)
from facemask_inpaint.checkpoints._safe_pickle.machine import Machine, Vocabulary
from facemask_inpaint.errors import CheckpointError

NUMPY_DTYPES: dict[str, torch.dtype] = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "u2": torch.uint16,
    "u4": torch.uint32,
    "u8": torch.uint64,
    "b1": torch.bool,
    "c8": torch.complex64,
    "c16": torch.complex128,
}
"""NumPy type codes that hold plain numbers; objects, text and structures are not among them."""

_TEXT_ENCODINGS = {("U", False): "utf-32-le", ("U", True): "utf-32-be"}
_BYTE_ORDERS = {"<": False, "|": False, "=": False, ">": True}


class ArrayDtype(StandIn):
    """Stand-in for ``numpy.dtype``.

    Args:
        code: NumPy's, for example ``f4``.
        file: name of the file, for messages.

    Attributes:
        dtype: torch's element type; ``None`` for what is not plain numbers.
        swapped: whether the bytes are in big-endian order.
    """

    __slots__ = ("code", "dtype", "file", "swapped")

    def __init__(self, code: str, file: str) -> None:
        self.swapped = code.startswith(">")
        self.code, self.file = code.lstrip("<>|="), file
        self.dtype = NUMPY_DTYPES.get(self.code)

    def set_state(self, state: object) -> None:
        """Take the byte order, the only thing in the state that plain numbers have."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in _BYTE_ORDERS:
            raise CheckpointError(f"{self.file}: a NumPy type of an unknown byte order")
        self.swapped = _BYTE_ORDERS[state[1]]


class LazyArray(Lazy):
    """Stand-in for ``numpy.ndarray``: empty until its state says where the numbers are."""

    __slots__ = ("_budget", "_lazy", "_swapped")

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget.file)
        self._budget = budget
        self._lazy: LazyTensor | None = None
        self._swapped = False

    def set_state(self, state: object) -> None:
        """Take ``(version, shape, dtype, is_fortran, bytes)``; objects and text are left out."""
        _, shape, dtype, fortran, data = cast("tuple[Any, ...]", state)
        if not isinstance(dtype, ArrayDtype) or not isinstance(shape, tuple):
            raise CheckpointError(f"{self.file}: a NumPy array without a type or a shape")
        if dtype.dtype is None:
            return
        if not isinstance(data, memoryview) or len(shape) > MAX_DIMENSIONS:
            raise CheckpointError(f"{self.file}: a NumPy array of an impossible kind")
        storage = Storage(dtype.dtype, len(data) // dtype.dtype.itemsize, self._budget, data)
        strides = _dense_strides(shape, bool(fortran))
        self._lazy = LazyTensor(storage, 0, shape, strides, self.file)
        self._swapped = dtype.swapped and dtype.dtype.itemsize > 1

    @property
    def holds_numbers(self) -> bool:
        """Whether it is an array of plain numbers."""
        return self._lazy is not None

    @property
    def is_scalar(self) -> bool:
        """Whether it holds one number and has no dimensions."""
        return self._lazy is not None and self._lazy.size == ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._numbers().size

    def _build(self) -> Tensor:
        tensor = self._numbers().tensor()
        if self._swapped:
            self._budget.spend_bytes(tensor.nbytes)
            return torch.from_numpy(tensor.numpy().byteswap())
        return tensor

    def _numbers(self) -> LazyTensor:
        if self._lazy is None:
            raise CheckpointError(f"{self.file}: a NumPy array that holds no numbers")
        return self._lazy


def _dtype(machine: Machine, args: tuple[Any, ...]) -> ArrayDtype:
    return ArrayDtype(str(args[0])[:40], machine.file)


def _array(machine: Machine, args: tuple[Any, ...]) -> LazyArray:
    return LazyArray(machine.budget)


def _from_buffer(machine: Machine, args: tuple[Any, ...]) -> LazyArray:
    """``_frombuffer(bytes, dtype, shape, order)``: how protocol 5 writes arrays."""
    data, dtype, shape, order, *_ = args
    if order not in ("C", "F"):
        raise CheckpointError(f"{machine.file}: a NumPy array in an unknown order")
    array = LazyArray(machine.budget)
    array.set_state((1, shape, dtype, order == "F", data))
    return array


def _scalar(machine: Machine, args: tuple[Any, ...]) -> LazyArray | str:
    """A NumPy scalar: text, or an array of no dimensions."""
    dtype, data = args
    if isinstance(dtype, ArrayDtype) and isinstance(data, memoryview):
        encoding = _TEXT_ENCODINGS.get((dtype.code[:1], dtype.swapped))
        if encoding is not None:
            machine.budget.spend_bytes(len(data))
            return bytes(data).decode(encoding).rstrip("\0")
    array = LazyArray(machine.budget)
    array.set_state((1, (), dtype, False, data))
    return array


def _dense_strides(shape: tuple[Any, ...], fortran: bool) -> tuple[int, ...]:
    strides, step = [], 1
    for extent in shape if fortran else reversed(shape):
        strides.append(step)
        step *= max(int(extent), 1)
    return tuple(strides if fortran else reversed(strides))


NUMPY = Vocabulary(
    rebuild={
        "numpy.dtype": _dtype,
        **{
            f"numpy.{core}.{name}": rebuild
            for core in ("core", "_core")
            for name, rebuild in (
                ("multiarray._reconstruct", _array),
                ("multiarray.scalar", _scalar),
                ("numeric._frombuffer", _from_buffer),
            )
        },
    },
    inert=frozenset({"numpy.ndarray", "numpy.ma.core._mareconstruct"}),
    inert_pattern=(
        r"numpy\.(bool|str|bytes|object|void|datetime64|timedelta64|longdouble|clongdouble"
        r"|u?int(8|16|32|64)|float(16|32|64|128)|complex(64|128|256)|u?longlong)_?"
        r"|numpy\.dtypes\.[A-Z]\w*DType"
        r"|numpy\.ma(\.core)?\.MaskedArray"
        r"|numpy\.random\._pickle\.__(bit_generator|generator|randomstate)_ctor"
        r"|numpy\.random\._\w+\.[A-Z]\w*"
        r"|numpy\.random\.bit_generator\.(SeedSequence|__pyx_unpickle_SeedSequence)"
    ),
)
"""Arrays, scalars, types and random generators, under NumPy's old and new module names."""
