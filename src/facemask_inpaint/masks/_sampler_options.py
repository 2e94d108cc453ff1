"""Options of a mask sampler: checked, and turned into what it works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from facemask_inpaint._internal.settings import Range, as_type
from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.masks.freeform import GENERATORS, HoleGenerator

if TYPE_CHECKING:
    from facemask_inpaint.masks.semantic import SemanticMasker


def probability_of(value: object, name: str) -> float:
    """Return a number in [0, 1].

    Raises:
        OptionError: It is none; the message has its name.
    """
    number: float = as_type(float, value, name)
    Range(0, 1).require(number, name)
    return number


def whole_number(value: object, name: str, low: int) -> int:
    """Return a whole number of at least ``low``.

    Raises:
        OptionError: It is none; the message has its name.
    """
    number: int = as_type(int, value, name)
    Range(low).require(number, name)
    return number


def generator_of(random: str | HoleGenerator) -> HoleGenerator:
    """Return a free-form generator by name, or as it is.

    Raises:
        UnknownNameError: There is no such generator.
        OptionError: It is neither a name nor a function.
    """
    if callable(random):
        return random
    if not isinstance(random, str):
        raise OptionError(f"random is a free-form generator or the name of one, not {random!r}")
    if random not in GENERATORS:
        raise unknown_name("free-form generator", random, GENERATORS)
    return GENERATORS[random]


def weights_of(
    classes: Sequence[str], given: Mapping[str, float] | None, masker: SemanticMasker
) -> list[float]:
    """Return the weight of each class, 1 where none is given.

    Raises:
        OptionError: A weight is negative or of no class that is drawn from, or all are 0.
    """
    if given is None:
        return [1.0] * len(classes)
    by_name = {name: float(weight) for key, weight in given.items() for name in masker.select(key)}
    weights = [by_name.pop(name, 1.0) for name in classes]
    if by_name:
        raise OptionError(f"weights for classes that are not drawn from: {', '.join(by_name)}")
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise OptionError(f"class weights must not be negative nor all 0: {given}")
    return weights
