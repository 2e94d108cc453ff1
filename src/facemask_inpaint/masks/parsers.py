"""Photos where label maps are expected: recognised, and turned into label maps by a parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint.errors import ComponentAbsentError, ImageError, LabelMapError, OptionError
from facemask_inpaint.labels import LABEL_NAMES
from facemask_inpaint.masks.components import GLASSES, Component
from facemask_inpaint.masks.label_maps import is_photo

Parser = Callable[[Any], NDArray[np.uint8]]
"""From a photo to its label map ``(H, W)``: a :class:`facemask_inpaint.parsing.FaceParser`."""


def resolve_parser(parser: str | Parser | None, **options: Any) -> Parser | None:
    """Parser by its name, a parser itself, or none.

    Args:
        parser: which.
        **options: of :func:`facemask_inpaint.parsing.load_parser`, for one that is named.

    Raises:
        UnknownNameError: no parser has this name.
        WeightsNotFoundError: its weights cannot be fetched.
        OptionError: this is none of the three.
    """
    if isinstance(parser, str):
        # Here, so that masks alone need no parser.
        from facemask_inpaint.parsing import load_parser

        return load_parser(parser, **options)
    if parser is not None and not callable(parser):
        raise OptionError(
            f"parser must be a name or a callable from photo to label map, not {parser!r}"
        )
    return parser


def parse(source: Any, parser: Parser) -> Any | None:
    """Label map of a photo, of the photo's own kind; ``None`` if it is no photo.

    Photos are pictures in colour, of floats, or of more levels of grey than there are labels: a
    path or PIL picture, NumPy ``(H, W)`` or ``(H, W, 3 or 4)`` or a batch of the latter, torch
    *floats* ``(H, W)``, ``(3, H, W)`` or ``(N, 3, H, W)``. Anything else is taken for a label
    map, three equal channels of label ids too.

    Raises:
        ImageError: a file cannot be read, or no face is in it.
        LabelMapError: the parser's answer is not of the photo's size.
    """
    if isinstance(source, str | Path):
        picture = images.read_image(source)
        try:
            return parse(picture, parser)
        except ImageError as error:
            raise ImageError(f"{source}: {error}") from None
    if isinstance(source, Image.Image):
        upright = images.upright(source)
        if not is_photo(upright):
            return None
        return Image.fromarray(_label(upright, parser, upright.size[::-1]))
    if isinstance(source, np.ndarray) and _is_one_picture(source):
        return _label(source, parser, source.shape[:2]) if is_photo(source) else None
    if isinstance(source, np.ndarray) and source.ndim == 4 and source.shape[-1] in (3, 4):
        return np.stack([_label(one, parser, one.shape[:2]) for one in source])
    if isinstance(source, Tensor) and source.is_floating_point() and source.ndim == 2:
        return torch.from_numpy(_label(source, parser, tuple(source.shape))).to(source.device)
    if isinstance(source, Tensor) and source.is_floating_point() and source.ndim in (3, 4):
        batch = source if source.ndim == 4 else source[None]
        labels = np.stack([_label(one, parser, tuple(one.shape[-2:])) for one in batch])
        labels = labels if source.ndim == 4 else labels[0]
        return torch.from_numpy(labels).to(source.device)
    return None


def _is_one_picture(array: NDArray[Any]) -> bool:
    return array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4))


def require_available(parser: Parser, wanted: Sequence[Component]) -> None:
    """Refuse components with a label that the parser never gives; glasses do not count.

    Raises:
        ComponentAbsentError: a component is not available.
    """
    for component in wanted:
        if never := never_given(parser, component):
            raise ComponentAbsentError(
                f"{component.name!s} needs {', '.join(never)}: not available from "
                f"{type(parser).__name__}; use another parser"
            )


def never_given(parser: Parser, component: Component) -> list[str]:
    """Names of a component's labels that a parser never gives, glasses apart."""
    given = getattr(parser, "labels", LABEL_NAMES)
    needed = (LABEL_NAMES[label] for label in component.label_ids if label != GLASSES)
    return [name for name in needed if name not in given]


def _label(photo: Any, parser: Parser, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    labels = np.asarray(parser(photo))
    if labels.shape != tuple(shape):
        raise LabelMapError(
            f"the parser answered a photo of {shape[0]} x {shape[1]} (height x width) with a label "
            f"map of shape {labels.shape}; it must be of the photo's own size"
        )
    return labels
