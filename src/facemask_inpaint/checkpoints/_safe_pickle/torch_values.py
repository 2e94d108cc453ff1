"""Torch's tensors of every kind, as its pickles name them, read as stand-ins.

Sources: the functions of ``torch._utils``, and the names that torch's own restricted unpickler
accepts; ``tests/checkpoints/test_torch_names.py`` walks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from facemask_inpaint.checkpoints._safe_pickle.inert import Global
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import (
    DTYPES,
    STORAGE_DTYPES,
    Lazy,
    LazyTensor,
    Storage,
    StorageView,
    is_view,
)
from facemask_inpaint.checkpoints._safe_pickle.machine import Machine, Rebuild, Vocabulary
from facemask_inpaint.errors import CheckpointError

_COMPRESSED = {
    str(layout): layout
    for layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
}
_SCHEMES = (
    "per_tensor_affine",
    "per_tensor_symmetric",
    "per_channel_affine",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)


class Composed(Lazy):
    """A tensor that is made of others when it is asked for.

    Args:
        build: makes it.
        file: name of the file.
    """

    __slots__ = ("_make",)

    def __init__(self, build: Callable[[], Tensor], file: str) -> None:
        super().__init__(file)
        self._make = build

    def _build(self) -> Tensor:
        return self._make()


class OldTensor(Lazy):
    """A tensor of torch before 0.4: an object first, whose state then says where its numbers are.

    Args:
        args: of its class: nothing, or another tensor.
        file: name of the file.
    """

    __slots__ = ("_inner",)

    def __init__(self, args: tuple[object, ...], file: str) -> None:
        super().__init__(file)
        self._inner = args[0] if args and isinstance(args[0], Lazy) else None

    @property
    def holds_numbers(self) -> bool:
        """Whether its state has come."""
        return self._inner is not None

    def set_state(self, state: object) -> None:
        """Take ``(storage, offset, size, stride)``, or ``(tensor, …)`` of a variable."""
        if not isinstance(state, tuple):
            return
        if len(state) == 4 and isinstance(state[0], Storage | StorageView):
            self._inner = _view(state, self.file)
        elif len(state) == 5 and isinstance(state[0], Lazy):
            self._inner = state[0]

    def _build(self) -> Tensor:
        if self._inner is None:
            raise CheckpointError(f"{self.file}: a tensor without its numbers")
        return self._inner.tensor()


class Wrapped(Lazy):
    """A tensor class around other tensors, of which only those that hold all of it can be read.

    Args:
        cls: the class.
        size: of the whole.
        file: name of the file.
    """

    __slots__ = ("_class", "_inner", "_size")

    def __init__(self, cls: object, size: object, file: str) -> None:
        super().__init__(file)
        self._class = cls.path if isinstance(cls, Global) else "no class"
        self._size = tuple(size) if isinstance(size, tuple | list) else ()
        self._inner: object = None

    def set_state(self, state: object) -> None:
        """Take the attributes, among them the part that this process had."""
        for attributes in state if isinstance(state, tuple) else (state,):
            if isinstance(attributes, Mapping) and "_local_tensor" in attributes:
                self._inner = attributes["_local_tensor"]

    def _build(self) -> Tensor:
        if isinstance(self._inner, Lazy):
            tensor = self._inner.tensor()
            if tuple(tensor.shape) == self._size:
                return tensor
        raise CheckpointError(
            f"{self.file}: a {self._class} of size {self._size}, of which the file holds a part "
            "only; gather it in the program that saved it, and save it again"
        )


def _view(args: Any, file: str, **more: Any) -> LazyTensor:
    """A strided view of a storage, or of a part of one."""
    storage, offset, size, stride = args
    if isinstance(storage, StorageView):
        view = _view((storage.whole, offset, size, stride), file, **more)
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride))
        if 0 not in size and last >= storage.numel:
            raise CheckpointError(f"{file}: a tensor reaches outside its part of a storage")
        return _view((storage.whole, offset + storage.start, size, stride), view.file, **more)
    if not isinstance(storage, Storage):
        raise CheckpointError(f"{file}: a tensor without a storage")
    return LazyTensor(storage, offset, size, stride, file, **more)


def _bits(metadata: Any) -> frozenset[str]:
    """``conj`` and ``neg``: the numbers in the file are not the tensor's own yet."""
    known = metadata if isinstance(metadata, Mapping) else {}
    return frozenset(name for name in ("conj", "neg") if known.get(name))


