"""What a benchmark compares: networks, functions and folders of predictions, behind one protocol.

A new kind of method takes two places, both in this module: a class that satisfies :class:`Method`,
and a branch of :func:`_open_method` that recognises what users give. Nothing else in the benchmark
asks which kind a method is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import Inpainter, images
from facemask_inpaint.benchmark._entries import NOT_RECORDED, entry_of_inpainter, entry_of_source
from facemask_inpaint.benchmark._functions import digest_of, version_of
from facemask_inpaint.benchmark.store.records import MethodEntry
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.folders import find_image
from facemask_inpaint.images.masks import allow_large_holes

_NAME = re.compile(r"\w[\w.+=-]*")


@dataclass(frozen=True)
class PredictionFolder:
    """Predictions that were made elsewhere, as a method of a run.

    Example:
        >>> from pathlib import Path
        >>> PredictionFolder(Path("theirs")).folder.name
        'theirs'

    Attributes:
        folder: holds ``<class>/<key>.png`` (or another image suffix), or the same below a folder
            named after the resolution, ``256/<class>/<key>.png``.
    """

    folder: Path

    def find(self, resolution: int, mask_class: str, key: str) -> Path:
        """Return the file of one prediction.

        Args:
            resolution: height and width in pixels.
            mask_class: name of the class.
            key: the portrait's key in its data set.

        Raises:
            ImageError: there is none.
        """
        for folder in (self.folder / str(resolution) / mask_class, self.folder / mask_class):
            if path := find_image(folder, key):
                return path
        raise ImageError(f"{self.folder} holds no {mask_class}/{key}.png")


class Batch(NamedTuple):
    """Images of one class and resolution that go through a method together.

    Attributes:
        resolution: height and width in pixels.
        mask_class: name of the class.
        keys: of the portraits.
        images: RGB.
        holes: ``(resolution, resolution)`` bool each.
        seeds: one per image.
    """

    resolution: int
    mask_class: str
    keys: tuple[str, ...]
    images: list[Image.Image]
    holes: list[np.ndarray]
    seeds: list[int]

    def row(self, index: int) -> Batch:
        """Return the batch of one of its images alone."""
        at = slice(index, index + 1)
        return self._replace(
            keys=self.keys[at],
            images=self.images[at],
            holes=self.holes[at],
            seeds=self.seeds[at],
        )


Predictor = Callable[[Batch], list[Image.Image]]
"""From a batch to its predictions: for each image one of the same size, its hole filled."""

ImageFunction = Callable[[Image.Image, Image.Image], Image.Image]
"""From an RGB image and a mask (mode L, 255 = hole) to the image with the hole filled."""

MethodLike: TypeAlias = "str | Path | Inpainter | PredictionFolder | ImageFunction"
"""What users give as a method: registry name, folder, hub repository, or any of these objects."""

Methods: TypeAlias = (
    "MethodLike | Sequence[MethodLike | tuple[str, MethodLike]] | Mapping[str, MethodLike]"
)
"""One method, several, or several under the names that tables shall show."""


class Method(Protocol):
    """One method of a run, whatever kind of thing it is."""

    @property
    def entry(self) -> MethodEntry:
        """What the run records of it."""
        ...

    @property
    def pinned(self) -> bool:
        """Whether the entry's digest tells it from every other method."""
        ...

    @property
    def timed(self) -> bool:
        """Whether its seconds say anything."""
        ...

    @property
    def batched(self) -> bool:
        """Whether images go through it together.

        The company of an image may then decide how its last bit is rounded.
        """
        ...

    def open(self, device: torch.device, dtype: str) -> Predictor:
        """Load the weights and return what predicts batches.

        Args:
            device: where to compute.
            dtype: name of the floating-point type to compute in, such as ``"float32"``.
        """
        ...

    def source_files(self, resolution: int, mask_class: str, key: str) -> list[Path] | None:
        """Return the files a prediction is taken from; ``None`` where it is computed."""
        ...


def open_methods(methods: Methods) -> list[Method]:
    """Return what was given as methods, under names that can be folders.

    Args:
        methods: registry names, folders, hub repositories, inpainters, functions
            ``(image, mask) -> image`` or :class:`PredictionFolder`; as a mapping, or as pairs,
            under the names that the run shall use.

    Raises:
        UnknownNameError: no such method.
        OptionError: there are none, a name is unfit for a folder, or two are alike.
    """
    opened = [_open_method(name, method) for name, method in _named(methods)]
    if not opened:
        raise OptionError("a benchmark needs at least one method")
    names = [method.entry.name for method in opened]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two methods are called {', '.join(twice)}; name them: NAME=MODEL")
    if unfit := [name for name in names if not _NAME.fullmatch(name)]:
        raise OptionError(f"{unfit[0]!r} cannot name a folder: use letters, digits and . _ + = -")
    return opened


