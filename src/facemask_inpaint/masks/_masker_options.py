"""Options of a masker: checked, and turned into what it works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from facemask_inpaint._internal.settings import as_type
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.class_tables import load_classes, parse_classes
from facemask_inpaint.masks.components import ClassTable, Component
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.vocabularies import Vocabulary


def class_table(
    classes: ClassTable | str | Path | None, vocabulary: Vocabulary
) -> Mapping[str, Component]:
    """Return the classes of a masker: the vocabulary's, unless there are others."""
    if classes is None:
        return vocabulary.classes
    if isinstance(classes, Mapping):
        return parse_classes(classes, vocabulary)
    return load_classes(classes, vocabulary)


def nth_object(objects: Sequence[Hole], instance: int) -> Hole:
    """Return one of several objects.

    Raises:
        OptionError: There are not so many.
    """
    if not 0 <= instance < len(objects):
        raise OptionError(f"there is no object {instance}: there are {len(objects)}, from 0")
    return objects[instance]


def in_pixels(amount: float, whole: int) -> int:
    """Return a fraction of ``whole`` when below 1, else the number itself."""
    return round(amount * whole) if amount < 1 else int(amount)


def fraction_or_count(name: str, amount: float) -> float:
    """Return an amount that is a fraction below 1 or a whole number.

    Raises:
        OptionError: It is neither.
    """
    number: float = as_type(float, amount, name)
    if number < 0 or (number > 1 and not number.is_integer()):
        raise OptionError(f"{name} must be a fraction below 1 or a whole number, not {amount!r}")
    return number


def require_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a value that is not among the known ones.

    Raises:
        OptionError: The message lists them.
    """
    if value not in known:
        raise OptionError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}")
