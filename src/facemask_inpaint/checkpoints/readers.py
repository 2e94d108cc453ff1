"""Reading a checkpoint of any known container into tensors, without running anything in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open
from torch import Tensor

from facemask_inpaint.checkpoints._containers import (
    NETWORK_TENSORS,
    Unread,
    damaged_safetensors,
    open_torch_object,
    open_unread,
    tensor_entries,
)
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import Lazy
from facemask_inpaint.checkpoints._safe_pickle.trees import (
    PlainValue,
    nested_tensors,
    plain_entries,
)
from facemask_inpaint.checkpoints.keys import NESTING, own_keys, select
from facemask_inpaint.checkpoints.sources import Container
from facemask_inpaint.errors import CheckpointError

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

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> path = checkpoints.fetch(models.card("lite").files[0].sources)
        >>> checkpoint = checkpoints.read(path, prefix="prior.")
        >>> checkpoint.container, sorted(checkpoint.tensors)
        ('safetensors', ['basis', 'mean', 'noise'])
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, PlainValue]
    container: Container


@dataclass(frozen=True)
class Contents:
    """What a checkpoint file holds, before any tensor is read.

    Attributes:
        path: the file.
        container: what wrote it.

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> path = checkpoints.fetch(models.card("lite").files[0].sources)
        >>> contents = checkpoints.survey(path)
        >>> contents.read({"mean": "prior.mean"})["mean"].shape
        torch.Size([12288])
    """

    path: Path
    container: Container
    _unread: Mapping[str, Lazy | _Slice] = field(repr=False)

    @property
    def keys(self) -> list[str]:
        """Keys of all tensors, in the file's order.

        Those of nested state dicts, and of a pickle's networks, have the name and ``":"`` in front.
        """
        return list(self._unread)

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of the tensor under ``key``.

        Raises:
            CheckpointError: its shape cannot be known without reading it.
        """
        return self._unread[key].shape

    def read(self, keys: Mapping[str, str]) -> dict[str, Tensor]:
        """Read tensors onto the CPU, under new keys.

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
        tensor: Tensor = self.file.get_tensor(self.key)
        return tensor


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


def read_all(path: str | Path) -> object:
    """Read everything that a ``torch.save`` file holds, in the nesting that it has there.

    Nothing that the file names is imported or called: objects of foreign classes stay records of
    their names and attributes.

    Returns:
        Dictionaries, lists, tuples, plain values, and tensors on the CPU.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of another kind.

    Example:
        >>> state = read_all("last.pt")  # doctest: +SKIP
    """
    path = Path(path)
    top = open_torch_object(path)
    try:
        return _read_nested(top, {})
    except RecursionError:
        raise CheckpointError(f"{path}: nested absurdly deep or in a circle") from None


def identify(path: str | Path) -> Container:
    """Return what wrote a checkpoint file, from its bytes; no tensor is read.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of an unknown kind.

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> identify(checkpoints.fetch(models.card("lite").files[0].sources))
        'safetensors'
    """
    return open_unread(Path(path)).container


def survey(path: str | Path) -> Contents:
    """List what a checkpoint file holds without reading its tensors.

    Unlike :func:`read`, this goes into every nested state dict and network at once.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file is missing, damaged, cut off or of an unknown kind.

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> contents = survey(checkpoints.fetch(models.card("lite").files[0].sources))
        >>> contents.shape("prior.noise")
        ()
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


def read_own(
    path: str | Path, anchors: Sequence[str], network: str, *, preferred: Collection[str] = ()
) -> dict[str, Tensor]:
    """Read the tensors of one network in a file, under its own keys, wherever in the file it is.

    Args:
        path: the file, in any container.
        anchors: see :func:`own_keys`, as for the other arguments.
        network: name for error messages.
        preferred: prefixes that count before others.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file cannot be read, or does not hold the network exactly once.

    Example:
        >>> tensors = read_own("G.pth", ["stem.weight"], "Net")  # doctest: +SKIP
    """
    contents = survey(path)
    try:
        names = own_keys(contents.keys, anchors, network, preferred=preferred)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return contents.read(names)


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


def _fits(actual: Container, expected: Container) -> bool:
    # Lightning files are torch files: a caller who says "torch" is right about both.
    return actual == expected or (actual == "lightning" and expected == "torch")


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


def _finish(unread: Unread, section: str | None, prefix: str, path: Path) -> Checkpoint:
    content = unread.sections[_section(unread, section, path)]
    metadata = unread.metadata
    if follow := NETWORK_TENSORS.get(unread.container):
        content, facts = follow(content, str(path))
        metadata = {**metadata, **plain_entries(facts)}
    lazy = tensor_entries(content)
    if not all(isinstance(name, str) for name in lazy):
        raise CheckpointError(f"{path}: a tensor whose key is not text")
    chosen = _selected(lazy, prefix, path)
    tensors = {name: value.tensor() for name, value in chosen.items()}
    return Checkpoint(tensors, metadata, unread.container)


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


def _slices(path: Path) -> dict[str, _Slice]:
    try:
        file: Any = safe_open(path, framework="pt", device="cpu")
        return {key: _Slice(file, key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged_safetensors(path, error) from error


def _all_networks(unread: Unread, path: Path) -> dict[str, Lazy]:
    """Unread tensors of every network of a pickle that can be followed."""
    tensors_by_key: dict[str, Lazy] = {}
    failures: list[CheckpointError] = []
    for name, network in unread.sections.items():
        try:
            tensors, _ = NETWORK_TENSORS[unread.container](network, str(path))
        except CheckpointError as error:
            failures.append(error)
        else:
            tensors_by_key |= {f"{name}{NESTING}{key}": value for key, value in tensors.items()}
    if failures and not tensors_by_key:
        raise failures[0]
    return tensors_by_key
