"""Scores of a run as grids of methods and classes, and what has to be said about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from facemask_inpaint.benchmark.metrics import in_table_order
from facemask_inpaint.benchmark.report.text_tables import MISSING
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, Score
from facemask_inpaint.benchmark.store.settings import extractor_of, protocol_label
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.features.sets import stand_in_warnings
from facemask_inpaint.metrics.metric import Metric

MARKED = 3
"""Ranks that are marked, and counted in the ranking."""

TOP_THREE_FROM = 5
"""So many methods there must be for "among the best three" to say anything."""

Grid = Mapping[tuple[str, str], Score]
"""Scores of one metric at one resolution by method and class."""


def ranks(values: Mapping[str, float], metric: Metric) -> dict[str, int]:
    """Return the rank of every method, 1 for the best; equal values share one.

    The result is empty if all values are equal, and for diagnostics, which only say where to look.
    """
    if len(set(values.values())) < 2 or not metric.ranks:
        return {}
    keys = {name: metric.rank_key(value) for name, value in values.items()}
    return {name: 1 + sum(other < key for other in keys.values()) for name, key in keys.items()}


def score_grids(run: Run, resolution: int) -> dict[str, Grid]:
    """Return the scores by metric, in the order of the tables."""
    grids: dict[str, dict[tuple[str, str], Score]] = defaultdict(dict)
    for score in run.scores:
        if score.resolution == resolution:
            grids[score.metric][score.method, score.mask_class] = score
    return {name: grids[name] for name in in_table_order(grids)}


def no_scores(runs: Sequence[Run], metric: str, resolution: int) -> OptionError:
    """Return the error of asking for scores that no run has; it names those that there are.

    Args:
        runs: that were asked.
        metric: name of the scores.
        resolution: height and width in pixels.
    """
    scores = [score for run in runs for score in run.scores]
    here = in_table_order(score.metric for score in scores if score.resolution == resolution)
    sizes = sorted({score.resolution for score in scores})
    known = ", ".join(here) or f"scores at {', '.join(map(str, sizes)) or 'no resolution at all'}"
    return OptionError(f"there are no scores {metric!r} at {resolution} pixels; there are {known}")


def column_values(run: Run, grid: Grid, entry: ClassEntry) -> dict[str, float]:
    """Return the values of one class by method."""
    return {
        method.name: grid[method.name, entry.name].value
        for method in run.methods
        if (method.name, entry.name) in grid
    }


def qualified(run: Run, metric: str, caption: str) -> str:
    """Return the caption, naming features that compare with nothing published."""
    notes = stand_in_warnings(extractor_of(metric, run.settings["extractors"]))
    return caption + "".join(f" ({note})" for note in notes)


def heading(entry: ClassEntry) -> str:
    """Return a class with its letter: ``"G hair"``."""
    return f"{entry.letter} {entry.name}".strip().replace("_", " ")


def letter_note(run: Run) -> Iterator[str]:
    """Yield which letters the study does not pin, if any is shown."""
    letters = [
        entry.letter for entry in run.classes if entry.letter and not entry.letter_from_study
    ]
    if letters:
        yield f"The letters {', '.join(letters)} are this library's; the study pins C, G and I only"


def warning_notes(grid: Grid, most_named: int | None = None) -> Iterator[str]:
    """Yield every warning once, with the classes it is about.

    Args:
        grid: the scores.
        most_named: more classes than these are counted, not named.
    """
    concerned: dict[str, dict[str, None]] = defaultdict(dict)
    for (_, mask_class), score in grid.items():
        for text in score.warnings:
            concerned[text][mask_class] = None
    for text, names in concerned.items():
        everywhere = len(names) == len({mask_class for _, mask_class in grid})
        few = most_named is None or len(names) <= most_named
        scope = ", ".join(names) if few else f"{len(names)} classes"
        yield f"Warning{'' if everywhere else f' ({scope})'}: {text}"


def protocol_notes(run: Run) -> Iterator[str]:
    """Yield the protocol of a run, and where the run does not follow it."""
    if run.protocol:
        yield f"Protocol: {protocol_label(run.protocol)}"
        for text in run.protocol["deviations"]:
            yield f"Not as the protocol says: {text}"


def span(counts: set[int]) -> str:
    """Return numbers of images as one text: ``"80"`` or ``"60 to 80"``."""
    if not counts:
        return MISSING
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"
