"""What a run cost, what failed in it, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facemask_inpaint.benchmark.report.format import DASH, brief, counted, spoken
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.report.plots import Point, Scale, axis, marker, strip
from facemask_inpaint.benchmark.report.sortable import Head, table
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Failure, Timing

_SHOWN_FAILURES = 200
_TOLD_ELSEWHERE = frozenset({"format", "dataset", "classes", "methods", "resolutions", "metrics"})


def costs(run: Run) -> Html | None:
    """Seconds and memory of each method; ``None`` when nothing was timed."""
    if not run.timings:
        return None
    scale = Scale.of([timing.seconds for timing in run.timings])
    heads = [
        Head("method", sortable=True),
        Head("resolution", sortable=True, numeric=True),
        Head([axis(scale)], spoken="plot of seconds per image"),
        Head("s per image", sortable=True, numeric=True),
        Head("images per s", sortable=True, numeric=True),
        Head("peak MiB", sortable=True, numeric=True),
        Head("n", sortable=True, numeric=True),
        Head("device", sortable=True),
    ]
    methods = {entry.name: index for index, entry in enumerate(run.methods)}
    rows = [_cost_row(timing, methods.get(timing.method, 0), scale) for timing in run.timings]
    return table(heads, rows, caption="Seconds per image and peak memory, as measured")


def failures(run: Run) -> Html:
    """What failed, line by line, or that nothing did."""
    if not run.failures:
        return element("p", "None: every image was read, filled and measured.", class_="about")
    names = ("stage", "method", "class", "resolution", "portrait", "what was wrong")
    heads = [Head(name, sortable=True) for name in names]
    rows = [_failure_row(failure) for failure in run.failures[:_SHOWN_FAILURES]]
    left = len(run.failures) - len(rows)
    more = f" The first {_SHOWN_FAILURES} are listed; failures.jsonl has them all." if left else ""
    what = counted(len(run.failures), "failure")
    return element(
        "div",
        element("p", f"{what}; nothing else was lost by them.{more}", class_="about"),
        table(heads, rows, caption="Failures"),
    )


def origins(run: Run) -> Html:
    """Models with source, digest, licence and training data."""
    heads = [
        Head("method", sortable=True),
        Head("source", sortable=True),
        Head("trained at", sortable=True, numeric=True),
        Head("trained on"),
        Head("licence", sortable=True),
        Head("SHA-256"),
    ]
    rows = [
        element(
            "tr",
            element("th", marker(index), method.name, scope="row", data_value=method.name),
            element("td", method.source, data_value=method.source),
            element("td", method.resolution or DASH, class_="number", data_value=method.resolution),
            element("td", method.training or "not recorded", class_="prose"),
            element("td", method.licence or "not recorded", data_value=method.licence),
            element("td", element("code", method.digest[:12], title=method.digest))
            if method.digest
            else element("td", DASH),
            data_method=method.name,
        )
        for index, method in enumerate(run.methods)
    ]
    return table(heads, rows, caption="Models and where they come from")


def settings(run: Run) -> Html:
    """Every setting of the run that is told nowhere else."""
    shown = {name: run.settings[name] for name in run.settings if name not in _TOLD_ELSEWHERE}
    facts = [[element("dt", name), element("dd", value)] for name, value in _flattened(shown)]
    return element("dl", facts, class_="facts")


def _cost_row(timing: Timing, index: int, scale: Scale) -> Html:
    speed = 1 / timing.seconds if timing.seconds > 0 else None
    title = f"{timing.method} at {timing.resolution} px: {brief(timing.seconds)} s"
    point = Point(index, timing.method, timing.seconds, None, None, title)
    numbers = (timing.seconds, speed, timing.mebibytes)
    return element(
        "tr",
        element("th", marker(index), timing.method, scope="row", data_value=timing.method),
        element("td", timing.resolution, class_="number", data_value=timing.resolution),
        element("td", strip([point], scale), class_="plot"),
        [
            element(
                "td",
                DASH if number is None else brief(number),
                class_="number",
                data_value=number,
            )
            for number in numbers
        ],
        element("td", timing.n, class_="number", data_value=timing.n),
        element("td", timing.device, data_value=timing.device),
        data_method=timing.method,
        data_resolution=timing.resolution,
    )


def _failure_row(failure: Failure) -> Html:
    where = (failure.method, failure.mask_class, failure.resolution, failure.key)
    cells = [element("td", "all" if part is None else spoken(str(part))) for part in where]
    return element(
        "tr",
        element("td", failure.stage),
        cells,
        element("td", failure.message, class_="prose"),
        data_class=failure.mask_class,
        data_method=failure.method,
        data_resolution=failure.resolution,
    )


def _flattened(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        title = f"{above} {spoken(name)}".strip()
        if isinstance(value, Mapping):
            yield from _flattened(value, title)
        elif isinstance(value, (list, tuple)):
            yield title, ", ".join(map(str, value))
        else:
            yield title, "not set" if value is None else str(value)
