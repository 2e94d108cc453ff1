"""A file's contents at a glance: every key in it, wherever it is nested."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from facemask_inpaint.checkpoints.keys import NESTING, own_keys
from facemask_inpaint.checkpoints.lazy_tensors import Lazy
from facemask_inpaint.checkpoints.module_tree import nested_tensors
from facemask_inpaint.checkpoints.readers import (
    NETWORK_TENSORS,
    Unread,
    damaged_safetensors,
    open_unread,
)
from facemask_inpaint.checkpoints.sources import Container
from facemask_inpaint.errors import CheckpointError


@dataclass(frozen=True)
class Contents:
    """What a checkpoint file holds, before any tensor is read.

    Attributes:
        path: the file.
        container: what wrote it.
        keys: of every tensor; those of nested state dicts and of a pickle's networks behind the
            name and ``":"``.
    """

    path: Path
    container: Container
    _unread: Mapping[str, Lazy | _Slice] = field(repr=False)

    @property
    def keys(self) -> list[str]:
        return list(self._unread)

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of the tensor under ``key``.

        Raises:
            CheckpointError: it has none that could be told.
        """
        return self._unread[key].shape

    def read(self, keys: Mapping[str, str]) -> dict[str, Tensor]:
        """Tensors on the CPU under new keys.

        Args:
            keys: new key to the file's.

        Raises:
            CheckpointError: the bytes of one are missing.
        """
        try:
            return {new: self._unread[key].tensor() for new, key in keys.items()}
        except (SafetensorError, OSError) as error:
            raise damaged_safetensors(self.path, error) from error


@dataclass(frozen=True, eq=False)
class _Slice:
    """One tensor of an open safetensors file."""

    file: Any
    key: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.key).get_shape())

    def tensor(self) -> Tensor:
        return self.file.get_tensor(self.key)


def read_own(
    path: str | Path, anchors: Sequence[str], network: str, *, preferred: Collection[str] = ()
) -> dict[str, Tensor]:
    """Tensors of one network in a file, under its own keys, wherever in the file it is.

    Args:
        path: the file, in any container.
        anchors: see :func:`own_keys`, as for the other arguments.
        network: name for error messages.
        preferred: prefixes that count before others.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file cannot be read, or does not hold the network exactly once.
    """
    contents = survey(path)
    try:
        names = own_keys(contents.keys, anchors, network, preferred=preferred)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return contents.read(names)


def survey(path: str | Path) -> Contents:
    """List what a checkpoint file holds without reading its tensors.

    Unlike :func:`read`, this looks into every nested state dict and network at once.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of an unknown kind.
    """
    path = Path(path)
    unread = open_unread(path)
    if unread.container == "safetensors":
        entries: Mapping[str, Lazy | _Slice] = _slices(path)
    elif unread.container in ("stylegan2-ada", "stylegan-tf"):
        entries = _all_networks(unread, path)
    else:
        top = unread.sections[""] if unread.container == "torchscript" else unread.top
        entries = nested_tensors(top, str(path))
    return Contents(path, unread.container, entries)


def _slices(path: Path) -> dict[str, _Slice]:
    try:
        file = safe_open(path, framework="pt", device="cpu")
        return {key: _Slice(file, key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged_safetensors(path, error) from error


def _all_networks(unread: Unread, path: Path) -> dict[str, Lazy]:
    """Unread tensors of every network of a pickle that can be followed."""
    found: dict[str, Lazy] = {}
    failures: list[CheckpointError] = []
    for name, network in unread.sections.items():
        try:
            tensors, _ = NETWORK_TENSORS[unread.container](network, str(path))
        except CheckpointError as error:
            failures.append(error)
        else:
            found |= {f"{name}{NESTING}{key}": value for key, value in tensors.items()}
    if failures and not found:
        raise failures[0]
    return found
