"""The table of metrics: their names, directions, needs and functions.

Everything that names a metric reads this table: :func:`~facemask_inpaint.metrics.evaluate`,
benchmarks, the validation of a training run, command lines, result tables, the report and the
documentation. A metric is added by one entry and one function. Functions are given as
``"module:function"``, so reading the table imports neither torch nor any metric.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from facemask_inpaint.errors import OptionError, unknown_name

if TYPE_CHECKING:
    import torch

    from facemask_inpaint.metrics.features.sets import FeaturePair
    from facemask_inpaint.metrics.pairs import ImagePair
    from facemask_inpaint.metrics.results import MetricResult

Need = Literal["features", "pairs", "mask", "label map", "parser"]
"""What a metric needs: features of both sides, real and fake images in pairs, the masks, the label
maps of the real images, or a parser that labels the fake ones."""

RANDOM_CONVOLUTIONS = "random-convolutions"
"""Name of the extractor without weights, for rehearsals."""

EXTRACTORS = (
    "stylegan",
    "torch_fidelity",
    "pytorch_fid",
    "torchmetrics",
    "clean",
    RANDOM_CONVOLUTIONS,
)
"""Names of the feature extractors: the front ends of the Inception network of 2015, the default
first, and one without weights."""

HOLE = "_hole"
"""What the names of results over the hole end in."""

FeatureFunction: TypeAlias = "Callable[[FeaturePair], MetricResult | None]"
IntervalFunction: TypeAlias = "Callable[[FeaturePair, float], tuple[float, float] | None]"
ImageFunction: TypeAlias = "Callable[[ImagePair], float | None]"
Preparation: TypeAlias = "Callable[[torch.device], object]"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the table of metrics; see :class:`FeatureMetric` and :class:`ImageMetric`.

    Attributes:
        name: as in results and options, ``"fid"``.
        label: as in tables, ``"FID"``.
        better: ``"lower"`` or ``"higher"``.
        meaning: half a sentence that explains the number.
        needs: what has to be given; see :data:`Need`.
        unit: of the number, such as ``"dB"``; empty for plain numbers.
        digits: significant digits of the largest value of a table's column.
        default: whether it is computed unless other metrics are asked for.
        ranks: whether a better value means a better method; diagnostics only say where to look.
    """

    name: str
    label: str
    better: Literal["lower", "higher"]
    meaning: str
    needs: frozenset[Need] = frozenset()
    unit: str = ""
    digits: int = 4
    default: bool = False
    ranks: bool = True

    @property
    def arrow(self) -> str:
        """``"↓"`` where lower is better, ``"↑"`` where higher is."""
        return "↓" if self.better == "lower" else "↑"

    def rank_key(self, value: float) -> float:
        """Return a number to sort values by, the best first."""
        return value if self.better == "lower" else -value