def _tensor(machine: Machine, args: tuple[Any, ...]) -> LazyTensor:
    """``_rebuild_tensor(_v2)(storage, offset, size, stride, requires_grad, hooks, metadata)``."""
    return _view(args[:4], machine.file, bits=_bits(args[6] if len(args) > 6 else None))


def _typed_tensor(machine: Machine, args: tuple[Any, ...]) -> LazyTensor:
    """``_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, …)``."""
    bits = _bits(args[7] if len(args) > 7 else None)
    return _view(args[:4], machine.file, dtype=_dtype(args[6], machine.file), bits=bits)


def _dtype(name: Any, file: str) -> torch.dtype:
    dtype = DTYPES.get(name.path) if isinstance(name, Global) else None
    if dtype is None:
        raise CheckpointError(f"{file}: a tensor of an unknown element type")
    return dtype


def _first(machine: Machine, args: tuple[Any, ...]) -> Any:
    return args[0]


def _of_type(machine: Machine, args: tuple[Any, ...]) -> Any:
    """``_rebuild_from_type_v2(function, class, args, attributes)``: the class plays no part."""
    function, _, inner, state = args
    value = machine.construct(function, inner)
    if isinstance(value, Wrapped):
        value.set_state(state)
    return value


def _wrapped(machine: Machine, args: tuple[Any, ...]) -> Wrapped:
    """``_rebuild_wrapper_subclass(class, dtype, size, …)``."""
    return Wrapped(args[0], args[2], machine.file)


def _layout(machine: Machine, args: tuple[Any, ...]) -> str:
    return str(args[0])[:40]


