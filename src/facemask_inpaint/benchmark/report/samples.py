"""Which portraits a figure shows: named ones, random ones, or those that came out worst or best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from facemask_inpaint.benchmark.metrics import image_rows, metric_row
from facemask_inpaint.benchmark.report.selection import Row
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.errors import OptionError, unknown_name

Pick = Literal["random", "worst", "median", "best"]


@dataclass(frozen=True)
class Samples:
    """The rows of a figure.

    Attributes:
        classes: names of the mask classes.
        keys: portraits to show in every class; empty to pick some.
        pick: ``"random"``, or by the mean of ``metric`` over the methods shown.
        count: how many portraits are picked for each class.
        metric: name of a metric of images; ``None`` takes the first that the cases have.
        seed: of random picks.
        resolution: in pixels; ``None`` for the largest of the run.

    Raises:
        OptionError: a value is out of its range.

    Example:
        >>> from facemask_inpaint.benchmark.report import Samples
        >>> Samples(("eyes", "hair"), pick="worst", count=2).keys
        ()
    """

    classes: tuple[str, ...]
    keys: tuple[str, ...] = ()
    pick: Pick = "random"
    count: int = 1
    metric: str | None = None
    seed: int = 0
    resolution: int | None = None

    def __post_init__(self) -> None:
        if self.pick not in get_args(Pick):
            raise OptionError(f"pick is one of {', '.join(get_args(Pick))}, not {self.pick!r}")
        if self.count < 1 or self.seed < 0 or not self.classes:
            raise OptionError(f"{self}: a figure needs a class, a portrait and a seed from 0")

    def rows(self, run: Run, methods: Sequence[str]) -> list[Row]:
        """Return the rows, class by class.

        Args:
            run: the run.
            methods: names of the methods shown.

        Raises:
            UnknownNameError: the run has no such class.
            OptionError: a portrait does not show a class, or the resolution is not there.
        """
        resolution = self.resolution or max(run.resolutions)
        if resolution not in run.resolutions:
            raise OptionError(
                f"{run.folder} has {', '.join(map(str, run.resolutions))} pixels, not {resolution}"
            )
        known = [entry.name for entry in run.classes]
        if unknown := [name for name in self.classes if name not in known]:
            raise unknown_name("class of this run", unknown[0], known)
        return [
            Row(resolution, name, key)
            for name in self.classes
            for key in self._keys(run, methods, resolution, name)
        ]

    def _keys(
        self, run: Run, methods: Sequence[str], resolution: int, mask_class: str
    ) -> list[str]:
        scores: dict[str, list[float]] = defaultdict(list)
        name = self.metric or _first_metric(run)
        for case in run.cases:
            if (case.resolution, case.mask_class) == (resolution, mask_class):
                mine = case.method in methods and name in case.metrics
                scores[case.key] += [case.metrics[name]] if mine else []
        if absent := [key for key in self.keys if key not in scores]:
            raise OptionError(f"no method filled {mask_class} of portrait {absent[0]}")
        if self.keys:
            return list(self.keys)
        if self.pick == "random":
            order = np.random.default_rng(self.seed).permutation(sorted(scores))
            return [str(key) for key in order[: self.count]]
        return _by_score({key: values for key, values in scores.items() if values}, name, self)


def _by_score(scores: dict[str, list[float]], name: str, samples: Samples) -> list[str]:
    """Return keys by the mean of a metric: the worst or best first, or those in the middle."""
    metric = metric_row(name)
    means = {key: metric.rank_key(float(np.mean(values))) for key, values in scores.items()}
    ordered = sorted(means, key=lambda key: (means[key], key), reverse=samples.pick == "worst")
    start = max(0, (len(ordered) - samples.count) // 2) if samples.pick == "median" else 0
    return ordered[start : start + samples.count]


def _first_metric(run: Run) -> str:
    """Return the first metric of images that cases have; LPIPS is closest to the eye."""
    present = {name for case in run.cases for name in case.metrics}
    names = ["lpips_hole", "psnr_hole", *(row.name for row in image_rows(present))]
    return next((name for name in names if name in present), "psnr_hole")
