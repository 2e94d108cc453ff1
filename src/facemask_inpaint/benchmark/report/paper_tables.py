"""Scores as a paper shows them: a row for each class, a column for each method."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.protocols.comparable import incomparable
from facemask_inpaint.benchmark.protocols.leakage import leaks
from facemask_inpaint.benchmark.report.grids import (
    Grid,
    heading,
    letter_note,
    no_scores,
    protocol_notes,
    qualified,
    ranks,
    span,
    warning_notes,
)
from facemask_inpaint.benchmark.report.latex import (
    SIZES,
    FontSize,
    PaperStyle,
    cell_width,
    escaped,
    float_lines,
    marked,
    note_lines,
    table_width,
    text_width,
)
from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, Score
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.metric import Metric

_MOST_DECIMALS = 3
"""Digits after the point, unless two significant digits of a small value need more."""

_TURNED = 12.0
"""Width of a heading turned by 90 degrees, at 10 points."""


class PaperTable(NamedTuple):
    """A table for a paper.

    Attributes:
        text: LaTeX.
        warnings: why the numbers of several runs do not compare; in the notes of the table too.
    """

    text: str
    warnings: tuple[str, ...]


def paper_table(
    runs: Sequence[Run],
    metric: str,
    resolution: int,
    style: PaperStyle | None = None,
    *,
    methods: Sequence[str] | None = None,
) -> PaperTable:
    """Return the scores of one or several runs as a table that fits its column.

    Font size, turned headings and, where nothing else helps, several blocks of columns are chosen
    by the widths of the texts.

    Example:
        >>> from facemask_inpaint.benchmark import Run
        >>> from facemask_inpaint.benchmark.report import paper_table
        >>> run = Run.open("runs/faces-256")  # doctest: +SKIP
        >>> print(paper_table([run], "fid", 256).text)  # doctest: +SKIP

    Args:
        runs: at least one. Methods of the same name get that of their folder behind it.
        metric: name of the scores, such as ``"fid"``.
        resolution: height and width in pixels.
        style: width and float; default an article's column.
        methods: names of the methods to show, in this order; ``None`` for all.

    Returns:
        The table, and why its numbers do not compare, if so.

    Raises:
        OptionError: there are no such scores.
    """
    style = style or PaperStyle()
    merged = _merged(runs, metric, resolution, methods)
    warnings = tuple(incomparable(runs, metric))
    rows = [_row(merged, entry, style) for entry in merged.classes]
    fit = _fitted(merged.methods, rows, style.width)
    body = [
        line for block in fit.blocks(len(merged.methods)) for line in _block(merged, rows, *block)
    ]
    body = body[:-1]  # no space after the last block
    label = f"{metric.replace('@', '-').replace('_', '-')}-{resolution}"
    notes = list(dict.fromkeys([*warnings, *_notes(runs, merged, style)]))
    lines = float_lines(style, fit.size, _caption(runs, merged), label, [*body, *note_lines(notes)])
    return PaperTable("\n".join(lines) + "\n", warnings)


class _Merged(NamedTuple):
    """Scores of one metric at one resolution, of all runs."""

    metric: Metric
    resolution: int
    classes: tuple[ClassEntry, ...]
    methods: tuple[str, ...]
    grid: Grid


def _merged(
    runs: Sequence[Run], metric: str, resolution: int, methods: Sequence[str] | None
) -> _Merged:
    counts = Counter(method.name for run in runs for method in run.methods)
    grid: dict[tuple[str, str], Score] = {}
    classes: dict[str, ClassEntry] = {}
    names: dict[str, None] = {}
    for run in runs:
        classes |= {entry.name: entry for entry in run.classes}
        for method in run.methods:
            shown = (
                method.name if counts[method.name] == 1 else f"{method.name} ({run.folder.name})"
            )
            mine = {
                (shown, score.mask_class): score
                for score in run.scores
                if (score.method, score.metric, score.resolution)
                == (method.name, metric, resolution)
            }
            grid |= mine
            names |= dict.fromkeys([shown] if mine else [])
    if not names:
        raise no_scores(runs, metric, resolution)
    chosen = tuple(methods or names)
    if missing := [name for name in chosen if name not in names]:
        raise OptionError(f"there are no scores of {missing[0]}: there are {', '.join(names)}")
    present = {mask_class for _, mask_class in grid}
    entries = tuple(entry for entry in classes.values() if entry.name in present)
    return _Merged(metric_row(metric), resolution, entries, chosen, grid)


def _row(merged: _Merged, entry: ClassEntry, style: PaperStyle) -> list[Cell]:
    """Return the cells of a class: its name, n, and a value for each method."""
    scores = {
        method: merged.grid[method, entry.name]
        for method in merged.methods
        if (method, entry.name) in merged.grid
    }
    ranked = ranks({method: score.value for method, score in scores.items()}, merged.metric)
    digits = row_decimals([score.value for score in scores.values()], merged.metric)
    cells = [
        Cell(_value(scores[method], merged.metric, digits, style), ranked.get(method))
        if method in scores
        else Cell(MISSING)
        for method in merged.methods
    ]
    return [Cell(heading(entry)), Cell(span({score.n for score in scores.values()})), *cells]


def row_decimals(values: Sequence[float], metric: Metric) -> int:
    """Return digits after the point: the metric's own, or two to three significant ones.

    Args:
        values: of one row.
        metric: what was measured.
    """
    if metric.decimals is not None:
        return metric.decimals
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 1
    three = min(3 - _digits_before(sizes[-1]), _MOST_DECIMALS)
    return max(three, 2 - _digits_before(sizes[0]), 0)


def _digits_before(value: float) -> int:
    """Return how many digits stand before the point; 0 and below for values under one."""
    return math.floor(math.log10(value)) + 1


def _value(score: Score, metric: Metric, digits: int, style: PaperStyle) -> str:
    factor = 100 if metric.percent else 1
    text = f"{factor * score.value:.{digits}f}"
    if style.intervals and score.low is not None and score.high is not None:
        reach = max(score.high - score.value, score.value - score.low)
        text += f"±{factor * reach:.{digits}f}"
    return text


@dataclass(frozen=True)
class _Fit:
    """How a table fits its column: font size, turned headings, columns of a block."""

    size: FontSize
    turned: bool
    per_block: int

    def blocks(self, count: int) -> Iterator[tuple[range, bool]]:
        """Yield the columns of each block, and whether their headings are turned."""
        number = math.ceil(count / self.per_block)
        for index in range(number):
            yield range(index * count // number, (index + 1) * count // number), self.turned


def _fitted(methods: Sequence[str], rows: Sequence[Sequence[Cell]], width: float) -> _Fit:
    """Return the first way in which a table fits; at the smallest size, blocks get narrower."""
    sides = [max(text_width("class"), *(cell_width(row[0]) for row in rows))]
    sides += [max(text_width("n"), *(cell_width(row[1]) for row in rows))]
    values = [max(cell_width(row[2 + index]) for row in rows) for index in range(len(methods))]
    upright = [max(value, text_width(name)) for value, name in zip(values, methods)]
    turned = [max(value, _TURNED) for value in values]
    ways = [(size, False) for size in SIZES[:3]] + [(size, True) for size in SIZES[1:]]
    low_ways = [(SIZES[2], False), (SIZES[2], True), (SIZES[3], True)]  # blocks share a page
    for blocks in range(1, len(methods) + 1):
        per_block = math.ceil(len(methods) / blocks)
        for size, is_turned in ways if blocks == 1 else low_ways:
            fit = _Fit(size, is_turned, per_block)
            columns = turned if is_turned else upright
            if all(
                table_width([*sides, *(columns[index] for index in block)], size) <= width
                for block, _ in fit.blocks(len(methods))
            ):
                return fit
    return _Fit(SIZES[-1], True, 1)


def _block(
    merged: _Merged, rows: Sequence[Sequence[Cell]], columns: range, turned: bool
) -> list[str]:
    """Return the tabular of some of the methods, and the space below it."""
    names = [escaped(merged.methods[index]) for index in columns]
    if turned:
        names = [rf"\rotatebox{{90}}{{{name}}}" for name in names]
    lines = [rf"\begin{{tabular}}{{@{{}}lr{'r' * len(names)}@{{}}}}", r"\toprule"]
    lines += [" & ".join(["class", "n", *names]) + r" \\", r"\midrule"]
    for row in rows:
        cells = [row[0], row[1], *(row[2 + index] for index in columns)]
        lines.append(" & ".join(map(marked, cells)) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", r"\par\medskip"]


def _caption(runs: Sequence[Run], merged: _Merged) -> str:
    metric, side = merged.metric, merged.resolution
    unit = " (%)" if metric.percent else f" ({metric.unit})" if metric.unit else ""
    data = ", ".join(dict.fromkeys(run.dataset for run in runs))
    return qualified(
        runs[0], metric.name, f"{metric.label}{unit} {metric.arrow} at {side} x {side}, {data}"
    )


def _notes(runs: Sequence[Run], merged: _Merged, style: PaperStyle) -> Iterator[str]:
    description = merged.metric.description
    yield f"{description[0].upper()}{description[1:]}; n: number of images"
    if merged.metric.ranks and len(merged.methods) > 1:
        yield "Best in bold, second underlined, third in italics"
    if style.intervals and any(score.low is not None for score in merged.grid.values()):
        yield "±: the larger distance to the ends of the 95 % interval"
    for run in runs:
        yield from letter_note(run)
        yield from protocol_notes(run)
        seen = [leak for leak in leaks(run) if leak.most and leak.method in merged.methods]
        if seen:
            shown = ", ".join(f"{leak.method} ({leak.text})" for leak in seen)
            yield f"Trained on images of this test: {shown}"
    yield from warning_notes(merged.grid, most_named=3)
