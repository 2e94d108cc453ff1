"""Parsers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.checkpoints import fetch_readable, read, read_own
from facemask_inpaint.errors import WeightsNotFoundError, unknown_name
from facemask_inpaint.labels import LABEL_ORDERS
from facemask_inpaint.parsing.label_network import LabelNetwork, fill
from facemask_inpaint.parsing.landmarks import LandmarkParser
from facemask_inpaint.parsing.photos import FaceChoice, PhotoParser
from facemask_inpaint.parsing.protocol import FaceParser

PARSERS: Mapping[str, str] = {
    "small": "compact network whose weights ship with the library; no download, weak labels",
    "bisenet": "BiSeNet, weights published for non-commercial research; 53 MB",
    "segformer": "SegFormer MiT-B5, weights of a hub repository; 339 MB",
    "landmarks": "drawn from MediaPipe's landmarks, if installed; no ears, hair, neck or clothes",
}
"""What each parser is, by name."""


def list_parsers() -> list[str]:
    """Names that :func:`load_parser` takes."""
    return list(PARSERS)


@ordinary_torch()
def load_parser(
    name: str = "small",
    *,
    face: FaceChoice = "largest",
    align: bool = True,
    weights: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> FaceParser:
    """A face parser, ready to be called with photos.

    Published weights are fetched on first use, checked against their hash, and kept.

    Args:
        name: one of :data:`PARSERS`.
        face: which faces of a photo: ``"largest"``, ``"all"``, or a number from 0, the largest.
        align: ``False`` takes every picture for an aligned portrait (see
            :class:`~facemask_inpaint.parsing.photos.PhotoParser`); landmarks do not need it.
        weights: a checkpoint file in place of the published one, in the same form.
        device: where the network runs; CUDA when there is one, else the CPU.
        progress: show a bar while weights are fetched.

    Raises:
        UnknownNameError: there is no such parser.
        WeightsNotFoundError: the weights cannot be fetched; the message says how to get them.
        CheckpointError: ``weights`` is another network's file.
        MissingDependencyError: an optional package is missing.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> labels = parsing.load_parser("small")(data.sample().image)
        >>> labels.shape, labels.dtype
        ((512, 512), dtype('uint8'))
    """
    if name == "landmarks":
        return LandmarkParser(face=face)
    if name not in _NETWORKS:
        raise unknown_name("parser", name, PARSERS)
    device = resolve_device(device)
    return PhotoParser(_NETWORKS[name](weights, device, progress), face=face, align=align)


def _small(weights: str | Path | None, device: Any, progress: bool) -> LabelNetwork:
    from facemask_inpaint.parsing import small

    if weights is None:
        shipped = resources.files("facemask_inpaint.parsing") / "weights" / "small.safetensors"
        with resources.as_file(shipped) as path:
            tensors = read(path, "safetensors").tensors
    else:
        tensors = read_own(weights, small.ANCHORS, "small")
    with torch.device("meta"):
        network = small.SmallParser()
    module = fill(network, tensors, "the compact parser").to(device)
    half = (0.5, 0.5, 0.5)
    return LabelNetwork(module, small.SIDE, small.LABELS, mean=half, std=half, device=device)


def _bisenet(weights: str | Path | None, device: Any, progress: bool) -> LabelNetwork:
    from facemask_inpaint.parsing import bisenet

    module = _opened(bisenet, "bisenet", weights, progress)
    channels = LABEL_ORDERS[bisenet.ORDER]
    return LabelNetwork(module.to(device), bisenet.SIDE, channels, device=device)


def _segformer(weights: str | Path | None, device: Any, progress: bool) -> LabelNetwork:
    from facemask_inpaint.parsing import segformer

    module = _opened(segformer, "segformer", weights, progress)
    return LabelNetwork(module.to(device), segformer.SIDE, segformer.CHANNELS, device=device)


def _opened(parser: Any, name: str, weights: str | Path | None, progress: bool) -> nn.Module:
    """The network of a module of this package, from a file or from the first usable source."""

    def open_file(path: str | Path) -> nn.Module:
        return parser.from_official(read_own(path, parser.ANCHORS, name))

    if weights is not None:
        return open_file(weights)
    try:
        return fetch_readable(parser.SOURCES, lambda _, path: open_file(path), progress=progress)
    except WeightsNotFoundError as error:
        raise WeightsNotFoundError(
            f"{error}\nA copy that you have goes in by load_parser({name!r}, weights=FILE); "
            'load_parser("small") needs no download'
        ) from error


_NETWORKS: Mapping[str, Callable[[str | Path | None, Any, bool], LabelNetwork]] = {
    "small": _small,
    "bisenet": _bisenet,
    "segformer": _segformer,
}
