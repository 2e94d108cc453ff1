"""What a network can be given beside an image and a mask, declared so that all can be checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TypedDict, cast

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.masks.vocabularies import normalised

ConditionValue = str | int | float | None
"""Value of one condition for one image."""


class BatchConditions(TypedDict, total=False):
    """Conditions of a batch of N images; a network reads those of its ``condition_spec``.

    Attributes:
        mask_class: name of the mask class of each hole; ``None`` where it is not given.
        prompt: text that says what is to be seen in each hole; ``None`` is the network's own.
        negative_prompt: text that says what is not to be seen there.
        steps: number of denoising steps.
        guidance_scale: weight of classifier-free guidance; 1 is no guidance.
        sampling: name of a preset of RePaint; ``None`` is the network's own sampling.
        refine: whether LaMa refines large images; ``None`` is the network's own setting.
    """

    mask_class: list[str | None]
    prompt: list[str | None]
    negative_prompt: list[str | None]
    steps: int
    guidance_scale: float
    sampling: str | None
    refine: bool | None


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One input of a network beside image, mask and random draws.

    Attributes:
        value_type: ``str``, ``int``, ``float`` or ``bool``.
        meaning: what it is, in a few words.
        default: value that counts where none is given; ``None`` leaves it to the network.
        minimum: smallest number that makes sense.
        maximum: largest number that makes sense.
        choices: texts that are accepted; empty where any will do.
        spellings: text that a network knows, by every name and letter for it in lower case with
            underscores; empty where it knows no text beforehand.
        per_image: whether the images of a batch may have different values. ``None`` then means
            that an image has none.

    Example:
        >>> steps = Condition(value_type=int, meaning="denoising steps", default=50, minimum=1)
        >>> steps.checked("steps", 20)
        20
    """

    value_type: type[str] | type[int] | type[float]
    meaning: str
    default: ConditionValue = None
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: Sequence[str] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    per_image: bool = False

    def checked(self, name: str, value: object) -> ConditionValue:
        """Return the value as :attr:`value_type`.

        Args:
            name: of the condition, for messages.
            value: what a caller gave.

        Raises:
            OptionError: it is of another type, or out of range.
            UnknownNameError: it is none of the choices.
        """
        if self.per_image and value is None:
            return None
        if self.value_type is str:
            return self._text(name, value)
        if self.value_type is bool:
            if not isinstance(value, bool):
                raise OptionError(f"{name} must be True or False, not {value!r}")
            return value
        whole = self.value_type is int
        if not isinstance(value, Integral if whole else Real) or isinstance(value, bool):
            raise OptionError(f"{name} must be {_ARTICLES[self.value_type]}, not {value!r}")
        if not self.minimum <= float(value) <= self.maximum:
            limits = f"{self.minimum:g} to {self.maximum:g}"
            raise OptionError(f"{name} must be {limits}, not {value}")
        return int(cast(Integral, value)) if whole else float(value)

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise OptionError(f"{name} must be a text, not {value!r}")
        if self.choices and value not in self.choices:
            raise unknown_name(name, value, self.choices)
        return self.spellings.get(normalised(value), str(value))

    def knows(self, text: str) -> bool:
        """Return whether a network knows a text, in any spelling, or may know any."""
        return not self.spellings or normalised(text) in self.spellings


ConditionSpec = Mapping[str, Condition]
"""Conditions by the names under which they are passed."""

_ARTICLES: Mapping[type, str] = {int: "a whole number", float: "a number"}


def steps_condition(default: int, maximum: int, minimum: int = 1) -> Condition:
    """Declare the number of denoising steps of a diffusion network."""
    return Condition(
        value_type=int,
        meaning="denoising steps of a run",
        default=default,
        minimum=minimum,
        maximum=maximum,
    )


def check_conditions(
    spec: ConditionSpec, values: Mapping[str, object], n: int, network: str
) -> BatchConditions:
    """Return every condition of a network for ``n`` images: the values given, else the defaults.

    Args:
        spec: conditions that the network declares.
        values: by name; one that may differ between images is one value for all, or ``n`` values.
        n: number of images.
        network: its name, for messages.

    Returns:
        Values by name; those that may differ between images as lists of ``n``.

    Raises:
        OptionError: the network has no such condition, a value is of the wrong type or out of
            range, or there is not one for every image.
        UnknownNameError: a value is none of the choices.
    """
    refuse_unknown(spec, values, network)
    conditions: dict[str, object] = {}
    for name, condition in spec.items():
        if name not in values:
            default = condition.default
            conditions[name] = [default] * n if condition.per_image else default
        elif condition.per_image:
            spread = one_per_image(name, values[name], n)
            conditions[name] = [condition.checked(name, value) for value in spread]
        else:
            conditions[name] = condition.checked(name, values[name])
    return cast(BatchConditions, conditions)


def conditions_of_images(
    spec: ConditionSpec, values: Mapping[str, object], n: int, network: str
) -> list[dict[str, object]]:
    """Return what :func:`check_conditions` does, image by image."""
    conditions = cast("dict[str, list[object]]", check_conditions(spec, values, n, network))
    return [
        {
            name: value[index] if spec[name].per_image else value
            for name, value in conditions.items()
        }
        for index in range(n)
    ]


def joined_conditions(
    spec: ConditionSpec, conditions: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Return a batch's conditions from those of its images, which agree where they must.

    Conditions that are left to the network (``None``) are not among them.
    """
    first = conditions[0]
    return {
        name: [image[name] for image in conditions] if condition.per_image else first[name]
        for name, condition in spec.items()
        if condition.per_image or first[name] is not None
    }


def refuse_unknown(spec: ConditionSpec, values: Mapping[str, object], network: str) -> None:
    """Refuse conditions that a network does not declare.

    Raises:
        OptionError: the message names those that it does.
    """
    if unknown := [name for name in values if name not in spec]:
        takes = f"it takes {', '.join(spec)}" if spec else "it takes no conditions"
        raise OptionError(f"{network} does not take {' and '.join(unknown)}; {takes}")


def one_per_image(name: str, value: object, n: int) -> list[object]:
    """Return one value for each of ``n`` images, from one for all or ``n`` of them.

    Raises:
        OptionError: there are more or fewer.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * n
    if len(value) != n:
        raise OptionError(f"{name} has {len(value)} values for {n} images; give one, or one each")
    return list(value)
