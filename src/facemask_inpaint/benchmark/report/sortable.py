"""Tables of the page: they scroll sideways by themselves and sort by their heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facemask_inpaint.benchmark.report.markup import Child, Html, element


@dataclass(frozen=True)
class Head:
    """The head of a column.

    Attributes:
        content: what stands in it.
        sortable: whether a press on it sorts the rows by their cells' ``data-value``.
        numeric: whether cells hold numbers: they align right.
        method: the method whose column this is, so that it goes away with it.
        spoken: what a screen reader says in place of ``content``.
    """

    content: Child
    sortable: bool = False
    numeric: bool = False
    method: str | None = None
    spoken: str | None = None


def table(
    heads: Sequence[Head], rows: Sequence[Html], *, caption: str, shown: bool = False
) -> Html:
    """A table in a box that scrolls when the page is narrow.

    Args:
        heads: one per column.
        rows: ``tr`` elements with as many cells.
        caption: what the table holds; read out, and visible where ``shown``.
    """
    box = element(
        "div",
        element(
            "table",
            element("caption", caption, class_="unseen"),
            element("thead", element("tr", [_head(head) for head in heads])),
            element("tbody", rows),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )
    if not shown:
        return box
    return Html(element("p", caption, class_="about", aria_hidden="true") + box)


def _head(head: Head) -> Html:
    return element(
        "th",
        element("button", head.content, type="button") if head.sortable else head.content,
        scope="col",
        class_="number" if head.numeric else None,
        aria_sort="none" if head.sortable else None,
        aria_label=head.spoken,
        data_method=head.method,
    )
