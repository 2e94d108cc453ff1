"""What the page does, without the page: from ticks and strokes to filled pictures."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images, models, parsing
from facemask_inpaint.errors import LabelMapError, MaskError, OptionError
from facemask_inpaint.images import contact_sheets
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.inpainter import Blend, Inpainter
from facemask_inpaint.masks import SemanticMasker

MOST_MODELS = 2
"""How many models are compared at most: the left and the right of one slider."""

_KEPT_MODES = ("L", "RGB", "RGBA")
"""Modes that PNG and browsers show as they are; pictures of others become RGB."""

_FOLDERS = re.compile(r"(?<![\w:/.~-])(?:~?/|[A-Za-z]:[/\\])(?:[^\s/\\:\"']+[/\\])*(?=\w)")
"""Leading folders of a path, which an address on the web does not have."""

_PAINTED = 128
"""Opacity from which a stroke's soft edge counts as painted."""


@dataclass(frozen=True, kw_only=True)
class InpaintingRequest:
    """What somebody asked for on the page.

    Attributes:
        portrait: picture file.
        models: one or two of the names that ``Inpainter.from_pretrained`` takes.
        labels: label map of the portrait, of its size; the parser is asked where there is none.
        parser: one of ``parsing.list_parsers()``.
        classes: mask classes to hide, by name or letter; a label map is looked for only if any.
        painted: strokes, ``(h, w)`` bool, of any size: they are stretched over the portrait.
        seed: decides every random draw.
        dilate: how far masks of classes grow; see ``SemanticMasker``.
        blend: what is done at the border of the hole; see ``Inpainter``.
    """

    portrait: str | Path
    models: tuple[str, ...]
    labels: str | Path | None = None
    parser: str = "small"
    classes: tuple[str, ...] = ()
    painted: NDArray[np.bool_] | None = None
    seed: int = 0
    dilate: float = 0.01
    blend: Blend = "none"


@dataclass(frozen=True)
class InpaintingResult:
    """What came of a request.

    Attributes:
        portrait: the picture as it was, upright.
        cut: the picture with the hole covered in one colour.
        filled: result by model, in the order asked for.
        absent: names of the classes asked for that the portrait does not have.
        share: part of the picture that was hole, in [0, 1].
    """

    portrait: Image.Image
    cut: Image.Image
    filled: Mapping[str, Image.Image]
    absent: tuple[str, ...]
    share: float

    @property
    def sides(self) -> list[tuple[str, Image.Image]]:
        """Title and picture of both sides of the slider: two results, or before and after."""
        return [("original", self.portrait), *self.filled.items()][-2:]

    def report(self) -> str:
        """One line for people: how much was hidden, and what could not be found."""
        lost = f"; not in this portrait: {', '.join(self.absent)}" if self.absent else ""
        return f"{self.share:.1%} of the picture filled with {' and '.join(self.filled)}{lost}"


