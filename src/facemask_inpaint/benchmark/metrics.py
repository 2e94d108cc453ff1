"""The metrics of a run: the table of metrics with the diagnostics, and the values of one image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS, LabelledPair
from facemask_inpaint.benchmark.store.records import rounded
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import FeatureMetric, ImageMetric, ImagePair
from facemask_inpaint.metrics.table import default_metrics, find_metric, metric_names, metric_rows


def benchmark_metrics() -> dict[str, FeatureMetric | ImageMetric]:
    """Return all metrics that a benchmark can compute, by name, in the order of the tables.

    Example:
        >>> benchmark_metrics()["seam"].better
        'lower'
    """
    return {**metric_rows(), **DIAGNOSTICS}


def metric_row(name: str) -> FeatureMetric | ImageMetric:
    """Return the row behind the name of a score.

    Args:
        name: such as ``"fid"``, ``"psnr_hole"``, ``"seam"`` or ``"fid@clean"``.

    Raises:
        UnknownNameError: there is no such metric.
    """
    return find_metric(name, DIAGNOSTICS)


def in_table_order(names: Iterable[str]) -> list[str]:
    """Sort names of scores as tables do; those of several extractors stay in their order.

    Args:
        names: of scores; unknown ones are left out.
    """
    order = {name: position for position, name in enumerate(benchmark_metrics())}
    known = [name for name in dict.fromkeys(names) if name.partition("@")[0] in order]
    return sorted(known, key=lambda name: order[name.partition("@")[0]])


def checked_metrics(metrics: str | Sequence[str] | None, parser: bool) -> tuple[str, ...]:
    """Return the names of the metrics of a run, each once.

    Args:
        metrics: names out of :func:`benchmark_metrics`; a string is one name, or several between
            commas; ``None`` is the default.
        parser: whether predictions are parsed.

    Raises:
        UnknownNameError: there is no such metric.
        OptionError: it needs a parser.
    """
    if metrics is None:
        return default_metrics(in_hole=True)
    names = metric_names(metrics, benchmark_metrics())
    if unparsed := [name for name in names if "parser" in metric_row(name).needs and not parser]:
        raise OptionError(
            f"{', '.join(unparsed)} needs a parser, such as small: name it by --parser or parser="
        )
    return names


def image_rows(metrics: Iterable[str]) -> list[ImageMetric]:
    """Return the metrics that are computed of every image of a run.

    Those that are computed by default, and the diagnostics, are always among them, so that a
    later call can turn to them.

    Args:
        metrics: names of the metrics asked for.
    """
    wanted = {*metrics, *default_metrics(in_hole=True), *DIAGNOSTICS}
    rows = benchmark_metrics()
    return [row for row in rows.values() if row.name in wanted and isinstance(row, ImageMetric)]


def measure_image(pair: LabelledPair, metrics: Sequence[ImageMetric]) -> dict[str, float]:
    """Compute the metrics of one image that are defined for it, by name.

    Args:
        pair: the image, its prediction, hole and label map.
        metrics: what to compute.
    """
    values: dict[str, float] = {}
    for metric in metrics:
        value = metric(_seen_by(metric, pair))
        if value is not None and math.isfinite(value):
            values[metric.name] = rounded(value)
    return values


def _seen_by(metric: ImageMetric, pair: LabelledPair) -> ImagePair:
    """What a metric of one image gets: the whole image, or the part around the hole that counts."""
    if not metric.over_hole:
        return replace(pair, hole=None)
    if metric.reach is None or pair.hole is None:
        return pair
    rows, columns = _around(pair.mask, metric.reach)
    return ImagePair(
        pair.real[:, rows, columns], pair.fake[:, rows, columns], pair.hole[rows, columns]
    )


def _around(hole: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The rectangle around the hole, and a margin."""
    rows, columns = (
        slice(max(0, int(where[0]) - margin), int(where[-1]) + 1 + margin)
        for where in (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    )
    return rows, columns
