"""Scores by class: sortable tables with a strip plot in each line, and who is best how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from facemask_inpaint.benchmark.measures import MEASURES, Measure
from facemask_inpaint.benchmark.report.format import DASH, counted, fixed, lettered, share
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.report.plots import Point, Scale, axis, marker, strip
from facemask_inpaint.benchmark.report.sortable import Head, table
from facemask_inpaint.benchmark.report.tables import MARKED, TOP_THREE_FROM, places
from facemask_inpaint.benchmark.report.text_tables import decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, Score

_DIGITS = 2


@dataclass(frozen=True)
class Board:
    """The scores of one metric at one side.

    Attributes:
        side: height and width in pixels.
        measure: what was measured.
        classes: classes with any score, in the run's order.
        models: models with any score, in the run's order, each with its place in that order.
        scores: by class and model.
    """

    side: int
    measure: Measure
    classes: tuple[ClassEntry, ...]
    models: Mapping[str, int]
    scores: Mapping[tuple[str, str], Score]

    def of(self, mask_class: str) -> list[Score]:
        """The scores of one class, in the order of the models."""
        found = (self.scores.get((mask_class, model)) for model in self.models)
        return [score for score in found if score is not None]

    def places(self, mask_class: str) -> dict[str, int]:
        """Model to place in one class, see :func:`~.tables.places`."""
        return places({one.model: one.value for one in self.of(mask_class)}, self.measure)


def boards(run: Run) -> list[Board]:
    """All metrics that the run has scores of, side by side, in the order of the measures."""
    found: dict[tuple[int, str], dict[tuple[str, str], Score]] = {}
    for score in run.scores:
        by_cell = found.setdefault((score.side, score.metric), {})
        by_cell[score.mask_class, score.model] = score
    return [
        _board(run, side, measure, found[side, measure.name])
        for side in run.sides
        for measure in MEASURES.values()
        if (side, measure.name) in found
    ]


def panels(all_boards: Sequence[Board]) -> list[Html]:
    """One panel per board; the page shows one of them at a time."""
    return [_panel(board) for board in all_boards]


def summary(all_boards: Sequence[Board]) -> list[Html]:
    """Per side a table of how often each model is best, and among the best three."""
    ranked = [board for board in all_boards if board.measure.ranks]
    sides = dict.fromkeys(board.side for board in ranked)
    return [_summary([one for one in ranked if one.side == side]) for side in sides]


def headline(board: Board) -> str | None:
    """One sentence: which model is best in how many classes; ``None`` where none is."""
    first, _ = _wins(board)
    if not first:
        return None
    (best, count), *others = first.most_common(MARKED)
    total = counted(len(board.classes), "class")
    rest = "".join(f", {model} in {number}" for model, number in others)
    metric = f"{board.measure.label} at {board.side} px"
    return f"By {metric}, {best} is best in {count} of {total}{rest}."


def leader(board: Board) -> str:
    """The model that is best in most classes; the first one where none is."""
    ahead = _wins(board)[0].most_common(1) or [(next(iter(board.models)), 0)]
    return ahead[0][0]


def _board(run: Run, side: int, measure: Measure, cells: dict[tuple[str, str], Score]) -> Board:
    classes = {mask_class for mask_class, _ in cells}
    models = {model for _, model in cells}
    return Board(
        side,
        measure,
        tuple(entry for entry in run.classes if entry.name in classes),
        {one.name: index for index, one in enumerate(run.models) if one.name in models},
        cells,
    )


def _wins(board: Board) -> tuple[Counter[str], Counter[str]]:
    """How often each model is best, and among the best three, over the classes of a board."""
    first: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    for entry in board.classes:
        places = board.places(entry.name)
        first.update(model for model, place in places.items() if place == 1)
        marked.update(model for model, place in places.items() if place <= MARKED)
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
            Head([marker(index), model], sortable=True, numeric=True, model=model)
            for model, index in board.models.items()
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
        table(heads, rows, caption=f"{board.measure.label} at {board.side} px, by class"),
        class_="panel",
        data_side=board.side,
        data_metric=board.measure.name,
    )


def _row(board: Board, entry: ClassEntry, scale: Scale, digits: int) -> Html:
    n = max(score.n for score in board.of(entry.name))
    points = [_point(board, entry.name, model, digits) for model in board.models]
    places = board.places(entry.name)
    return element(
        "tr",
        element("th", lettered(entry), scope="row", data_value=f"{entry.letter} {entry.name}"),
        element("td", n, class_="number", data_value=n),
        element("td", strip(points, scale), class_="plot"),
        [
            _cell(board.scores.get((entry.name, model)), model, places.get(model), n, digits)
            for model in board.models
        ],
        data_class=entry.name,
    )


def _point(board: Board, mask_class: str, model: str, digits: int) -> Point | None:
    one = board.scores.get((mask_class, model))
    if one is None:
        return None
    title = f"{model} {fixed(one.value, digits)}{_interval(one, digits)}"
    return Point(board.models[model], model, one.value, one.low, one.high, title)


def _cell(score: Score | None, model: str, place: int | None, n: int, digits: int) -> Html:
    if score is None:
        return element("td", DASH, class_="number none", data_model=model)
    marked = place if place is not None and place <= MARKED else None
    return element(
        "td",
        element(
            "span",
            fixed(score.value, digits),
            element("sup", marked, title=f"place {marked}") if marked else None,
            class_="value",
        ),
        element("small", _interval(score, digits).strip()) if score.low is not None else None,
        element("small", f"n = {score.n}") if score.n != n else None,
        class_=f"number place-{marked}" if marked else "number",
        data_model=model,
        data_value=repr(score.value),
    )


def _interval(score: Score, digits: int) -> str:
    if score.low is None or score.high is None:
        return ""
    return f" [{fixed(score.low, digits)}, {fixed(score.high, digits)}]"


def _summary(of_side: Sequence[Board]) -> Html:
    models = {model: index for board in of_side for model, index in board.models.items()}
    ordered = sorted(models.items(), key=lambda item: item[1])
    heads = [
        Head("model", sortable=True),
        *(
            Head(f"{board.measure.label} {board.measure.arrow}", sortable=True, numeric=True)
            for board in of_side
        ),
    ]
    wins = [_wins(board) for board in of_side]
    rows = [
        element(
            "tr",
            element("th", marker(index), model, scope="row", data_value=model),
            list(_counts(model, of_side, wins)),
            data_model=model,
        )
        for model, index in ordered
    ]
    side = of_side[0].side
    also = " (and among the best three)" if len(models) >= TOP_THREE_FROM else ""
    caption = f"In how many classes a model is best{also}, at {side} px"
    return element("div", table(heads, rows, caption=caption, shown=True), data_side=side)


def _counts(
    model: str, of_side: Sequence[Board], wins: Sequence[tuple[Counter[str], Counter[str]]]
) -> Iterator[Html]:
    several = len({name for board in of_side for name in board.models}) >= TOP_THREE_FROM
    for board, (first, marked) in zip(of_side, wins):
        if model not in board.models:
            yield element("td", DASH, class_="number none")
            continue
        yield element(
            "td",
            element("span", first[model], class_="value"),
            element("small", f"({marked[model]})") if several else None,
            class_="number tally",
            style=share(first[model], len(board.classes)),
            data_value=first[model] + marked[model] / 1000,
        )
