"""Warnings of all scores, given once each with where they hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from facemask_inpaint import models
from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import DASH, counted, spoken
from facemask_inpaint.benchmark.report.missing import missing_lines
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Score
from facemask_inpaint.metrics.features.sets import stand_in_warnings

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
    warnings += [ScopedWarning("No score", text) for text in missing_lines(run)]
    return warnings + [
        ScopedWarning(f"Differences at {resolution} px" + scope, text)
        for resolution, comparison in run.comparison.items()
        for text, scope in _by_text(run, comparison.get("warnings", ())).items()
    ]


def caveats(run: Run) -> Iterator[str]:
    """Yield what stands beside the headline: what would make its numbers mean something else."""
    for identity in run.settings["extractors"].values():
        for text in stand_in_warnings(identity):
            yield f"{text[0].upper()}{text[1:]}."
    known = models.list_pretrained()
    blind = [
        method.name
        for method in run.methods
        if method.source in known and not models.card(method.source).needs_weights
    ]
    if blind:
        yield (
            f"{', '.join(blind)} learns nothing and draws no eye, nose or mouth: where it does "
            "well, the metric does not see what is missing."
        )
    if run.protocol:
        for text in run.protocol["deviations"]:
            yield f"Not as {run.protocol['name']} says: {text}."


def _by_text(run: Run, texts: Iterable[str]) -> dict[str, str]:
    """Return texts about single classes once each, with the classes that they are about."""
    concerned: dict[str, list[str]] = {}
    known = {entry.name for entry in run.classes}
    for text in texts:
        name, colon, rest = text.partition(": ")
        about = [name] if colon and name in known else []
        concerned.setdefault(rest if about else text, []).extend(about)
    return {text: _named(run, names) for text, names in concerned.items()}


def _named(run: Run, classes: Collection[str]) -> str:
    """Return classes as the end of a scope; nothing where it is all or none of them."""
    if len(classes) in (0, len(run.classes)):
        return ""
    names = [spoken(entry.name) for entry in run.classes if entry.name in classes]
    few = len(names) <= _MOST_NAMED
    return " · " + (", ".join(names) if few else counted(len(names), "class"))


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
    return " · ".join(parts) + _named(run, classes)
