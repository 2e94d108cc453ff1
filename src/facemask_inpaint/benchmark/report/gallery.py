"""Image grids by class, and the extremes of each measure, with everything the zoom needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from facemask_inpaint.benchmark.measures import in_table_order, metric_row
from facemask_inpaint.benchmark.report.assets import (
    PREDICTION,
    Album,
    hole_name,
    original_name,
    prediction_name,
    prediction_of,
)
from facemask_inpaint.benchmark.report.format import brief, counted, lettered, spoken
from facemask_inpaint.benchmark.report.markup import Child, Html, element
from facemask_inpaint.benchmark.report.plots import marker
from facemask_inpaint.benchmark.report.selection import Case, End, Row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import CaseRecord, ClassEntry
from facemask_inpaint.masks import MaskClass

_ENDS: dict[End, str] = {"worst": "Worst of each method", "best": "Best of each method"}


def grids(run: Run, album: Album) -> list[Html]:
    """One grid per class and resolution: original, hole, and each method's prediction."""
    records = {prediction_of(record): record for record in run.cases}
    place = {key: index for index, key in enumerate(run.keys)}
    rows = sorted(album.rows, key=lambda row: place[row.key])
    return [
        _grid(run, album, resolution, entry, chosen, records)
        for resolution in run.resolutions
        for entry in run.classes
        if (
            chosen := [
                row for row in rows if (row.resolution, row.mask_class) == (resolution, entry.name)
            ]
        )
    ]


def cases(run: Run, album: Album) -> list[Html]:
    """One block per class, resolution and measure: each method's worst and best predictions."""
    grouped: dict[tuple[int, str, str], list[Case]] = {}
    for case in album.cases:
        record = case.record
        grouped.setdefault((record.resolution, record.mask_class, case.measure), []).append(case)
    methods = {entry.name: index for index, entry in enumerate(run.methods)}
    return [
        _case_block(
            entry, resolution, measure, grouped[resolution, entry.name, measure], album, methods
        )
        for resolution in run.resolutions
        for entry in run.classes
        for measure in in_table_order(case.measure for case in album.cases)
        if (resolution, entry.name, measure) in grouped
    ]


