"""Tables of metrics, diagnostics and face networks, written from the records themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.metrics import (
    FACE_NETWORKS,
    METRICS,
    FaceNetworkCard,
    FeatureMetric,
    ImageMetric,
)


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


def face_network_list() -> str:
    """Return the cards of face recognisers and landmark finders as a list of definitions."""
    return "\n".join(_face_network(card) for card in FACE_NETWORKS.values())


def _face_network(card: FaceNetworkCard) -> str:
    facts = [f"**Licence**: {card.licence}."]
    if card.distance:
        facts.append(
            f"**Same person**: {card.distance} distance below {card.threshold} "
            f"({card.threshold_source})."
        )
    facts += [f"**Input**: {card.framing}.", f"**Trained on** {card.data}.", card.note]
    return f"`{card.name}` ({card.task})\n: {' '.join(facts)}\n"


def write_tables(app: Sphinx) -> None:
    """Write the parts that ``metrics.md``, ``benchmark.md`` and ``identity.md`` include."""
    parts = {
        "metrics": metric_table(METRICS.values()),
        "diagnostics": metric_table(DIAGNOSTICS.values()),
        "face_networks": face_network_list(),
    }
    for stem, text in parts.items():
        with atomic_path(Path(app.srcdir, "_generated", f"{stem}.md")) as temporary:
            temporary.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
