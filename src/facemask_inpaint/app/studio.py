"""What the page does, without the page: from ticks and strokes to masks and inpainted images."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facemask_inpaint import images, models, parsing
from facemask_inpaint._internal.identity import stamp_of
from facemask_inpaint._internal.types import Blend, FaceChoice, Match
from facemask_inpaint.errors import ImageError, LabelMapError, MaskError, OptionError
from facemask_inpaint.images import contact_sheets
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.labels import LabelIds
from facemask_inpaint.masks import SemanticMasker
from facemask_inpaint.masks.label_maps import LabelMapLike
from facemask_inpaint.masks.semantic import DILATE
from facemask_inpaint.parsing import FaceParser, PhotoParser
from facemask_inpaint.parsing.crops import Crop

MOST_MODELS = 2
"""How many models are compared at most: the left and the right of one slider."""

_KEPT_MODES = ("L", "RGB", "RGBA")
"""Modes that PNG and browsers show as they are; images of others become RGB."""

_FOLDERS = re.compile(r"(?<![\w:/.~-])(?:~?/|[A-Za-z]:[/\\])(?:[^\s/\\:\"']+[/\\])*(?=\w)")
"""Leading folders of a path, which an address on the web does not have."""

_PAINTED = 128
"""Opacity from which the soft edge of a stroke counts as painted."""


@dataclass(frozen=True, kw_only=True)
class InpaintingRequest:
    """What a user asks for on the page.

    Attributes:
        portrait: path of the image.
        models: one or two of the names that ``Inpainter.from_pretrained`` takes; none for a
            preview.
        label_map: path of the portrait's label map, of its size; without one the parser makes it.
        parser: one of ``parsing.list_parsers()``.
        faces: which faces of a group photo: ``"all"``, or one by its number, 0 being the largest.
        classes: mask classes to hide, by name or letter.
        painted: strokes, ``(h, w)`` bool, of any size; they are stretched over the portrait.
        seed: of all random draws.
        dilate: how far the masks of classes are dilated; see ``SemanticMasker``.
        blend: how the border of the hole is treated; ``None`` leaves it to ``Inpainter``.
        match: ``"tone"`` takes over the colours and the grain around the hole.

    Example:
        >>> InpaintingRequest(portrait="face.png", models=("lite",), classes=("hair",)).parser
        'small'
    """

    portrait: str | Path
    models: tuple[str, ...] = ()
    label_map: str | Path | None = None
    parser: str = "small"
    faces: FaceChoice = "all"
    classes: tuple[str, ...] = ()
    painted: NDArray[np.bool_] | None = None
    seed: int = 0
    dilate: float = DILATE
    blend: Blend | None = None
    match: Match | None = None


@dataclass(frozen=True)
class Preview:
    """A portrait with what is to be hidden, before anything is inpainted.

    Attributes:
        image: the portrait in RGB, at most so large as asked for, its hole tinted; the faces of a
            group are framed and numbered.
        faces: how many faces there are to choose from; 0 where the parser does not say.
        note: what was not found, in words; empty if everything was.

    Example:
        >>> from PIL import Image
        >>> from facemask_inpaint.app import Preview
        >>> Preview(Image.new("RGB", (512, 512)), faces=1, note="").faces
        1
    """

    image: Image.Image
    faces: int
    note: str


@dataclass(frozen=True)
class InpaintingResult:
    """The result of a request.

    Attributes:
        portrait: the original image, upright.
        composites: the inpainted images by model, in the order of the request.
        absent: names of the requested mask classes that the portrait does not have.
        hole_share: share of the image that was hole, in [0, 1].
        faces: which faces were found and filled, in words; empty where none was looked for.

    Example:
        >>> image = Image.new("RGB", (4, 4))
        >>> print(InpaintingResult(image, {"lite": image}, ("hat",), 0.25, "").report())
        25.0% of the image inpainted with lite; not in this portrait: hat
    """

    portrait: Image.Image
    composites: Mapping[str, Image.Image]
    absent: tuple[str, ...]
    hole_share: float
    faces: str

    @property
    def comparison(self) -> list[tuple[str, Image.Image]]:
        """Title and image of each side of the slider: two composites, or before and after."""
        return [("original", self.portrait), *self.composites.items()][-2:]

    def report(self) -> str:
        """Return one line for people: how much was inpainted, and what was not found."""
        models = " and ".join(self.composites)
        done = f"{self.hole_share:.1%} of the image inpainted with {models}"
        return "; ".join(filter(None, (done, self.faces, _not_found(self.absent))))


class Studio:
    """Inpaints portraits on request; networks and parsers stay loaded between requests.

    Args:
        device: where networks and parsers run; ``None`` means CUDA when there, else CPU.
        folders: folders of the models that requests call by a short name.

    Example:
        >>> import tempfile, pathlib
        >>> from facemask_inpaint import data
        >>> portrait = pathlib.Path(tempfile.mkdtemp(), "face.png")
        >>> data.sample(256).image.save(portrait)
        >>> request = InpaintingRequest(portrait=portrait, models=("lite",), classes=("nose",))
        >>> print(Studio(device="cpu").inpaint(request).report())
        1.5% of the image inpainted with lite; 1 face, filled
    """

    def __init__(self, device: str | None = None, folders: Mapping[str, str] | None = None) -> None:
        self._device = device
        self._folders = dict(folders or {})
        self._inpainter = functools.lru_cache(maxsize=MOST_MODELS)(self._load)
        self._parser = functools.lru_cache(maxsize=2)(self._load_parser)
        self._parsed = functools.lru_cache(maxsize=4)(self._parse)
        self._found = functools.lru_cache(maxsize=4)(self._find_faces)

    def preview(self, request: InpaintingRequest, size: int) -> Preview:
        """Return the portrait with what is to be hidden tinted.

        Args:
            request: without models, strokes apart: those are on the page already.
            size: longer side in pixels that the image has at most.

        Raises:
            ImageError: the portrait cannot be read.
            LabelMapError: the label map is invalid, or of another size than the portrait.
            OptionError: an option makes no sense.
            UnknownNameError: no class or parser has this name.
        """
        portrait = read_portrait(request.portrait)
        shown = images.to_rgb(portrait)
        shown.thumbnail((size, size))
        try:
            hole, absent = self._hole(replace(request, painted=None), portrait)
            faces = self._faces(request)
        except ImageError as error:  # no face is in it; strokes can still say what to hide
            return Preview(shown, 0, str(error))
        small_hole = images.resample_hole(torch.from_numpy(hole), (shown.height, shown.width))
        tinted = contact_sheets.tint_hole(shown, small_hole.numpy())
        if len(faces) > 1:
            _number_faces(tinted, faces, tinted.width / portrait.width)
        return Preview(tinted, len(faces), _not_found(absent))

    def inpaint(self, request: InpaintingRequest) -> InpaintingResult:
        """Hide what is asked for, and inpaint it with every model.

        Raises:
            ImageError: the portrait cannot be read, or no face is in it.
            LabelMapError: the label map is invalid, or of another size than the portrait.
            MaskError: there is nothing to inpaint.
            OptionError: there are no models, or too many; or an option makes no sense.
            UnknownNameError: no model, class or parser has this name.
            WeightsNotFoundError: weights cannot be fetched.
        """
        names = list(dict.fromkeys(request.models))
        if not 1 <= len(names) <= MOST_MODELS:
            raise OptionError(f"choose one model, or {MOST_MODELS} to compare, not {len(names)}")
        portrait = read_portrait(request.portrait)
        hole, absent = self._hole(request, portrait)
        if not hole.any():
            why = f" ({_not_found(absent)})" if absent else ""
            raise MaskError(f"there is nothing to inpaint{why}; tick another component, or paint")
        label_map = self._framing_labels(request)
        results = {
            name: self._model(name).inpaint(
                portrait,
                hole,
                label_map=label_map,
                seed=request.seed,
                blend=request.blend,
                match=request.match,
            )
            for name in names
        }
        composites = {name: cast(Image.Image, each.images) for name, each in results.items()}
        summaries = [str(each) for each in results.values() if each.faces]
        return InpaintingResult(
            portrait, composites, absent, float(hole.mean()), "".join(summaries[:1])
        )

    def _model(self, name: str) -> Inpainter:
        """A model, loaded again if its files have changed."""
        source = self._folders.get(name, name)
        return self._inpainter(source, pretrained.weights_stamp(source))

    def _load(self, source: str, stamp: str) -> Inpainter:
        return Inpainter.from_pretrained(source, device=self._device)

    def _load_parser(self, name: str, faces: FaceChoice) -> FaceParser:
        return parsing.load_parser(name, face=faces, device=self._device)

    def _hole(
        self, request: InpaintingRequest, portrait: Image.Image
    ) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """The hole ``(H, W)`` bool of mask classes and strokes, and the classes not found."""
        hole = np.zeros(portrait.size[::-1], dtype=bool)
        absent = []
        if request.painted is not None:
            strokes = Image.fromarray(request.painted).resize(
                portrait.size, Image.Resampling.NEAREST
            )
            hole |= np.asarray(strokes)
        if request.classes:
            masker = SemanticMasker(request.dilate, missing="empty")
            label_map = self._label_map(request)
            for name in masker.select(request.classes):
                own_hole = np.asarray(masker(label_map, name)).astype(bool)
                _require_size(own_hole, portrait)
                if not own_hole.any():
                    absent.append(name)
                hole |= own_hole
        return hole, tuple(absent)

    def _label_map(self, request: InpaintingRequest) -> LabelMapLike:
        if request.label_map is not None:
            return request.label_map
        path = Path(request.portrait)
        return self._parsed(path, stamp_of([path]), request.parser, request.faces)

    def _framing_labels(self, request: InpaintingRequest) -> LabelMapLike | None:
        """The label map that says where faces are; ``None`` in a photo without one."""
        try:
            return self._label_map(request)
        except ImageError:
            return None

    def _faces(self, request: InpaintingRequest) -> list[Crop]:
        """The faces to choose from, the largest first."""
        if request.label_map is not None:
            return []
        path = Path(request.portrait)
        return self._found(path, stamp_of([path]), request.parser)

    def _parse(self, path: Path, stamp: str, parser: str, faces: FaceChoice) -> LabelIds:
        portrait = read_portrait(path)
        try:
            return self._parser(parser, faces)(portrait)
        except ImageError as error:
            raise ImageError(
                "no face was found in this photo; untick all components and paint over what to hide"
            ) from error

    def _find_faces(self, path: Path, stamp: str, parser: str) -> list[Crop]:
        finder = self._parser(parser, "all")
        return finder.find_faces(read_portrait(path)) if isinstance(finder, PhotoParser) else []


def read_portrait(path: str | Path) -> Image.Image:
    """Read an image upright; as RGB if it is of a mode that browsers do not show.

    Raises:
        ImageError: the file cannot be read as an image.
    """
    portrait = images.read_image(path)
    return portrait if portrait.mode in _KEPT_MODES else images.to_rgb(portrait)


def without_folders(text: str) -> str:
    """Return a message without the folders of this machine; the names of files stay."""
    for folder in {tempfile.gettempdir(), str(Path.home()), str(Path.cwd())} - {"/"}:
        text = re.sub(re.escape(folder) + r"(?=[/\\])", "", text)
    return _FOLDERS.sub("", text)


def painted_area(layers: list[Image.Image]) -> NDArray[np.bool_] | None:
    """Return what strokes on transparent layers cover, ``(H, W)`` bool; None without strokes."""
    covered = [np.asarray(layer.convert("RGBA"))[..., 3] >= _PAINTED for layer in layers]
    return np.logical_or.reduce(covered) if any(layer.any() for layer in covered) else None


def model_choices(first: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """List caption and name of every model that can be used or downloaded from here.

    Args:
        first: names that lead the list: of the registry, folders or hub repositories. After them
            come the models that need no download.

    Example:
        >>> model_choices()[0]
        ('harmonic', 'harmonic')
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


def _not_found(absent: tuple[str, ...]) -> str:
    return f"not in this portrait: {', '.join(absent)}" if absent else ""


def _number_faces(image: Image.Image, faces: list[Crop], scale: float) -> None:
    """Draw a frame around each face of a group, with its number from 1; crops are of a photo."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(14, image.width // 30))
    for number, crop in enumerate(faces, start=1):
        corners = [crop.to_photo(x, y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        frame = [(x * scale, y * scale) for x, y in corners]
        draw.polygon(frame, outline="white", width=2)
        draw.text(frame[0], f" {number}", "white", font, stroke_width=2, stroke_fill="black")


def _require_size(hole: NDArray[np.bool_], portrait: Image.Image) -> None:
    if hole.shape != portrait.size[::-1]:
        raise LabelMapError(
            f"the label map is {hole.shape[1]} x {hole.shape[0]} pixels, its portrait "
            f"{portrait.width} x {portrait.height} (width x height); make it of the portrait's "
            "size, or remove it and let a parser make one"
        )
