"""From a tree of inert modules to flat state-dict keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facemask_inpaint.errors import CheckpointError

MAX_DEPTH = 100
MAX_MODULES = 100_000

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
