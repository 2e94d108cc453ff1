"""What a caller says of each image of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.masks.label_maps import LabelMapLike
from facemask_inpaint.masks.parsers import Parser, resolve_parser
from facemask_inpaint.masks.vocabularies import FACES, normalised
from facemask_inpaint.models._conditions import ConditionSpec

MaskClasses: TypeAlias = tuple[str, ...]
"""The mask classes whose union is hidden."""

FaceSource: TypeAlias = "LabelMapLike | Parser"
"""What faces are found by: the image's label map, or a parser."""


class Request(NamedTuple):
    """What a caller says of one image.

    Attributes:
        hole: ``(H, W)`` bool; ``None`` where ``mask_classes`` say what to hide.
        mask_classes: what to hide where no mask was given.
        source: what faces are found by; ``None`` where none are looked for.
    """

    hole: Tensor | None
    mask_classes: MaskClasses | None
    source: FaceSource | None


def classes_of_images(mask_class: object, count: int) -> list[MaskClasses | None]:
    """Return the mask classes of each of ``count`` images.

    Args:
        mask_class: one text for all images, which may name several classes with commas between
            them; a list of one for each of several images; or a list for a single image, whose
            union is meant.
        count: number of images.

    Raises:
        OptionError: there are more or fewer than images.

    Example:
        >>> classes_of_images(["eyes", "hair, nose"], 2)
        [('eyes',), ('hair', 'nose')]
    """
    if mask_class is None or isinstance(mask_class, str):
        return [_split(mask_class)] * count
    if not isinstance(mask_class, Sequence):
        raise OptionError(f"mask_class must be a name, or a list of names, not {mask_class!r}")
    if count == 1 and len(mask_class) > 1:
        return [tuple(part for name in mask_class for part in _split(name) or ())]
    if len(mask_class) != count:
        raise OptionError(f"mask_class has {len(mask_class)} values for {count} images")
    return [_split(name) for name in mask_class]


def require_known_class(spec: ConditionSpec, conditions: Mapping[str, object]) -> None:
    """Refuse a mask class that is none of the vocabulary of a network's own.

    Raises:
        UnknownNameError: the message names the nearest.
    """
    name = conditions.get("mask_class")
    if isinstance(name, str) and not spec["mask_class"].knows(name):
        raise unknown_name("mask class", name, spec["mask_class"].spellings.values())


def name_of_class(classes: MaskClasses | None) -> str | None:
    """Return the name of the one mask class that is meant; ``None`` for several, or a label.

    Example:
        >>> name_of_class(("A",))
        'eyes'
    """
    if classes is None or len(classes) != 1:
        return None
    component = FACES.by_name_or_letter.get(normalised(classes[0]))
    return None if component is None else str(component.name)


def _split(names: object) -> MaskClasses | None:
    if names is None:
        return None
    if not isinstance(names, str):
        raise OptionError(f"mask_class must be a name, or a list of names, not {names!r}")
    return tuple(name.strip() for name in names.split(","))


def sources_of_images(
    label_map: object,
    parser: str | Parser | None,
    count: int,
    *,
    needed: bool,
    device: torch.device,
) -> list[FaceSource | None]:
    """Return what the faces of each of ``count`` images are found by.

    Args:
        label_map: of a single image, or a list of one for each.
        parser: what finds faces where there is no label map.
        count: number of images.
        needed: whether faces are looked for even if neither is given, with the parser that ships
            with the library.
        device: where a parser runs that is given by its name.

    Raises:
        OptionError: there are not as many label maps as images.
        UnknownNameError: no parser has this name.
    """
    if label_map is not None:
        label_maps = label_map if isinstance(label_map, list | tuple) else [label_map]
        if len(label_maps) != count:
            raise OptionError(f"{len(label_maps)} label maps for {count} images; give one each")
        return list(label_maps)
    name = parser or ("small" if needed else None)
    return [resolve_parser(name, device=device)] * count
