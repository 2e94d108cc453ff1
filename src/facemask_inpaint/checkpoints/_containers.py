"""Recognising a checkpoint file from its bytes, and opening it without reading a tensor."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facemask_inpaint.checkpoints._network_pickles import (
    load_network_pickle,
    persistent_networks,
    persistent_tensors,
    tensorflow_networks,
    tensorflow_tensors,
)
from facemask_inpaint.checkpoints._safe_pickle.inert import Budget
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import Lazy
from facemask_inpaint.checkpoints._safe_pickle.trees import (
    Key,
    PlainValue,
    flatten_modules,
    plain_entries,
)
from facemask_inpaint.checkpoints._torch_files import (
    LEGACY_MAGIC,
    TorchArchive,
    read_legacy,
    script_members,
)
from facemask_inpaint.checkpoints.sources import Container
from facemask_inpaint.errors import CheckpointError

_COPIES = 2  # bytes text-encoded by protocol 2 are decoded once and copied once
_LIGHTNING_MARK = "pytorch-lightning_version"


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
    metadata: dict[str, PlainValue] = field(default_factory=dict)
    top: Any = None


def open_unread(path: Path) -> Unread:
    """Open a file of any known container; raises what ``checkpoints.read`` does."""
    data = _map(path)
    form = _sniff(data, path)
    if form == "safetensors":
        return Unread("safetensors", {})
    return _LOADERS[form](data, Budget(str(path), _COPIES * len(data)))


def open_torch_object(path: Path) -> object:
    """Open the main object of a ``torch.save`` file, its tensors unread.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of another kind.
    """
    data = _map(path)
    form, budget = _sniff(data, path), Budget(str(path), _COPIES * len(data))
    if form == "zip":
        return TorchArchive(data, budget).load()
    if form == "legacy":
        return read_legacy(data, budget)
    raise CheckpointError(f"{path}: a {form} file, not one of torch.save")


def damaged_safetensors(path: Path, error: Exception) -> CheckpointError:
    """Return an error for what the safetensors library says of a file."""
    return CheckpointError(f"{path}: cut off or damaged safetensors ({error})")


def tensor_entries(entries: Mapping[Key, object]) -> dict[Key, Lazy]:
    """Return the entries that are tensors."""
    return {
        name: value
        for name, value in entries.items()
        if isinstance(value, Lazy) and value.holds_numbers
    }


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


def _load_zip(data: memoryview, budget: Budget) -> Unread:
    archive = TorchArchive(data, budget)
    top = archive.load()
    if archive.is_torchscript:
        return Unread("torchscript", {"": flatten_modules(top, script_members, budget.file)})
    return _from_dictionary(top, "torch", budget)


def _load_legacy(data: memoryview, budget: Budget) -> Unread:
    return _from_dictionary(read_legacy(data, budget), "torch", budget)


def _load_pickle(data: memoryview, budget: Budget) -> Unread:
    top: Any = load_network_pickle(data, budget)
    if networks := persistent_networks(top):
        return Unread("stylegan2-ada", networks, plain_entries(top))
    if networks := tensorflow_networks(top):
        return Unread("stylegan-tf", networks)
    raise CheckpointError(
        f"{budget.file}: a pickle, but neither a StyleGAN2-ADA snapshot nor a TensorFlow-era "
        "(G, D, Gs) network file"
    )


_LOADERS = {"zip": _load_zip, "legacy": _load_legacy, "pickle": _load_pickle}


def _from_dictionary(top: object, container: Container, budget: Budget) -> Unread:
    """Sections of a (nested) state dict; the top level itself is the section ``""``."""
    if not isinstance(top, dict):
        raise CheckpointError(f"{budget.file}: holds a {type(top).__name__}, not a state dict")
    tensors = tensor_entries(top)
    sections: dict[str, Any] = {"": tensors} if tensors else {}
    for name, value in top.items():
        if isinstance(value, dict) and tensor_entries(value):
            sections[str(name)] = value
    if _LIGHTNING_MARK in top:
        container = "lightning"
    return Unread(container, sections, plain_entries(top), top)


NETWORK_TENSORS = {"stylegan2-ada": persistent_tensors, "stylegan-tf": tensorflow_tensors}
"""How the tensors of a network in a pickle are found, by container."""