class Studio:
    """Fills portraits as asked; networks and parsers stay loaded from one request to the next.

    Args:
        device: where networks and parsers run; ``None`` means CUDA when there, else CPU.
        folders: where models lie that requests know by a name alone.
    """

    def __init__(self, device: str | None = None, folders: Mapping[str, str] | None = None) -> None:
        parser = functools.partial(parsing.load_parser, device=device)
        self._device = device
        self._folders = dict(folders or {})
        self._inpainter = functools.lru_cache(maxsize=MOST_MODELS)(self._load)
        self._parser = functools.lru_cache(maxsize=1)(parser)

    def fill(self, request: InpaintingRequest) -> InpaintingResult:
        """Hide what was asked for, and fill it with every model.

        Raises:
            ImageError: the portrait cannot be read, or no face is in it.
            LabelMapError: the label map is none, or of another size than the portrait.
            MaskError: nothing is to be filled.
            OptionError: there are no models, or too many; or an option makes no sense.
            UnknownNameError: no model, class or parser has this name.
            WeightsNotFoundError: weights cannot be fetched.
        """
        names = list(dict.fromkeys(request.models))
        if not 1 <= len(names) <= MOST_MODELS:
            raise OptionError(f"choose one model, or {MOST_MODELS} to compare, not {len(names)}")
        portrait = read_portrait(request.portrait)
        hole, absent = self._hole(request, portrait)
        filled = {
            name: self._model(name)(portrait, hole, seed=request.seed, blend=request.blend)
            for name in names
        }
        cut = contact_sheets.paint_hole(portrait, hole)
        return InpaintingResult(portrait, cut, filled, absent, float(hole.mean()))

    def _model(self, name: str) -> Inpainter:
        """A model as it is now, loaded again only where its files have changed."""
        source = self._folders.get(name, name)
        return self._inpainter(source, pretrained.weights_stamp(source))

    def _load(self, source: str, stamp: str) -> Inpainter:
        return Inpainter.from_pretrained(source, device=self._device)

    def _hole(
        self, request: InpaintingRequest, portrait: Image.Image
    ) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """``(H, W)`` bool, the union of components and strokes; and the classes that lack."""
        hole = np.zeros(portrait.size[::-1], dtype=bool)
        absent = []
        if request.painted is not None:
            strokes = Image.fromarray(request.painted).resize(
                portrait.size, Image.Resampling.NEAREST
            )
            hole |= np.asarray(strokes)
        if request.classes:
            masker = SemanticMasker(request.dilate, missing="empty")
            labels = self._labels(request, portrait)
            for name in masker.select(request.classes):
                component = np.asarray(masker(labels, name)).astype(bool)
                _require_size(component, portrait)
                if not component.any():
                    absent.append(name)
                hole |= component
        if not hole.any():
            why = f": not in this portrait: {', '.join(absent)}" if absent else ""
            raise MaskError(f"there is nothing to fill{why}; tick another component, or paint one")
        return hole, tuple(absent)

    def _labels(self, request: InpaintingRequest, portrait: Image.Image) -> Any:
        if request.labels is not None:
            return request.labels
        return self._parser(request.parser)(portrait)


def read_portrait(path: str | Path) -> Image.Image:
    """A picture file as it is, upright; RGB where it is of a mode that PNG does not hold.

    Raises:
        ImageError: the file cannot be read as a picture.
    """
    portrait = images.read_image(path)
    return portrait if portrait.mode in _KEPT_MODES else images.to_rgb(portrait)


def without_places(text: str) -> str:
    """A message with the names of files, but not the folders of this machine that hold them."""
    for folder in {tempfile.gettempdir(), str(Path.home()), str(Path.cwd())} - {"/"}:
        text = re.sub(re.escape(folder) + r"(?=[/\\])", "", text)
    return _FOLDERS.sub("", text)


def painted_area(layers: list[Image.Image]) -> NDArray[np.bool_] | None:
    """``(H, W)`` bool of what the strokes on transparent layers cover; None without strokes."""
    covered = [np.asarray(layer.convert("RGBA"))[..., 3] >= _PAINTED for layer in layers]
    return np.logical_or.reduce(covered) if any(layer.any() for layer in covered) else None


def model_choices(first: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Caption and name of every model that can be had without a browser.

    Args:
        first: models that lead the list, be they of the registry, folders or hub repositories.
            After them come the models that need no download.
    """
    ready = {True: list(first), False: []}
    for card in models.list_cards():
        here = card.ships or not card.needs_weights
        if card.available and (here or card.downloadable):
            ready[here].append(card.architecture if here and card.default else card.name)
    names = {name: name for name in ready[True]}
    names |= {
        name: f"{name} (fetched when first used)" for name in ready[False] if name not in names
    }
    return [(caption, name) for name, caption in names.items()]


def _require_size(component: NDArray[np.bool_], portrait: Image.Image) -> None:
    if component.shape != portrait.size[::-1]:
        raise LabelMapError(
            f"the label map is {component.shape[1]} x {component.shape[0]} pixels, its portrait "
            f"{portrait.width} x {portrait.height} (width x height); make it of the portrait's "
            "size, or take it away and let a parser look"
        )
