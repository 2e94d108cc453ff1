"""What a network can be told beside an image and a mask, declared so that all can be checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from facemask_inpaint.errors import OptionError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One thing that a network can be told.

    Attributes:
        kind: ``str``, ``int`` or ``float``.
        meaning: what it is, in a few words.
        default: what counts where nothing is said; ``None`` leaves it to the network.
        minimum: smallest number that makes sense.
        maximum: largest number that makes sense.
        choices: texts that are known; empty where any will do.
        per_image: whether every image of a batch may be told something else. ``None`` then means
            that an image is told nothing.
    """

    kind: type
    meaning: str
    default: Any = None
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: Sequence[str] = ()
    per_image: bool = False

    def knows(self, text: str) -> bool:
        """Whether a text is one of the choices, if there are any."""
        return not self.choices or text in self.choices

    def checked(self, name: str, value: Any) -> Any:
        """The value as this condition's kind.

        Raises:
            OptionError: it is of another kind, or out of range.
            UnknownNameError: it is none of the choices.
        """
        if self.per_image and value is None:
            return None
        if self.kind is str:
            return self._text(name, value)
        number = Integral if self.kind is int else Real
        if not isinstance(value, number) or isinstance(value, bool):
            raise OptionError(f"{name} must be {_ARTICLES[self.kind]}, not {value!r}")
        if not self.minimum <= float(value) <= self.maximum:
            limits = f"{_limit(self.minimum)} to {_limit(self.maximum)}"
            raise OptionError(f"{name} must be {limits}, not {value}")
        return self.kind(value)

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise OptionError(f"{name} must be a text, not {value!r}")
        if not self.knows(value):
            raise unknown_name(name, str(value), self.choices)
        return str(value)


ConditionSpec = Mapping[str, Condition]
"""Conditions by the names under which they are passed."""


def check_conditions(
    spec: ConditionSpec, given: Mapping[str, Any], n: int, network: str
) -> dict[str, Any]:
    """Every condition of a network for ``n`` images: those given, and the others' defaults.

    Those that may differ between images come back as lists of ``n``.

    Args:
        spec: what the network can be told.
        given: by name; one that may differ between images is one value for all, or ``n`` values.
        n: number of images.
        network: its name, for messages.

    Raises:
        OptionError: the network cannot be told that, or a value is of the wrong kind or out of
            range, or there is not one for every image.
        UnknownNameError: a value is none of the choices.
    """
    refuse_unknown(spec, given, network)
    conditions: dict[str, Any] = {}
    for name, condition in spec.items():
        if name not in given:
            default = condition.default
            conditions[name] = [default] * n if condition.per_image else default
        elif condition.per_image:
            values = spread(name, given[name], n)
            conditions[name] = [condition.checked(name, value) for value in values]
        else:
            conditions[name] = condition.checked(name, given[name])
    return conditions


def conditions_of_images(
    spec: ConditionSpec, given: Mapping[str, Any], n: int, network: str
) -> list[dict[str, Any]]:
    """What :func:`check_conditions` answers, image by image."""
    conditions = check_conditions(spec, given, n, network).items()
    return [
        {name: value[index] if spec[name].per_image else value for name, value in conditions}
        for index in range(n)
    ]


def joined_conditions(
    spec: ConditionSpec, conditions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Conditions of a batch from those of its images, which agree where they must."""
    return {
        name: [one[name] for one in conditions] if condition.per_image else conditions[0][name]
        for name, condition in spec.items()
    }


def refuse_unknown(spec: ConditionSpec, given: Mapping[str, Any], network: str) -> None:
    """Refuse what a network cannot be told.

    Raises:
        OptionError: the message says what it can be told instead.
    """
    if unknown := [name for name in given if name not in spec]:
        takes = f"it takes {', '.join(spec)}" if spec else "it takes no conditions"
        raise OptionError(f"{network} does not take {' and '.join(unknown)}; {takes}")


def spread(name: str, value: Any, n: int) -> list[Any]:
    """One value for each of ``n`` images, from one for all or ``n`` of them.

    Raises:
        OptionError: there are more or fewer.
    """
    if value is None or isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * n
    if len(value) != n:
        raise OptionError(f"{name} has {len(value)} values for {n} images; give one, or one each")
    return list(value)


_ARTICLES = {int: "a whole number", float: "a number"}


def _limit(number: float) -> str:
    return f"{number:g}"
