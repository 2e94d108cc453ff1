"""Dataclasses of settings whose fields carry their ranges, read from plain values."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from facemask_inpaint._internal.settings import Range, as_type
from facemask_inpaint.errors import OptionError, UnknownNameError, unknown_name
from facemask_inpaint.masks import SemanticMasker, Vocabulary

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Number = TypeVar("Number", bound=float | None)
Settings = TypeVar("Settings", bound="DataclassInstance")

RANGE = "range"
"""Key of a field's metadata."""


def number(default: Number, low: float, high: float = math.inf, *, above: bool = False) -> Number:
    """Return the field of a number, or of an optional one, with its range."""
    return field(default=default, metadata={RANGE: Range(low, high, above)})


def weights_by_class() -> Mapping[str, float]:
    """Return a field of mask classes with a weight each."""
    return field(default_factory=dict, metadata={RANGE: Range(0, 1e6)})


def check(settings: DataclassInstance) -> None:
    """Convert the fields of a settings object to their types, and check their ranges.

    Raises:
        OptionError: A field is of another type or out of its range; the message names it.
    """
    types, where = typing.get_type_hints(type(settings)), type(settings).__name__.lower()
    for known in fields(settings):
        given = getattr(settings, known.name)
        value = _converted(known, types[known.name], given, f"{where}.{known.name}")
        object.__setattr__(settings, known.name, value)


def _converted(known: Field[Any], wanted: object, value: object, where: str) -> object:
    if is_dataclass(wanted) and isinstance(wanted, type):
        return value if isinstance(value, wanted) else read(wanted, value, where)
    value = as_type(wanted, value, where)
    if RANGE in known.metadata:
        known.metadata[RANGE].require(value, where)
    return value


def read(settings: type[Settings], data: object, where: str) -> Settings:
    """Make a settings object from plain values.

    Args:
        settings: dataclass to make.
        data: names with values; what is left out keeps its default.
        where: name of the whole, for messages.

    Raises:
        UnknownNameError: There is no such setting; the message names the nearest.
        OptionError: A value is of the wrong type or out of its range, or one is missing.
    """
    if not isinstance(data, Mapping):
        raise OptionError(f"{where}: settings with values are needed, not {data!r}")
    types = typing.get_type_hints(settings)
    known = {each.name: each for each in fields(settings)}
    if unknown := [name for name in data if name not in known]:
        raise unknown_name(f"setting of {where}", str(unknown[0]), known)
    values = {
        name: _converted(known[name], types[name], value, f"{where}.{name}".removeprefix("recipe."))
        for name, value in data.items()
    }
    if missing := [name for name in known if name not in values and _is_needed(known[name])]:
        verb = "is" if len(missing) == 1 else "are"
        raise OptionError(f"{where}: {' and '.join(map(repr, missing))} {verb} missing")
    return settings(**values)


def _is_needed(known: Field[Any]) -> bool:
    return known.default is MISSING and known.default_factory is MISSING


def weights_by_name(
    weights: Mapping[str, float], where: str, vocabulary: Vocabulary
) -> dict[str, float]:
    """Return weights under the names of the mask classes, whether names or letters are given.

    Args:
        weights: by name or letter.
        where: name of the setting, for messages.
        vocabulary: of the label maps.

    Raises:
        UnknownNameError: There is no such class.
        OptionError: A key means several classes.
    """
    by_name: dict[str, float] = {}
    for key, weight in weights.items():
        names = class_names(key, where, vocabulary)
        if len(names) != 1:
            raise OptionError(f"{where}: {key!r} is not one class but {len(names)}")
        by_name[names[0]] = weight
    return by_name


def class_names(text: str | Iterable[str], where: str, vocabulary: Vocabulary) -> list[str]:
    """Return the names of the mask classes that text such as ``"A-D,hair"``, or its items, mean.

    Raises:
        UnknownNameError: An item is no mask class, or there is none.
    """
    try:
        return [str(name) for name in SemanticMasker(vocabulary=vocabulary).select(text)]
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error}") from None
