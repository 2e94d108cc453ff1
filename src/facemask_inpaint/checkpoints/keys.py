"""Selecting and renaming tensors by their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from facemask_inpaint.errors import CheckpointError

Value = TypeVar("Value")

_SHOWN = 5


def select(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Entries whose keys start with ``prefix``, with the prefix taken off, in their order.

    Args:
        tensors: key to tensor.
        prefix: for example ``"generator."`` or ``"module."``; ``""`` takes everything.

    Raises:
        CheckpointError: no key starts so; the message names the first parts that do occur.
    """
    found = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    if not found:
        starts = sorted({key.partition(".")[0] for key in tensors})
        shown = ", ".join(starts[:_SHOWN]) + (" …" if len(starts) > _SHOWN else "")
        raise CheckpointError(f"no tensor's key starts with {prefix!r}; keys start with: {shown}")
    return found


def without_prefix(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Take ``prefix`` off if every key has it, as ``module.`` of data-parallel training."""
    if tensors and all(key.startswith(prefix) for key in tensors):
        return select(tensors, prefix)
    return dict(tensors)


def prefix_before(tensors: Mapping[str, object], suffix: str) -> str:
    """What stands before ``suffix`` in the one key that ends in it.

    This finds a network inside wrappers of any name: with the suffix
    ``"model.1.bn_l.running_mean"`` and a key ``"generator.model.1.bn_l.running_mean"`` it
    answers ``"generator."``, ready for :func:`select`.

    Raises:
        CheckpointError: no key, or more than one, ends so.
    """
    found = sorted(
        key[: -len(suffix)]
        for key in tensors
        if key.endswith(suffix) and (key == suffix or key[: -len(suffix)].endswith("."))
    )
    if len(found) != 1:
        raise CheckpointError(
            f"{len(found) or 'no'} keys end in {suffix!r}, exactly one was expected"
            + (f" (before it: {', '.join(map(repr, found[:_SHOWN]))})" if found else "")
        )
    return found[0]
