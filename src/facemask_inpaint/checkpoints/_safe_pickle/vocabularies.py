"""The closed lists: every name that a checkpoint may mention, and what it becomes.

Sources: the globals that ``torch.save``, ``torch.jit.save``, PyTorch Lightning, the persistent
classes of StyleGAN2-ADA and the networks of the TensorFlow StyleGAN code base write.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from facemask_inpaint.checkpoints._safe_pickle.inert import Global, Record
from facemask_inpaint.checkpoints._safe_pickle.machine import Machine, Vocabulary
from facemask_inpaint.checkpoints._safe_pickle.numpy_values import NUMPY
from facemask_inpaint.checkpoints._safe_pickle.torch_values import STORAGES, TENSORS
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


def _bytes(machine: Machine, args: tuple[Any, ...]) -> memoryview:
    """``bytes()`` and ``bytearray(…)`` of nothing, of text in latin-1, or of bytes."""
    if not args:
        return memoryview(b"")
    if len(args) == 1 and isinstance(args[0], memoryview):
        return args[0]
    if len(args) == 2:
        return _encode(machine, args)
    raise CheckpointError(f"{machine.file}: bytes in an unknown form")


def _complex(machine: Machine, args: tuple[Any, ...]) -> complex:
    if len(args) > 2 or not all(isinstance(part, int | float) for part in args):
        raise CheckpointError(f"{machine.file}: a complex number of unknown parts")
    return complex(*args)


def _frozen(machine: Machine, args: tuple[Any, ...]) -> Any:
    return machine.frozen(args[0]) if args and isinstance(args[0], list) else frozenset()


def _queue(machine: Machine, args: tuple[Any, ...]) -> list[Any]:
    """``collections.deque``: a list that the file fills afterwards."""
    return []


def _path(machine: Machine, args: tuple[Any, ...]) -> str:
    """A path of any flavour becomes text; it is never looked at on this machine."""
    if not all(isinstance(part, str) for part in args):
        raise CheckpointError(f"{machine.file}: a path whose parts are not text")
    machine.budget.spend_bytes(sum(map(len, args)))
    return str(PurePosixPath(*args))


def _windows_path(machine: Machine, args: tuple[Any, ...]) -> str:
    return str(PureWindowsPath(_path(machine, args)))


def _persistent(machine: Machine, args: tuple[Any, ...]) -> Record:
    """A persistent module: its dictionary stays data, the source text in it is never read."""
    if len(args) != 1 or not isinstance(args[0], dict):
        raise CheckpointError(f"{machine.file}: a persistent object without its dictionary")
    return Record(Global(*PERSISTENT.rsplit(".", 1)), args)


_PATHS = {
    "PosixPath": _path,
    "PurePosixPath": _path,
    "Path": _path,
    "PurePath": _path,
    "WindowsPath": _windows_path,
    "PureWindowsPath": _windows_path,
}

PLAIN = Vocabulary(
    rebuild={
        "collections.OrderedDict": _mapping,
        "collections.defaultdict": _mapping,
        "collections.Counter": _mapping,
        "collections.deque": _queue,
        "builtins.dict": _mapping,
        "builtins.list": _members,
        "builtins.tuple": _members,
        "builtins.set": _members,
        "builtins.frozenset": _frozen,
        "builtins.bytes": _bytes,
        "builtins.bytearray": _bytes,
        "builtins.complex": _complex,
        "_codecs.encode": _encode,
        # Python 3.13 calls the module of paths pathlib._local.
        **{f"pathlib.{name}": rebuild for name, rebuild in _PATHS.items()},
        **{f"pathlib._local.{name}": rebuild for name, rebuild in _PATHS.items()},
    },
    inert=frozenset(
        {f"builtins.{name}" for name in ("int", "float", "str", "bool", "object", "range", "slice")}
        | {f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")}
        | {"argparse.Namespace", "types.SimpleNamespace", "typing.Any"}
        | {"decimal.Decimal", "fractions.Fraction", "uuid.UUID"}
    ),
)
"""Containers and plain values of the standard library."""

TORCH = PLAIN | NUMPY | STORAGES | TENSORS
"""What ``torch.save`` writes for (nested) state dicts."""

LIGHTNING = Vocabulary(
    rebuild={"pytorch_lightning.utilities.parsing.AttributeDict": _mapping},
    # What types such as ``Dict[str, Optional[int]]`` and ``int | None`` are written with.
    inert=frozenset(
        {"builtins.type", "types.GenericAlias", "functools.reduce", "_functools.reduce"}
        | {
            f"{module}.{name}"
            for module in ("operator", "_operator")
            for name in ("getitem", "or_")
        }
    ),
    inert_pattern=r"typing\.[A-Z]\w*"
    r"|(omegaconf|pytorch_lightning|lightning|lightning_fabric)(\.[a-z_]+)*\.[A-Z]\w*",
)
"""Hyper-parameters and callbacks beside the weights: classes only, and only as records."""

TORCHSCRIPT = (
    PLAIN
    | STORAGES
    | TENSORS
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
    | TENSORS
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
