"""Contact sheets: labelled grids of pictures that a person looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import to_rgb

_BACKGROUND = (250, 250, 250)
_INK = (40, 40, 40)
_HOLE = (230, 60, 140)


@dataclass(frozen=True)
class SheetEntry:
    """One entry of a sheet: a caption and the pictures under it, side by side."""

    caption: str
    pictures: tuple[Image.Image, ...]


def paint_hole(picture: Image.Image, hole: np.ndarray) -> Image.Image:
    """Copy of ``picture`` as RGB with the ``hole`` ``(H, W)`` bool covered in one plain colour."""
    pixels = np.array(to_rgb(picture))
    pixels[hole] = _HOLE
    return Image.fromarray(pixels)


def contact_sheet(
    cells: Sequence[SheetEntry],
    *,
    columns: int = 3,
    side: int = 160,
    title: str = "",
    note: str = "",
) -> Image.Image:
    """Lay captioned cells out in rows.

    Args:
        cells: entries in reading order; at least one.
        columns: cells per row.
        side: longer side in pixels of each picture on the sheet.
        title: a line above the grid.
        note: a line below it.

    Returns:
        One RGB picture.

    Raises:
        ImageError: there is nothing to lay out.
    """
    if not cells:
        raise ImageError("a contact sheet needs at least one picture")
    gap, line = side // 10, max(14, side // 9)
    across = max(len(cell.pictures) for cell in cells)
    cell_width = across * side + gap
    cell_height = side + line + gap
    rows = -(-len(cells) // columns)
    top = gap + (2 * line if title else 0)
    bottom = 2 * line if note else 0
    size = (gap + columns * cell_width, top + rows * cell_height + bottom)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, gap), title, fill=_INK, font=ImageFont.load_default(line))
    if note:
        draw.text((gap, size[1] - 2 * line), note, fill=_INK, font=ImageFont.load_default(line))
    for index, cell in enumerate(cells):
        x = gap + index % columns * cell_width
        y = top + index // columns * cell_height
        draw.text((x, y), cell.caption, fill=_INK, font=ImageFont.load_default(line - 3))
        for number, picture in enumerate(cell.pictures):
            sheet.paste(_thumbnail(picture, side), (x + number * side, y + line))
    return sheet


def _thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """RGB copy whose longer side is ``side``."""
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return to_rgb(picture).resize((width, height), Image.Resampling.LANCZOS)
