"""The models of a run, whatever they are: one entry to record, one way to fill a batch."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import Inpainter, checkpoints, images, models
from facemask_inpaint._internal.identity import content_of
from facemask_inpaint.benchmark._arguments import several
from facemask_inpaint.benchmark._functions import digest_of, version_of
from facemask_inpaint.benchmark.store.records import ModelEntry
from facemask_inpaint.checkpoints.folders import CONFIG_NAME, TENSORS_NAME
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.folders import find_image
from facemask_inpaint.images.masks import allow_large_holes
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import DATA_SETS, TRAINING_SPLITS
from facemask_inpaint.models.pipeline import (
    conditions_of_folder,
    is_pipeline_folder,
    pipeline_identity,
)

NOT_RECORDED = "not recorded"
_NAME = re.compile(r"\w[\w.+=-]*")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Results:
    """Pictures that were filled elsewhere, as a model of a run.

    Attributes:
        folder: holds ``<class>/<key>.png`` (or another picture suffix), or the same below a folder
            named after the side, ``256/<class>/<key>.png``.
    """

    folder: Path

    def find(self, side: int, mask_class: str, key: str) -> Path:
        """The file of one result.

        Raises:
            ImageError: there is none.
        """
        for folder in (self.folder / str(side) / mask_class, self.folder / mask_class):
            if path := find_image(folder, key):
                return path
        raise ImageError(f"{self.folder} holds no {mask_class}/{key}.png")


class Batch(NamedTuple):
    """Pictures of one class and side that are filled together.

    Attributes:
        side: height and width in pixels.
        mask_class: name of the class.
        keys: of the portraits.
        pictures: RGB.
        holes: ``(side, side)`` bool each.
        seeds: one per picture.
    """

    side: int
    mask_class: str
    keys: tuple[str, ...]
    pictures: list[Image.Image]
    holes: list[np.ndarray]
    seeds: list[int]

    def row(self, index: int) -> Batch:
        """The batch of one of its pictures alone."""
        at = slice(index, index + 1)
        return self._replace(
            keys=self.keys[at],
            pictures=self.pictures[at],
            holes=self.holes[at],
            seeds=self.seeds[at],
        )


Filler = Callable[[Batch], list[Image.Image]]
"""Fills a batch: one picture of the same size for each."""


class Contender(Protocol):
    """A model of a run.

    Attributes:
        entry: what the run records of it.
        pinned: whether the entry's digest tells it from every other model.
        timed: whether its seconds say anything.
        batched: whether pictures go through it together, so that their company may decide how the
            last bit is rounded.
    """

    @property
    def entry(self) -> ModelEntry: ...

    @property
    def pinned(self) -> bool: ...

    @property
    def timed(self) -> bool: ...

    @property
    def batched(self) -> bool: ...

    def open(self, device: torch.device, dtype: str) -> Filler:
        """Load the weights; what comes back fills batches."""
        ...

    def source_files(self, side: int, mask_class: str, key: str) -> list[Path] | None:
        """Files that this result is taken from; ``None`` where it is computed."""
        ...


def contenders(given: Mapping[str, Any] | Sequence[Any]) -> list[Contender]:
    """What was given as models, under names that can be folders.

    Args:
        given: registry names, folders, hub repositories, inpainters, functions
            ``(picture, mask) -> picture`` or :class:`Results`; as a mapping, or as pairs, under
            the names that the run shall use.

    Raises:
        UnknownNameError: no such model.
        OptionError: there are none, a name is unfit for a folder, or two are alike.
    """
    found = [_contender(name, model) for name, model in several(given)]
    if not found:
        raise OptionError("a benchmark needs at least one model")
    names = [one.entry.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two models are called {', '.join(twice)}; name them: NAME=MODEL")
    if unfit := [name for name in names if not _NAME.fullmatch(name)]:
        raise OptionError(f"{unfit[0]!r} cannot name a folder: use letters, digits and . _ + = -")
    return found


@dataclass(frozen=True)
class _Computed:
    """A model that computes its results."""

    entry: ModelEntry
    pinned = True
    timed = True
    batched = True

    def source_files(self, side: int, mask_class: str, key: str) -> list[Path] | None:
        return None


@dataclass(frozen=True)
class _Loadable(_Computed):
    """A model that ``Inpainter.from_pretrained`` opens."""

    def open(self, device: torch.device, dtype: str) -> Filler:
        inpainter = Inpainter.from_pretrained(
            self.entry.source, device=device, dtype=dtype, progress=False
        )
        return _by_inpainter(inpainter)


@dataclass(frozen=True)
class _Ready(_Computed):
    """An inpainter that is in memory already; it keeps its own device and dtype."""

    inpainter: Inpainter

    def open(self, device: torch.device, dtype: str) -> Filler:
        return _by_inpainter(self.inpainter)


@dataclass(frozen=True)
class _Function(_Computed):
    """A function from a picture and a mask (mode L, 255 = hole) to a picture, all of PIL."""

    function: Callable[[Image.Image, Image.Image], Image.Image]
    batched = False

    @property
    def pinned(self) -> bool:  # type: ignore[override]
        return version_of(self.function) is not None

    def open(self, device: torch.device, dtype: str) -> Filler:
        return self._fill

    def _fill(self, batch: Batch) -> list[Image.Image]:
        masks = [Image.fromarray(hole.astype(np.uint8) * 255) for hole in batch.holes]
        return [self.function(*pair) for pair in zip(batch.pictures, masks)]


@dataclass(frozen=True)
class _Finished:
    """Pictures that were filled elsewhere."""

    entry: ModelEntry
    results: Results
    pinned = True  # by the files of each result
    timed = False
    batched = False

    def open(self, device: torch.device, dtype: str) -> Filler:
        return self._read

    def _read(self, batch: Batch) -> list[Image.Image]:
        where = (batch.side, batch.mask_class)
        return [images.read_image(self.results.find(*where, key)) for key in batch.keys]

    def source_files(self, side: int, mask_class: str, key: str) -> list[Path] | None:
        try:
            return [self.results.find(side, mask_class, key)]
        except ImageError:
            return []


def _contender(name: str | None, model: Any) -> Contender:
    if isinstance(model, Inpainter):
        return _Ready(_entry_of_inpainter(name, model), model)
    if isinstance(model, Results):
        if not model.folder.is_dir():
            raise OptionError(f"{model.folder}: there is no such folder of results")
        source = f"results in {model.folder.name}"
        return _Finished(
            ModelEntry(name or model.folder.name, source, training=NOT_RECORDED), model
        )
    if isinstance(model, str | Path):
        return _Loadable(_entry_of_source(name, str(model)))
    if callable(model):
        label = str(name or getattr(model, "__name__", type(model).__name__))
        source = f"function {getattr(model, '__qualname__', type(model).__qualname__)}"
        entry = ModelEntry(label, source, digest_of(model), training=NOT_RECORDED)
        return _Function(entry, model)
    raise OptionError(f"a {type(model).__name__} is no model: give a name, a folder or a function")


def _entry_of_source(name: str | None, source: str) -> ModelEntry:
    if pretrained.is_pipeline(source):
        folder = pretrained.pipeline_folder(source, None, pretrained.Download())
        label = Path(source).resolve().name if is_pipeline_folder(source) else source
        return _entry_of_pipeline(name or label.rpartition("/")[2], source, folder)
    if checkpoints.is_folder(source):
        return _entry_of_folder(name or Path(source).resolve().name, source, Path(source))
    if _REPOSITORY.fullmatch(source) and not Path(source).exists():
        folder = checkpoints.load_hub(source)
        return _entry_of_folder(name or source.rpartition("/")[2], source, folder)
    card = models.card(source)
    return _entry_of_card(name or card.name, card.name, card, card.digest)


def _entry_of_folder(name: str, source: str, folder: Path) -> ModelEntry:
    config, _ = checkpoints.load_folder(folder)
    known = config.get("card")
    digest = content_of([folder / CONFIG_NAME, folder / TENSORS_NAME])
    if known in models.list_pretrained():
        return _entry_of_card(name, source, models.card(known), digest)
    side = config.get("options", {}).get("resolution")
    return ModelEntry(name, source, digest, training=NOT_RECORDED, resolution=side)


def _entry_of_pipeline(name: str, source: str, folder: Path) -> ModelEntry:
    conditions, digest = conditions_of_folder(folder, MaskClass), pipeline_identity(folder)
    return ModelEntry(name, source, digest, training=NOT_RECORDED, conditions=conditions)


def _entry_of_card(name: str, source: str, card: models.Card, digest: str) -> ModelEntry:
    training = "nothing: it has no weights"
    if card.needs_weights:
        training = f"{DATA_SETS[card.data][0]}; CelebA-HQ: {TRAINING_SPLITS[card.training_split]}"
    return ModelEntry(
        name, source, digest, card.licence, training, card.training_split, card.resolution
    )


def _entry_of_inpainter(name: str | None, inpainter: Inpainter) -> ModelEntry:
    network, card = inpainter.network, inpainter.card
    kind = network.architecture or type(network).__name__
    digest, conditions = _digest_of(inpainter), network.default_conditions(MaskClass)
    if card is not None:
        entry = _entry_of_card(name or card.name, card.name, card, digest)
        return dataclasses.replace(entry, conditions=conditions)
    source, side = f"Inpainter({kind})", network.native_size
    return ModelEntry(
        name or kind, source, digest, training=NOT_RECORDED, resolution=side, conditions=conditions
    )


def _digest_of(inpainter: Inpainter) -> str:
    """SHA-256 of weights, options, conditions and dtype."""
    network = inpainter.network
    settings = f"{dict(network.options)} {network.default_conditions(MaskClass)}"
    total = hashlib.sha256(f"{settings} {inpainter.dtype}\n".encode())
    for key, value in sorted(network.state_dict().items()):
        total.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def _by_inpainter(inpainter: Inpainter) -> Filler:
    known = inpainter.network.condition_spec().get("mask_class")

    def fill(batch: Batch) -> list[Image.Image]:
        with allow_large_holes():
            return inpainter(
                batch.pictures,
                batch.holes,
                seed=batch.seeds,
                mask_class=batch.mask_class if known and known.knows(batch.mask_class) else None,
                batch_size=len(batch.keys),
            )

    return fill