def teaser(run: Run, album: Album, resolution: int, method: str, count: int = 6) -> Html | None:
    """Holes of ``count`` classes at one resolution above their predictions by one method."""
    filled: dict[str, list[Row]] = {}
    for row in album.rows:
        name = prediction_name(resolution, method, row.mask_class, row.key)
        if row.resolution == resolution and name in album.images:
            filled.setdefault(row.mask_class, []).append(row)
    found = [filled[entry.name] for entry in run.classes if entry.name in filled]
    chosen = found[:: max(1, len(found) // count)][:count]
    # A person each, as far as there are several: neighbours take different rows.
    shown = [rows[index % len(rows)] for index, rows in enumerate(chosen)]
    if not shown:
        return None
    figures = [_teaser_figure(album, row, method) for row in shown]
    caption = element(
        "p", "Holes, and what ", element("b", method), " fills them with", class_="about"
    )
    return element("div", element("div", figures, class_="teaser"), caption)


def class_heading(entry: ClassEntry, note: str) -> Html:
    """Heading of a class: letter, name, what it hides, and a note."""
    described = {str(one): one.description for one in MaskClass}
    about = described.get(entry.name, "") if entry.letter else ""
    text = " · ".join(part for part in (about, note) if part)
    return element("h3", lettered(entry), element("small", text))


def _grid(
    run: Run,
    album: Album,
    resolution: int,
    entry: ClassEntry,
    rows: Sequence[Row],
    records: Mapping[str, CaseRecord],
) -> Html:
    heads = [element("span", "original"), element("span", "hole")]
    for index, method in enumerate(run.methods):
        heads.append(element("span", marker(index), method.name, data_method=method.name))
    total = len({one.key for one in records.values() if _is_at(one, resolution, entry.name)})
    lines = [_grid_row(run, album, row, records) for row in rows]
    return element(
        "section",
        class_heading(entry, f"{len(rows)} of {counted(total, 'portrait')}"),
        element(
            "div", element("div", heads, class_="heads", aria_hidden="true"), lines, class_="grid"
        ),
        class_="class",
        data_class=entry.name,
        data_resolution=resolution,
    )


def _grid_row(run: Run, album: Album, row: Row, records: Mapping[str, CaseRecord]) -> Html:
    about = f"{spoken(row.mask_class)}, portrait {row.key}"
    original = original_name(row.resolution, row.key)
    hole = hole_name(row.resolution, row.mask_class, row.key)
    shots = [
        _shot(album, original, f"original, {about}", "original"),
        _shot(album, original, f"hole, {about}", "hole", over=hole),
    ]
    for method in run.methods:
        name = prediction_name(row.resolution, method.name, row.mask_class, row.key)
        shots.append(
            _shot(
                album,
                name,
                f"{method.name}, {about}",
                method.name,
                method=method.name,
                note=_note(records.get(name)),
            )
        )
    return _row_of(shots, original, hole, about)


def _row_of(shots: Child, original: str, hole: str, about: str) -> Html:
    """Images that the zoom steps through together."""
    return element(
        "div",
        shots,
        class_="row",
        role="group",
        aria_label=about,
        data_original=original,
        data_hole=hole,
        data_about=about,
    )


def _shot(
    album: Album,
    name: str,
    label: str,
    title: str,
    *,
    over: str | None = None,
    method: str | None = None,
    note: str = "",
) -> Html:
    """An image that opens the zoom; words where there is none."""
    if name not in album.images:
        return element("span", "no image", class_="shot missing", data_method=method)
    images = [_picture(name)]
    if over is not None and over in album.images:
        images.append(_picture(over))
    return element(
        "button",
        images,
        type="button",
        class_="shot",
        aria_label=f"{label}{': ' if note else ''}{note}",
        title=note or None,
        data_title=title,
        data_predicted=name.startswith(PREDICTION),
        data_note=note or None,
        data_method=method,
    )


def _picture(name: str) -> Html:
    return element("img", alt="", data_image=name, decoding="async")


def _note(record: CaseRecord | None) -> str:
    if record is None:
        return ""
    parts = [
        f"{metric_row(name).label} {brief(record.metrics[name])}"
        for name in in_table_order(record.metrics)
    ]
    return " · ".join([*parts, f"hole {record.hole_share:.1%}"])


def _case_block(
    entry: ClassEntry,
    resolution: int,
    measure: str,
    found: Iterable[Case],
    album: Album,
    methods: Mapping[str, int],
) -> Html:
    ordered = sorted(found, key=lambda case: (case.end == "best", methods[case.record.method]))
    halves = [
        element(
            "div",
            element("h4", _ENDS[end]),
            element("div", [_card(case, album, methods) for case in half], class_="cards"),
        )
        for end, half in groupby(ordered, key=lambda case: case.end)
    ]
    return element(
        "section",
        class_heading(entry, f"by {metric_row(measure).label}"),
        halves,
        class_="class extremes",
        data_class=entry.name,
        data_resolution=resolution,
        data_measure=measure,
    )


def _card(case: Case, album: Album, methods: Mapping[str, int]) -> Html:
    record = case.record
    label = metric_row(case.measure).label
    about = f"{spoken(record.mask_class)}, portrait {record.key}"
    original = original_name(record.resolution, record.key)
    hole = hole_name(record.resolution, record.mask_class, record.key)
    shots = [
        _shot(album, original, f"original, {about}", "original"),
        _shot(
            album,
            prediction_of(record),
            f"{record.method}, {about}",
            record.method,
            note=_note(record),
        ),
    ]
    return element(
        "figure",
        _row_of(shots, original, hole, about),
        element(
            "figcaption",
            element("span", marker(methods[record.method]), record.method),
            element("span", f"{label} {brief(case.value)}", class_="figure"),
            element("span", record.key, class_="key"),
        ),
        class_="card",
        data_method=record.method,
    )


def _teaser_figure(album: Album, row: Row, method: str) -> Html:
    about = f"{spoken(row.mask_class)}, portrait {row.key}"
    original = original_name(row.resolution, row.key)
    hole = hole_name(row.resolution, row.mask_class, row.key)
    filled = prediction_name(row.resolution, method, row.mask_class, row.key)
    shots = [
        _shot(album, original, f"hole, {about}", "hole", over=hole),
        _shot(album, filled, f"{method}, {about}", method),
    ]
    caption = element("figcaption", spoken(row.mask_class))
    return element("figure", _row_of(shots, original, hole, about), caption)


def _is_at(record: CaseRecord, resolution: int, mask_class: str) -> bool:
    return record.resolution == resolution and record.mask_class == mask_class