def _sparse(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_sparse_tensor(layout, (indices, values, size, …))``, checked when it is built."""
    layout, data = args
    file = machine.file

    def coo() -> Tensor:
        indices, values, size, coalesced = data if len(data) == 4 else (*data, None)
        return torch.sparse_coo_tensor(
            _read(indices), _read(values), size, check_invariants=True, is_coalesced=coalesced
        )

    def compressed() -> Tensor:
        outer, inner, values, size = data
        parts = (_read(outer), _read(inner), _read(values))
        compressed_layout = _COMPRESSED[layout]
        return torch.sparse_compressed_tensor(
            *parts, size, layout=compressed_layout, check_invariants=True
        )

    if not isinstance(data, tuple):
        raise CheckpointError(f"{file}: a sparse tensor without its parts")
    if layout not in ("torch.sparse_coo", *_COMPRESSED):
        raise CheckpointError(f"{file}: a sparse tensor in an unknown layout")
    return Composed(compressed if layout in _COMPRESSED else coo, file)


def _read(value: Any) -> Tensor:
    if not isinstance(value, Lazy):
        raise TypeError("a part of it is no tensor")
    return value.tensor()


def _meta(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_meta_tensor_no_storage(dtype, size, stride, …)``: a tensor without numbers."""
    dtype, size, stride = _dtype(args[0], machine.file), args[1], args[2]
    if not is_view((0, size, stride)):
        raise CheckpointError(f"{machine.file}: a tensor with an impossible size or stride")
    return Composed(
        lambda: torch.empty_strided(size, stride, dtype=dtype, device="meta"), machine.file
    )


def _quantised(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_qtensor(storage, offset, size, stride, (scheme, …), …)``."""
    integers, parameters = _view(args[:4], machine.file), args[4]

    def build() -> Tensor:
        scheme, *numbers = parameters
        empty = _empty_quantised(scheme.path, integers, numbers)
        memory = integers.storage.bytes().untyped_storage()
        return empty.set_(memory, integers.offset, integers.size, integers.stride)

    if not isinstance(parameters, tuple) or not isinstance(parameters[0], Global):
        raise CheckpointError(f"{machine.file}: a quantised tensor without its scheme")
    return Composed(build, machine.file)


def _empty_quantised(scheme: str, integers: LazyTensor, numbers: list[Any]) -> Tensor:
    """A quantised tensor of the right size and scale, its integers yet to come."""
    size, dtype = integers.size, integers.dtype
    if scheme == "torch.per_tensor_affine":
        scale, zero = numbers
        return torch._empty_affine_quantized(size, scale=scale, zero_point=zero, dtype=dtype)
    scales, zeros, axis = _read(numbers[0]), _read(numbers[1]), numbers[2]
    if not 0 <= axis < len(size) or (scales.shape, zeros.shape) != ((size[axis],),) * 2:
        raise ValueError("its scales do not fit its size")
    return torch._empty_per_channel_affine_quantized(
        size, scales=scales, zero_points=zeros, axis=axis, dtype=dtype
    )


def _nested(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_nested_tensor(buffer, sizes, strides, offsets)``."""
    buffer, *places = args
    if not isinstance(buffer, LazyTensor):
        raise CheckpointError(f"{machine.file}: a nested tensor without its numbers")

    def build() -> Tensor:
        rows = zip(*(_read(place).tolist() for place in places))
        parts = [
            LazyTensor(
                buffer.storage, buffer.offset + start, tuple(size), tuple(stride), buffer.file
            )
            for size, stride, start in rows
        ]
        for part in parts:
            buffer.storage.budget.spend_bytes(_read(part).nbytes)
        return torch.nested.nested_tensor([_read(part) for part in parts], dtype=buffer.dtype)

    return Composed(build, machine.file)


def _jagged(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_njt({"values": …, "offsets": …, "lengths": …})``."""
    (parts,) = args

    def build() -> Tensor:
        values, offsets, lengths = parts["values"], _read(parts["offsets"]), parts.get("lengths")
        dimension, numbers = parts.get("_ragged_idx", 1), _read(values)
        counts = offsets.diff() if lengths is None else _read(lengths)
        ends = offsets[: len(counts)] + counts
        if int(torch.cat([offsets, counts]).min()) < 0 or ends.max() > numbers.shape[dimension - 1]:
            raise ValueError("its offsets lie outside its values")
        return torch.nested.nested_tensor_from_jagged(
            numbers, offsets, None if lengths is None else counts, jagged_dim=dimension
        )

    if not isinstance(parts, Mapping):
        raise CheckpointError(f"{machine.file}: a nested tensor without its numbers")
    return Composed(build, machine.file)


def _cast(machine: Machine, args: tuple[Any, ...]) -> Composed:
    """``_rebuild_device_tensor_from_…(data, dtype, device, …)``: numbers from another device."""
    data, dtype = args[0], _dtype(args[1], machine.file)

    def build() -> Tensor:
        numbers = _read(data)
        machine.budget.spend_bytes(numbers.numel() * dtype.itemsize)
        return numbers.to(dtype)

    return Composed(build, machine.file)


def _old_tensor(machine: Machine, args: tuple[Any, ...]) -> Lazy:
    return OldTensor(args, machine.file)


def _old_sparse(machine: Machine, args: tuple[Any, ...]) -> Lazy:
    """``torch.sparse.FloatTensor(indices, values, size)``."""
    return _sparse(machine, ("torch.sparse_coo", args)) if args else OldTensor((), machine.file)


def _tensor_classes() -> dict[str, Rebuild]:
    """The classes of torch before 0.4, one per element type and kind of memory."""
    names = {path.rpartition(".")[2].removesuffix("Storage") for path in STORAGE_DTYPES}
    classes: dict[str, Rebuild] = {}
    for name in names:
        for place in ("torch", "torch.cuda"):
            classes[f"{place}.{name}Tensor"] = _old_tensor
            classes[f"{place}.sparse.{name}Tensor"] = _old_sparse
    return classes


STORAGES = Vocabulary(inert=frozenset({*STORAGE_DTYPES, "torch.storage.TypedStorage"}))
"""Torch's storage classes, which are only ever mentioned."""

TENSORS = Vocabulary(
    rebuild={
        **_tensor_classes(),
        "torch.Tensor": _old_tensor,
        "torch.nn.parameter.Parameter": _old_tensor,
        "torch.Size": _first,
        "torch.serialization._get_layout": _layout,
        "torch._tensor._rebuild_from_type_v2": _of_type,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _typed_tensor,
        "torch._utils._rebuild_parameter": _first,
        "torch._utils._rebuild_parameter_with_state": _first,
        "torch._utils._rebuild_sparse_tensor": _sparse,
        "torch._utils._rebuild_meta_tensor_no_storage": _meta,
        "torch._utils._rebuild_qtensor": _quantised,
        "torch._utils._rebuild_nested_tensor": _nested,
        "torch._utils._rebuild_wrapper_subclass": _wrapped,
        "torch._utils._rebuild_device_tensor_from_numpy": _cast,
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": _cast,
        "torch._utils._rebuild_xla_tensor": _cast,
        "torch.nested._internal.nested_tensor._rebuild_njt": _jagged,
    },
    inert=frozenset(
        {
            "torch.device",
            "torch.nested._internal.nested_tensor.NestedTensor",
            "torch._dynamo.decorators._DimRange",
            *DTYPES,
            *(f"torch.{name}" for name in _SCHEMES),
        }
    ),
    inert_pattern=r"torch\.distributed\.(tensor|device_mesh|_mesh_layout)(\.\w+)*\._?[A-Z]\w*",
)
"""Tensors of every kind that torch saves, and the names that stand beside them."""
