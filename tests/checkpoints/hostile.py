"""Pickles that try to run something, and the containers that could carry them."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from facemask_inpaint.checkpoints._torch_files import LEGACY_MAGIC

STOP = b"."
P2, P4 = b"\x80\x02", b"\x80\x04"


def text(value: str) -> bytes:
    """BINUNICODE of a string."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def data(value: bytes) -> bytes:
    """BINBYTES of a byte string."""
    return b"B" + struct.pack("<I", len(value)) + value


def call(module: str, name: str, *args: bytes) -> bytes:
    """GLOBAL and REDUCE of a function with pickled arguments."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(args) + b"tR"


def stack_call(module: str, name: str, *args: bytes) -> bytes:
    """STACK_GLOBAL and REDUCE; the name may have dots."""
    return text(module) + text(name) + b"\x93(" + b"".join(args) + b"tR"


def _touch(marker: Path) -> str:
    return f"touch '{marker}'"


def _write(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()"


def _nested(marker: Path) -> bytes:
    """A torch file inside a byte string, for functions that load those."""
    return legacy_file(P2 + call("os", "system", text(_touch(marker))) + STOP)


def _shell_list(marker: Path) -> bytes:
    return b"](" + text("touch") + text(str(marker)) + b"e"


_OS = call("builtins", "__import__", text("os"))
_TRAP = "tests.checkpoints.traps"

EXECUTING: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda m: P2 + call("os", "system", text(_touch(m))),
    "posix.system": lambda m: P2 + call("posix", "system", text(_touch(m))),
    "eval": lambda m: P2 + call("builtins", "eval", text(_write(m))),
    "exec of Python 2's name": lambda m: P2 + call("__builtin__", "exec", text(_write(m))),
    "exec by STACK_GLOBAL": lambda m: P4 + stack_call("builtins", "exec", text(_write(m))),
    "subprocess": lambda m: P2 + call("subprocess", "call", _shell_list(m)),
    "timeit": lambda m: (
        P2 + call("timeit", "timeit", text(_write(m)), text(""), b"ctime\nperf_counter\n", b"K\x01")
    ),
    "getattr chain": lambda m: (
        P2 + call("builtins", "getattr", _OS, text("system")) + b"(" + text(_touch(m)) + b"tR"
    ),
    "attrgetter": lambda m: (
        P2
        + call("operator", "attrgetter", text("system"))
        + b"("
        + _OS
        + b"tR("
        + text(_touch(m))
        + b"tR"
    ),
    "dotted name": lambda m: P4 + stack_call("torch", "serialization.os.system", text(_touch(m))),
    "INST": lambda m: P2 + b"(" + text(_touch(m)) + b"ios\nsystem\n",
    "OBJ": lambda m: P2 + b"(cos\nsystem\n" + text(_touch(m)) + b"o",
    "NEWOBJ": lambda m: P2 + f"c{_TRAP}\nNew\n".encode() + b"(" + text(str(m)) + b"t\x81",
    "NEWOBJ_EX": lambda m: P4 + f"c{_TRAP}\nNew\n".encode() + b"(" + text(str(m)) + b"t}\x92",
    "__setstate__": lambda m: P2 + f"c{_TRAP}\nState\n".encode() + b")\x81" + text(str(m)) + b"b",
    "__setitem__": lambda m: P2 + f"c{_TRAP}\nItems\n".encode() + b")\x81" + text(str(m)) + b"Ns",
    "append": lambda m: P2 + f"c{_TRAP}\nItems\n".encode() + b")\x81" + text(str(m)) + b"a",
    "memo": lambda m: (
        P2 + b"cos\nsystem\nq\x05" + b"0" + b"}q\x060" + b"h\x05(" + text(_touch(m)) + b"tR"
    ),
    "hidden in a list": lambda m: P2 + b"](K\x01" + call("os", "system", text(_touch(m))) + b"e",
    "hidden as a key": lambda m: P2 + b"}" + call("os", "system", text(_touch(m))) + b"Ns",
    "after BUILD": lambda m: (
        P2
        + b"ccollections\nOrderedDict\n)R}"
        + text("x")
        + call("os", "system", text(_touch(m)))
        + b"sb"
    ),
    "extension code": lambda m: P2 + b"\x82\xf0(" + text(str(m)) + b"tR",
    "nested storage": lambda m: (
        P2 + b"ctorch.storage\n_load_from_bytes\n(" + data(_nested(m)) + b"tR"
    ),
}
"""Name to a function from the marker's path to a pickle (without STOP) that creates the marker."""

FORBIDDEN: dict[str, bytes] = {
    "torch.hub.load": P2 + b"ctorch.hub\nload\n",
    "torch.load": P2 + b"ctorch\nload\n",
    "torch.jit.load": P2 + b"ctorch.jit\nload\n",
    "numpy.load": P2 + b"cnumpy\nload\n",
    "a network class": P2 + b"csaicinpainting.training.modules.ffc\nFFCResNetGenerator\n",
    "a function beside allowed classes": P2 + b"cpytorch_lightning.utilities.cloud_io\nload\n",
    "attribute of an allowed name": P4
    + text("collections")
    + text("OrderedDict.fromkeys")
    + b"\x93",
    "state of a class": P2 + b"ccollections\nOrderedDict\nN}" + text("x") + b"K\x01s\x86b",
    "state of a number": P2 + b"K\x01}b",
    "call of a text": P2 + text("os.system") + b")R",
    "text persistent id": P2 + b"Psomething\n",
    "out-of-band buffer": b"\x80\x05\x97",
}
"""Pickles that ask for what no checkpoint needs; they would do nothing by themselves."""


def bare(payload: bytes) -> bytes:
    """The pickle itself, as StyleGAN files are."""
    return payload


def legacy_file(payload: bytes) -> bytes:
    """``torch.save`` from before torch 1.6 around a pickle."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = LEGACY_MAGIC + pickle.dumps(1001, protocol=2) + pickle.dumps(system, protocol=2)
    return head + payload + pickle.dumps([], protocol=2)


def inner_stream(payload: bytes) -> bytes:
    """A StyleGAN2-ADA pickle in which a tensor's storage stream is the hostile one."""
    stream = data(legacy_file(payload))
    return P2 + b"}" + text("G_ema") + b"ctorch.storage\n_load_from_bytes\n(" + stream + b"tRs."


def archive(payload: bytes, path: Path, *, script: bool = False) -> None:
    """``torch.save`` or ``torch.jit.save`` zip file around a pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", payload)
        file.writestr("archive/byteorder", "little")
        if script:
            file.writestr("archive/code/__torch__.py", "import os\nos.system('true')\n")


def write(container: str, payload: bytes, path: Path) -> Path:
    """Put a pickle into a container."""
    if container in ("torch", "torchscript"):
        archive(payload, path, script=container == "torchscript")
    else:
        wrap = {"bare": bare, "legacy": legacy_file, "inner": inner_stream}[container]
        path.write_bytes(wrap(payload))
    return path


CONTAINERS = ("bare", "legacy", "inner", "torch", "torchscript")
