"""Photos where label maps are expected: recognised, and turned into label maps by a parser."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import ComponentAbsentError, ImageError, LabelMapError, OptionError
from facemask_inpaint.labels import LABEL_NAMES, LabelIds
from facemask_inpaint.masks._label_arrays import MOST_LABELS, is_photo
from facemask_inpaint.masks._tensors import is_tensor, tensor_like
from facemask_inpaint.masks.components import GLASSES, Component
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Parser: TypeAlias = Callable[..., LabelIds]
"""From a photo to its label map ``(H, W)``; see :class:`facemask_inpaint.parsing.FaceParser`."""

_SAMPLES = 64
"""Pixels of a side that are looked at first."""

ParsedMap: TypeAlias = "NDArray[np.uint8] | Tensor | Image.Image"
"""Label map of a photo, or of a batch, of the photo's own type."""


def resolve_parser(
    parser: str | Parser | None,
    *,
    align: bool = True,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Parser | None:
    """Return a parser by its name, a parser as it is, or none.

    Args:
        parser: name, parser, or ``None``.
        align: whether photos are aligned for a parser given by name.
        device: where it runs; CUDA if available, else the CPU.
        progress: show a progress bar while its weights are fetched.

    Raises:
        UnknownNameError: No parser has this name.
        WeightsNotFoundError: The parser's weights cannot be fetched.
        OptionError: This is none of the three.
    """
    if isinstance(parser, str):
        # Here, so that masks alone need no parser.
        from facemask_inpaint.parsing import load_parser

        return load_parser(parser, align=align, device=device, progress=progress)
    if parser is not None and not callable(parser):
        raise OptionError(
            f"parser must be a name or a callable from photo to label map, not {parser!r}"
        )
    return parser


def parse_photo(source: object, parser: Parser, vocabulary: Vocabulary = FACES) -> ParsedMap | None:
    """Return the label map of a photo, of the photo's own type; ``None`` if it is no photo.

    Photos are images in colour, of floats, or of more levels of grey than there are labels: a path
    or PIL image, NumPy ``(H, W)`` or ``(H, W, 3 or 4)`` or a batch of the latter, torch *floats*
    ``(H, W)``, ``(3, H, W)`` or ``(N, 3, H, W)``. Anything else is taken for a label map, three
    equal channels of label ids too.

    Args:
        source: photo, label map, or batch.
        parser: labels each photo.
        vocabulary: of its labels.

    Raises:
        ImageError: A file cannot be read, or no face is in it.
        LabelMapError: The parser's label map does not have the photo's size.
    """
    if isinstance(source, str | Path):
        image = images.read_image(source)
        try:
            return parse_photo(image, parser, vocabulary)
        except ImageError as error:
            raise ImageError(f"{source}: {error}") from None
    if isinstance(source, Image.Image):
        upright = images.upright(source)
        if not is_photo(upright, vocabulary):
            return None
        return Image.fromarray(_label(upright, parser, upright.size[::-1]))
    if isinstance(source, np.ndarray):
        return _parse_array(source, parser, vocabulary)
    if is_tensor(source) and source.is_floating_point():
        return _parse_tensor(source, parser)
    return None


def _parse_array(
    photo: NDArray[np.generic], parser: Parser, vocabulary: Vocabulary
) -> LabelIds | None:
    if photo.ndim == 2 or (photo.ndim == 3 and photo.shape[-1] in (3, 4)):
        if not is_photo(photo, vocabulary):
            return None
        return _label(photo, parser, photo.shape[:2])
    if photo.ndim == 4 and photo.shape[-1] in (3, 4):
        return np.stack([_label(each, parser, each.shape[:2]) for each in photo])
    return None


def _parse_tensor(photo: Tensor, parser: Parser) -> Tensor | None:
    if photo.ndim in (2, 3):
        return tensor_like(_label(photo, parser, tuple(photo.shape[-2:])), photo)
    if photo.ndim == 4:
        label_maps = [_label(each, parser, tuple(each.shape[-2:])) for each in photo]
        return tensor_like(np.stack(label_maps), photo)
    return None


def require_available(parser: Parser, components: Sequence[Component]) -> None:
    """Refuse components with a label that the parser never finds; glasses do not count.

    Raises:
        ComponentAbsentError: A component is not available.
    """
    for component in components:
        if missing := unavailable_labels(parser, component):
            raise ComponentAbsentError(
                f"{component.name!s} needs {', '.join(missing)}: not available from "
                f"{type(parser).__name__}; use another parser"
            )


def unavailable_labels(parser: Parser, component: Component) -> list[str]:
    """Return the names of a component's labels that a parser never finds, glasses apart."""
    available = getattr(parser, "labels", None)
    if available is None:
        return []
    needed = (LABEL_NAMES[label] for label in component.label_ids if label != GLASSES)
    return [name for name in needed if name not in available]


def _label(photo: object, parser: Parser, shape: tuple[int, ...]) -> LabelIds:
    if not is_tensor(photo):
        _warn_of_flat_colours(np.asarray(photo))
    label_map = np.asarray(parser(photo))
    if label_map.shape != tuple(shape):
        raise LabelMapError(
            f"the parser gave a photo of {shape[0]} x {shape[1]} (height x width) a label map of "
            f"shape {label_map.shape}; it must have the photo's own size"
        )
    if not np.issubdtype(label_map.dtype, np.integer):
        raise LabelMapError(f"the parser gave {label_map.dtype}; label ids are whole numbers")
    return label_map if label_map.dtype == np.uint8 else label_map.astype(np.int32)


def _warn_of_flat_colours(pixels: NDArray[np.generic]) -> None:
    """Tell of what is taken for a photo, but is probably a label map painted for the eye."""
    if pixels.ndim != 3:
        return
    for step in (-(-max(pixels.shape) // _SAMPLES), 1):  # a few pixels tell of almost all photos
        colours = pixels[::step, ::step].reshape(-1, pixels.shape[-1])
        count = len(np.unique(colours, axis=0))
        if not 1 < count <= MOST_LABELS:
            return
    warnings.warn(
        f"an image of only {count} colours is taken for a photo; if it is a label map in colours, "
        "give its label ids instead, one number per pixel",
        UserWarning,
        stacklevel=4,
    )
