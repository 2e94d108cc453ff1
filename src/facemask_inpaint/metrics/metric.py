"""What a row of the table of metrics holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

    from facemask_inpaint.metrics.features.sets import FeaturePair
    from facemask_inpaint.metrics.pairs import ImagePair
    from facemask_inpaint.metrics.results import MetricResult

Need = Literal["features", "pairs", "mask", "label map", "parser"]
"""What a metric needs: features of both sides, real and fake images in pairs, the masks, the label
maps of the real images, or a parser that labels the fake ones."""

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
        decimals: digits after the point in a paper's table; ``None`` for two to three significant
            ones, row by row.
        percent: whether a paper's table shows the number in per cent.
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
    decimals: int | None = None
    percent: bool = False
    default: bool = False
    ranks: bool = True

    @property
    def arrow(self) -> str:
        """``"↓"`` where lower is better, ``"↑"`` where higher is."""
        return "↓" if self.better == "lower" else "↑"

    @property
    def description(self) -> str:
        """The meaning with its unit: ``"peak signal-to-noise ratio, in dB"``."""
        return f"{self.meaning}, in {self.unit}" if self.unit else self.meaning

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
        """Compute the metric of a pair of feature sets; ``None`` where it is not defined."""
        if self._unmet(pair) is not None:
            return None
        function: FeatureFunction = _resolved(self.function)
        return function(pair)

    def why_undefined(self, pair: FeaturePair) -> str:
        """Say why the metric is not defined for a pair of feature sets."""
        return self._unmet(pair) or f"{self.label} is not defined for these images"

    def _unmet(self, pair: FeaturePair) -> str | None:
        counts = len(pair.real), len(pair.fake)
        if min(counts) < self.min_samples:
            return (
                f"{self.label} needs {self.min_samples} images a side; there "
                f"{'is' if min(counts) == 1 else 'are'} {min(counts)}"
            )
        if "pairs" in self.needs and counts[0] != counts[1]:
            real, fake = counts
            return f"{self.label}: {real} real images cannot be paired with {fake} fake"
        return None

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
        label = f"{self.label} ({name})"
        return replace(self, name=f"{self.name}@{name}", label=label, extractor=name)


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
        min_side: height and width in pixels from which the metric is defined.
        prepare: called with the device before any image is read, so that missing weights are
            noticed in time.
        over_hole: whether the value is of the hole alone; set by :meth:`in_hole`.
    """

    function: ImageFunction | str
    reach: int | None = None
    min_side: int = 1
    prepare: Preparation | str | None = None
    over_hole: bool = False
    needs: frozenset[Need] = frozenset({"pairs"})

    def __call__(self, pair: ImagePair) -> float | None:
        """Compute the metric of one pair of images; ``None`` where it is not defined."""
        if min(pair.real.shape[1:]) < self.min_side:
            return None
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
            meaning=f"{self.meaning} over the hole",
            needs=self.needs | {"mask"},
            over_hole=True,
        )


def _resolved(function: Any) -> Any:
    if callable(function):
        return function
    module, _, name = function.partition(":")
    return attrgetter(name)(importlib.import_module(module))