def _named(methods: Methods) -> list[tuple[str | None, MethodLike]]:
    """Return pairs of a name, which may be ``None``, and a method.

    Raises:
        OptionError: a pair is none.
    """
    if isinstance(methods, Mapping):
        methods = list(methods.items())
    elif (
        callable(methods)
        or isinstance(methods, str | os.PathLike | PredictionFolder)
        or not isinstance(methods, Sequence)
    ):
        methods = [methods]
    pairs: list[tuple[str | None, MethodLike]] = [
        item if isinstance(item, tuple) else (None, item) for item in methods
    ]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str | None):
            raise OptionError(f"a method under a name is a pair (name, method), not {pair!r}")
    return pairs


@dataclass(frozen=True)
class _Computed:
    """A method that computes its predictions."""

    entry: MethodEntry
    pinned = True
    timed = True
    batched = True

    def source_files(self, resolution: int, mask_class: str, key: str) -> list[Path] | None:
        return None


@dataclass(frozen=True)
class _Loadable(_Computed):
    """A method that ``Inpainter.from_pretrained`` opens."""

    def open(self, device: torch.device, dtype: str) -> Predictor:
        inpainter = Inpainter.from_pretrained(
            self.entry.source, device=device, dtype=dtype, progress=False
        )
        return _by_inpainter(inpainter)


@dataclass(frozen=True)
class _Ready(_Computed):
    """An inpainter that is in memory already; it keeps its own device and dtype."""

    inpainter: Inpainter

    def open(self, device: torch.device, dtype: str) -> Predictor:
        return _by_inpainter(self.inpainter)


@dataclass(frozen=True)
class _Function(_Computed):
    """A function from an image and a mask (mode L, 255 = hole) to an image, all of PIL."""

    function: ImageFunction
    batched = False

    @property
    def pinned(self) -> bool:  # type: ignore[override]
        return version_of(self.function) is not None

    def open(self, device: torch.device, dtype: str) -> Predictor:
        return self._predict

    def _predict(self, batch: Batch) -> list[Image.Image]:
        masks = [Image.fromarray(hole.astype(np.uint8) * 255) for hole in batch.holes]
        return [self.function(*pair) for pair in zip(batch.images, masks)]


@dataclass(frozen=True)
class _Stored:
    """Predictions that were made elsewhere."""

    entry: MethodEntry
    predictions: PredictionFolder
    pinned = True  # by the files of each prediction
    timed = False
    batched = False

    def open(self, device: torch.device, dtype: str) -> Predictor:
        return self._read

    def _read(self, batch: Batch) -> list[Image.Image]:
        paths = [
            self.predictions.find(batch.resolution, batch.mask_class, key) for key in batch.keys
        ]
        return [images.read_image(path) for path in paths]

    def source_files(self, resolution: int, mask_class: str, key: str) -> list[Path] | None:
        try:
            return [self.predictions.find(resolution, mask_class, key)]
        except ImageError:
            return []


def _open_method(name: str | None, method: MethodLike) -> Method:
    if isinstance(method, Inpainter):
        return _Ready(entry_of_inpainter(name, method), method)
    if isinstance(method, PredictionFolder):
        if not method.folder.is_dir():
            raise OptionError(f"{method.folder}: there is no such folder of predictions")
        source = f"predictions in {method.folder.name}"
        return _Stored(
            MethodEntry(name or method.folder.name, source, training=NOT_RECORDED), method
        )
    if isinstance(method, str | Path):
        return _Loadable(entry_of_source(name, str(method)))
    if callable(method):
        label = str(name or getattr(method, "__name__", type(method).__name__))
        source = f"function {getattr(method, '__qualname__', type(method).__qualname__)}"
        entry = MethodEntry(label, source, digest_of(method), training=NOT_RECORDED)
        return _Function(entry, method)
    raise OptionError(
        f"a {type(method).__name__} is no method: give a name, a folder or a function"
    )


def _by_inpainter(inpainter: Inpainter) -> Predictor:
    told = inpainter.network.condition_spec().get("mask_class")

    def predict(batch: Batch) -> list[Image.Image]:
        with allow_large_holes():
            return inpainter(
                batch.images,
                batch.holes,
                seed=batch.seeds,
                mask_class=batch.mask_class if told and told.knows(batch.mask_class) else None,
                batch_size=len(batch.keys),
            )

    return predict
