"""The closed lists: every name that a checkpoint may mention, and what it becomes.

Sources: the globals that ``torch.save``, ``torch.jit.save``, PyTorch Lightning, the persistent
classes of StyleGAN2-ADA and the networks of the TensorFlow StyleGAN code base write.
"""

from __future__ import annotations

from typing import Any

from facemask_inpaint.checkpoints.inert import Global, Record
from facemask_inpaint.checkpoints.lazy_tensors import (
    NUMPY_DTYPES,
    STORAGE_DTYPES,
    ArrayDtype,
    LazyArray,
    LazyTensor,
    Storage,
)
from facemask_inpaint.checkpoints.safe_pickle import Machine, Vocabulary
from facemask_inpaint.errors import CheckpointError

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
TF_NETWORK = "dnnlib.tflib.network.Network"


def _mapping(machine: Machine, args: tuple[Any, ...]) -> dict[Any, Any]:
    """A dictionary class: ``OrderedDict``, ``defaultdict``, ``EasyDict``, ``AttributeDict``."""
    content = args[-1] if args else {}
    if isinstance(content, list):
        machine.budget.spend_bytes(len(content))
        return machine.dictionary([part for pair in content for part in _pair(pair)])
    return content if isinstance(content, dict) else {}


def _pair(pair: Any) -> tuple[Any, Any]:
    key, value = pair
    return key, value


def _members(machine: Machine, args: tuple[Any, ...]) -> Any:
    """A sequence or set, uncopied: a copy for every mention would let a small file grow."""
    return args[0] if args else []


def _first(machine: Machine, args: tuple[Any, ...]) -> Any:
    return args[0]


def _encode(machine: Machine, args: tuple[Any, ...]) -> memoryview:
    """``_codecs.encode(text, "latin1")``: how protocol 2 writes bytes."""
    text, encoding = args
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise CheckpointError(f"{machine.file}: bytes in an unknown encoding")
    machine.budget.spend_bytes(len(text))
    return memoryview(text.encode("latin-1"))


def _no_bytes(machine: Machine, args: tuple[Any, ...]) -> memoryview:
    """``bytes()``: how protocol 2 writes empty bytes."""
    if args:
        raise CheckpointError(f"{machine.file}: bytes in an unknown form")
    return memoryview(b"")


def _tensor(machine: Machine, args: tuple[Any, ...]) -> LazyTensor:
    """``_rebuild_tensor(_v2)(storage, offset, size, stride, …)``."""
    storage, offset, size, stride, *_ = args
    if not isinstance(storage, Storage):
        raise CheckpointError(f"{machine.file}: a tensor without a storage")
    return LazyTensor(storage, offset, size, stride, machine.file)


def _dtype(machine: Machine, args: tuple[Any, ...]) -> ArrayDtype:
    code = str(args[0])
    dtype = NUMPY_DTYPES.get(code.removeprefix("<").removeprefix("|"))
    if dtype is None:
        raise CheckpointError(f"{machine.file}: NumPy type {code[:20]!r} is not a plain number")
    return ArrayDtype(dtype, machine.file)


def _array(machine: Machine, args: tuple[Any, ...]) -> LazyArray:
    return LazyArray(machine.budget)


def _scalar(machine: Machine, args: tuple[Any, ...]) -> LazyArray:
    """A NumPy scalar: an array of no dimensions."""
    dtype, data = args
    array = LazyArray(machine.budget)
    array.set_state((1, (), dtype, False, data))
    return array


def _persistent(machine: Machine, args: tuple[Any, ...]) -> Record:
    """A persistent module: its dictionary stays data, the source text in it is never read."""
    if len(args) != 1 or not isinstance(args[0], dict):
        raise CheckpointError(f"{machine.file}: a persistent object without its dictionary")
    return Record(Global(*PERSISTENT.rsplit(".", 1)), args)


PLAIN = Vocabulary(
    rebuild={
        "collections.OrderedDict": _mapping,
        "collections.defaultdict": _mapping,
        "builtins.dict": _mapping,
        "builtins.list": _members,
        "builtins.tuple": _members,
        "builtins.set": _members,
        "builtins.frozenset": _members,
        "builtins.bytes": _no_bytes,
        "_codecs.encode": _encode,
    },
    inert=frozenset(
        f"builtins.{name}" for name in ("int", "float", "str", "bool", "complex", "object")
    ),
)
"""Containers of the standard library."""

NUMPY = Vocabulary(
    rebuild={
        "numpy.dtype": _dtype,
        "numpy.core.multiarray._reconstruct": _array,
        "numpy.core.multiarray.scalar": _scalar,
        "numpy._core.multiarray._reconstruct": _array,
        "numpy._core.multiarray.scalar": _scalar,
    },
    inert=frozenset({"numpy.ndarray"}),
)
"""Arrays and scalars of plain numbers, under NumPy's old and new module names."""

STORAGES = Vocabulary(inert=frozenset(STORAGE_DTYPES))
"""Torch's storage classes, which are only ever mentioned."""

_TENSORS = Vocabulary(
    rebuild={
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _first,
        "torch.Size": _first,
    },
    inert=frozenset({"torch.device"}),
)

TORCH = PLAIN | NUMPY | STORAGES | _TENSORS
"""What ``torch.save`` writes for (nested) state dicts."""

LIGHTNING = Vocabulary(
    rebuild={"pytorch_lightning.utilities.parsing.AttributeDict": _mapping},
    inert=frozenset(
        {"typing.Any", "argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath"}
    ),
    inert_pattern=r"(omegaconf|pytorch_lightning|lightning|lightning_fabric)(\.[a-z_]+)*\.[A-Z]\w*",
)
"""Hyper-parameters and callbacks beside the weights: classes only, and only as records."""

TORCHSCRIPT = (
    PLAIN
    | STORAGES
    | _TENSORS
    | Vocabulary(
        rebuild={
            f"torch.jit._pickle.{name}": _first
            for name in (
                "build_intlist",
                "build_doublelist",
                "build_boollist",
                "build_tensorlist",
                "restore_type_tag",
            )
        },
        inert_pattern=r"__torch__(\.\w+)+",
    )
)
"""What ``torch.jit.save`` writes in ``data.pkl``; the archived classes become records."""

NETWORK_PICKLE = (
    PLAIN
    | NUMPY
    | _TENSORS
    | Vocabulary(
        rebuild={
            PERSISTENT: _persistent,
            "dnnlib.util.EasyDict": _mapping,
            "dnnlib.EasyDict": _mapping,
        },
        inert=frozenset({TF_NETWORK}),
        inert_pattern=r"torch\.nn\.modules\.[a-z_]+\.[A-Z]\w*",
    )
)
"""StyleGAN2-ADA and TensorFlow-era StyleGAN pickles, but for the inner storage streams."""
