"""Scores by class: sortable tables with a strip plot in each line, and who is best how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from facemask_inpaint.benchmark.measures import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import DASH, counted, fixed, lettered, share
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.report.plots import Point, Scale, axis, marker, strip
from facemask_inpaint.benchmark.report.sortable import Head, table
from facemask_inpaint.benchmark.report.tables import MARKED, TOP_THREE_FROM, ranks
from facemask_inpaint.benchmark.report.text_tables import decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, Score
from facemask_inpaint.metrics.metric import Metric

_DIGITS = 2


@dataclass(frozen=True)
class Board:
    """The scores of one metric at one resolution.

    Attributes:
        resolution: height and width in pixels.
        measure: what was measured.
        classes: classes with any score, in the run's order.
        methods: methods with any score, in the run's order, each with its index in that order.
        scores: by class and method.
    """

    resolution: int
    measure: Metric
    classes: tuple[ClassEntry, ...]
    methods: Mapping[str, int]
    scores: Mapping[tuple[str, str], Score]

    def of(self, mask_class: str) -> list[Score]:
        """The scores of one class, in the order of the methods."""
        found = (self.scores.get((mask_class, method)) for method in self.methods)
        return [score for score in found if score is not None]

    def ranks(self, mask_class: str) -> dict[str, int]:
        """Return the rank of each method in one class, see :func:`~.tables.ranks`."""
        return ranks({one.method: one.value for one in self.of(mask_class)}, self.measure)


def boards(run: Run) -> list[Board]:
    """All metrics that the run has scores of, by resolution, in the order of the metrics."""
    found: dict[tuple[int, str], dict[tuple[str, str], Score]] = {}
    for score in run.scores:
        by_cell = found.setdefault((score.resolution, score.metric), {})
        by_cell[score.mask_class, score.method] = score
    return [
        _board(run, resolution, measure, found[resolution, measure.name])
        for resolution in run.resolutions
        for measure in map(metric_row, in_table_order(name for _, name in found))
        if (resolution, measure.name) in found
    ]


def panels(all_boards: Sequence[Board]) -> list[Html]:
    """One panel per board; the page shows one of them at a time."""
    return [_panel(board) for board in all_boards]


def summary(all_boards: Sequence[Board]) -> list[Html]:
    """Per resolution a table of how often each method is best, and among the best three."""
    ranked = [board for board in all_boards if board.measure.ranks]
    resolutions = dict.fromkeys(board.resolution for board in ranked)
    return [
        _summary([one for one in ranked if one.resolution == resolution])
        for resolution in resolutions
    ]


def headline(board: Board) -> str | None:
    """One sentence: which method is best in how many classes; ``None`` where none is."""
    first, _ = _wins(board)
    if not first:
        return None
    (best, count), *others = first.most_common(MARKED)
    total = counted(len(board.classes), "class")
    rest = "".join(f", {method} in {number}" for method, number in others)
    metric = f"{board.measure.label} at {board.resolution} px"
    return f"By {metric}, {best} is best in {count} of {total}{rest}."


def leader(board: Board) -> str:
    """The method that is best in most classes; the first one where none is."""
    ahead = _wins(board)[0].most_common(1) or [(next(iter(board.methods)), 0)]
    return ahead[0][0]


def _board(
    run: Run, resolution: int, measure: Metric, cells: dict[tuple[str, str], Score]
) -> Board:
    classes = {mask_class for mask_class, _ in cells}
    methods = {method for _, method in cells}
    return Board(
        resolution,
        measure,
        tuple(entry for entry in run.classes if entry.name in classes),
        {one.name: index for index, one in enumerate(run.methods) if one.name in methods},
        cells,
    )


def _wins(board: Board) -> tuple[Counter[str], Counter[str]]:
    """How often each method is best, and among the best three, over the classes of a board."""
    first: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    for entry in board.classes:
        ranks = board.ranks(entry.name)
        first.update(method for method, rank in ranks.items() if rank == 1)
        marked.update(method for method, rank in ranks.items() if rank <= MARKED)
    return first, marked


def _panel(board: Board) -> Html:
    scores = board.scores.values()
    ends = [end for one in scores for end in (one.value, one.low, one.high) if end is not None]
    scale, digits = Scale.of(ends), max(_DIGITS, decimals(one.value for one in scores))
    direction = f"{board.measure.arrow} {board.measure.better} is better"
    intervals = any(one.low is not None for one in scores)
    heads = [
        Head("class", sortable=True),
        Head("n", sortable=True, numeric=True),
        Head([axis(scale)], spoken=f"plot{', logarithmic' if scale.logarithmic else ''}"),
        *(
            Head([marker(index), method], sortable=True, numeric=True, method=method)
            for method, index in board.methods.items()
        ),
    ]
    rows = [_row(board, entry, scale, digits) for entry in board.classes]
    return element(
        "div",
        element(
            "p",
            element("b", board.measure.label),
            f": {board.measure.meaning}; {direction}.",
            " Lines are 95 % intervals." if intervals else None,
            " The scale is logarithmic." if scale.logarithmic else None,
            class_="about",
        ),
        table(heads, rows, caption=f"{board.measure.label} at {board.resolution} px, by class"),
        class_="panel",
        data_resolution=board.resolution,
        data_metric=board.measure.name,
    )


def _row(board: Board, entry: ClassEntry, scale: Scale, digits: int) -> Html:
    n = max(score.n for score in board.of(entry.name))
    points = [_point(board, entry.name, method, digits) for method in board.methods]
    ranks = board.ranks(entry.name)
    return element(
        "tr",
        element("th", lettered(entry), scope="row", data_value=f"{entry.letter} {entry.name}"),
        element("td", n, class_="number", data_value=n),
        element("td", strip(points, scale), class_="plot"),
        [
            _cell(board.scores.get((entry.name, method)), method, ranks.get(method), n, digits)
            for method in board.methods
        ],
        data_class=entry.name,
    )


def _point(board: Board, mask_class: str, method: str, digits: int) -> Point | None:
    one = board.scores.get((mask_class, method))
    if one is None:
        return None
    title = f"{method} {fixed(one.value, digits)}{_interval(one, digits)}"
    return Point(board.methods[method], method, one.value, one.low, one.high, title)


def _cell(score: Score | None, method: str, rank: int | None, n: int, digits: int) -> Html:
    if score is None:
        return element("td", DASH, class_="number none", data_method=method)
    marked = rank if rank is not None and rank <= MARKED else None
    return element(
        "td",
        element(
            "span",
            fixed(score.value, digits),
            element("sup", marked, title=f"rank {marked}") if marked else None,
            class_="value",
        ),
        element("small", _interval(score, digits).strip()) if score.low is not None else None,
        element("small", f"n = {score.n}") if score.n != n else None,
        class_=f"number rank-{marked}" if marked else "number",
        data_method=method,
        data_value=repr(score.value),
    )


def _interval(score: Score, digits: int) -> str:
    if score.low is None or score.high is None:
        return ""
    return f" [{fixed(score.low, digits)}, {fixed(score.high, digits)}]"


def _summary(of_resolution: Sequence[Board]) -> Html:
    methods = {method: index for board in of_resolution for method, index in board.methods.items()}
    ordered = sorted(methods.items(), key=lambda item: item[1])
    heads = [
        Head("method", sortable=True),
        *(
            Head(f"{board.measure.label} {board.measure.arrow}", sortable=True, numeric=True)
            for board in of_resolution
        ),
    ]
    wins = [_wins(board) for board in of_resolution]
    rows = [
        element(
            "tr",
            element("th", marker(index), method, scope="row", data_value=method),
            list(_counts(method, of_resolution, wins)),
            data_method=method,
        )
        for method, index in ordered
    ]
    resolution = of_resolution[0].resolution
    also = " (and among the best three)" if len(methods) >= TOP_THREE_FROM else ""
    caption = f"In how many classes a method is best{also}, at {resolution} px"
    return element(
        "div", table(heads, rows, caption=caption, shown=True), data_resolution=resolution
    )


def _counts(
    method: str, of_resolution: Sequence[Board], wins: Sequence[tuple[Counter[str], Counter[str]]]
) -> Iterator[Html]:
    several = len({name for board in of_resolution for name in board.methods}) >= TOP_THREE_FROM
    for board, (first, marked) in zip(of_resolution, wins):
        if method not in board.methods:
            yield element("td", DASH, class_="number none")
            continue
        yield element(
            "td",
            element("span", first[method], class_="value"),
            element("small", f"({marked[method]})") if several else None,
            class_="number tally",
            style=share(first[method], len(board.classes)),
            data_value=first[method] + marked[method] / 1000,
        )
