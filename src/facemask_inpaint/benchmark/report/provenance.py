"""What a run cost, what failed in it, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facemask_inpaint.benchmark.report.format import DASH, brief, counted, spoken
from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.report.plots import Point, Scale, axis, marker, strip
from facemask_inpaint.benchmark.report.sortable import Head, table
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Fault, Timing

_FAULTS_SHOWN = 200
_TOLD_ELSEWHERE = frozenset({"format", "dataset", "classes", "models", "sides", "metrics"})


def costs(run: Run) -> Html | None:
    """Seconds and memory of each model; ``None`` when nothing was timed."""
    if not run.timings:
        return None
    scale = Scale.of([timing.seconds for timing in run.timings])
    heads = [
        Head("model", sortable=True),
        Head("side", sortable=True, numeric=True),
        Head([axis(scale)], spoken="plot of seconds per picture"),
        Head("s per picture", sortable=True, numeric=True),
        Head("pictures per s", sortable=True, numeric=True),
        Head("peak MiB", sortable=True, numeric=True),
        Head("n", sortable=True, numeric=True),
        Head("device", sortable=True),
    ]
    models = {entry.name: index for index, entry in enumerate(run.models)}
    rows = [_cost_row(timing, models.get(timing.model, 0), scale) for timing in run.timings]
    return table(heads, rows, caption="Seconds per picture and peak memory, as measured")


def faults(run: Run) -> Html:
    """What failed, line by line, or that nothing did."""
    if not run.faults:
        return element("p", "None: every picture was read, filled and measured.", class_="about")
    names = ("stage", "model", "class", "side", "portrait", "what was wrong")
    heads = [Head(name, sortable=True) for name in names]
    rows = [_fault_row(fault) for fault in run.faults[:_FAULTS_SHOWN]]
    left = len(run.faults) - len(rows)
    more = f" The first {_FAULTS_SHOWN} are listed; faults.jsonl has them all." if left else ""
    what = counted(len(run.faults), "fault")
    return element(
        "div",
        element("p", f"{what}; nothing else was lost by them.{more}", class_="about"),
        table(heads, rows, caption="Faults"),
    )


def origins(run: Run) -> Html:
    """Models with source, digest, licence and training data."""
    heads = [
        Head("model", sortable=True),
        Head("source", sortable=True),
        Head("trained at", sortable=True, numeric=True),
        Head("trained on"),
        Head("licence", sortable=True),
        Head("SHA-256"),
    ]
    rows = [
        element(
            "tr",
            element("th", marker(index), model.name, scope="row", data_value=model.name),
            element("td", model.source, data_value=model.source),
            element("td", model.resolution or DASH, class_="number", data_value=model.resolution),
            element("td", model.training or "not recorded", class_="prose"),
            element("td", model.licence or "not recorded", data_value=model.licence),
            element("td", element("code", model.digest[:12], title=model.digest))
            if model.digest
            else element("td", DASH),
            data_model=model.name,
        )
        for index, model in enumerate(run.models)
    ]
    return table(heads, rows, caption="Models and where they come from")


def settings(run: Run) -> Html:
    """Every setting of the run that is told nowhere else."""
    shown = {name: run.settings[name] for name in run.settings if name not in _TOLD_ELSEWHERE}
    facts = [[element("dt", name), element("dd", value)] for name, value in _flattened(shown)]
    return element("dl", facts, class_="facts")


def _cost_row(timing: Timing, index: int, scale: Scale) -> Html:
    speed = 1 / timing.seconds if timing.seconds > 0 else None
    title = f"{timing.model} at {timing.side} px: {brief(timing.seconds)} s"
    point = Point(index, timing.model, timing.seconds, None, None, title)
    numbers = (timing.seconds, speed, timing.mebibytes)
    return element(
        "tr",
        element("th", marker(index), timing.model, scope="row", data_value=timing.model),
        element("td", timing.side, class_="number", data_value=timing.side),
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
        data_model=timing.model,
        data_side=timing.side,
    )


def _fault_row(fault: Fault) -> Html:
    where = (fault.model, fault.mask_class, fault.side, fault.key)
    cells = [element("td", "all" if part is None else spoken(str(part))) for part in where]
    return element(
        "tr",
        element("td", fault.stage),
        cells,
        element("td", fault.message, class_="prose"),
        data_class=fault.mask_class,
        data_model=fault.model,
        data_side=fault.side,
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
