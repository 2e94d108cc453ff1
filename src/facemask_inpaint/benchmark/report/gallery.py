"""Rows of images that the zoom steps through: grids by class, extremes, the teaser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
from facemask_inpaint.benchmark.report.assets import (
    Assets,
    hole_name,
    original_name,
    prediction_name,
)
from facemask_inpaint.benchmark.report.format import brief, counted, spoken
from facemask_inpaint.benchmark.report.selection import End, Extreme, Row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import CaseRecord, ClassEntry

_TEASER = 6


@dataclass(frozen=True)
class Shot:
    """One image that opens the zoom.

    Attributes:
        images: names of the assets on top of one another; empty where the image is missing.
        title: what the image is: ``"original"``, ``"hole"`` or the name of a method.
        about: of the row.
        method: whose column this is in a grid, so that it goes away with the method.
        is_prediction: whether the original can be shown in its place.
        note: its metrics.
    """

    images: tuple[str, ...]
    title: str
    about: str
    method: str | None = None
    is_prediction: bool = False
    note: str = ""

    @property
    def label(self) -> str:
        """What a screen reader says."""
        return f"{self.title}, {self.about}{': ' if self.note else ''}{self.note}"


@dataclass(frozen=True)
class ShotRow:
    """Images that the zoom steps through together.

    Attributes:
        mask_class: name of the class.
        about: class and portrait.
        original: name of the portrait among the assets.
        hole: name of the hole among the assets.
        shots: the images.
    """

    mask_class: str
    about: str
    original: str
    hole: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Grid:
    """Rows of one class at one resolution.

    Attributes:
        entry: of the class.
        resolution: height and width in pixels.
        note: how many of the portraits these are.
        rows: original, hole, and each method's prediction.
    """

    entry: ClassEntry
    resolution: int
    note: str
    rows: tuple[ShotRow, ...]


@dataclass(frozen=True)
class Card:
    """One extreme case: original and prediction, with its metric.

    Attributes:
        row: the images.
        index: of the method in the run's order.
        case: the record.
        text: metric and value.
    """

    row: ShotRow
    index: int
    case: CaseRecord
    text: str


@dataclass(frozen=True)
class ExtremesBlock:
    """The extremes of one class, resolution and metric.

    Attributes:
        entry: of the class.
        resolution: height and width in pixels.
        metric: name of the metric.
        label: of the metric.
        ends: the worst and the best of each method.
    """

    entry: ClassEntry
    resolution: int
    metric: str
    label: str
    ends: Mapping[End, Sequence[Card]]


@dataclass(frozen=True)
class Gallery:
    """The rows of one report.

    Attributes:
        run: the run.
        assets: its images.
        cases: records by the asset name of their prediction.
    """

    run: Run
    assets: Assets
    cases: Mapping[str, CaseRecord]

    @classmethod
    def of(cls, run: Run, assets: Assets) -> Gallery:
        """Return the gallery of a run."""
        return cls(
            run, assets, {prediction_name(_row(case), case.method): case for case in run.cases}
        )

    def grids(self) -> list[Grid]:
        """Return one grid per class and resolution that has rows."""
        order = {key: index for index, key in enumerate(self.run.keys)}
        rows = sorted(self.assets.rows, key=lambda row: order[row.key])
        grids = []
        for resolution in self.run.resolutions:
            for entry in self.run.classes:
                chosen = [
                    row
                    for row in rows
                    if (row.resolution, row.mask_class) == (resolution, entry.name)
                ]
                if chosen:
                    note = f"{len(chosen)} of {counted(self._total(resolution, entry), 'portrait')}"
                    lines = tuple(map(self._grid_row, chosen))
                    grids.append(Grid(entry, resolution, note, lines))
        return grids

    def extremes(self) -> list[ExtremesBlock]:
        """Return one block per class, resolution and metric: each method's worst and best."""
        grouped: dict[tuple[int, str, str], list[Extreme]] = {}
        for extreme in self.assets.extremes:
            group = (extreme.case.resolution, extreme.case.mask_class, extreme.metric)
            grouped.setdefault(group, []).append(extreme)
        return [
            ExtremesBlock(
                entry,
                resolution,
                name,
                metric_row(name).label,
                self._ends(grouped[resolution, entry.name, name]),
            )
            for resolution in self.run.resolutions
            for entry in self.run.classes
            for name in in_table_order(extreme.metric for extreme in self.assets.extremes)
            if (resolution, entry.name, name) in grouped
        ]

    def teaser(self, resolution: int, method: str) -> list[ShotRow]:
        """Return holes of several classes with their predictions by one method."""
        predicted: dict[str, list[Row]] = {}
        for row in self.assets.rows:
            if row.resolution == resolution and prediction_name(row, method) in self.assets.images:
                predicted.setdefault(row.mask_class, []).append(row)
        rows = [predicted[entry.name] for entry in self.run.classes if entry.name in predicted]
        chosen = rows[:: max(1, len(rows) // _TEASER)][:_TEASER]
        # A person each, as far as there are several: neighbours take different rows.
        shown = [each[index % len(each)] for index, each in enumerate(chosen)]
        return [
            self._shot_row(row, self._hole(row), self._prediction(row, method)) for row in shown
        ]

    def _total(self, resolution: int, entry: ClassEntry) -> int:
        group = (resolution, entry.name)
        return len(
            {case.key for case in self.run.cases if (case.resolution, case.mask_class) == group}
        )

    def _grid_row(self, row: Row) -> ShotRow:
        predictions = (
            self._prediction(row, entry.name, column=entry.name, with_note=True)
            for entry in self.run.methods
        )
        return self._shot_row(row, self._original(row), self._hole(row), *predictions)

    def _ends(self, extremes: Sequence[Extreme]) -> dict[End, list[Card]]:
        index = {entry.name: number for number, entry in enumerate(self.run.methods)}
        ends: dict[End, list[Card]] = {}
        for extreme in sorted(
            extremes, key=lambda extreme: (extreme.end == "best", index[extreme.case.method])
        ):
            row, method = _row(extreme.case), extreme.case.method
            prediction = self._prediction(row, method, with_note=True)
            text = f"{metric_row(extreme.metric).label} {brief(extreme.value)}"
            shots = self._shot_row(row, self._original(row), prediction)
            ends.setdefault(extreme.end, []).append(Card(shots, index[method], extreme.case, text))
        return ends

    def _shot_row(self, row: Row, *shots: Shot) -> ShotRow:
        return ShotRow(row.mask_class, _about(row), original_name(row), hole_name(row), shots)

    def _original(self, row: Row) -> Shot:
        return Shot(self._there(original_name(row)), "original", _about(row))

    def _hole(self, row: Row) -> Shot:
        images = self._there(original_name(row))
        return Shot(images and images + self._there(hole_name(row)), "hole", _about(row))

    def _prediction(
        self, row: Row, method: str, *, column: str | None = None, with_note: bool = False
    ) -> Shot:
        name = prediction_name(row, method)
        note = _note(self.cases.get(name)) if with_note else ""
        return Shot(self._there(name), method, _about(row), column, True, note)

    def _there(self, name: str) -> tuple[str, ...]:
        return (name,) if name in self.assets.images else ()


def _row(case: CaseRecord) -> Row:
    return Row(case.resolution, case.mask_class, case.key)


def _about(row: Row) -> str:
    return f"{spoken(row.mask_class)}, portrait {row.key}"


def _note(case: CaseRecord | None) -> str:
    if case is None:
        return ""
    parts = [
        f"{metric_row(name).label} {brief(case.metrics[name])}"
        for name in in_table_order(case.metrics)
    ]
    return " · ".join([*parts, f"hole {case.hole_share:.1%}"])
