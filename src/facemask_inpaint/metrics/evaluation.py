"""All metrics of one set of fake images, with features computed once."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from facemask_inpaint.errors import MissingDependencyError, OptionError
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    Convention,
    FeaturePair,
    FeatureSet,
    FeatureSource,
    is_feature_array,
)
from facemask_inpaint.metrics.inputs import MaskSource, OpenableImages, rereadable
from facemask_inpaint.metrics.metric import FeatureMetric, ImageMetric
from facemask_inpaint.metrics.pairs import PairReader
from facemask_inpaint.metrics.results import MetricResult
from facemask_inpaint.metrics.table import (
    METRICS,
    by_extractor,
    default_metrics,
    find_metric,
    metric_names,
    metric_rows,
)

if TYPE_CHECKING:
    import pandas


_ReadSides: TypeAlias = "Callable[[FeatureSource, FeatureSource], tuple[FeatureSet, FeatureSet]]"


@dataclass(frozen=True)
class Evaluation(Mapping[str, MetricResult]):
    """Results by metric: ``evaluation["fid"]``, over the hole ``evaluation["psnr_hole"]``.

    Attributes:
        results: the same as an ordinary mapping.
        left_out: why a metric has no result, for each that is not defined for these images.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
        >>> scores = metrics.evaluate(black, grey, "l1,psnr")
        >>> round(scores["psnr"].value, 2)
        13.98
    """

    results: Mapping[str, MetricResult]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> MetricResult:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __str__(self) -> str:
        concerned: dict[str, list[str]] = {}
        for result in self.results.values():
            for text in result.warnings:
                concerned.setdefault(text, []).append(result.label)
        lines = [str(result).splitlines()[0] for result in self.results.values()]
        notes = [f"warning ({', '.join(names)}): {text}" for text, names in concerned.items()]
        notes += [f"warning (left out): {reason}" for reason in self.left_out.values()]
        return "\n".join(lines + notes)

    def to_dict(self) -> dict[str, object]:
        """Return every result's :meth:`MetricResult.to_dict`, by metric.

        A metric that was left out has the value ``None``, and a warning that says why.
        """
        missing = {
            name: {"name": name, "value": None, "warnings": [reason]}
            for name, reason in self.left_out.items()
        }
        return {**{name: result.to_dict() for name, result in self.items()}, **missing}

    def to_json(self, indent: int | None = None) -> str:
        """Return :meth:`to_dict` as JSON text.

        Args:
            indent: spaces per level; ``None`` writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_csv(self) -> str:
        """Return a line of name, value and n for each metric, below a line of column names."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["metric", "value", "n"])
        writer.writerows([name, result.value, result.n] for name, result in self.items())
        return table.getvalue()

    def to_frame(self) -> pandas.DataFrame:
        """Return the same as a pandas frame, a row for each metric.

        Example:
            >>> import numpy as np
            >>> from facemask_inpaint import metrics
            >>> scores = metrics.evaluate(np.eye(3), np.ones((3, 3)), "kid")
            >>> scores.to_frame().loc["kid", "n"]  # doctest: +SKIP
            3

        Returns:
            Columns ``label``, ``value``, ``n``, ``unit``, ``better`` and ``warnings``, by the names
            of the metrics.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError(
                "frames are those of pandas, which is not installed: "
                "pip install 'facemask-inpaint[pandas]'"
            ) from error
        rows = [
            {
                "label": result.label,
                "value": result.value,
                "n": result.n,
                "unit": find_metric(name).unit,
                "better": find_metric(name).better,
                "warnings": "; ".join(result.warnings),
            }
            for name, result in self.items()
        ]
        return pandas.DataFrame(rows, index=pandas.Index(self, name="metric"))


def evaluate(
    real: FeatureSource,
    fake: FeatureSource,
    metrics: str | Sequence[str] | None = None,
    mask: MaskSource | None = None,
    *,
    convention: Convention = "n-1",
    null_swaps: int = 0,
    reader: FeatureReader | Mapping[str, FeatureReader] | None = None,
) -> Evaluation:
    """Measure fake images against real ones by several metrics.

    A metric that is not defined for these images, such as FID of one image, is left out with a
    warning: see :attr:`Evaluation.left_out`.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).integers(0, 256, (2, 9, 32, 32, 3), np.uint8)
        >>> scores = metrics.evaluate(real, fake, "l1,psnr", mask=np.eye(32) > 0)
        >>> list(scores)
        ['l1', 'l1_hole', 'psnr', 'psnr_hole']

    Args:
        real: a folder, a list of paths or images, a uint8 batch, or (for metrics of features
            alone) features ``(n, d)``. For metrics of pairs files are paired by stem, everything
            else by order.
        fake: the same.
        metrics: names out of :data:`METRICS`; a string is one name, or several between commas.
            Names such as ``"psnr_hole"`` ask for the hole alone. ``None`` takes those marked as
            default.
        mask: with it image metrics are given over the hole too; see :func:`psnr`.
        convention: divisor of the covariance in FID, see :func:`fid`.
        null_swaps: number of refits for the null reference of P-IDS and U-IDS, see :func:`pids`.
        reader: how images are read and become features; default ``FeatureReader()``. Its
            ``on_error="skip"`` leaves out what cannot be read and says so in the results.
            A mapping of names to readers computes feature metrics by each, as ``"fid@name"``.

    Raises:
        UnknownNameError: a metric that does not exist.
        ImageError: an undecodable image, or a pair of different sizes for an image metric.
        OptionError: no metric at all, or none that is defined for these images; unmatched files
            (named), features where images are needed, or no mask where one is needed.
        WeightsNotFoundError: the weights of a network cannot be had.
    """
    rows = _wanted_rows(metrics, mask is not None)
    images = [row for row in rows if isinstance(row, ImageMetric)]
    readers = reader if isinstance(reader, Mapping) else {"": reader or FeatureReader()}
    real, fake = rereadable(real), rereadable(fake)
    sides = (_only_images(real, images), _only_images(fake, images)) if images else None
    found = _Found()
    for read, assigned in _readings(rows, readers):
        found.add_features(FeaturePair(*read(real, fake), convention, null_swaps), assigned)
    if sides is not None:
        pairs = _pair_reader(next(iter(readers.values())))
        found.add_images(pairs.measure(*sides, images, mask))
    return found.in_order(rows, readers)


