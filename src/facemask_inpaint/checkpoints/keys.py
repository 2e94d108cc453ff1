"""Selecting and renaming tensors by their keys."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from facemask_inpaint.errors import CheckpointError

Value = TypeVar("Value")

NESTING = ":"
"""Stands in a key between a nested state dict's name and the keys in it."""

_SHOWN = 5
_SHOWN_LETTERS = 80
_WRAPPER = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
"""What torch's wrappers (parallel, compiled, sharded, checkpointed modules) add to keys."""
_WRAPPERS = re.compile(rf"(?<![^.:/]){_WRAPPER}")
_AVERAGES = {"average", "averaged", "avg", "gs", "shadow", "swa"}
"""Words for a copy of the weights averaged over the training, beside those that end in ``ema``."""


def select(tensors: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Select the entries whose keys start with ``prefix``, and take it off; order stays.

    Args:
        tensors: key to tensor.
        prefix: for example ``"generator."`` or ``"module."``; ``""`` takes everything.

    Raises:
        CheckpointError: no key starts so; the message names the first parts that do occur.

    Example:
        >>> select({"generator.weight": 1, "discriminator.weight": 2}, "generator.")
        {'weight': 1}
    """
    selected = {
        key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)
    }
    if not selected:
        raise CheckpointError(f"no tensor's key starts with {prefix!r}; {describe_starts(tensors)}")
    return selected


def own_keys(
    keys: Collection[str], anchors: Sequence[str], network: str, *, preferred: Collection[str] = ()
) -> dict[str, str]:
    """Find a network among a file's tensors, whatever wrappers, names or nesting stand before it.

    What stands before one of ``anchors`` is the prefix; every key that starts with it is one of
    the network's own behind it, and the others belong to something else: a discriminator, an
    optimiser. Of several copies the one averaged over the training counts, else the one that
    holds the others. What torch's own wrappers add inside keys (``synthesis.module.b4``) goes too.

    Args:
        keys: of the file, those of nested state dicts behind the name and :data:`NESTING`.
        anchors: keys of which the network has exactly one, under its authors' names.
        network: name for error messages.
        preferred: prefixes that count before all others, where they occur.

    Returns:
        The network's own keys to those of the file.

    Raises:
        CheckpointError: no key, or keys behind several prefixes, end in an anchor.

    Example:
        >>> own_keys(["step", "module.stem.weight", "module.stem.bias"], ["stem.weight"], "Net")
        {'stem.weight': 'module.stem.weight', 'stem.bias': 'module.stem.bias'}
    """
    prefix = _choose(_prefixes(keys, anchors), preferred, network)
    if prefix is None:
        raise CheckpointError(
            f"this is no checkpoint of {network}: {anchors[0]!r} is missing"
            f"; {describe_starts(keys)}"
        )
    behind = {key[len(prefix) :]: key for key in keys if key.startswith(prefix)}
    inside = {own: key for own, key in behind.items() if NESTING not in own}
    cleaned = {_WRAPPERS.sub("", own): key for own, key in inside.items()}
    return cleaned if len(cleaned) == len(inside) else inside


def describe_starts(keys: Iterable[str]) -> str:
    """Describe how keys start, for a message: their common prefix, else their first parts.

    Example:
        >>> describe_starts(["generator.a", "generator.b"])
        "all 2 keys start with 'generator.'"
    """
    names = sorted(keys)
    if not names:
        return "there are no tensors"
    # What the first and the last in order share, all others share with them.
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(names[0], names[-1]))
    shared = "".join(letter for letter, _ in pairs)
    shared = shared[: max(map(shared.rfind, (".", NESTING, "/"))) + 1]
    if shared and len(names) > 1:
        return f"all {len(names)} keys start with {shared[:_SHOWN_LETTERS]!r}"
    starts = sorted({re.split(r"[.:]", key, maxsplit=1)[0][:_SHOWN_LETTERS] for key in names})
    return f"keys start with: {', '.join(starts[:_SHOWN])}" + (" …" if len(starts) > _SHOWN else "")


def _prefixes(keys: Iterable[str], anchors: Sequence[str]) -> list[str]:
    """What stands before an anchor in any key, the shortest first."""
    inner = (rf"\.(?:{_WRAPPER})*".join(map(re.escape, anchor.split("."))) for anchor in anchors)
    pattern = re.compile(rf"((?:.*[.:/])?)(?:{'|'.join(inner)})", re.DOTALL)
    prefixes = {match[1] for key in keys if (match := pattern.fullmatch(key))}
    return sorted(prefixes, key=lambda prefix: (len(prefix), prefix))


def _choose(prefixes: Sequence[str], preferred: Collection[str], network: str) -> str | None:
    candidates = [prefix for prefix in prefixes if prefix in preferred]
    candidates = candidates or [prefix for prefix in prefixes if _is_average(prefix)] or [*prefixes]
    if any(not prefix.startswith(candidates[0]) for prefix in candidates):
        shown = ", ".join(map(repr, candidates[:_SHOWN]))
        raise CheckpointError(
            f"{len(candidates)} copies of {network} are in this file, behind {shown}; choose one "
            "with checkpoints.select(tensors, prefix) and give it to models.from_official"
        )
    return candidates[0] if candidates else None


def _is_average(prefix: str) -> bool:
    words = re.split(r"[._:]", prefix.lower())
    return any(word in _AVERAGES or word.endswith("ema") for word in words)
