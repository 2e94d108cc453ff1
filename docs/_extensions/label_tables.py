"""The tables of label orders, vocabularies and layouts, written from their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sphinx.application import Sphinx

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.data import LAYOUTS
from facemask_inpaint.labels import LABEL_ORDERS, LabelOrder
from facemask_inpaint.masks import MASK_CLASSES, list_vocabularies, open_vocabulary
from facemask_inpaint.masks.availability import unavailable_classes

_LEFT = {"person": "the person's", "viewer": "the viewer's", "unstated": "not stated"}


def label_orders() -> str:
    """Return the table of label orders in Markdown."""
    rows = [
        (f"`{name}`", order.title, _LEFT[order.left], _missing(order), order.licence)
        for name, order in LABEL_ORDERS.items()
    ]
    head = ("name", "whose", "left is", "cannot give", "terms")
    return _table(head, rows)


def label_order_sources() -> str:
    """Return the ids of each order, where they are stated, and notes, as a Markdown list."""
    lines = []
    for name, order in LABEL_ORDERS.items():
        note = f" {order.note}" if order.note else ""
        lines.append(f"- **{name}**: {_ids(order)}. Source: {order.source}.{note}")
    return "\n".join(lines) + "\n"


def vocabularies() -> str:
    """Return the table of vocabularies in Markdown."""
    rows = []
    for name in list_vocabularies():
        words = open_vocabulary(name)
        ignored = ", ".join(map(str, words.ignored)) or "none"
        rows.append(
            (
                f"`{name}`",
                words.title,
                str(len(words.labels)),
                ignored,
                ", ".join(f"{first} / {second}" for first, second in words.mirrored) or "none",
                ", ".join(list(words.classes)[:8]) + (", …" if len(words.classes) > 8 else ""),
                words.licence,
            )
        )
    head = ("name", "whose", "labels", "ignored", "mirrored", "mask classes", "terms")
    return _table(head, rows)


def layouts() -> str:
    """Return the table of layouts in Markdown."""
    rows = [
        (
            layout.title,
            f"`{layout.images}`",
            f"`{layout.label_maps}`",
            ", ".join(layout.splits) if "" not in layout.splits.values() else "none",
            f"`{layout.label_order or layout.vocabulary}`" if _is_known(name) else "must be named",
        )
        for name, layout in LAYOUTS.items()
    ]
    return _table(("data set", "images", "label maps", "splits", "labels"), rows)


def _is_known(name: str) -> bool:
    layout = LAYOUTS[name]
    return bool(layout.label_order) or layout.vocabulary != "faces"


def _ids(order: LabelOrder) -> str:
    ignored = "".join(f"; {label} without a label" for label in order.ignored)
    return ", ".join(f"{label} {name}" for label, name in enumerate(order.labels)) + ignored


def _missing(order: LabelOrder) -> str:
    return ", ".join(unavailable_classes(order, MASK_CLASSES)) or "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_tables(app: Sphinx) -> None:
    """Write the parts that ``data.md`` and ``masks.md`` include."""
    for make in (label_orders, label_order_sources, vocabularies, layouts):
        with atomic_path(Path(app.srcdir, "_generated", f"{make.__name__}.md")) as temporary:
            temporary.write_text(make(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
