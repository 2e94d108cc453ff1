"""Contact sheets: grids of captioned images for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import to_rgb

_BACKGROUND = (250, 250, 250)
_INK = (40, 40, 40)
_HOLE = (230, 60, 140)


_TINT = 0.6
"""Opacity of the colour over a hole that is to be seen through."""


@dataclass(frozen=True)
class SheetEntry:
    """One entry of a sheet: a caption and the images under it, side by side."""

    caption: str
    images: tuple[Image.Image, ...]


def paint_hole(image: Image.Image, hole: NDArray[np.bool_]) -> Image.Image:
    """Return a copy of an image as RGB with its hole ``(H, W)`` bool covered in one plain colour.

    Example:
        >>> paint_hole(Image.new("L", (1, 1)), np.array([[True]])).getpixel((0, 0))
        (230, 60, 140)
    """
    pixels = np.array(to_rgb(image))
    pixels[hole] = _HOLE
    return Image.fromarray(pixels)


def tint_hole(image: Image.Image, hole: NDArray[np.bool_]) -> Image.Image:
    """Return a copy of an image as RGB, one colour over its hole that lets the image through.

    Example:
        >>> tint_hole(Image.new("L", (1, 1)), np.array([[True]])).getpixel((0, 0))
        (138, 36, 84)
    """
    return Image.blend(to_rgb(image), paint_hole(image, hole), _TINT)


def contact_sheet(
    entries: Sequence[SheetEntry],
    *,
    columns: int = 3,
    side: int = 160,
    title: str = "",
    note: str = "",
) -> Image.Image:
    """Lay out captioned images in rows.

    Args:
        entries: in reading order; at least one.
        columns: entries per row.
        side: longer side in pixels of each image on the sheet.
        title: a line above the grid.
        note: a line below it.

    Returns:
        One RGB image.

    Raises:
        ImageError: there is nothing to lay out.

    Example:
        >>> sheet = contact_sheet([SheetEntry("black", (Image.new("RGB", (64, 64)),))], columns=1)
    """
    if not entries:
        raise ImageError("a contact sheet needs at least one image")
    gap, line = side // 10, max(14, side // 9)
    across = max(len(entry.images) for entry in entries)
    cell_width = across * side + gap
    cell_height = side + line + gap
    rows = -(-len(entries) // columns)
    top = gap + (2 * line if title else 0)
    bottom = 2 * line if note else 0
    size = (gap + columns * cell_width, top + rows * cell_height + bottom)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, gap), title, fill=_INK, font=ImageFont.load_default(line))
    if note:
        draw.text((gap, size[1] - 2 * line), note, fill=_INK, font=ImageFont.load_default(line))
    for index, entry in enumerate(entries):
        x = gap + index % columns * cell_width
        y = top + index // columns * cell_height
        draw.text((x, y), entry.caption, fill=_INK, font=ImageFont.load_default(line - 3))
        for number, image in enumerate(entry.images):
            sheet.paste(_thumbnail(image, side), (x + number * side, y + line))
    return sheet


def _thumbnail(image: Image.Image, side: int) -> Image.Image:
    """RGB copy whose longer side is ``side``."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return to_rgb(image).resize((width, height), Image.Resampling.LANCZOS)
