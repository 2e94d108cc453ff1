"""Scores by class: one board per metric and resolution, and who is best how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.report.format import counted, fixed, interval
from facemask_inpaint.benchmark.report.grids import MARKED, TOP_THREE_FROM, ranks
from facemask_inpaint.benchmark.report.plots import Point, Scale
from facemask_inpaint.benchmark.report.text_tables import decimals
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, Score
from facemask_inpaint.metrics.metric import Metric

_FEWEST_DIGITS = 2
_FEWEST_SIGNIFICANT = 2


@dataclass(frozen=True)
class Board:
    """The scores of one metric at one resolution.

    Attributes:
        resolution: height and width in pixels.
        metric: what was measured.
        classes: classes with any score, in the run's order.
        methods: methods with any score, in the run's order, each with its index in that order.
        scores: by class and method.
    """

    resolution: int
    metric: Metric
    classes: tuple[ClassEntry, ...]
    methods: Mapping[str, int]
    scores: Mapping[tuple[str, str], Score]

    def of(self, mask_class: str) -> list[Score]:
        """Return the scores of one class, in the order of the methods."""
        cells = (self.scores.get((mask_class, method)) for method in self.methods)
        return [score for score in cells if score is not None]

    def n(self, mask_class: str) -> int:
        """Return how many images are behind most scores of a class."""
        return max(score.n for score in self.of(mask_class))

    def ranks(self, mask_class: str) -> dict[str, int]:
        """Return the rank of each method in one class, see :func:`.grids.ranks`."""
        return ranks({score.method: score.value for score in self.of(mask_class)}, self.metric)

    def points(self, mask_class: str) -> list[Point | None]:
        """Return the marks of one class, one per method; ``None`` where there is no score."""
        return [self._point(self.scores.get((mask_class, method))) for method in self.methods]

    @cached_property
    def scale(self) -> Scale:
        """Scale of all scores and their intervals."""
        scores = self.scores.values()
        ends = (end for score in scores for end in (score.value, score.low, score.high))
        return Scale.of([end for end in ends if end is not None])

    def digits(self, mask_class: str) -> int:
        """Return the digits after the point that the scores of one class are shown with."""
        sizes = [abs(score.value) for score in self.of(mask_class) if score.value]
        least = decimals([min(sizes)], _FEWEST_SIGNIFICANT) if sizes else 0
        return max(_FEWEST_DIGITS, decimals(sizes), least)

    @property
    def has_intervals(self) -> bool:
        """Whether any score has an interval."""
        return any(score.low is not None for score in self.scores.values())

    @cached_property
    def wins(self) -> tuple[Counter[str], Counter[str]]:
        """How often each method is best, and among the best three, over the classes."""
        first: Counter[str] = Counter()
        marked: Counter[str] = Counter()
        for entry in self.classes:
            by_method = self.ranks(entry.name)
            first.update(method for method, rank in by_method.items() if rank == 1)
            marked.update(method for method, rank in by_method.items() if rank <= MARKED)
        return first, marked

    @property
    def leader(self) -> str:
        """The method that is best in most classes; the first one where none is."""
        return (self.wins[0].most_common(1) or [(next(iter(self.methods)), 0)])[0][0]

    @property
    def headline(self) -> str | None:
        """One sentence: which method is best in how many classes; ``None`` where none is."""
        if not self.wins[0]:
            return None
        (best, count), *others = self.wins[0].most_common(MARKED)
        total = counted(len(self.classes), "class")
        rest = "".join(f", {method} in {number}" for method, number in others)
        metric = f"{self.metric.label} at {self.resolution} px"
        return f"By {metric}, {best} is best in {count} of {total}{rest}."

    def _point(self, score: Score | None) -> Point | None:
        if score is None:
            return None
        digits = self.digits(score.mask_class)
        value = fixed(score.value, digits)
        title = f"{score.method} {value} {interval(score.low, score.high, digits)}".rstrip()
        index = self.methods[score.method]
        return Point(index, score.method, score.value, score.low, score.high, title)


@dataclass(frozen=True)
class Summary:
    """How often each method is best at one resolution.

    Attributes:
        resolution: height and width in pixels.
        boards: of the metrics that rank methods.
        methods: methods of any board, each with its index in the run's order.
    """

    resolution: int
    boards: Sequence[Board]
    methods: Mapping[str, int]

    @property
    def has_top_three(self) -> bool:
        """Whether there are methods enough for "among the best three" to say anything."""
        return len(self.methods) >= TOP_THREE_FROM


def boards(run: Run) -> list[Board]:
    """Return a board for every metric and resolution that the run has scores of."""
    cells: dict[tuple[int, str], dict[tuple[str, str], Score]] = {}
    for score in run.scores:
        board = cells.setdefault((score.resolution, score.metric), {})
        board[score.mask_class, score.method] = score
    return [
        _board(run, resolution, metric, cells[resolution, metric.name])
        for resolution in run.resolutions
        for metric in map(metric_row, in_table_order(name for _, name in cells))
        if (resolution, metric.name) in cells
    ]


def summaries(all_boards: Sequence[Board]) -> list[Summary]:
    """Return by resolution how often each method is best, and among the best three."""
    by_resolution: dict[int, list[Board]] = {}
    for board in all_boards:
        if board.metric.ranks:
            by_resolution.setdefault(board.resolution, []).append(board)
    return [
        Summary(resolution, ranked, _in_order(ranked))
        for resolution, ranked in by_resolution.items()
    ]


def _in_order(all_boards: Sequence[Board]) -> dict[str, int]:
    methods = {method: index for board in all_boards for method, index in board.methods.items()}
    return dict(sorted(methods.items(), key=lambda item: item[1]))


def _board(
    run: Run, resolution: int, metric: Metric, scores: Mapping[tuple[str, str], Score]
) -> Board:
    classes = {mask_class for mask_class, _ in scores}
    methods = {method for _, method in scores}
    return Board(
        resolution,
        metric,
        tuple(entry for entry in run.classes if entry.name in classes),
        {entry.name: index for index, entry in enumerate(run.methods) if entry.name in methods},
        scores,
    )
