"""The images inside the report: small copies as data URIs, up to a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, features

from facemask_inpaint.benchmark.report.selection import (
    Extreme,
    Row,
    Selection,
    cross_section,
    extremes,
)
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import read_image, to_rgb

HOLE_COLOUR = (244, 63, 125)
"""Of holes in the report: no skin has it."""

_HOLE = "hole/"
_QUALITY = 84
_FORMAT = "WEBP" if features.check("webp") else "JPEG"
_MEGABYTE = 1_000_000


@dataclass
class Assets:
    """Images by name as data URIs, and where the report shows them.

    Attributes:
        limit: size in bytes that the data URIs together do not pass.
        image_size: longest side of the copies in pixels.
        images: name to data URI.
        rows: rows of the grids for which there was room.
        extremes: extreme cases for which there was room.
        left_out_rows: how many rows did not fit.
        left_out_extremes: how many extreme cases did not fit.
        size: bytes of all data URIs.
    """

    limit: float
    image_size: int
    images: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    extremes: list[Extreme] = field(default_factory=list)
    left_out_rows: int = 0
    left_out_extremes: int = 0
    size: int = 0

    @classmethod
    def of(cls, run: Run, selection: Selection, lower_is_better: Mapping[str, bool]) -> Assets:
        """Choose images of a run and copy what fits.

        Args:
            run: the run.
            selection: how many, and how large.
            lower_is_better: metrics to choose extremes by, the most telling first.
        """
        assets = cls(selection.megabytes * _MEGABYTE, selection.image_size)
        groups = [
            (resolution, entry.name) for resolution in run.resolutions for entry in run.classes
        ]
        methods = [entry.name for entry in run.methods]
        for row in cross_section(run.cases, run.keys, groups, selection.rows):
            if assets._add(run, row, methods):
                assets.rows.append(row)
            else:
                assets.left_out_rows += 1
        for extreme in extremes(run.cases, groups, methods, lower_is_better, selection.extremes):
            case = extreme.case
            if assets._add(run, Row(case.resolution, case.mask_class, case.key), [case.method]):
                assets.extremes.append(extreme)
            else:
                assets.left_out_extremes += 1
        return assets

    def _add(self, run: Run, row: Row, methods: Iterable[str]) -> bool:
        """Copy a portrait, its hole and predictions, all or none; return whether there was room."""
        resolution, mask_class, key = row.resolution, row.mask_class, row.key
        wanted = {
            original_name(row): run.original(resolution, key),
            hole_name(row): run.mask(resolution, mask_class, key),
        }
        for method in methods:
            path = run.prediction(resolution, method, mask_class, key)
            wanted[prediction_name(row, method)] = path
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
        """Return the data URI of a file; empty where it is missing or damaged."""
        try:
            image = read_image(path)
        except ImageError:
            return ""
        copy = _hole_uri if name.startswith(_HOLE) else _image_uri
        return copy(image, self.image_size)


def original_name(row: Row) -> str:
    """Return the name of a portrait among the assets."""
    return f"original/{row.resolution}/{row.key}"


def hole_name(row: Row) -> str:
    """Return the name of a hole: its colour where the hole is, transparent elsewhere."""
    return f"{_HOLE}{row.resolution}/{row.mask_class}/{row.key}"


def prediction_name(row: Row, method: str) -> str:
    """Return the name of a method's prediction."""
    return f"prediction/{row.resolution}/{method}/{row.mask_class}/{row.key}"


def _image_uri(image: Image.Image, size: int) -> str:
    small = to_rgb(image)
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    return _uri(small, _FORMAT, quality=_QUALITY)


def _hole_uri(mask: Image.Image, size: int) -> str:
    small = mask.convert("L")
    small.thumbnail((size, size), Image.Resampling.BOX)
    flat = Image.new("P", small.size)
    flat.putpalette((0, 0, 0, *HOLE_COLOUR))
    flat.paste(1, mask=small.point(lambda value: 255 if value > 127 else 0))
    return _uri(flat, "PNG", transparency=0, bits=1, optimize=True)


def _uri(image: Image.Image, file_format: str, **options: int | bool) -> str:
    content = io.BytesIO()
    image.save(content, file_format, **options)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{file_format.lower()};base64,{text}"
