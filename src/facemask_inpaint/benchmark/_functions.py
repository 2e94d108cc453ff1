"""Telling one function from another, as far as a program can: for models and parsers of users."""

from __future__ import annotations

import dis
import functools
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType
from typing import Any

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def version_of(function: Callable[..., object]) -> str | None:
    """Return what the author says in an attribute ``version``; ``None`` where there is none."""
    version = getattr(function, "version", None)
    return None if version is None else str(version)


def digest_of(function: Callable[..., object]) -> str | None:
    """Return hex digits that change with a function: its ``version``, or else its own code.

    The code is what stands in the function itself: neither what it calls nor what an object
    holds is looked into. ``None`` where there is no code to see, as in extension modules.
    """
    version = version_of(function)
    parts = list(_code_parts(function)) if version is None else ["version", version]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest() if parts else None


def _code_parts(function: Any) -> Iterator[str]:
    while isinstance(function, functools.partial):
        yield from _plain_parts((*function.args, *function.keywords.items()))
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__code__"):
        function = getattr(type(function).__call__, "__func__", type(function).__call__)
    if isinstance(code := getattr(function, "__code__", None), CodeType):
        yield from _of_code(code)
        named = (function.__kwdefaults__ or {}).items()
        yield from _plain_parts((function.__defaults__, *named, *_constants_around(function)))


def _of_code(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield from code.co_names
    for constant in code.co_consts:
        yield from _of_code(constant) if isinstance(constant, CodeType) else _plain_parts(constant)


def _plain_parts(value: object) -> Iterator[str]:
    """Numbers and text in a value; what else it holds has no lasting name, or may change."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, tuple):
        for item in value:
            yield from _plain_parts(item)


def _constants_around(function: Any) -> Iterator[Any]:
    """What a function sees of the functions around it, and does not set itself."""
    code: CodeType = function.__code__
    set_here = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_DEREF"}
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        if name not in set_here:
            with suppress(ValueError):  # nothing is in it yet
                yield cell.cell_contents
