"""From trees of inert modules, and of dictionaries, to flat keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from facemask_inpaint.checkpoints.keys import NESTING
from facemask_inpaint.checkpoints.lazy_tensors import Lazy
from facemask_inpaint.errors import CheckpointError

MAX_DEPTH = 100
MAX_MODULES = 100_000
MAX_ENTRIES = 1_000_000

Members = Callable[[Any, str], tuple[dict[str, Any], dict[str, Any]]]
"""Gives a module's own tensors and its children by name; the second argument is the file."""


def flatten_modules(root: Any, members: Members, file: str) -> dict[str, Any]:
    """Unread tensors of a module and its children under ``child.grandchild.name`` keys.

    Raises:
        CheckpointError: the modules are nested in a way no network is, or in a circle.
    """
    found: dict[str, Any] = {}
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    visited = 0
    while pending:
        prefix, module, depth = pending.pop()
        visited += 1
        if depth > MAX_DEPTH or visited > MAX_MODULES:
            raise CheckpointError(f"{file}: modules nested absurdly deep or in a circle")
        tensors, children = members(module, file)
        if not all(isinstance(name, str) for name in (*tensors, *children)):
            raise CheckpointError(f"{file}: a module or tensor whose name is not text")
        found.update((prefix + name, tensor) for name, tensor in tensors.items())
        # The last one pushed is the first one popped: reversed keeps the file's order.
        for name, child in reversed(children.items()):
            pending.append((f"{prefix}{name}.", child, depth + 1))
    return found


def nested_tensors(top: Mapping[Any, Any], file: str) -> dict[str, Lazy]:
    """Unread tensors of a dictionary, and of those in it behind their names.

    Keys that are not text belong to no network and are left out, with all that is below them.

    Raises:
        CheckpointError: the dictionaries are nested in a way no checkpoint is, or in a circle.
    """
    found: dict[str, Lazy] = {}
    pending: list[tuple[str, Mapping[Any, Any], int]] = [("", top, 0)]
    visited = 0
    while pending:
        prefix, content, depth = pending.pop()
        visited += 1 + len(content)
        if depth > MAX_DEPTH or visited > MAX_ENTRIES:
            raise CheckpointError(f"{file}: dictionaries nested absurdly deep or in a circle")
        for name, value in content.items():
            if isinstance(name, str) and isinstance(value, Lazy) and value.holds_numbers:
                found[prefix + name] = value
            elif isinstance(name, str) and isinstance(value, dict):
                pending.append((f"{prefix}{name}{NESTING}", value, depth + 1))
    return found
