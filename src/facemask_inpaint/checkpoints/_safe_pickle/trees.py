"""From trees of inert modules and dictionaries to flat keys, and to plain metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

from facemask_inpaint.checkpoints._safe_pickle.inert import Global, Record
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import Lazy
from facemask_inpaint.checkpoints._safe_pickle.numpy_values import LazyArray
from facemask_inpaint.checkpoints.keys import NESTING
from facemask_inpaint.errors import CheckpointError

Key = TypeVar("Key")
PlainValue: TypeAlias = (
    bool | int | float | str | list["PlainValue"] | dict[str, "PlainValue"] | None
)
"""What metadata is reduced to."""

MAX_DEPTH = 100
MAX_MODULES = 100_000
MAX_ENTRIES = 1_000_000
MAX_TENSORS = 100_000
MAX_KEY = 1000
"""Published files have fewer than 2,000 tensors, under keys of fewer than 100 letters."""

Members = Callable[[object, str], tuple[dict[str, Lazy], dict[str, object]]]
"""Gives a module's own tensors and its children by name; the second argument is the file."""


def flatten_modules(root: object, members: Members, file: str) -> dict[str, Lazy]:
    """Return unread tensors of a module and its children under ``child.grandchild.name`` keys.

    Raises:
        CheckpointError: the modules are nested in a way no network is, or in a circle.
    """
    tensors_by_key: dict[str, Lazy] = {}
    pending: list[tuple[str, object, int]] = [("", root, 0)]
    visited = 0
    while pending:
        prefix, module, depth = pending.pop()
        visited += 1
        if depth > MAX_DEPTH or visited > MAX_MODULES:
            raise CheckpointError(f"{file}: modules nested absurdly deep or in a circle")
        tensors, children = members(module, file)
        if not all(isinstance(name, str) for name in (*tensors, *children)):
            raise CheckpointError(f"{file}: a module or tensor whose name is not text")
        tensors_by_key.update(
            (_joined(prefix, name, file), tensor) for name, tensor in tensors.items()
        )
        _require_few(tensors_by_key, file)
        # The last one pushed is the first one popped: reversed keeps the file's order.
        for name, child in reversed(children.items()):
            pending.append((f"{_joined(prefix, name, file)}.", child, depth + 1))
    return tensors_by_key


def nested_tensors(top: Mapping[Key, object], file: str) -> dict[str, Lazy]:
    """Return unread tensors of a dictionary, and of those in it behind their names.

    Keys that are not text belong to no network and are left out, with all that is below them.

    Raises:
        CheckpointError: the dictionaries are nested in a way no checkpoint is, or in a circle.
    """
    tensors_by_key: dict[str, Lazy] = {}
    pending: list[tuple[str, Mapping[Any, object], int]] = [("", top, 0)]
    visited = 0
    while pending:
        prefix, content, depth = pending.pop()
        visited += 1 + len(content)
        if depth > MAX_DEPTH or visited > MAX_ENTRIES:
            raise CheckpointError(f"{file}: dictionaries nested absurdly deep or in a circle")
        for name, value in content.items():
            if isinstance(name, str) and isinstance(value, Lazy) and value.holds_numbers:
                tensors_by_key[_joined(prefix, name, file)] = value
            elif isinstance(name, str) and isinstance(value, dict):
                pending.append((f"{_joined(prefix, name, file)}{NESTING}", value, depth + 1))
        _require_few(tensors_by_key, file)
    return tensors_by_key


def _joined(prefix: str, name: str, file: str) -> str:
    """A key; long ones that a small file repeats would fill the memory."""
    if len(prefix) + len(name) > MAX_KEY:
        raise CheckpointError(f"{file}: a key of more than {MAX_KEY} letters: {name[:40]!r} …")
    return prefix + name


def _require_few(tensors_by_key: Mapping[str, object], file: str) -> None:
    if len(tensors_by_key) > MAX_TENSORS:
        raise CheckpointError(f"{file}: more than {MAX_TENSORS:,} tensors")


_MAX_DEPTH = 12
_MAX_VALUES = 20_000
_MAX_TEXT = 100_000
_NAMESPACES = ("argparse.Namespace", "types.SimpleNamespace")


class _NotPlainError(Exception):
    """A value holds tensors, foreign objects or more than metadata ever does."""


def plain_entries(entries: Mapping[Key, object]) -> dict[str, PlainValue]:
    """Return the entries that are numbers, text, ``None``, or lists and dictionaries of these.

    Classes and element types become their dotted names, paths text, namespaces dictionaries of
    their attributes; entries that hold anything else are left out.
    """
    plain: dict[str, PlainValue] = {}
    left = [_MAX_VALUES]
    for name, value in entries.items():
        if not isinstance(name, str):
            continue
        try:
            plain[name] = _plain(value, _MAX_DEPTH, left)
        except _NotPlainError:
            continue
    return plain


def _plain(value: object, depth: int, left: list[int]) -> PlainValue:
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise _NotPlainError
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        return value
    if isinstance(value, Global):
        return value.path
    if isinstance(value, LazyArray) and value.is_scalar:
        return cast(float, value.tensor().item())
    if isinstance(value, Record) and value.cls.path in _NAMESPACES:
        return _plain(value.state, depth - 1, left)
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1, left) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, depth - 1, left) for key, item in value.items()}
    raise _NotPlainError
