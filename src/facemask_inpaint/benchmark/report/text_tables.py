"""Tables for people: one content, as Markdown and CSV; :mod:`.latex` sets it in LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MISSING = "\N{EN DASH}"
_MARKDOWN = {1: "**{}**", 2: "{} ²", 3: "{} ³"}


class Cell(NamedTuple):
    """One entry: its text, and 1, 2 or 3 where it is the best, second or third of its column."""

    text: str
    rank: int | None = None


@dataclass(frozen=True)
class Table:
    """A table with a caption above and notes below.

    Attributes:
        caption: one line.
        header: names of the columns.
        rows: entries, as many as columns in each.
        notes: lines below.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Best in bold, second and third with ² and ³; columns line up in plain text too."""
        lines = [[_bar_escaped(text) for text in self.header]]
        lines += [[_marked(cell, _MARKDOWN, _bar_escaped) for cell in row] for row in self.rows]
        widths = [max(3, *map(len, column)) for column in zip(*lines)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        body = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |"
            for line in (lines[0], rule, *lines[1:])
        ]
        notes = [f"- {note}" for note in self.notes]
        return (
            "\n".join([f"### {self.caption}", "", *body, *([""] if notes else []), *notes]) + "\n"
        )


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values below a line of column names; ``None`` is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def decimals(values: Iterable[float], digits: int = 4) -> int:
    """Return how many digits behind the point show so many significant ones of the largest value.

    Args:
        values: of one column.
        digits: significant ones.
    """
    largest = max((abs(value) for value in values), default=0.0)
    if not largest:
        return 1
    return min(8, max(0, digits - 1 - math.floor(math.log10(largest))))


def _marked(cell: Cell, marks: dict[int, str], escape: Callable[[str], str]) -> str:
    text = escape(cell.text)
    return marks[cell.rank].format(text) if cell.rank in marks else text


def _bar_escaped(text: str) -> str:
    return text.replace("|", "\\|")
