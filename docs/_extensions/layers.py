"""Who may import whom: the table that the suite checks, and the figure drawn from it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from sphinx.application import Sphinx

from facemask_inpaint._internal.files import atomic_path

_WIDTH, _HEIGHT, _GAP = 720, 54, 10


@dataclass(frozen=True)
class Part:
    """One box of the figure.

    Attributes:
        name: what it is called.
        note: what it does, in a few words.
        modules: of the package, those that belong to it.
    """

    name: str
    note: str
    modules: tuple[str, ...]


def _part(note: str, *modules: str) -> Part:
    return Part(", ".join(modules), note, modules)


LAYERS: tuple[tuple[Part, ...], ...] = (
    (_part("the commands", "cli"), _part("types for annotations", "typing")),
    (
        _part("tables and the report", "benchmark"),
        _part("recipes and the loop", "training"),
        _part("the local page", "app"),
        _part("checks of weights", "verification"),
    ),
    (_part("any image in, the same kind out", "inpainting"),),
    (_part("networks as ONNX graphs, and back", "export"),),
    (
        _part("networks, cards", "models"),
        _part("labelled portraits", "data"),
        _part("FID, P-IDS, U-IDS, …", "metrics"),
    ),
    (_part("label map or photo → hole", "masks"),),
    (_part("photo → label map", "parsing"),),
    (_part("published files → tensors", "checkpoints"),),
    (_part("PIL, NumPy, torch → one form, and back", "images"),),
    (_part("files, locks, threads, processes, progress bars", "_internal"),),
    (
        _part("what goes wrong", "errors"),
        _part("the nineteen labels", "labels"),
    ),
)
"""Rows from top to bottom. A part imports itself and rows below it, nothing beside or above."""


def figure() -> str:
    """The layers as SVG, in the colours of the page that shows it."""
    height = len(LAYERS) * (_HEIGHT + _GAP) - _GAP
    boxes = [box for row, parts in enumerate(LAYERS) for box in _row(row, parts)]
    return "\n".join(
        [
            f'<svg class="layers" viewBox="0 0 {_WIDTH} {height}" role="img"',
            '  aria-label="Layers of the library; each imports only from those below it">',
            *boxes,
            "</svg>",
        ]
    )


def _row(row: int, parts: tuple[Part, ...]) -> list[str]:
    width = (_WIDTH - _GAP * (len(parts) - 1)) / len(parts)
    top = row * (_HEIGHT + _GAP)
    return [_box(part, column * (width + _GAP), top, width) for column, part in enumerate(parts)]


def _box(part: Part, left: float, top: float, width: float) -> str:
    middle = left + width / 2
    return (
        f'<g><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{middle:.1f}" y="{top + 23}">{escape(part.name)}</text>'
        f'<text x="{middle:.1f}" y="{top + 42}">{escape(part.note)}</text></g>'
    )


def write_figure(app: Sphinx) -> None:
    """Write the figure that ``architecture.md`` shows."""
    with atomic_path(Path(app.srcdir, "_generated", "layers.svg")) as temporary:
        temporary.write_text(figure(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw before the pages are read."""
    app.connect("builder-inited", write_figure)
    return {"parallel_read_safe": True}
