"""Figures of the guides, drawn by the library itself whenever the documentation is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sphinx.application import Sphinx

from facemask_inpaint import Inpainter, MaskClass, SemanticMasker, data, images
from facemask_inpaint.images.contact_sheets import SheetEntry, contact_sheet, paint_hole
from facemask_inpaint.masks import GENERATORS, LABEL_NAMES

_RESOLUTION = 256
_DETAIL = (180, 215, 330, 365)  # the mouth of the 512-pixel sample
_DRAWS = 3
_FREE = ("harmonic", "lite")  # need no download


def tour() -> Image.Image:
    """Portrait, label map, hole, and the hole filled."""
    sample = data.sample(_RESOLUTION)
    hole = SemanticMasker()(sample.label_map, "mouth_and_nose")
    cells = (
        ("portrait", sample.image),
        ("label map", coloured(sample.label_map)),
        ("hole: mouth_and_nose", paint_hole(sample.image, hole)),
        ("filled by lite", filled("lite", [hole])[0]),
    )
    return contact_sheet([SheetEntry(name, (one,)) for name, one in cells], columns=4, side=320)


def mask_classes() -> Image.Image:
    """The twelve classes on the portrait."""
    sample = data.sample(512)
    masker = SemanticMasker()
    cells = [
        SheetEntry(
            f"{one.letter}  {one}", (paint_hole(sample.image, masker(sample.label_map, one)),)
        )
        for one in MaskClass
    ]
    return contact_sheet(cells, columns=4, side=320)


def random_masks() -> Image.Image:
    """A few draws of every free-form recipe."""
    portrait = data.sample(_RESOLUTION).image
    cells = []
    for name, generator in GENERATORS.items():
        rng = np.random.default_rng(0)
        draws = [paint_hole(portrait, generator(_RESOLUTION, rng)) for _ in range(_DRAWS)]
        cells.append(SheetEntry(name, tuple(draws)))
    return contact_sheet(cells, columns=2, side=240)


def dilation_and_feathering() -> Image.Image:
    """The same lips with more and more dilation, and with softer and softer edges."""
    settings: list[dict[str, float]] = [
        {"dilate": 0},
        {"dilate": 0.01},
        {"dilate": 8},
        {"dilate": 16},
        {"feather": 0},
        {"feather": 4},
        {"feather": 12},
        {"feather": 24},
    ]
    return contact_sheet([_lips(one) for one in settings], columns=4, side=320)


def predictions() -> Image.Image:
    """Every class cut out of the portrait and filled by the methods that need no download."""
    sample = data.sample(_RESOLUTION)
    holes = {one: SemanticMasker()(sample.label_map, one) for one in MaskClass}
    columns = [filled(model, list(holes.values())) for model in _FREE]
    cells = [
        SheetEntry(str(name), (paint_hole(sample.image, hole), *results))
        for (name, hole), *results in zip(holes.items(), *columns)
    ]
    title = ", ".join(("Left to right: the hole", *_FREE))
    return contact_sheet(cells, columns=2, side=240, title=title)


FIGURES: dict[str, Callable[[], Image.Image]] = {
    "tour": tour,
    "mask_classes": mask_classes,
    "random_masks": random_masks,
    "dilation_and_feathering": dilation_and_feathering,
    "predictions": predictions,
}
"""What draws each figure, by the stem of its file."""


def filled(model: str, holes: list[np.ndarray]) -> list[Image.Image]:
    """The portrait with each of the holes filled."""
    inpainter = Inpainter.from_pretrained(model, device="cpu")
    return inpainter([data.sample(_RESOLUTION).image] * len(holes), holes, progress=False)


def coloured(labels: np.ndarray) -> Image.Image:
    """A label map ``(H, W)`` in one colour per label."""
    rng = np.random.default_rng(3)
    colours = rng.integers(60, 256, (len(LABEL_NAMES), 3)).astype(np.uint8)
    colours[0] = 30
    return Image.fromarray(colours[labels])


def _lips(setting: dict[str, float]) -> SheetEntry:
    sample = data.sample(512)
    mask: Any = SemanticMasker(**setting)(sample.label_map, "lips")
    weight = Image.fromarray((255 * mask.astype(np.float32)).round().astype(np.uint8))
    painted = paint_hole(sample.image, np.ones(mask.shape, dtype=bool))
    detail = Image.composite(painted, sample.image, weight).crop(_DETAIL)
    return SheetEntry(", ".join(f"{name}={value}" for name, value in setting.items()), (detail,))


def draw_all(app: Sphinx) -> None:
    """Write all figures into ``_generated``."""
    for stem, draw in FIGURES.items():
        images.save_image(draw(), Path(app.srcdir, "_generated", f"{stem}.jpg"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw before the pages are read."""
    app.connect("builder-inited", draw_all)
    return {"parallel_read_safe": True}