@dataclass(frozen=True, kw_only=True)
class FeatureMetric(Metric):
    """A metric of two sets of features.

    Example:
        >>> from facemask_inpaint.metrics import FeatureMetric, MetricResult
        >>> def mean_shift(pair):
        ...     shift = pair.real.values.mean(0) - pair.fake.values.mean(0)
        ...     return MetricResult("mean_shift", float(shift.norm()), len(pair.real))
        >>> row = FeatureMetric(
        ...     name="mean_shift",
        ...     label="mean shift",
        ...     better="lower",
        ...     meaning="distance of the mean features",
        ...     function=mean_shift,
        ... )

    Attributes:
        function: takes a :class:`FeaturePair` and returns a :class:`MetricResult` of this name, or
            ``None`` where the metric is not defined; a function or ``"module:function"``.
        interval: takes a :class:`FeaturePair` and a confidence such as 0.95 and returns the limits
            of a confidence interval, or ``None`` where there is none.
        min_samples: number of images on each side from which the metric is defined.
        extractor: name of the only feature extractor that the metric is meant for, see
            :func:`~.extractors.open_extractor`; ``None`` for a metric of any features.
    """

    function: FeatureFunction | str
    interval: IntervalFunction | str | None = None
    min_samples: int = 1
    extractor: str | None = None
    needs: frozenset[Need] = frozenset({"features"})

    def __call__(self, pair: FeaturePair) -> MetricResult | None:
        """Compute the metric of a pair of feature sets."""
        function: FeatureFunction = _resolved(self.function)
        return function(pair)

    def confidence_interval(
        self, pair: FeaturePair, confidence: float
    ) -> tuple[float, float] | None:
        """Return the limits of a confidence interval, ``None`` where there is none."""
        if self.interval is None:
            return None
        function: IntervalFunction = _resolved(self.interval)
        return function(pair, confidence)

    def with_extractor(self, name: str) -> FeatureMetric:
        """Return the row for features of one of several extractors: ``fid@clean``."""
        return replace(self, name=f"{self.name}@{name}", label=f"{self.label} ({name})")


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric of one real image and its fake; scores are means over all pairs.

    Example:
        >>> from facemask_inpaint.metrics import ImageMetric
        >>> row = ImageMetric(
        ...     name="max_error",
        ...     label="max error",
        ...     better="lower",
        ...     meaning="largest difference of two samples, 0 to 1",
        ...     function=lambda pair: float((pair.real - pair.fake).abs().max()),
        ... )

    Attributes:
        function: takes an :class:`ImagePair` and returns the number, ``None`` where it is not
            defined; a function or ``"module:function"``.
        reach: distance in pixels from the hole beyond which nothing changes the value over the
            hole; ``None`` where the whole image counts.
        prepare: called with the device before any image is read, so that missing weights are
            noticed in time.
        over_hole: whether the value is of the hole alone; set by :meth:`in_hole`.
    """

    function: ImageFunction | str
    reach: int | None = None
    prepare: Preparation | str | None = None
    over_hole: bool = False
    needs: frozenset[Need] = frozenset({"pairs"})

    def __call__(self, pair: ImagePair) -> float | None:
        """Compute the metric of one pair of images."""
        function: ImageFunction = _resolved(self.function)
        return function(pair)

    def get_ready(self, device: torch.device) -> None:
        """Load what the function needs, such as weights.

        Raises:
            WeightsNotFoundError: the weights cannot be had.
        """
        if self.prepare is not None:
            prepare: Preparation = _resolved(self.prepare)
            prepare(device)

    def in_hole(self) -> ImageMetric:
        """Return the row of the same metric over the hole alone: ``psnr_hole``."""
        return replace(
            self,
            name=self.name + HOLE,
            label=f"{self.label} (hole)",
            meaning=f"{self.meaning}, over the hole",
            needs=self.needs | {"mask"},
            over_hole=True,
        )


def _resolved(function: Any) -> Any:
    if callable(function):
        return function
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


_PACKAGE = "facemask_inpaint.metrics"

METRICS: dict[str, FeatureMetric | ImageMetric] = {
    metric.name: metric
    for metric in (
        FeatureMetric(
            name="fid",
            label="FID",
            better="lower",
            meaning="Fréchet distance of features; biased at small n",
            function=f"{_PACKAGE}.frechet:fid_of_features",
            interval=f"{_PACKAGE}.comparison.paired:fid_interval",
            min_samples=2,
            default=True,
        ),
        FeatureMetric(
            name="pids",
            label="P-IDS",
            better="higher",
            meaning="share of pairs whose prediction looks more real",
            function=f"{_PACKAGE}.discriminative:pids_of_features",
            needs=frozenset({"features", "pairs"}),
            default=True,
        ),
        FeatureMetric(
            name="uids",
            label="U-IDS",
            better="higher",
            meaning="error of a linear classifier of real images and predictions",
            function=f"{_PACKAGE}.discriminative:uids_of_features",
            default=True,
        ),
        FeatureMetric(
            name="kid",
            label="KID",
            better="lower",
            meaning="kernel distance of features; unbiased",
            function=f"{_PACKAGE}.kernel:kid_of_features",
            min_samples=2,
            default=True,
        ),
        ImageMetric(
            name="l1",
            label="L1",
            better="lower",
            meaning="mean absolute difference, samples 0 to 1",
            function=f"{_PACKAGE}.pixel:absolute_difference",
            reach=0,
            default=True,
        ),
        ImageMetric(
            name="psnr",
            label="PSNR",
            better="higher",
            unit="dB",
            meaning="peak signal-to-noise ratio in dB",
            function=f"{_PACKAGE}.pixel:peak_signal_to_noise",
            reach=0,
            default=True,
        ),
        ImageMetric(
            name="ssim",
            label="SSIM",
            better="higher",
            meaning="structural similarity",
            function=f"{_PACKAGE}.pixel:structural_similarity",
            reach=11,
            default=True,
        ),
        ImageMetric(
            name="lpips",
            label="LPIPS",
            better="lower",
            meaning="learned perceptual distance",
            function=f"{_PACKAGE}.pixel:perceptual_distance",
            prepare=f"{_PACKAGE}.features.perceptual:shared_perceptual_distance",
        ),
    )
}
"""All metrics by name, in the order of the tables."""


def register(metric: FeatureMetric | ImageMetric) -> None:
    """Add a metric of one's own, which every command, table and report then knows.

    Example:
        >>> from facemask_inpaint import metrics
        >>> metrics.register(
        ...     metrics.ImageMetric(
        ...         name="median_error",
        ...         label="median error",
        ...         better="lower",
        ...         meaning="median absolute difference, samples 0 to 1",
        ...         function=lambda pair: float((pair.real - pair.fake).abs().median()),
        ...     )
        ... )

    Args:
        metric: its row; the name must not be taken.

    Raises:
        OptionError: there is such a metric already, or the name is not a Python identifier, or
            ends in ``_hole``, which marks results over the hole.
    """
    if metric.name in METRICS:
        raise OptionError(f"there is a metric {metric.name!r} already")
    if not metric.name.isidentifier() or metric.name.endswith(HOLE):
        raise OptionError(f"{metric.name!r} cannot name a metric: use a word such as 'max_error'")
    METRICS[metric.name] = metric


def feature_metrics() -> dict[str, FeatureMetric]:
    """Return the rows of metrics of features, by name."""
    return {name: row for name, row in METRICS.items() if isinstance(row, FeatureMetric)}


def image_metrics() -> dict[str, ImageMetric]:
    """Return the rows of metrics of whole images, by name."""
    return {name: row for name, row in METRICS.items() if isinstance(row, ImageMetric)}


def metric_rows() -> dict[str, FeatureMetric | ImageMetric]:
    """Return the table with a row of its own for each image metric over the hole.

    Example:
        >>> from facemask_inpaint.metrics import metric_rows
        >>> list(metric_rows())[:6]
        ['fid', 'pids', 'uids', 'kid', 'l1_hole', 'psnr_hole']

    Returns:
        Rows by name, in the order of the tables: metrics of features, of holes, of whole images.
    """
    images = image_metrics()
    holes = [row.in_hole() for row in images.values()]
    return {**feature_metrics(), **{row.name: row for row in holes}, **images}


def find_metric(
    name: str, further: Mapping[str, FeatureMetric | ImageMetric] | None = None
) -> FeatureMetric | ImageMetric:
    """Return the row behind the name of a result.

    Example:
        >>> from facemask_inpaint.metrics import find_metric
        >>> find_metric("psnr_hole").label, find_metric("fid@clean").label
        ('PSNR (hole)', 'FID (clean)')

    Args:
        name: such as ``"fid"``, ``"psnr_hole"`` or, of one of several extractors,
            ``"fid@clean"``.
        further: rows beside the table, such as a benchmark's diagnostics.

    Raises:
        UnknownNameError: there is no such metric; the message names the near ones.
    """
    known = metric_rows() | dict(further or {})
    base, _, extractor = name.partition("@")
    if base not in known:
        raise unknown_name("metric", name, known)
    row = known[base]
    return row.with_extractor(extractor) if extractor and isinstance(row, FeatureMetric) else row


def default_metrics(*, in_hole: bool = False) -> tuple[str, ...]:
    """Return the names of the metrics that are computed unless others are asked for.

    Args:
        in_hole: image metrics over the hole (``psnr_hole``), as benchmarks compute them, instead
            of over whole images.
    """
    return tuple(
        row.in_hole().name if in_hole and isinstance(row, ImageMetric) else row.name
        for row in METRICS.values()
        if row.default
    )


def needs_features(names: Iterable[str]) -> bool:
    """Say whether any of these metrics is computed from features.

    Args:
        names: of metrics; unknown ones count as needing none.
    """
    return not feature_metrics().keys().isdisjoint(names)


def by_extractor(
    rows: Iterable[FeatureMetric], extractors: Sequence[str]
) -> dict[str, list[FeatureMetric]]:
    """Assign metrics to the extractors whose features they are computed from.

    Args:
        rows: metrics of features.
        extractors: names of the chosen extractors. With several, metrics of any features are
            computed from each of them, under names such as ``"fid@clean"``.

    Returns:
        Metrics by extractor; beside the chosen ones those that a metric is bound to.
    """
    assigned: dict[str, list[FeatureMetric]] = {name: [] for name in extractors}
    for row in rows:
        if row.extractor is not None:
            assigned.setdefault(row.extractor, []).append(row)
            continue
        for name in extractors:
            assigned[name].append(row.with_extractor(name) if len(extractors) > 1 else row)
    return {name: metrics for name, metrics in assigned.items() if metrics}


def metric_names(metrics: str | Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return names of metrics, each once.

    Args:
        metrics: the names; a string is one name, or several between commas.
        known: all names there are.

    Raises:
        UnknownNameError: a name that is not ``known``.
        OptionError: something else than names.
    """
    if isinstance(metrics, str):
        metrics = [name.strip() for name in metrics.split(",") if name.strip()]
    names = tuple(metrics) if isinstance(metrics, Iterable) else (metrics,)
    known = tuple(known)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"metrics are given by their names, such as ('fid',), not {name!r}")
        if name not in known:
            raise unknown_name("metric", name, known)
    return tuple(dict.fromkeys(names))
