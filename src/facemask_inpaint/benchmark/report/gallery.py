"""Picture grids by class, and the extremes of each measure, with everything the zoom needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from facemask_inpaint.benchmark.measures import MEASURES
from facemask_inpaint.benchmark.report.assets import (
    FILLED,
    Album,
    filled_name,
    filling_of,
    hole_name,
    original_name,
)
from facemask_inpaint.benchmark.report.format import brief, counted, lettered, spoken
from facemask_inpaint.benchmark.report.markup import Child, Html, element
from facemask_inpaint.benchmark.report.plots import marker
from facemask_inpaint.benchmark.report.selection import Case, End, Row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import ClassEntry, PictureRecord
from facemask_inpaint.masks import MaskClass

_ENDS: dict[End, str] = {"worst": "Worst of each model", "best": "Best of each model"}


def grids(run: Run, album: Album) -> list[Html]:
    """One grid per class and side: original, hole, and each model's filling."""
    records = {filling_of(record): record for record in run.pictures}
    place = {key: index for index, key in enumerate(run.keys)}
    rows = sorted(album.rows, key=lambda row: place[row.key])
    return [
        _grid(run, album, side, entry, chosen, records)
        for side in run.sides
        for entry in run.classes
        if (chosen := [row for row in rows if (row.side, row.mask_class) == (side, entry.name)])
    ]


def cases(run: Run, album: Album) -> list[Html]:
    """One block per class, side and measure: each model's worst and best fillings."""
    grouped: dict[tuple[int, str, str], list[Case]] = {}
    for case in album.cases:
        record = case.record
        grouped.setdefault((record.side, record.mask_class, case.measure), []).append(case)
    models = {entry.name: index for index, entry in enumerate(run.models)}
    return [
        _case_block(entry, side, measure, grouped[side, entry.name, measure], album, models)
        for side in run.sides
        for entry in run.classes
        for measure in MEASURES
        if (side, entry.name, measure) in grouped
    ]


