"""Face parsers by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facemask_inpaint.errors import unknown_name

if TYPE_CHECKING:
    import torch

    from facemask_inpaint._internal.types import FaceChoice
    from facemask_inpaint.parsing.protocol import FaceParser

PARSERS: Mapping[str, str] = {
    "small": "compact network whose weights ship with the library; no download, weak labels",
    "bisenet": "BiSeNet, weights published for non-commercial research; 53 MB",
    "segformer": "SegFormer MiT-B5, weights of a hub repository; 339 MB",
    "landmarks": "drawn from MediaPipe's landmarks, if installed; no ears, hair, neck or clothes",
}
"""What each parser is, by name. All but landmarks are modules of this package with a ``load``."""


def list_parsers() -> list[str]:
    """Return the names that :func:`load_parser` takes.

    Example:
        >>> from facemask_inpaint import parsing
        >>> parsing.list_parsers()
        ['small', 'bisenet', 'segformer', 'landmarks']
    """
    return list(PARSERS)


def load_parser(
    name: str = "small",
    *,
    face: FaceChoice = "largest",
    align: bool = True,
    weights: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> FaceParser:
    """Return a face parser, ready to be called with photos.

    Published weights are fetched on first use, checked against their hash, and kept.

    Args:
        name: one of :data:`PARSERS`.
        face: which faces of a photo: ``"largest"``, ``"all"``, or a number from 0, the largest.
        align: ``False`` takes every image for an aligned portrait (see
            :class:`~facemask_inpaint.parsing.photos.PhotoParser`); landmarks do not need it.
        weights: a checkpoint file to use instead of the published one, in the same format.
        device: where the network runs; CUDA if available, else the CPU.
        progress: show a progress bar while weights are fetched.

    Raises:
        UnknownNameError: There is no such parser.
        WeightsNotFoundError: The weights cannot be fetched; the message says how to get them.
        CheckpointError: ``weights`` is the file of another network.
        MissingDependencyError: An optional package is missing.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> label_map = parsing.load_parser("small")(data.sample().image)
        >>> label_map.shape, label_map.dtype
        ((512, 512), dtype('uint8'))
    """
    # PyTorch is imported here, so that names can be listed without it.
    from facemask_inpaint._internal.devices import resolve_device
    from facemask_inpaint._internal.torch_state import ordinary_torch
    from facemask_inpaint.parsing.landmarks import LandmarkParser
    from facemask_inpaint.parsing.photos import PhotoParser

    if name not in PARSERS:
        raise unknown_name("parser", name, PARSERS)
    if name == "landmarks":
        return LandmarkParser(face=face)
    module = importlib.import_module(f"facemask_inpaint.parsing.{name}")
    with ordinary_torch():
        network = module.load(weights, resolve_device(device), progress=progress)
        return PhotoParser(network, face=face, align=align)
