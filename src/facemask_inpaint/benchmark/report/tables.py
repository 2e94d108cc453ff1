"""A run's tables, laid out as in the study: methods by mask classes, per resolution and metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.protocols.leakage import leaks
from facemask_inpaint.benchmark.report.grids import (
    MARKED,
    TOP_THREE_FROM,
    Grid,
    column_values,
    heading,
    letter_note,
    protocol_notes,
    qualified,
    ranks,
    score_grids,
    span,
    warning_notes,
)
from facemask_inpaint.benchmark.report.latex import PACKAGES, plain_table
from facemask_inpaint.benchmark.report.missing import missing_scores
from facemask_inpaint.benchmark.report.paper_tables import paper_table
from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table, csv_text, decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.metrics.comparison.results import EXCHANGE_TEST, ComparisonDict, p_text


def write_tables(run: Run) -> None:
    """Write all tables of a run as Markdown, CSV and LaTeX.

    Those of measured times are apart: every other file is the same, byte for byte, however often
    the run was interrupted and over how many processes it was spread.
    """
    for stale in run.layout.tables.glob("comparison-*"):
        stale.unlink()
    missing = missing_scores(run)
    for resolution in run.resolutions:
        grids = score_grids(run, resolution)
        tables = [_score_table(run, resolution, name, grid) for name, grid in grids.items()]
        _write(
            run,
            f"scores-{resolution}",
            tables,
            csv_text(_score_columns(run), _score_lines(run, grids)),
            [paper_table([run], name, resolution).text for name in grids],
            [text for text, at in missing.items() if resolution in at],
        )
        if resolution in run.comparison:
            comparison = run.comparison[resolution]
            text = csv_text(_COMPARISON_COLUMNS, _comparison_lines(comparison))
            table = _comparison_table(run, resolution, comparison)
            _write(run, f"comparison-{resolution}", [table], text)
    ranking = list(_ranking_lines(run))
    _write(run, "ranking", [_ranking_table(ranking)], csv_text(_RANKING_COLUMNS, ranking))
    _write(run, "methods", [_method_table(run)], csv_text(_method_columns(run), _method_lines(run)))
    timings = [tuple(vars(timing).values()) for timing in run.timings]
    _write(run, "timings", [_timing_table(run)], csv_text(_TIMING_COLUMNS, timings))


def _write(
    run: Run,
    name: str,
    tables: Sequence[Table],
    text: str,
    latex: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> None:
    latex = latex or [plain_table(table, name) for table in tables]
    contents = {
        "md": "\n".join([*(table.markdown() for table in tables), *_lines("- ", missing)]),
        "tex": "\n".join([PACKAGES, *latex, *_lines("% ", missing)]),
        "csv": text,
    }
    for suffix, content in contents.items():
        with atomic_path(run.layout.tables / f"{name}.{suffix}") as path:
            path.write_text(content, encoding="utf-8")


def _lines(start: str, texts: Sequence[str]) -> Iterator[str]:
    """Yield texts as one block of lines, if there are any."""
    if texts:
        yield "".join(f"{start}{text}\n" for text in texts)


def _score_table(run: Run, resolution: int, metric: str, grid: Grid) -> Table:
    measure = metric_row(metric)
    columns = {entry.name: column_values(run, grid, entry) for entry in run.classes}
    ranked = {name: ranks(column, measure) for name, column in columns.items()}
    digits = {name: decimals(column.values(), measure.digits) for name, column in columns.items()}
    rows = []
    for method in run.methods:
        row = [Cell(method.name)]
        for entry in run.classes:
            score = grid.get((method.name, entry.name))
            rank = ranked[entry.name].get(method.name)
            row.append(
                Cell(f"{score.value:.{digits[entry.name]}f}", rank) if score else Cell(MISSING)
            )
        rows.append(tuple(row))
    counts = [{score.n for (_, name), score in grid.items() if name == e.name} for e in run.classes]
    rows.append((Cell("n"), *(Cell(span(each)) for each in counts)))
    caption = f"{measure.label} {measure.arrow} at {resolution} x {resolution}, {run.dataset}"
    header = ("method", *(heading(entry) for entry in run.classes))
    notes = (
        measure.description[0].upper() + measure.description[1:],
        *letter_note(run),
        *warning_notes(grid),
        *protocol_notes(run),
    )
    return Table(qualified(run, metric, caption), header, tuple(rows), notes)


def _score_columns(run: Run) -> tuple[str, ...]:
    columns = ("metric", "method", "class", "letter", "n", "value", "low", "high", "rank")
    return (*columns, "protocol") if run.protocol else columns


def _score_lines(run: Run, grids: Mapping[str, Grid]) -> Iterator[Sequence[object]]:
    for metric, grid in grids.items():
        for entry in run.classes:
            ranked = ranks(column_values(run, grid, entry), metric_row(metric))
            for method in run.methods:
                if score := grid.get((method.name, entry.name)):
                    what = (metric, method.name, entry.name, entry.letter)
                    numbers = (score.n, score.value, score.low, score.high)
                    protocol = (run.protocol["sha256"],) if run.protocol else ()
                    yield (*what, *numbers, ranked.get(method.name), *protocol)


RankingLine = tuple[int, str, str, int, int | None, int]
"""Resolution, metric, method, classes, in how many of them among the best three, and best."""

_RANKING_COLUMNS = ("resolution", "metric", "method", "classes", "top_three", "best")


def _ranking_lines(run: Run) -> Iterator[RankingLine]:
    """Yield in how many classes each method is among the best three, and the best."""
    several = len(run.methods) >= TOP_THREE_FROM
    for resolution in run.resolutions:
        for metric, grid in score_grids(run, resolution).items():
            columns = [ranks(column_values(run, grid, e), metric_row(metric)) for e in run.classes]
            ranked = [column for column in columns if column]
            for method in run.methods:
                mine = [column[method.name] for column in ranked if method.name in column]
                if mine:
                    top = sum(rank <= MARKED for rank in mine) if several else None
                    yield resolution, metric, method.name, len(mine), top, mine.count(1)


def _ranking_table(lines: Sequence[RankingLine]) -> Table:
    several = any(line[4] is not None for line in lines)
    rows = tuple(
        (
            Cell(f"{metric_row(metric).label} at {resolution}"),
            Cell(method),
            *((Cell(f"{top} of {classes}"),) if several else ()),
            Cell(f"{best} of {classes}"),
        )
        for resolution, metric, method, classes, top, best in lines
    )
    notes = (
        "Classes in which all methods score alike are left out; equal scores share a rank; "
        "diagnostics are not ranked",
    )
    header = ("metric", "method", *(("top three in",) if several else ()), "best in")
    return Table("In how many mask classes a method is among the best", header, rows, notes)


_COMPARISON_COLUMNS = (
    *("group", "first", "second", "n", "fid_first", "fid_second", "difference", "corrected"),
    *("low", "high", "p_value", "p_adjusted", "adjustment"),
)


def _comparison_lines(comparison: ComparisonDict) -> Iterator[Sequence[object]]:
    for difference in comparison["differences"]:
        row = {**difference, "adjustment": comparison["adjustment"]}
        yield tuple(_short(row[name]) for name in _COMPARISON_COLUMNS)


def _comparison_table(run: Run, resolution: int, content: ComparisonDict) -> Table:
    rows = tuple(
        (
            Cell(row["group"]),
            Cell(str(row["n"])),
            Cell(row["first"]),
            Cell(row["second"]),
            Cell(_short(row["corrected"])),
            Cell(f"{_short(row['low'])} to {_short(row['high'])}"),
            Cell(p_text(row["p_value"], content["smallest_p"])),
            Cell(p_text(row["p_adjusted"], content["smallest_p_adjusted"])),
        )
        for row in content["differences"]
    )
    notes = [
        "D is the first method's FID less the second's, freed of its bootstrap bias: positive "
        f"speaks for the second. p: {EXCHANGE_TEST}; adjusted: {content['adjustment']}; ≤ marks "
        "the smallest p that the number of exchanges allows",
        "With fewer images than features the interval only describes: rely on p",
    ]
    notes += [f"Warning: {text}" for text in content["warnings"]]
    confidence = f"{content['confidence']:.0%}"
    header = ("class", "n", "first", "second", "D", confidence, "p", "adjusted p")
    caption = f"Differences of FID at {resolution} x {resolution}, {run.dataset}"
    return Table(qualified(run, "fid", caption), header, rows, tuple(notes))


def _short(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _method_columns(run: Run) -> tuple[str, ...]:
    columns = ("method", "source", "digest", "licence", "resolution", "training")
    return (*columns, "seen_at_least", "seen_at_most") if run.seen else columns


def _method_lines(run: Run) -> Iterator[Sequence[object]]:
    seen = {leak.method: (leak.least, leak.most) for leak in leaks(run)}
    for method in run.methods:
        yield (
            method.name,
            method.source,
            method.digest,
            method.licence,
            method.resolution,
            method.training,
            *seen.get(method.name, ()),
        )


def _method_table(run: Run) -> Table:
    seen = {leak.method: (Cell(leak.text),) for leak in leaks(run)}
    rows = tuple(
        (
            Cell(method.name),
            Cell(method.source),
            Cell((method.digest or MISSING)[:12]),
            Cell(method.licence or MISSING),
            Cell(_short(method.resolution)),
            Cell(method.training or MISSING),
            *seen.get(method.name, ()),
        )
        for method in run.methods
    )
    header = ("method", "source", "SHA-256", "licence", "trained at", "trained on")
    return Table("Models", (*header, *(("images seen in training",) if seen else ())), rows)


_TIMING_COLUMNS = ("method", "resolution", "device", "seconds", "mebibytes", "n")


def _timing_table(run: Run) -> Table:
    rows = tuple(
        (
            Cell(timing.method),
            Cell(str(timing.resolution)),
            Cell(f"{timing.seconds:.3g}"),
            Cell(MISSING if timing.mebibytes is None else f"{timing.mebibytes:,.0f}"),
            Cell(str(timing.n)),
            Cell(timing.device),
        )
        for timing in run.timings
    )
    notes = (
        "Median over batches, reading and compositing the images included; memory is the peak of "
        "all tensors on CUDA, of the whole process on a CPU",
    )
    header = ("method", "resolution", "s/image", "MiB", "n", "device")
    return Table("Seconds per image and peak memory", header, rows, notes)