class _Found:
    """Results by the names of metrics, and why others have none."""

    def __init__(self) -> None:
        self._results: dict[str, MetricResult] = {}
        self._left_out: dict[str, str] = {}

    def add_features(self, pair: FeaturePair, metrics: Sequence[FeatureMetric]) -> None:
        scores = feature_scores(pair, metrics)
        self._results |= scores
        undefined = [row for row in metrics if row.name not in scores]
        self._left_out |= {row.name: row.why_undefined(pair) for row in undefined}

    def add_images(self, results: Mapping[str, MetricResult]) -> None:
        for name, result in results.items():
            if math.isnan(result.value):
                self._left_out[name] = result.warnings[-1]
            else:
                self._results[name] = result

    def in_order(
        self,
        rows: Sequence[FeatureMetric | ImageMetric],
        readers: Mapping[str, FeatureReader],
    ) -> Evaluation:
        if not self._results:
            raise OptionError("; ".join(dict.fromkeys(self._left_out.values())))
        names = _ordered(rows, readers, self._results)
        return Evaluation({name: self._results[name] for name in names}, self._left_out)


def _readings(
    rows: Sequence[FeatureMetric | ImageMetric], readers: Mapping[str, FeatureReader]
) -> Iterator[tuple[_ReadSides, list[FeatureMetric]]]:
    """Yield how both sides are read for each extractor, and the metrics of its features."""
    paired = any("pairs" in row.needs for row in rows)
    features = [row for row in rows if isinstance(row, FeatureMetric)]
    first = next(iter(readers.values()))
    for name, assigned in by_extractor(features, list(readers)).items():
        own = readers.get(name) or replace(first, extractor=name)
        yield own.read_pair if paired else own.read_both, assigned


def feature_scores(pair: FeaturePair, metrics: Sequence[FeatureMetric]) -> dict[str, MetricResult]:
    """Compute metrics of features, by name; those that are not defined are left out.

    Args:
        pair: features of both sides.
        metrics: rows of the table of metrics.
    """
    results = {metric.name: metric(pair) for metric in metrics}
    return {
        name: replace(result, name=name) for name, result in results.items() if result is not None
    }


def _wanted_rows(
    metrics: str | Sequence[str] | None, masked: bool
) -> list[FeatureMetric | ImageMetric]:
    """Rows of the metrics asked for; with masks each image metric over the hole too."""
    names = metric_names(default_metrics() if metrics is None else metrics, metric_rows())
    if not names:
        raise OptionError(f"metrics= is empty: name at least one of {', '.join(METRICS)}")
    rows: dict[str, FeatureMetric | ImageMetric] = {}
    for row in map(find_metric, names):
        rows[row.name] = row
        if isinstance(row, ImageMetric) and masked and not row.over_hole:
            rows[row.in_hole().name] = row.in_hole()
        if "mask" in row.needs and not masked:
            raise OptionError(f"{row.name} needs masks: give mask= (--masks)")
        if unmet := row.needs - {"features", "pairs", "mask"}:
            missing = " and ".join(sorted(unmet))
            raise OptionError(f"{row.name} needs a {missing}, which only a benchmark has")
    return list(rows.values())


def _pair_reader(reader: FeatureReader) -> PairReader:
    return PairReader(
        reader.device, reader.workers, reader.on_error, reader.progress, reader.on_skip
    )


def _ordered(
    rows: Sequence[FeatureMetric | ImageMetric],
    readers: Mapping[str, FeatureReader],
    results: Mapping[str, MetricResult],
) -> list[str]:
    """Names of the results in the order of the metrics, then of the extractors."""
    names = [name for row in rows for name in (row.name, *(f"{row.name}@{at}" for at in readers))]
    return [name for name in names if name in results]


def _only_images(source: FeatureSource, metrics: Sequence[ImageMetric]) -> OpenableImages:
    if isinstance(source, FeatureSet) or is_feature_array(source):
        names = ", ".join(metric.name for metric in metrics)
        raise OptionError(f"{names} need images, not features")
    return source
