"""Dataclasses of settings whose fields carry their ranges, read from plain values."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import Field, field, fields, is_dataclass
from typing import Any, TypeVar

from facemask_inpaint._internal.settings import Range, as_type
from facemask_inpaint.errors import OptionError, UnknownNameError, unknown_name
from facemask_inpaint.masks import SemanticMasker

Settings = TypeVar("Settings")

RANGE = "range"
"""Key of a field's metadata."""


def number(
    default: float | None, low: float, high: float = math.inf, *, above: bool = False
) -> Any:
    """Field of a number, or of an optional one, with its range."""
    return field(default=default, metadata={RANGE: Range(low, high, above)})


def weights_by_class() -> Any:
    """Field of mask classes with a weight each."""
    return field(default_factory=dict, metadata={RANGE: Range(0, 1e6)})


def check(part: Any) -> None:
    """Bring the fields of settings to their kinds, and refuse what is out of its range.

    Raises:
        OptionError: naming the field.
    """
    kinds, where = typing.get_type_hints(type(part)), type(part).__name__.lower()
    for one in fields(part):
        value = _setting(one, kinds[one.name], getattr(part, one.name), f"{where}.{one.name}")
        object.__setattr__(part, one.name, value)


def _setting(one: Field[Any], kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else read(kind, value, where)
    value = as_type(kind, value, where)
    if RANGE in one.metadata:
        one.metadata[RANGE].require(value, where)
    return value


def read(kind: type[Settings], data: Any, where: str) -> Settings:
    """Settings from plain values.

    Args:
        kind: dataclass to make.
        data: names with values; what is left out keeps its default.
        where: name of the whole, for messages.

    Raises:
        UnknownNameError: there is no such setting; the message names the nearest.
        OptionError: a value is of the wrong kind or makes no sense, or one is missing.
    """
    if not isinstance(data, Mapping):
        raise OptionError(f"{where}: settings with values are needed, not {data!r}")
    kinds = typing.get_type_hints(kind)
    known = {one.name: one for one in fields(typing.cast(Any, kind))}
    if unknown := [name for name in data if name not in known]:
        raise unknown_name(f"setting of {where}", str(unknown[0]), known)
    values = {
        name: _setting(known[name], kinds[name], value, f"{where}.{name}".removeprefix("recipe."))
        for name, value in data.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(f"{where}: {error}") from None


def by_name(weights: Mapping[str, float], where: str) -> dict[str, float]:
    """Weights under the classes' names, whether names or letters are given.

    Raises:
        UnknownNameError: there is no such class.
        OptionError: text that means several classes.
    """
    found: dict[str, float] = {}
    for given, weight in weights.items():
        names = classes_of(given, where)
        if len(names) != 1:
            raise OptionError(f"{where}: {given!r} is not one class but {len(names)}")
        found[names[0]] = weight
    return found


def classes_of(text: str, where: str) -> list[str]:
    """Names of the mask classes that text such as ``"A-D,hair"`` means.

    Raises:
        UnknownNameError: one of them is no class.
        OptionError: it means none.
    """
    try:
        names = [str(name) for name in SemanticMasker().select(text)]
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error}") from None
    if not names:
        raise OptionError(f"{where}: {text!r} names no class")
    return names
