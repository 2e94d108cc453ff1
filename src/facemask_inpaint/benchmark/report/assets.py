"""The pictures inside the page: small copies as data, up to a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, features

from facemask_inpaint.benchmark.report.selection import Case, Row, cross_section, extremes
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import PictureRecord
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images import read_image, to_rgb

HOLE_COLOUR = (244, 63, 125)
"""Of holes on the page: no skin has it."""

FILLED = "filled/"
"""How names of fillings begin."""

_HOLE = "hole/"
_QUALITY = 84
_FORMAT = "WEBP" if features.check("webp") else "JPEG"
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Selection:
    """How many pictures the page holds.

    Attributes:
        rows: portraits per class and side in the grids, each with the fillings of all models.
        cases: worst and best fillings per model, class, side and measure.
        side: pictures are shrunk to at most this many pixels.
        megabytes: the pictures together stay below this; what does not fit is left out, the
            grids last, and the page says so.

    Raises:
        OptionError: a number is negative or, for ``side``, below 32.
    """

    rows: int = 4
    cases: int = 1
    side: int = 256
    megabytes: float = 12.0

    def __post_init__(self) -> None:
        if min(self.rows, self.cases, self.megabytes) < 0 or self.side < 32:
            raise OptionError(
                f"{self}: rows, cases and megabytes cannot be negative, side not below 32"
            )


@dataclass
class Album:
    """Pictures by name as data URIs, and where the page shows them.

    Attributes:
        limit: size in bytes that the data URIs together do not pass.
        side: longest side of the copies in pixels.
        pictures: name to data URI.
        rows: rows of the grids for which there was room.
        cases: extreme fillings for which there was room.
        left_out_rows: rows that did not fit.
        left_out_cases: cases that did not fit.
        size: bytes of all data URIs.
    """

    limit: float
    side: int
    pictures: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    left_out_rows: int = 0
    left_out_cases: int = 0
    size: int = 0

    @classmethod
    def of(cls, run: Run, selection: Selection, lower_is_better: dict[str, bool]) -> Album:
        """Choose pictures of a run and copy what fits.

        Args:
            run: the run.
            selection: how many, and how large.
            lower_is_better: measures to rank by, the most telling first.
        """
        album = cls(selection.megabytes * _MEGABYTE, selection.side)
        places = [(side, entry.name) for side in run.sides for entry in run.classes]
        models = [entry.name for entry in run.models]
        for row in cross_section(run.pictures, run.keys, places, selection.rows):
            if album._add(run, row.side, row.mask_class, row.key, models):
                album.rows.append(row)
            else:
                album.left_out_rows += 1
        for case in extremes(run.pictures, places, models, lower_is_better, selection.cases):
            record = case.record
            place = (record.side, record.mask_class, record.key)
            if album._add(run, *place, [record.model]):
                album.cases.append(case)
            else:
                album.left_out_cases += 1
        return album

    def _add(self, run: Run, side: int, mask_class: str, key: str, models: Iterable[str]) -> bool:
        """Copy a portrait, its hole and fillings, all or none; whether there was room."""
        wanted = {
            original_name(side, key): run.original(side, key),
            hole_name(side, mask_class, key): run.mask(side, mask_class, key),
        }
        for model in models:
            name = filled_name(side, model, mask_class, key)
            wanted[name] = run.filled(side, model, mask_class, key)
        fresh = {
            name: self._copy(name, path)
            for name, path in wanted.items()
            if name not in self.pictures
        }
        weight = sum(len(uri) + len(name) for name, uri in fresh.items() if uri)
        if self.size + weight > self.limit:
            return False
        self.pictures |= {name: uri for name, uri in fresh.items() if uri}
        self.size += weight
        return True

    def _copy(self, name: str, path: Path) -> str:
        """Data URI of a file; empty where it is missing or damaged, as after a fault."""
        try:
            picture = read_image(path)
        except ImageError:
            return ""
        is_hole = name.startswith(_HOLE)
        return _hole_uri(picture, self.side) if is_hole else _picture_uri(picture, self.side)


def original_name(side: int, key: str) -> str:
    """Name of a portrait in the album."""
    return f"original/{side}/{key}"


def hole_name(side: int, mask_class: str, key: str) -> str:
    """Name of a hole: its colour where the hole is, transparent elsewhere."""
    return f"{_HOLE}{side}/{mask_class}/{key}"


def filled_name(side: int, model: str, mask_class: str, key: str) -> str:
    """Name of a model's filling."""
    return f"{FILLED}{side}/{model}/{mask_class}/{key}"


def filling_of(record: PictureRecord) -> str:
    """Name of the filling that a record measures."""
    return filled_name(record.side, record.model, record.mask_class, record.key)


def _picture_uri(picture: Image.Image, side: int) -> str:
    small = to_rgb(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _uri(small, _FORMAT, quality=_QUALITY)


def _hole_uri(mask: Image.Image, side: int) -> str:
    small = mask.convert("L")
    small.thumbnail((side, side), Image.Resampling.BOX)
    flat = Image.new("P", small.size)
    flat.putpalette((0, 0, 0, *HOLE_COLOUR))
    flat.paste(1, mask=small.point(lambda value: 255 if value > 127 else 0))
    return _uri(flat, "PNG", transparency=0, bits=1, optimize=True)


def _uri(picture: Image.Image, kind: str, **options: int | bool) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"
