"""What a checkpoint says beside its tensors, reduced to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facemask_inpaint.checkpoints.inert import Global, Record
from facemask_inpaint.checkpoints.numpy_values import LazyArray

_MAX_DEPTH = 12
_MAX_VALUES = 20_000
_MAX_TEXT = 100_000
_NAMESPACES = ("argparse.Namespace", "types.SimpleNamespace")


class _NotPlainError(Exception):
    """A value holds tensors, foreign objects or more than metadata ever does."""


def plain_entries(entries: Mapping[Any, Any]) -> dict[str, Any]:
    """The entries that are numbers, text, ``None``, or lists and dictionaries of these.

    Classes and element types become their dotted names, paths text, namespaces dictionaries of
    their attributes; entries that hold anything else are left out.
    """
    found: dict[str, Any] = {}
    left = [_MAX_VALUES]
    for name, value in entries.items():
        if not isinstance(name, str):
            continue
        try:
            found[name] = _plain(value, _MAX_DEPTH, left)
        except _NotPlainError:
            continue
    return found


def _plain(value: Any, depth: int, left: list[int]) -> Any:
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
        return value.tensor().item()
    if isinstance(value, Record) and value.kind.path in _NAMESPACES:
        return _plain(value.state, depth - 1, left)
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1, left) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, depth - 1, left) for key, item in value.items()}
    raise _NotPlainError
