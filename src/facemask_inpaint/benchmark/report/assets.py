"""The images inside the page: small copies as data, up to a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, features

from facemask_inpaint.benchmark.report.selection import Case, Row, cross_section, extremes
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import CaseRecord
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images import read_image, to_rgb

HOLE_COLOUR = (244, 63, 125)
"""Of holes on the page: no skin has it."""

PREDICTION = "prediction/"
"""How names of predictions begin."""

_HOLE = "hole/"
_QUALITY = 84
_FORMAT = "WEBP" if features.check("webp") else "JPEG"
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Selection:
    """How many images the page holds.

    Attributes:
        rows: portraits per class and resolution in the grids, each with all predictions.
        extremes: worst and best predictions per method, class, resolution and metric.
        image_size: images are shrunk to at most this many pixels.
        megabytes: the images together stay below this; what does not fit is left out, the
            grids last, and the page says so.

    Raises:
        OptionError: a number is negative or, for ``image_size``, below 32.
    """

    rows: int = 4
    extremes: int = 1
    image_size: int = 256
    megabytes: float = 12.0

    def __post_init__(self) -> None:
        if min(self.rows, self.extremes, self.megabytes) < 0 or self.image_size < 32:
            raise OptionError(
                f"{self}: rows, extremes and megabytes cannot be negative, image_size not below 32"
            )


@dataclass
class Album:
    """Images by name as data URIs, and where the page shows them.

    Attributes:
        limit: size in bytes that the data URIs together do not pass.
        resolution: longest resolution of the copies in pixels.
        images: name to data URI.
        rows: rows of the grids for which there was room.
        cases: extreme predictions for which there was room.
        left_out_rows: rows that did not fit.
        left_out_cases: cases that did not fit.
        size: bytes of all data URIs.
    """

    limit: float
    resolution: int
    images: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    left_out_rows: int = 0
    left_out_cases: int = 0
    size: int = 0

    @classmethod
    def of(cls, run: Run, selection: Selection, lower_is_better: dict[str, bool]) -> Album:
        """Choose images of a run and copy what fits.

        Args:
            run: the run.
            selection: how many, and how large.
            lower_is_better: measures to rank by, the most telling first.
        """
        album = cls(selection.megabytes * _MEGABYTE, selection.image_size)
        places = [
            (resolution, entry.name) for resolution in run.resolutions for entry in run.classes
        ]
        methods = [entry.name for entry in run.methods]
        for row in cross_section(run.cases, run.keys, places, selection.rows):
            if album._add(run, row.resolution, row.mask_class, row.key, methods):
                album.rows.append(row)
            else:
                album.left_out_rows += 1
        for case in extremes(run.cases, places, methods, lower_is_better, selection.extremes):
            record = case.record
            place = (record.resolution, record.mask_class, record.key)
            if album._add(run, *place, [record.method]):
                album.cases.append(case)
            else:
                album.left_out_cases += 1
        return album

    def _add(
        self, run: Run, resolution: int, mask_class: str, key: str, methods: Iterable[str]
    ) -> bool:
        """Copy a portrait, its hole and predictions, all or none; whether there was room."""
        wanted = {
            original_name(resolution, key): run.original(resolution, key),
            hole_name(resolution, mask_class, key): run.mask(resolution, mask_class, key),
        }
        for method in methods:
            name = prediction_name(resolution, method, mask_class, key)
            wanted[name] = run.prediction(resolution, method, mask_class, key)
        fresh = {
            name: self._copy(name, path) for name, path in wanted.items() if name not in self.images
        }
        weight = sum(len(uri) + len(name) for name, uri in fresh.items() if uri)
        if self.size + weight > self.limit:
            return False
        self.images |= {name: uri for name, uri in fresh.items() if uri}
        self.size += weight
        return True

    def _copy(self, name: str, path: Path) -> str:
        """Data URI of a file; empty where it is missing or damaged, as after a failure."""
        try:
            image = read_image(path)
        except ImageError:
            return ""
        is_hole = name.startswith(_HOLE)
        return _hole_uri(image, self.resolution) if is_hole else _image_uri(image, self.resolution)


def original_name(resolution: int, key: str) -> str:
    """Name of a portrait in the album."""
    return f"original/{resolution}/{key}"


def hole_name(resolution: int, mask_class: str, key: str) -> str:
    """Name of a hole: its colour where the hole is, transparent elsewhere."""
    return f"{_HOLE}{resolution}/{mask_class}/{key}"


def prediction_name(resolution: int, method: str, mask_class: str, key: str) -> str:
    """Name of a method's prediction."""
    return f"{PREDICTION}{resolution}/{method}/{mask_class}/{key}"


def prediction_of(record: CaseRecord) -> str:
    """Name of the prediction that a record measures."""
    return prediction_name(record.resolution, record.method, record.mask_class, record.key)


def _image_uri(image: Image.Image, resolution: int) -> str:
    small = to_rgb(image)
    small.thumbnail((resolution, resolution), Image.Resampling.LANCZOS)
    return _uri(small, _FORMAT, quality=_QUALITY)


def _hole_uri(mask: Image.Image, resolution: int) -> str:
    small = mask.convert("L")
    small.thumbnail((resolution, resolution), Image.Resampling.BOX)
    flat = Image.new("P", small.size)
    flat.putpalette((0, 0, 0, *HOLE_COLOUR))
    flat.paste(1, mask=small.point(lambda value: 255 if value > 127 else 0))
    return _uri(flat, "PNG", transparency=0, bits=1, optimize=True)


def _uri(image: Image.Image, kind: str, **options: int | bool) -> str:
    content = io.BytesIO()
    image.save(content, kind, **options)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"