def teaser(run: Run, album: Album, side: int, model: str, count: int = 6) -> Html | None:
    """Holes of ``count`` classes at one side above their fillings by one model."""
    filled: dict[str, list[Row]] = {}
    for row in album.rows:
        name = filled_name(side, model, row.mask_class, row.key)
        if row.side == side and name in album.pictures:
            filled.setdefault(row.mask_class, []).append(row)
    found = [filled[entry.name] for entry in run.classes if entry.name in filled]
    chosen = found[:: max(1, len(found) // count)][:count]
    # A person each, as far as there are several: neighbours take different rows.
    shown = [rows[index % len(rows)] for index, rows in enumerate(chosen)]
    if not shown:
        return None
    figures = [_teaser_figure(album, row, model) for row in shown]
    caption = element(
        "p", "Holes, and what ", element("b", model), " fills them with", class_="about"
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
    side: int,
    entry: ClassEntry,
    rows: Sequence[Row],
    records: Mapping[str, PictureRecord],
) -> Html:
    heads = [element("span", "original"), element("span", "hole")]
    for index, model in enumerate(run.models):
        heads.append(element("span", marker(index), model.name, data_model=model.name))
    total = len({one.key for one in records.values() if _is_at(one, side, entry.name)})
    lines = [_grid_row(run, album, row, records) for row in rows]
    return element(
        "section",
        class_heading(entry, f"{len(rows)} of {counted(total, 'portrait')}"),
        element(
            "div", element("div", heads, class_="heads", aria_hidden="true"), lines, class_="grid"
        ),
        class_="class",
        data_class=entry.name,
        data_side=side,
    )


def _grid_row(run: Run, album: Album, row: Row, records: Mapping[str, PictureRecord]) -> Html:
    about = f"{spoken(row.mask_class)}, portrait {row.key}"
    original = original_name(row.side, row.key)
    hole = hole_name(row.side, row.mask_class, row.key)
    shots = [
        _shot(album, original, f"original, {about}", "original"),
        _shot(album, original, f"hole, {about}", "hole", over=hole),
    ]
    for model in run.models:
        name = filled_name(row.side, model.name, row.mask_class, row.key)
        shots.append(
            _shot(
                album,
                name,
                f"{model.name}, {about}",
                model.name,
                model=model.name,
                note=_note(records.get(name)),
            )
        )
    return _row_of(shots, original, hole, about)


def _row_of(shots: Child, original: str, hole: str, about: str) -> Html:
    """Pictures that the zoom steps through together."""
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
    model: str | None = None,
    note: str = "",
) -> Html:
    """A picture that opens the zoom; words where there is none."""
    if name not in album.pictures:
        return element("span", "no picture", class_="shot missing", data_model=model)
    pictures = [_picture(name)]
    if over is not None and over in album.pictures:
        pictures.append(_picture(over))
    return element(
        "button",
        pictures,
        type="button",
        class_="shot",
        aria_label=f"{label}{': ' if note else ''}{note}",
        title=note or None,
        data_title=title,
        data_filled=name.startswith(FILLED),
        data_note=note or None,
        data_model=model,
    )


def _picture(name: str) -> Html:
    return element("img", alt="", data_picture=name, decoding="async")


def _note(record: PictureRecord | None) -> str:
    if record is None:
        return ""
    parts = [
        f"{MEASURES[name].label} {brief(value)}"
        for name, value in record.measures.items()
        if name in MEASURES
    ]
    return " · ".join([*parts, f"hole {record.hole_share:.1%}"])


def _case_block(
    entry: ClassEntry,
    side: int,
    measure: str,
    found: Iterable[Case],
    album: Album,
    models: Mapping[str, int],
) -> Html:
    ordered = sorted(found, key=lambda case: (case.end == "best", models[case.record.model]))
    halves = [
        element(
            "div",
            element("h4", _ENDS[end]),
            element("div", [_card(case, album, models) for case in half], class_="cards"),
        )
        for end, half in groupby(ordered, key=lambda case: case.end)
    ]
    return element(
        "section",
        class_heading(entry, f"by {MEASURES[measure].label}"),
        halves,
        class_="class extremes",
        data_class=entry.name,
        data_side=side,
        data_measure=measure,
    )


def _card(case: Case, album: Album, models: Mapping[str, int]) -> Html:
    record = case.record
    label = MEASURES[case.measure].label
    about = f"{spoken(record.mask_class)}, portrait {record.key}"
    original = original_name(record.side, record.key)
    hole = hole_name(record.side, record.mask_class, record.key)
    shots = [
        _shot(album, original, f"original, {about}", "original"),
        _shot(
            album,
            filling_of(record),
            f"{record.model}, {about}",
            record.model,
            note=_note(record),
        ),
    ]
    return element(
        "figure",
        _row_of(shots, original, hole, about),
        element(
            "figcaption",
            element("span", marker(models[record.model]), record.model),
            element("span", f"{label} {brief(case.value)}", class_="figure"),
            element("span", record.key, class_="key"),
        ),
        class_="card",
        data_model=record.model,
    )


def _teaser_figure(album: Album, row: Row, model: str) -> Html:
    about = f"{spoken(row.mask_class)}, portrait {row.key}"
    original = original_name(row.side, row.key)
    hole = hole_name(row.side, row.mask_class, row.key)
    filled = filled_name(row.side, model, row.mask_class, row.key)
    shots = [
        _shot(album, original, f"hole, {about}", "hole", over=hole),
        _shot(album, filled, f"{model}, {about}", model),
    ]
    caption = element("figcaption", spoken(row.mask_class))
    return element("figure", _row_of(shots, original, hole, about), caption)


def _is_at(record: PictureRecord, side: int, mask_class: str) -> bool:
    return record.side == side and record.mask_class == mask_class
