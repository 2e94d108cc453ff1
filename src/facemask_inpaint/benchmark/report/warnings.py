"""Warnings of all scores, told once each with where they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from facemask_inpaint.benchmark.measures import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import DASH, counted, spoken
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Score

_NAMED = 3
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass
class Notice:
    """One warning and the scores that carry it.

    Attributes:
        texts: its wordings, which differ in their numbers.
        scores: the scores concerned.
    """

    texts: dict[str, None] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)


def gathered(scores: Iterable[Score]) -> list[Notice]:
    """Warnings that differ only in their numbers, each once, in the order of the scores."""
    found: dict[str, Notice] = {}
    for score in scores:
        for text in score.warnings:
            notice = found.setdefault(_NUMBER.sub("#", text), Notice())
            notice.texts[text] = None
            notice.scores.append(score)
    return list(found.values())


def notices(run: Run) -> Html | None:
    """What a reader of the scores has to know; ``None`` when there is nothing."""
    lines = [_line(run, notice) for notice in gathered(run.scores)]
    for resolution, compared in run.comparison.items():
        for text in compared.get("warnings", ()):
            where = element("b", f"Differences at {resolution} px")
            lines.append(element("li", where, element("span", text)))
    if not lines:
        return None
    return element(
        "section",
        element("h2", "Read with care"),
        element("ul", lines),
        id="care",
        class_="care",
        aria_label="Warnings",
    )


def _line(run: Run, notice: Notice) -> Html:
    where = element("b", _scope(run, notice.scores))
    return element("li", where, element("span", spanning(notice.texts)))


def spanning(texts: Iterable[str]) -> str:
    """One text for several that differ only in their numbers: these become ranges."""
    texts = list(texts)
    columns = zip(*(_NUMBER.findall(text) for text in texts))
    ranges: Iterator[str] = map(_range, columns)
    return _NUMBER.sub(lambda _: next(ranges), texts[0])


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(set(numbers), key=lambda number: float(number.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}{DASH}{ordered[-1]}"


def _scope(run: Run, scores: Iterable[Score]) -> str:
    scores = list(scores)
    metrics = in_table_order(one.metric for one in scores)
    classes = [one.name for one in run.classes if any(s.mask_class == one.name for s in scores)]
    methods = [one.name for one in run.methods if any(s.method == one.name for s in scores)]
    parts = [", ".join(metric_row(name).label for name in metrics)]
    if len(methods) < len(run.methods):
        parts.append(", ".join(methods))
    if len(classes) < len(run.classes):
        few = len(classes) <= _NAMED
        named = ", ".join(map(spoken, classes)) if few else counted(len(classes), "class")
        parts.append(named)
    return " · ".join(parts)
