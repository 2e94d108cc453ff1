"""Scores that were asked for and are missing, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import counted, spoken
from facemask_inpaint.benchmark.report.grids import span
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.metrics import FeatureMetric

_MOST_NAMED = 3

_Group = tuple[str, str]
"""A method and a mask class."""


def missing_scores(run: Run) -> dict[str, list[int]]:
    """Return why scores that were asked for are missing; recorded failures are left out.

    Args:
        run: the run; one that is not finished yet misses nothing.

    Returns:
        Sentences such as ``"FID∞ needs 20 images; eyes has 3"``, each with the resolutions where
        it holds.
    """
    found: dict[str, list[int]] = {}
    for resolution in run.resolutions if run.scores else ():
        for text in _sentences(run, resolution):
            found.setdefault(text, []).append(resolution)
    return found


def missing_lines(run: Run) -> list[str]:
    """Return the sentences of :func:`missing_scores`, with the resolution where it matters."""
    return [
        text if len(at) == len(run.resolutions) else f"{text} (at {', '.join(map(str, at))} pixels)"
        for text, at in missing_scores(run).items()
    ]


def _sentences(run: Run, resolution: int) -> Iterator[str]:
    """Yield one sentence for all metrics that lack their scores for the same reason."""
    counts = Counter(
        (case.method, case.mask_class) for case in run.cases if case.resolution == resolution
    )
    labels: dict[tuple[int | None, str], list[str]] = defaultdict(list)
    asked = in_table_order(run.settings["metrics"])
    scored = _scored(run, resolution, asked)
    for row in map(metric_row, asked):
        least = row.min_samples if isinstance(row, FeatureMetric) else 0
        lacking = [group for group in counts if group not in scored[row.name]]
        few = [group for group in lacking if counts[group] < least]
        undefined = [group for group in lacking if counts[group] >= least]
        if few:
            labels[least, _holders(counts, few)].append(row.label)
        if undefined:
            labels[None, _named(counts, undefined)].append(row.label)
    for (needed, where), names in labels.items():
        shown, several = " and ".join(names), len(names) > 1
        if needed is None:
            yield f"{shown} {'are' if several else 'is'} not defined for {where}"
        else:
            yield f"{shown} {'need' if several else 'needs'} {counted(needed, 'image')}; {where}"


def _scored(run: Run, resolution: int, asked: Collection[str]) -> dict[str, set[_Group]]:
    """Return by metric where there is a score of it, by any extractor, or a failure instead."""
    scored: dict[str, set[_Group]] = {name: set() for name in asked}
    for score in run.scores:
        name = score.metric if score.metric in scored else score.metric.partition("@")[0]
        if score.resolution == resolution and name in scored:
            scored[name].add((score.method, score.mask_class))
    for failure in run.failures:
        if failure.stage == "score" and failure.resolution == resolution:
            for groups in scored.values():
                groups.add((str(failure.method), str(failure.mask_class)))
    return scored


def _holders(counts: Mapping[_Group, int], groups: Collection[_Group]) -> str:
    """Return classes with their numbers of images: ``"eyes has 3, hair has 5"``."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for group in groups:
        numbers[group[1]].add(counts[group])
    if len(numbers) > _MOST_NAMED:
        return f"{counted(len(numbers), 'class')} have {span(set().union(*numbers.values()))}"
    return ", ".join(
        f"{_named(counts, [group for group in groups if group[1] == name])} has {span(each)}"
        for name, each in numbers.items()
    )


def _named(counts: Mapping[_Group, int], groups: Collection[_Group]) -> str:
    """Return classes, with the methods where these are not all that have the class."""
    names = list(dict.fromkeys(name for _, name in groups))
    if len(names) > _MOST_NAMED:
        return counted(len(names), "class")
    return ", ".join(_with_methods(counts, groups, name) for name in names)


def _with_methods(counts: Mapping[_Group, int], groups: Collection[_Group], name: str) -> str:
    mine = [method for method, mask_class in groups if mask_class == name]
    everyone = [method for method, mask_class in counts if mask_class == name]
    return spoken(name) + ("" if len(mine) == len(everyone) else f" ({', '.join(mine)})")
