"""The options of a call of an inpainter, as a type."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import get_args

from facemask_inpaint._internal.settings import Range, as_type
from facemask_inpaint._internal.types import (
    Blend,
    Conditions,
    FaceChoice,
    Match,
    PerImage,
    Strategy,
    ValueRange,
)
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting.strategies import check_strategy
from facemask_inpaint.masks.label_maps import LabelMapLike
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.parsing.photos import check_face

_RANGES: dict[str, tuple[type[int] | type[float], Range]] = {
    "batch_size": (int, Range(1)),
    "border": (int, Range(0)),
    "margin": (float, Range(0)),
    "num_samples": (int, Range(1)),
}
"""Options that are numbers: their types and ranges."""


def number_of(name: str, value: object) -> float:
    """Return an option that is a number, as an ``int`` or ``float``.

    Raises:
        OptionError: it is none, or outside the option's range.
    """
    number_type, limits = _RANGES[name]
    number: float = as_type(number_type, value, name)
    limits.require(number, name)
    return number


def _checked(name: str, value: object) -> object:
    """The value of an option whose type can be told at once; any other as it is."""
    if name in _RANGES:
        return number_of(name, value)
    if name == "value_range" and value is not None:
        low, high = as_type(tuple[float, float], value, name)
        if not low < high:
            raise OptionError(f"value_range has the lower number first, unlike {value!r}")
        return low, high
    return value


class InpaintingOptions(Conditions, total=False):
    """Options of :meth:`Inpainter.inpaint`; each that is left out has its default.

    Attributes:
        label_map: label ids of the image in the order of CelebAMask-HQ; for several images one
            each. Faces are found in it.
        parser: finds faces where no label map is given: a name such as ``"small"``, the default
            where a mask class or the strategy ``"face"`` needs one, or any callable from a photo to
            its label map.
        faces: ``"all"``, the default, ``"largest"`` or a number, 0 being the largest: the faces
            that ``mask_class`` means, and that the strategy ``"face"`` frames.
        seed: of all random draws, default 0; one for all images, or one each.
        strategy: ``"pad"``, ``"resize"``, ``"crop"`` or ``"face"``; ``None``, the default, is
            ``"face"`` where faces are found that do not lie as the network knows them, else the
            network's own.
        margin: context around the hole for ``"crop"``, as a share of the hole's longer side;
            default 0.5.
        blend: ``"none"``, ``"feather"`` (cross-fade) or ``"poisson"`` (gradient domain); ``None``,
            the default, is ``"poisson"`` for faces that were turned and scaled, else ``"none"``.
        border: width of the feather in pixels; default 8.
        match: ``"tone"`` gives the prediction the colours at the hole's rim and the grain of its
            surroundings; default ``None``.
        batch_size: images per call of the network, default 8; halved when memory runs out.
        value_range: (low, high) of float images; by default inferred as [0, 1] or [-1, 1].
        progress: show a progress bar; default False.
    """

    label_map: PerImage[LabelMapLike] | None
    parser: str | Parser | None
    faces: FaceChoice
    seed: PerImage[int]
    strategy: Strategy | None
    margin: float
    blend: Blend | None
    border: int
    match: Match | None
    batch_size: int
    value_range: ValueRange | None
    progress: bool


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options of one call but for conditions; :class:`InpaintingOptions` describes them."""

    label_map: PerImage[LabelMapLike] | None = None
    parser: str | Parser | None = None
    faces: FaceChoice = "all"
    seed: PerImage[int] = 0
    strategy: Strategy | None = None
    margin: float = 0.5
    blend: Blend | None = None
    border: int = 8
    match: Match | None = None
    batch_size: int = 8
    value_range: ValueRange | None = None
    progress: bool = False

    @classmethod
    def of(cls, options: InpaintingOptions) -> tuple[CallOptions, dict[str, object]]:
        """Return the options of a call, and the rest of them: what the network is told.

        Raises:
            OptionError: an option makes no sense.
        """
        known = {field.name for field in fields(cls)}
        own = {name: _checked(name, value) for name, value in options.items() if name in known}
        rest = {name: value for name, value in options.items() if name not in known}
        return cls(**own), rest  # type: ignore[arg-type]  # of the types that the mapping declares

    def __post_init__(self) -> None:
        for name, value, choices in (("blend", self.blend, Blend), ("match", self.match, Match)):
            if value is not None and value not in get_args(choices):
                raise OptionError(
                    f"unknown {name} {value!r}; choose one of {', '.join(get_args(choices))}"
                )
        if self.strategy is not None:
            check_strategy(self.strategy)
        check_face(self.faces, "faces")
