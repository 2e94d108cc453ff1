"""All metrics of one set of fakes, with features computed once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.metrics.discriminative import discriminative_scores
from facemask_inpaint.metrics.features import FeatureReader, FeatureSet, is_feature_array
from facemask_inpaint.metrics.frechet import frechet_result
from facemask_inpaint.metrics.inputs import open_pictures
from facemask_inpaint.metrics.kernel import kernel_result
from facemask_inpaint.metrics.moments import Convention
from facemask_inpaint.metrics.perceptual import load_perceptual_distance
from facemask_inpaint.metrics.pixel import (
    HOLE,
    Measure,
    PairReader,
    absolute_difference,
    peak_signal_to_noise,
    structural_similarity,
)
from facemask_inpaint.metrics.results import MetricResult

DEFAULT_METRICS = ("fid", "pids", "uids", "kid", "psnr", "ssim", "l1")
FEATURE_METRICS = ("fid", "kid", "pids", "uids")
PIXEL_METRICS = ("psnr", "ssim", "l1", "lpips")
_PAIRED = frozenset({"pids", *PIXEL_METRICS})
_MEASURES: Mapping[str, Measure] = {
    "psnr": peak_signal_to_noise,
    "ssim": structural_similarity,
    "l1": absolute_difference,
}


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
                concerned.setdefault(text, []).append(result.name)
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
    metrics: Sequence[str] = DEFAULT_METRICS,
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
        metrics: names out of ``fid kid pids uids psnr ssim l1 lpips``.
        mask: with it the pixel metrics are given over the hole too; see :func:`~.pixel.psnr`.
        convention: divisor of the covariance in FID, see :func:`~.frechet.fid`.
        null_swaps: refits for the null reference of P-IDS and U-IDS, see :func:`~.pids`.
        reader: how pictures are read and become features; default ``FeatureReader()``. Its
            ``on_error="skip"`` leaves out what cannot be read and says so in the results.

    Raises:
        UnknownNameError: a metric that does not exist.
        ImageError: an undecodable picture, or a pair of different sizes for a pixel metric.
        OptionError: unmatched files (named), too few pictures, or features where pictures are
            needed.
    """
    if unknown := [name for name in metrics if name not in FEATURE_METRICS + PIXEL_METRICS]:
        known = ", ".join(FEATURE_METRICS + PIXEL_METRICS)
        raise UnknownNameError(f"no metric {', '.join(map(repr, unknown))}; there are {known}")
    from_features = [name for name in metrics if name in FEATURE_METRICS]
    from_pixels = [name for name in metrics if name in PIXEL_METRICS]
    if from_pixels and (_is_features(real) or _is_features(fake)):
        raise OptionError(f"{', '.join(from_pixels)} need pictures, not features")
    reader = reader or FeatureReader()
    real, fake = _rereadable(real), _rereadable(fake)
    found: dict[str, MetricResult] = {}
    if from_features:
        read = reader.read_pair if _PAIRED & set(metrics) else reader.read_both
        found |= _feature_scores(*read(real, fake), from_features, convention, null_swaps)
    if from_pixels:
        found |= _pixel_scores(real, fake, from_pixels, mask, reader)
    order = [name + ending for name in metrics for ending in ("", "_hole")]
    return Evaluation({name: found[name] for name in order if name in found})


def _feature_scores(
    real: FeatureSet,
    fake: FeatureSet,
    wanted: Sequence[str],
    convention: Convention,
    null_swaps: int,
) -> dict[str, MetricResult]:
    found: dict[str, MetricResult] = {}
    if "fid" in wanted:
        found["fid"] = frechet_result(real, fake, convention)
    if "kid" in wanted:
        found["kid"] = kernel_result(real, fake)
    if {"pids", "uids"} & set(wanted):
        scores = discriminative_scores(real, fake, null_swaps=null_swaps)
        found["uids"] = scores.uids
        if scores.pids is not None:
            found["pids"] = scores.pids
    return {name: found[name] for name in wanted if name in found}


def _pixel_scores(
    real: Any, fake: Any, wanted: Sequence[str], mask: Any, reader: FeatureReader
) -> dict[str, MetricResult]:
    pairs = PairReader(
        reader.device, reader.workers, reader.on_error, reader.progress, reader.on_skip
    )
    measures = {name.upper(): _measure(name, pairs) for name in wanted}
    results = pairs.measure(real, fake, measures, mask, whole_too=True)
    return {name.lower().replace(HOLE, "_hole"): result for name, result in results.items()}


def _measure(name: str, pairs: PairReader) -> Measure:
    if name == "lpips":
        return load_perceptual_distance(device=pairs.device).measure
    return _MEASURES[name]


def _is_features(source: Any) -> bool:
    return isinstance(source, FeatureSet) or is_feature_array(source)


def _rereadable(source: Any) -> Any:
    """The source itself, or the pictures of a stream, which could be read only once."""
    return list(open_pictures(source)) if isinstance(source, Iterator) else source
