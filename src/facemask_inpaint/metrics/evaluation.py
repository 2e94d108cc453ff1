"""All metrics of one set of fakes, with features computed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.metrics.discriminative import DiscriminativeScores, discriminative_scores
from facemask_inpaint.metrics.features.perceptual import load_perceptual_distance
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import FeatureSet, is_feature_array
from facemask_inpaint.metrics.features.statistics import Convention
from facemask_inpaint.metrics.frechet import frechet_result
from facemask_inpaint.metrics.inputs import open_pictures
from facemask_inpaint.metrics.kernel import kernel_result
from facemask_inpaint.metrics.pairs import HOLE, Measure, PairReader
from facemask_inpaint.metrics.pixel import (
    absolute_difference,
    peak_signal_to_noise,
    structural_similarity,
)
from facemask_inpaint.metrics.results import MetricResult


@dataclass(frozen=True)
class FeaturePair:
    """Two sides' features, and what several metrics of them share.

    Attributes:
        real: features of the real side.
        fake: of the other.
        convention: of FID.
        null_swaps: of P-IDS and U-IDS.
    """

    real: FeatureSet
    fake: FeatureSet
    convention: Convention = "n-1"
    null_swaps: int = 0

    @cached_property
    def discriminative(self) -> DiscriminativeScores:
        """P-IDS and U-IDS, of one fit."""
        return discriminative_scores(self.real, self.fake, null_swaps=self.null_swaps)


_BY_FEATURES: Mapping[str, Callable[[FeaturePair], MetricResult | None]] = {
    "fid": lambda pair: frechet_result(pair.real, pair.fake, pair.convention),
    "kid": lambda pair: kernel_result(pair.real, pair.fake),
    "pids": lambda pair: pair.discriminative.pids,
    "uids": lambda pair: pair.discriminative.uids,
}
_BY_PIXELS: Mapping[str, Callable[[PairReader], Measure]] = {
    "psnr": lambda reader: peak_signal_to_noise,
    "ssim": lambda reader: structural_similarity,
    "l1": lambda reader: absolute_difference,
    "lpips": lambda reader: load_perceptual_distance(device=reader.device).measure,
}
FEATURE_METRICS = tuple(_BY_FEATURES)
"""Names of the metrics that compare features of images."""
PIXEL_METRICS = tuple(_BY_PIXELS)
DEFAULT_METRICS = ("fid", "pids", "uids", "kid", "psnr", "ssim", "l1")
_PAIRED = frozenset({"pids", *PIXEL_METRICS})


@dataclass(frozen=True)
class Evaluation(Mapping[str, MetricResult]):
    """Results by metric, ``evaluation["fid"]``; over the hole ``evaluation["psnr_hole"]``."""

    results: Mapping[str, MetricResult]

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
        return "\n".join(lines + notes)

    def to_dict(self) -> dict[str, object]:
        """Every result's :meth:`~.results.MetricResult.to_dict`, by metric."""
        return {name: result.to_dict() for name, result in self.results.items()}

    def to_json(self, indent: int | None = None) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def evaluate(
    real: Any,
    fake: Any,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    mask: Any = None,
    *,
    convention: Convention = "n-1",
    null_swaps: int = 0,
    reader: FeatureReader | None = None,
) -> Evaluation:
    """Measure fakes against reals by several metrics.

    Example:
        >>> scores = evaluate("faces/real", "faces/filled", mask="faces/masks")  # doctest: +SKIP
        >>> float(scores["fid"]), float(scores["psnr_hole"])  # doctest: +SKIP

    Args:
        real: a folder, a list of paths or pictures, a uint8 batch, or (for ``fid``, ``kid``,
            ``pids``, ``uids``) features ``(n, d)``. For ``pids`` and the pixel metrics files are
            paired by stem, everything else by order.
        fake: the same.
        metrics: names out of ``fid kid pids uids psnr ssim l1 lpips``; a string is one name, or
            several between commas.
        mask: with it the pixel metrics are given over the hole too; see :func:`~.pixel.psnr`.
        convention: divisor of the covariance in FID, see :func:`~.frechet.fid`.
        null_swaps: refits for the null reference of P-IDS and U-IDS, see :func:`~.pids`.
        reader: how pictures are read and become features; default ``FeatureReader()``. Its
            ``on_error="skip"`` leaves out what cannot be read and says so in the results.

    Raises:
        UnknownNameError: a metric that does not exist.
        ImageError: an undecodable picture, or a pair of different sizes for a pixel metric.
        OptionError: no metric at all, unmatched files (named), too few pictures, or features where
            pictures are needed.
    """
    wanted = metric_names(metrics, (*FEATURE_METRICS, *PIXEL_METRICS))
    if not wanted:
        known = ", ".join((*FEATURE_METRICS, *PIXEL_METRICS))
        raise OptionError(f"metrics= is empty: name at least one of {known}")
    from_features = [name for name in wanted if name in FEATURE_METRICS]
    from_pixels = [name for name in wanted if name in PIXEL_METRICS]
    if from_pixels and (_is_features(real) or _is_features(fake)):
        raise OptionError(f"{', '.join(from_pixels)} need pictures, not features")
    reader = reader or FeatureReader()
    real, fake = _rereadable(real), _rereadable(fake)
    found: dict[str, MetricResult] = {}
    if from_features:
        read = reader.read_pair if _PAIRED & set(wanted) else reader.read_both
        found |= feature_scores(*read(real, fake), from_features, convention, null_swaps)
    if from_pixels:
        found |= _pixel_scores(real, fake, from_pixels, mask, reader)
    order = [name + ending for name in wanted for ending in ("", HOLE)]
    return Evaluation({name: found[name] for name in order if name in found})


def metric_names(metrics: str | Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics, each once.

    Args:
        metrics: the names; a string is one name, or several between commas.
        known: all that there are.

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


def feature_scores(
    real: FeatureSet,
    fake: FeatureSet,
    wanted: Sequence[str],
    convention: Convention = "n-1",
    null_swaps: int = 0,
) -> dict[str, MetricResult]:
    """Results out of :data:`FEATURE_METRICS`, by name; without P-IDS where rows are no pairs."""
    pair = FeaturePair(real, fake, convention, null_swaps)
    found = {name: _BY_FEATURES[name](pair) for name in wanted}
    return {name: result for name, result in found.items() if result is not None}


def _pixel_scores(
    real: Any, fake: Any, wanted: Sequence[str], mask: Any, reader: FeatureReader
) -> dict[str, MetricResult]:
    pairs = PairReader(
        reader.device, reader.workers, reader.on_error, reader.progress, reader.on_skip
    )
    measures = {name: _BY_PIXELS[name](pairs) for name in wanted}
    return dict(pairs.measure(real, fake, measures, mask, whole_too=True))


def _is_features(source: Any) -> bool:
    return isinstance(source, FeatureSet) or is_feature_array(source)


def _rereadable(source: Any) -> Any:
    """The source itself, or the pictures of a stream, which could be read only once."""
    return list(open_pictures(source)) if isinstance(source, Iterator) else source
