"""Warnings of all scores, given once each with where they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import DASH, counted, spoken
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Score

_MOST_NAMED = 3
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


class ScopedWarning(NamedTuple):
    """A warning, and the metrics, methods and classes that it is about."""

    scope: str
    text: str


@dataclass
class SharedWarning:
    """One warning and the scores that carry it.

    Attributes:
        texts: its wordings, which differ in their numbers.
        scores: the scores concerned.
    """

    texts: dict[str, None] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)


def gathered(scores: Iterable[Score]) -> list[SharedWarning]:
    """Return warnings that differ only in their numbers, each once, in the order of the scores."""
    warnings: dict[str, SharedWarning] = {}
    for score in scores:
        for text in score.warnings:
            warning = warnings.setdefault(_NUMBER.sub("#", text), SharedWarning())
            warning.texts[text] = None
            warning.scores.append(score)
    return list(warnings.values())


def scoped_warnings(run: Run) -> list[ScopedWarning]:
    """Return what a reader of the scores has to know."""
    warnings = [
        ScopedWarning(_scope(run, warning.scores), spanning(warning.texts))
        for warning in gathered(run.scores)
    ]
    return warnings + [
        ScopedWarning(f"Differences at {resolution} px", text)
        for resolution, comparison in run.comparison.items()
        for text in comparison.get("warnings", ())
    ]


def spanning(texts: Iterable[str]) -> str:
    """Return one text for several that differ only in their numbers: these become ranges."""
    texts = list(texts)
    columns = zip(*(_NUMBER.findall(text) for text in texts))
    ranges: Iterator[str] = map(_range, columns)
    return _NUMBER.sub(lambda _: next(ranges), texts[0])


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(set(numbers), key=lambda number: float(number.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}{DASH}{ordered[-1]}"


def _scope(run: Run, scores: Iterable[Score]) -> str:
    metrics, methods, classes = (
        {getattr(score, name) for score in scores} for name in ("metric", "method", "mask_class")
    )
    parts = [", ".join(metric_row(name).label for name in in_table_order(metrics))]
    if len(methods) < len(run.methods):
        parts.append(", ".join(entry.name for entry in run.methods if entry.name in methods))
    if len(classes) < len(run.classes):
        names = [spoken(entry.name) for entry in run.classes if entry.name in classes]
        few = len(names) <= _MOST_NAMED
        parts.append(", ".join(names) if few else counted(len(names), "class"))
    return " · ".join(parts)
