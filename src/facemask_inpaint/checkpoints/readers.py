"""Reading a checkpoint of any known container into tensors, without running anything in it."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open
from torch import Tensor

from facemask_inpaint.checkpoints.inert import Budget
from facemask_inpaint.checkpoints.keys import select
from facemask_inpaint.checkpoints.lazy_tensors import Lazy
from facemask_inpaint.checkpoints.metadata import plain_entries
from facemask_inpaint.checkpoints.module_tree import flatten_modules
from facemask_inpaint.checkpoints.network_pickles import (
    load_network_pickle,
    persistent_networks,
    persistent_tensors,
    tensorflow_networks,
    tensorflow_tensors,
)
from facemask_inpaint.checkpoints.sources import Container
from facemask_inpaint.checkpoints.torch_files import (
    LEGACY_MAGIC,
    TorchArchive,
    read_legacy,
    script_members,
)
from facemask_inpaint.errors import CheckpointError

_COPIES = 2  # bytes text-encoded by protocol 2 are decoded once and copied once
_LIGHTNING_MARK = "pytorch-lightning_version"
_DEFAULT_SECTIONS = {"stylegan2-ada": "G_ema", "stylegan-tf": "Gs"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        tensors: tensors on the CPU under the keys of the file's authors; tensors that share
            memory in the file share it here.
        metadata: plain values beside them: epoch, hyper-parameters, or for network pickles
            ``init_kwargs`` / ``static_kwargs``, the constructor's arguments.
        container: what wrote the file.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    container: Container


@dataclass(frozen=True)
class Unread:
    """A file's content before any tensor is read.

    Attributes:
        container: what wrote it.
        sections: named sections of unread tensors; networks of a pickle are not followed yet.
        metadata: plain values beside them.
        top: the main object of files of ``torch.save``.
    """

    container: Container
    sections: Mapping[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    top: Any = None


def read(
    path: str | Path,
    container: Container | None = None,
    *,
    section: str | None = None,
    prefix: str = "",
) -> Checkpoint:
    """Read a checkpoint; its kind is recognised from its bytes, not from its name.

    Nothing that the file names is imported or called. Only the selected tensors are read into
    memory.

    Args:
        path: the file.
        container: the kind that the file must be; ``None`` takes any.
        section: which of several nested state dicts or networks, for example ``"G"``,
            ``"state_dict"`` or ``"G_ema"``. By default ``"state_dict"``, else the top
            level, else the only one there is; for network pickles the moving average.
        prefix: keep the keys that start with this and take it off.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off, of another or an unknown kind,
            or holds no such section or prefix.

    Example:
        >>> weights = read("best.ckpt", section="state_dict", prefix="generator.")  # doctest: +SKIP
    """
    path = Path(path)
    if container is not None and container not in get_args(Container):
        raise CheckpointError(
            f"unknown container {container!r}; known: {', '.join(get_args(Container))}"
        )
    unread = open_unread(path)
    if container is not None and not _fits(unread.container, container):
        raise CheckpointError(f"{path}: a {unread.container} file, not {container} as expected")
    if unread.container == "safetensors":
        return _read_safetensors(path, section, prefix)
    return _finish(unread, section, prefix, path)


def read_all(path: str | Path) -> Any:
    """Read everything that a ``torch.save`` file holds, in the nesting that it has there.

    Nothing that the file names is imported or called: objects of foreign classes stay records of
    their names and attributes.

    Returns:
        Dictionaries, lists, tuples, plain values, and tensors on the CPU.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of another kind.
    """
    path = Path(path)
    data = _map(path)
    kind, budget = _sniff(data, path), Budget(str(path), _COPIES * len(data))
    if kind == "zip":
        top = TorchArchive(data, budget).load()
    elif kind == "legacy":
        top = read_legacy(data, budget)
    else:
        raise CheckpointError(f"{path}: a {kind} file, not one of torch.save")
    try:
        return _read_nested(top, {})
    except RecursionError:
        raise CheckpointError(f"{path}: nested absurdly deep or in a circle") from None


def _read_nested(value: Any, read: dict[int, Any]) -> Any:
    """The value with its tensors read; containers that the file mentions twice stay shared."""
    if isinstance(value, Lazy):
        return value.tensor() if value.holds_numbers else None
    if not isinstance(value, dict | list | tuple):
        return value
    if id(value) not in read:
        if isinstance(value, dict):
            made: Any = {key: _read_nested(item, read) for key, item in value.items()}
        else:
            made = type(value)(_read_nested(item, read) for item in value)
        read[id(value)] = made
    return read[id(value)]


def identify(path: str | Path) -> Container:
    """What wrote a checkpoint file, from its bytes; no tensor is read.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of an unknown kind.
    """
    return open_unread(Path(path)).container


def open_unread(path: Path) -> Unread:
    """Open a file of any known container; see :func:`read` for what it raises."""
    data = _map(path)
    kind = _sniff(data, path)
    if kind == "safetensors":
        return Unread("safetensors", {})
    return _LOADERS[kind](data, Budget(str(path), _COPIES * len(data)))


def _map(path: Path) -> memoryview:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, not a checkpoint file")
    if path.exists() and not path.is_file():  # a pipe would keep its reader waiting for ever
        raise CheckpointError(f"{path} is no ordinary file")
    try:
        with open(path, "rb") as file:
            if not file.seek(0, 2):
                raise CheckpointError(f"{path}: the file is empty")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error


def _sniff(data: memoryview, path: Path) -> str:
    """Kind of file by its first bytes."""
    head = bytes(data[:64])
    # First, since a header length may look like the start of a pickle, but not the reverse.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= len(data) - 8:
        return "safetensors"
    if head.startswith(LEGACY_MAGIC):
        return "legacy"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    raise CheckpointError(f"{path}: {_describe(head)}")


def _describe(head: bytes) -> str:
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not a checkpoint; its download wants a browser"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself; fetch it with git lfs pull"
    return "of no known kind (neither safetensors, torch, TorchScript nor a network pickle)"


def _fits(found: Container, expected: Container) -> bool:
    # Lightning files are torch files: a caller who says "torch" is right about both.
    return found == expected or (found == "lightning" and expected == "torch")


def _read_safetensors(path: Path, section: str | None, prefix: str) -> Checkpoint:
    if section is not None:
        raise CheckpointError(f"{path}: safetensors have no sections, got section={section!r}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            keys = _selected(dict.fromkeys(file.keys()), prefix, path)
            tensors = {key: file.get_tensor(prefix + key) for key in keys}
            return Checkpoint(tensors, dict(file.metadata() or {}), "safetensors")
    except (SafetensorError, OSError) as error:
        raise damaged_safetensors(path, error) from error


def damaged_safetensors(path: Path, error: Exception) -> CheckpointError:
    """Error for what the safetensors library says of a file."""
    return CheckpointError(f"{path}: cut off or damaged safetensors ({error})")


def _load_zip(data: memoryview, budget: Budget) -> Unread:
    archive = TorchArchive(data, budget)
    top = archive.load()
    if archive.is_torchscript:
        return Unread("torchscript", {"": flatten_modules(top, script_members, budget.file)})
    return _from_dictionary(top, "torch", budget)


def _load_legacy(data: memoryview, budget: Budget) -> Unread:
    return _from_dictionary(read_legacy(data, budget), "torch", budget)


def _load_pickle(data: memoryview, budget: Budget) -> Unread:
    top = load_network_pickle(data, budget)
    if networks := persistent_networks(top):
        return Unread("stylegan2-ada", networks, plain_entries(top))
    if networks := tensorflow_networks(top):
        return Unread("stylegan-tf", networks)
    raise CheckpointError(
        f"{budget.file}: a pickle, but neither a StyleGAN2-ADA snapshot nor a TensorFlow-era "
        "(G, D, Gs) network file"
    )


_LOADERS = {"zip": _load_zip, "legacy": _load_legacy, "pickle": _load_pickle}


def _from_dictionary(top: Any, container: Container, budget: Budget) -> Unread:
    """Sections of a (nested) state dict; the top level itself is the section ``""``."""
    if not isinstance(top, dict):
        raise CheckpointError(f"{budget.file}: holds a {type(top).__name__}, not a state dict")
    tensors = _numbers(top)
    sections: dict[str, Any] = {"": tensors} if tensors else {}
    for name, value in top.items():
        if isinstance(value, dict) and _numbers(value):
            sections[str(name)] = value
    if _LIGHTNING_MARK in top:
        container = "lightning"
    return Unread(container, sections, plain_entries(top), top)


NETWORK_TENSORS = {"stylegan2-ada": persistent_tensors, "stylegan-tf": tensorflow_tensors}
"""How the tensors of a network in a pickle are found, by container."""


def _finish(unread: Unread, section: str | None, prefix: str, path: Path) -> Checkpoint:
    content = unread.sections[_section(unread, section, path)]
    metadata = unread.metadata
    if follow := NETWORK_TENSORS.get(unread.container):
        content, facts = follow(content, str(path))
        metadata = {**metadata, **plain_entries(facts)}
    lazy = _numbers(content)
    if not all(isinstance(name, str) for name in lazy):
        raise CheckpointError(f"{path}: a tensor whose key is not text")
    chosen = _selected(lazy, prefix, path)
    tensors = {name: value.tensor() for name, value in chosen.items()}
    return Checkpoint(tensors, metadata, unread.container)


def _numbers(entries: Mapping[Any, Any]) -> dict[Any, Lazy]:
    """The entries that are tensors."""
    return {
        name: value
        for name, value in entries.items()
        if isinstance(value, Lazy) and value.holds_numbers
    }


def _selected(entries: Mapping[str, Any], prefix: str, path: Path) -> dict[str, Any]:
    try:
        return select(entries, prefix) if prefix else dict(entries)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _section(unread: Unread, wanted: str | None, path: Path) -> str:
    """Name of the section to read."""
    names = list(unread.sections)
    shown = ", ".join(repr(name) for name in names if name) or "none"
    if wanted is not None:
        if wanted not in names:
            raise CheckpointError(f"{path}: no section {wanted!r} with tensors; there: {shown}")
        return wanted
    for name in (_DEFAULT_SECTIONS.get(unread.container), "state_dict", ""):
        if name in names:
            return name
    if len(names) != 1:
        raise CheckpointError(
            f"{path}: {'several' if names else 'no'} state dicts; say section=… (there: {shown})"
        )
    return names[0]
