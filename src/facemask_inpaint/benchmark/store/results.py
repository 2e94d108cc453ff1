"""From what the ranks remember to the records of a run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields

import numpy as np

from facemask_inpaint.benchmark.store.journal import Journal, by_age
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import (
    CaseLine,
    CaseRecord,
    Timing,
    TimingLine,
    from_dict,
    rounded,
)
from facemask_inpaint.benchmark.store.settings import Settings


def collected_cases(layout: Layout, settings: Settings) -> list[CaseRecord]:
    """Return every case whose prediction is there, by method, resolution, class and key."""
    methods = {entry.name: row for row, entry in enumerate(settings.methods)}
    classes = {entry.name: row for row, entry in enumerate(settings.classes)}
    keys = {key: row for row, key in enumerate(settings.keys)}
    cases: dict[tuple[int, int, int, int], CaseRecord] = {}
    names = {field.name for field in fields(CaseRecord)}
    for line in by_age(Journal(layout.work, "cases", 0).read(CaseLine)):
        case = from_dict(CaseRecord, {name: v for name, v in line.items() if name in names})
        if layout.prediction(case.resolution, case.method, case.mask_class, case.key).exists():
            row = (methods[case.method], case.resolution, classes[case.mask_class], keys[case.key])
            cases[row] = case
    return [cases[row] for row in sorted(cases)]


def collected_timings(layout: Layout, settings: Settings) -> list[Timing]:
    """Return seconds and memory by method, resolution and device.

    The first batch of a process only warms up; it counts where there is no other.
    """
    lines: dict[tuple[str, int, str], list[TimingLine]] = defaultdict(list)
    for line in Journal(layout.work, "timings", 0).read(TimingLine):
        lines[line["method"], line["resolution"], line["device"]].append(line)
    order = {entry.name: row for row, entry in enumerate(settings.methods)}
    timings = []
    for group in sorted(lines, key=lambda item: (order[item[0]], *item[1:])):
        batches = [line for line in lines[group] if not line["first"]] or lines[group]
        seconds = rounded(float(np.median([line["seconds"] for line in batches])))
        peaks = [line["mebibytes"] for line in batches if line["mebibytes"] is not None]
        peak = rounded(max(peaks)) if peaks else None
        timings.append(Timing(*group, seconds, peak, sum(line["n"] for line in batches)))
    return timings
