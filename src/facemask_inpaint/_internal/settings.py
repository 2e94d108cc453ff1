"""Settings from files and command lines: read within limits, checked against type hints."""

from __future__ import annotations

import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facemask_inpaint.errors import OptionError, unknown_name

MAX_TEXT = 1 << 20
"""Largest length of a settings file, in characters."""

MAX_DEPTH = 32
"""Deepest nesting of a settings file."""

MAX_VALUES = 20_000
"""Largest number of values in a YAML file."""

_SHOWN = 80
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
"""Numbers such as 1e-3, which YAML 1.1 reads as text."""


@dataclass(frozen=True)
class Range:
    """The range of a number.

    Attributes:
        low: the smallest.
        high: the largest.
        above: whether ``low`` itself is too small.
        below: whether ``high`` itself is too large.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def require(self, value: object, where: str) -> None:
        """Refuse a number outside the range; of a list or a mapping, any of its numbers.

        Raises:
            OptionError: the number is outside; the message states the range.
        """
        if isinstance(value, Mapping):
            for name, item in value.items():
                self.require(item, f"{where}.{name}")
        elif isinstance(value, list | tuple):
            for item in value:
                self.require(item, where)
        elif isinstance(value, int | float) and not self._has(value):
            low = f"{'above' if self.above else 'at least'} {self.low:g}"
            limit = f" and {'below' if self.below else 'at most'} {self.high:g}"
            high = limit if self.high < math.inf else ""
            raise OptionError(f"{where} must be {low}{high}, not {_shown(value)}")

    def _has(self, value: float) -> bool:
        large = value > self.low if self.above else value >= self.low
        return large and (value < self.high if self.below else value <= self.high)


def read_text(path: str | Path) -> str:
    """Return the text of a settings file.

    Raises:
        OptionError: it cannot be read, is no text, or is larger than any settings file.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise OptionError(f"{path} is not a file")
        if path.stat().st_size > MAX_TEXT:
            raise OptionError(f"{path} is larger than any settings file ({MAX_TEXT:,} bytes)")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(f"{path} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise OptionError(f"{path} is not text in UTF-8") from None


def parse_yaml(text: str, where: str) -> object:
    """Return the value of a YAML text without aliases.

    Args:
        text: at most :data:`MAX_TEXT` characters.
        where: file or option, for messages.

    Raises:
        OptionError: it is not YAML, too long, nested too deep, or uses anchors and aliases, by
            which a few lines can stand for gigabytes.
    """
    import yaml

    if len(text) > MAX_TEXT:
        raise OptionError(f"{where}: longer than any settings ({MAX_TEXT:,} characters)")
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or number > MAX_VALUES:
                raise OptionError(f"{where}: nested deeper or with more values than any settings")
            if isinstance(event, yaml.AliasEvent):
                raise OptionError(
                    f"{where}: aliases (*{event.anchor}) are not accepted; write the value out"
                )
        _require_unique_names(yaml.compose(text, Loader=yaml.SafeLoader))
        value: object = yaml.safe_load(text)
        return value
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, OptionError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise OptionError(f"{where}: not readable as YAML ({reason})") from None


def _require_unique_names(node: Any) -> None:
    """Refuse a YAML node in which a mapping has a name twice."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise yaml.YAMLError(f"{twice} is there twice")
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for child in item if isinstance(item, tuple) else [item]:
                _require_unique_names(child)


def parse_json(text: str, where: str) -> object:
    """Return the value of a JSON text.

    Args:
        text: at most :data:`MAX_TEXT` characters.
        where: file, for messages.

    Raises:
        OptionError: it is not JSON, too long or nested too deep.
    """
    if len(text) > MAX_TEXT:
        raise OptionError(f"{where}: longer than any settings ({MAX_TEXT:,} characters)")
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{where}: not readable as JSON ({str(error)[:200]})") from None
    _require_depth(value, MAX_DEPTH, where)
    return value


def _require_depth(value: object, left: int, where: str) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise OptionError(f"{where}: nested deeper than any settings")
        for item in value.values() if isinstance(value, dict) else value:
            _require_depth(item, left - 1, where)


def as_type(hint: object, value: object, where: str, *, finite: bool = True) -> Any:
    """Convert a plain value to the type of a type hint.

    Args:
        hint: of numbers, text, ``bool``, ``Literal``, tuples, sequences, mappings, unions of these,
            or a class. Values of other hints are returned as they are.
        value: from YAML, JSON or Python.
        where: name of the setting, for messages.
        finite: refuse infinite numbers; NaN is always refused.

    Raises:
        OptionError: the value is of another type.
    """
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _one_of(arguments, value, where)
    if origin in (types.UnionType, typing.Union):
        return _any_of(arguments, value, where, finite)
    if hint in (int, float):
        return _number(hint, value, where, finite)
    if hint in (str, bool):
        if isinstance(value, hint):
            return value
        raise OptionError(f"{where} is {_NAMES[hint]}, not {_shown(value)}")
    if origin is tuple or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return _sequence(origin, arguments, value, where, finite)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments, value, where, finite)
    if isinstance(hint, type) and hint is not object and not isinstance(value, hint):
        raise OptionError(f"{where} is a {hint.__name__}, not {_shown(value)}")
    return value


def require_options(
    function: Callable[..., object], options: Mapping[str, object], what: str
) -> None:
    """Refuse options that a function or class does not have, or whose values have another type.

    Args:
        function: the function or class that is to be called with the options.
        options: name to value.
        what: whose options these are, for messages.

    Raises:
        UnknownNameError: there is no such option; the message lists similar ones.
        OptionError: a value is of another type.
    """
    named = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    hints = typing.get_type_hints(vars(function).get("__init__", function))
    for name, value in options.items():
        if name not in named:
            raise unknown_name(f"option of {what}", str(name), named)
        default = named[name].default
        finite = not (isinstance(default, float) and math.isinf(default))
        as_type(hints.get(name, Any), value, f"{what}: {name}", finite=finite)


_NAMES = {int: "a number", float: "a number", str: "text", bool: "true or false"}


def _one_of(known: Sequence[object], value: object, where: str) -> Any:
    if not any(value == choice and type(value) is type(choice) for choice in known):
        raise OptionError(
            f"{where} is one of {', '.join(map(str, known))}, not {_shown(value)}"
        ) from None
    return value


def _any_of(hints: Sequence[object], value: object, where: str, finite: bool) -> Any:
    if value is None and types.NoneType in hints:
        return None
    refusals = []
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return as_type(hint, value, where, finite=finite)
            except OptionError as error:
                refusals.append(error)
    raise refusals[0]


def _number(
    number_type: type[int] | type[float], value: Any, where: str, finite: bool
) -> int | float:
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = _unwrapped(value, where)
    if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and finite)):
        raise OptionError(f"{where} is {_NAMES[number_type]}, not {value!r}")
    if number_type is int and isinstance(value, float) and not value.is_integer():
        raise OptionError(f"{where} is a whole number, not {value!r}")
    try:
        return number_type(value)
    except OverflowError:
        raise OptionError(f"{where} is {_NAMES[number_type]}, not {_shown(value)}") from None


def _unwrapped(value: Any, where: str) -> int | float:
    """The number in a scalar of NumPy or torch."""
    if not isinstance(value, bool | str) and getattr(value, "ndim", None) == 0:
        number: object = value.item()
        if isinstance(number, int | float) and not isinstance(number, bool):
            return number
    raise OptionError(f"{where} is a number, not {_shown(value)}")


def _sequence(
    origin: Any, arguments: Sequence[Any], value: Any, where: str, finite: bool
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise OptionError(f"{where} is a list, not {_shown(value)}")
    of_one_type = origin is not tuple or Ellipsis in arguments or not arguments
    hints = [arguments[0] if arguments else Any] * len(value) if of_one_type else arguments
    if len(hints) != len(value):
        raise OptionError(f"{where} is a list of {len(hints)}, not of {len(value)}")
    return tuple(as_type(hint, item, where, finite=finite) for hint, item in zip(hints, value))


def _mapping(arguments: Sequence[Any], value: Any, where: str, finite: bool) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is a mapping of names to values, not {_shown(value)}")
    names, values = arguments or (Any, Any)
    return {
        as_type(names, name, f"{where}: a name"): as_type(
            values, item, f"{where}.{name}", finite=finite
        )
        for name, item in value.items()
    }


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write numbers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
