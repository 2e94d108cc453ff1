"""The tables of metrics and of diagnostics, written from the records that everything else reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.metrics import METRICS, FeatureMetric, ImageMetric


def metric_table(metrics: Iterable[FeatureMetric | ImageMetric]) -> str:
    """Return a table of metrics in Markdown.

    Args:
        metrics: their records, in the order of the rows.
    """
    rows = [
        (f"`{row.name}`", row.label, row.description, row.better, ", ".join(sorted(row.needs)))
        for row in metrics
    ]
    head = ("name", "label", "what it is", "better", "needs")
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_tables(app: Sphinx) -> None:
    """Write the parts that ``metrics.md`` and ``benchmark.md`` include."""
    for stem, metrics in {"metrics": METRICS, "diagnostics": DIAGNOSTICS}.items():
        with atomic_path(Path(app.srcdir, "_generated", f"{stem}.md")) as temporary:
            temporary.write_text(metric_table(metrics.values()), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
