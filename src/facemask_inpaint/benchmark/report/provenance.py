"""What a run cost, what failed in it, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facemask_inpaint.benchmark.report.format import brief, spoken
from facemask_inpaint.benchmark.report.plots import Point, Scale
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.benchmark.store.records import Failure, Timing

_MOST_FAILURES = 200
_SHOWN_ELSEWHERE = frozenset(
    {"format", "dataset", "classes", "methods", "resolutions", "metrics", "protocol"}
)


@dataclass(frozen=True)
class Costs:
    """Seconds and memory of each method.

    Attributes:
        timings: by method, resolution and device.
        methods: all methods, each with its index in the run's order.
        scale: of the seconds per image.
    """

    timings: tuple[Timing, ...]
    methods: Mapping[str, int]
    scale: Scale

    @classmethod
    def of(cls, run: Run) -> Costs | None:
        """Return the costs of a run; ``None`` when nothing was timed."""
        if not run.timings:
            return None
        methods = {entry.name: index for index, entry in enumerate(run.methods)}
        return cls(run.timings, methods, Scale.of([timing.seconds for timing in run.timings]))

    def index(self, timing: Timing) -> int:
        """Return the index of a timing's method."""
        return self.methods.get(timing.method, 0)

    def point(self, timing: Timing) -> Point:
        """Return the mark of a timing."""
        title = f"{timing.method} at {timing.resolution} px: {brief(timing.seconds)} s"
        return Point(self.index(timing), timing.method, timing.seconds, None, None, title)

    def numbers(self, timing: Timing) -> tuple[float | None, ...]:
        """Return seconds per image, images per second and MiB."""
        speed = 1 / timing.seconds if timing.seconds > 0 else None
        return timing.seconds, speed, timing.mebibytes


def shown_failures(run: Run) -> tuple[Failure, ...]:
    """Return the first failures, as many as a page can hold."""
    return run.failures[:_MOST_FAILURES]


def shown_settings(run: Run) -> list[tuple[str, str]]:
    """Return every setting of the run that is shown nowhere else, as name and text."""
    return list(_flattened({k: run.settings[k] for k in run.settings if k not in _SHOWN_ELSEWHERE}))


def mask_text(run: Run) -> str:
    """Return how the masks were cut."""
    options = run.settings.get("masker", {}).items()
    texts = (f"{spoken(name)} {value}" for name, value in options if value is not None)
    return ", ".join(texts) or "not recorded"


def _flattened(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        title = f"{above} {spoken(name)}".strip()
        if isinstance(value, Mapping):
            yield from _flattened(value, title)
        elif isinstance(value, list | tuple):
            yield title, ", ".join(map(str, value))
        else:
            yield title, "not set" if value is None else str(value)
