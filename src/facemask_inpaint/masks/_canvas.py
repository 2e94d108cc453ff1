"""Drawing of hole masks straight into NumPy memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.morphology import Hole

Point: TypeAlias = tuple[int, int]
"""Column and row of a pixel; may lie outside the canvas."""


class Canvas:
    """A square mask to draw on.

    Args:
        size: side in pixels.

    Attributes:
        size: side in pixels.
        hole: ``(size, size)`` bool, True where something was drawn.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise OptionError(f"size must be positive, not {size!r}")
        self.size = size
        pixels = np.zeros((size, size), dtype=np.uint8)
        image = Image.frombuffer("L", (size, size), pixels, "raw", "L", 0, 1)
        # Pillow copies foreign memory before it draws unless told that it may write there;
        # copying in and out would take longer than all the drawing.
        image.readonly = 0
        self.hole: Hole = pixels.view(bool)
        self._draw = ImageDraw.Draw(image)

    def box(self, left: int, top: int, width: int, height: int) -> None:
        """Mark a box; what sticks out of the canvas is cut off."""
        if width > 0 and height > 0:
            self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=1)

    def stroke(self, path: Sequence[Point], width: int) -> None:
        """Mark a polyline of some width, with a disc of that diameter at every vertex."""
        self._draw.line(path, fill=1, width=width)
        radius = width // 2
        for x, y in path:
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
