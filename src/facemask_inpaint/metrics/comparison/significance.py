"""Is the FID difference between two methods real?

Two methods filled the same holes of the same images. For D = FID(real, a) - FID(real, b):

1. the standard error comes from the influence function (infinitesimal jackknife); the Gaussian
   Wasserstein distance is Fréchet differentiable (Rippl, Munk & Sturm 2016), and pairing enters
   because both FIDs share the images;
2. the bias, which does not cancel in D, and a distribution-free interval come from a Bayesian
   bootstrap (Rubin 1981) whose weights belong to images, not to rows of a group;
3. the p-value comes from exchanging the two predictions within random images, which is exact in
   finite samples under the null that both methods' predictions have one law;
4. p-values are adjusted over groups by Westfall and Young's step-down max-T, whose exchanges all
   groups share, and over pairs of methods by Holm; see :mod:`~.multiplicity`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from numbers import Integral

import numpy as np
import scipy.stats
import torch

from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics.comparison._groups import GroupedSource, ImageGroup, read_groups
from facemask_inpaint.metrics.comparison.multiplicity import (
    LARGEST_FLOOR,
    adjustment,
    exchange_test,
    floors,
    sufficient_exchanges,
)
from facemask_inpaint.metrics.comparison.paired import BASIS_TOLERANCE, PairedFrechet
from facemask_inpaint.metrics.comparison.results import (
    Comparison,
    FidDifference,
    Interval,
    OverallDifference,
)
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import FeatureSource


@dataclass(frozen=True)
class _Options:
    """Numbers that a comparison depends on; see :func:`compare`."""

    replicates: int
    exchanges: int
    confidence: float
    tolerance: float
    seed: int

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in ("replicates", "exchanges", "seed")}
        for name, value in numbers.items():
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
                raise OptionError(f"{name} is a whole number from 0 on, not {value!r}")
        if self.replicates < 2 or self.exchanges < 1:
            raise OptionError(
                "needed: 2 replicates and 1 exchange at least, not "
                f"{self.replicates} and {self.exchanges}"
            )
        if not 0 < self.confidence < 1:
            raise OptionError(f"confidence lies between 0 and 1, not {self.confidence}")


@ordinary_torch()
def compare(
    real: FeatureSource | GroupedSource,
    methods: Mapping[str, FeatureSource | GroupedSource],
    *,
    images: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    replicates: int = 1000,
    exchanges: int | None = None,
    confidence: float = 0.95,
    tolerance: float = BASIS_TOLERANCE,
    seed: int = 0,
    reader: FeatureReader | None = None,
) -> Comparison:
    """Compare methods that filled the same images, by FID.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, noise = np.random.default_rng(0).normal(size=(2, 60, 4))
        >>> result = metrics.compare(real, {"good": real + 0.1 * noise, "bad": real + noise})
        >>> result["all"].difference < 0
        True

    Args:
        real: images or features ``(n, d)``, as :class:`FeatureReader` takes them; or a mapping
            from group (mask class) to such a source; one source serves every group.
        methods: name of the method to its predictions, in the form of ``real``: files pair by
            stem, everything else by order. With more than two methods all pairs are compared.
        images: names that say which rows of different groups show the same image, by group, or
            one sequence for all. Default: the files' stems, or the row numbers where every group
            has as many rows.
        replicates: number of bootstrap resamples.
        exchanges: number of random exchanges of the test. The smallest p-value is
            ``1 / (1 + exchanges)``, the smallest adjusted one as many times that as there are
            pairs of methods. ``None`` takes 9,999, or as many as 0.01 needs.
        confidence: of the intervals.
        tolerance: see :class:`PairedFrechet`.
        seed: of weights, exchanges and sketch; results depend on nothing else.
        reader: how images become features; default ``FeatureReader()``.

    Raises:
        OptionError: fewer than two methods, groups that differ, unmatched images, or features of
            different extractors.
        ImageError: an image cannot be decoded.
    """
    if not isinstance(methods, Mapping):
        raise OptionError(f"methods= is a mapping from names to predictions, not {type(methods)}")
    sufficient = sufficient_exchanges(comb(len(methods), 2))
    exchanges = sufficient if exchanges is None else exchanges
    options = _Options(replicates, exchanges, confidence, tolerance, seed)
    reader = reader or FeatureReader()
    groups = read_groups(real, methods, images, reader)
    return _comparison(groups, tuple(methods), options, reader.progress)


def _comparison(
    groups: Sequence[ImageGroup], names: Sequence[str], options: _Options, progress: bool
) -> Comparison:
    draws = _Draws.of(groups, options.replicates, options.seed)
    pairs = list(combinations(range(len(names)), 2))
    analyses = [
        _analyse(group, draws, options)
        for group in progress_bar(groups, "compare", shown=progress, unit="group")
    ]
    scores = np.stack([analysis.scores for analysis in analyses], axis=1)
    rng = np.random.default_rng([options.seed, 1])
    p_values = exchange_test(scores, options.exchanges, rng)
    several = len(groups) > 1
    confidence = options.confidence
    smallest = floors(options.exchanges, len(pairs))
    return Comparison(
        differences=tuple(
            _difference(analysis, names, pair, confidence, tuple(p[row, column] for p in p_values))
            for row, analysis in enumerate(analyses)
            for column, pair in enumerate(pairs)
        ),
        overall=tuple(_overall(analyses, names, pair, confidence) for pair in pairs)
        if several
        else (),
        confidence=confidence,
        adjustment=adjustment(len(groups), len(pairs)),
        smallest_p=smallest[0],
        smallest_p_adjusted=smallest[1],
        friedman_p=_friedman(analyses) if several and len(names) > 2 else None,
        warnings=tuple(dict.fromkeys(_warnings(groups, options.exchanges, len(pairs)))),
        provenance=groups[0].provenance
        | {
            "images": draws.count,
            "replicates": options.replicates,
            "exchanges": options.exchanges,
            "tolerance": options.tolerance,
            "seed": options.seed,
        },
    )


def signed_rank_p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Return the p-value of Wilcoxon's two-sided signed-rank test, by its exact distribution.

    Args:
        differences: one per group; zeros are left out.

    Returns:
        The p-value; 1 if all differences are zero.
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    return float(scipy.stats.wilcoxon(values, method="exact").pvalue) if len(values) else 1.0


@dataclass(frozen=True, eq=False)
class _Draws:
    """Random numbers per image, shared by all groups that contain it.

    Attributes:
        column: of each image, in the arrays.
        exponentials: ``(replicates, count)``; normalised, Dirichlet(1, ..., 1) weights.
    """

    column: dict[str, int]
    exponentials: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[ImageGroup], replicates: int, seed: int) -> _Draws:
        seen = dict.fromkeys(name for group in groups for name in group.images)
        column = {name: index for index, name in enumerate(seen)}
        weights = np.random.default_rng([seed, 0])
        return cls(column, weights.standard_exponential((replicates, len(column))))

    @property
    def count(self) -> int:
        return len(self.column)

    def columns(self, group: ImageGroup) -> np.ndarray:
        return np.array([self.column[name] for name in group.images])


@dataclass(frozen=True, eq=False)
class _Analysis:
    """One group's FIDs: as they are and resampled, and the scores of the exchange test.

    Attributes:
        columns: ``(n,)`` of the group's images among all.
        fids: ``(m,)``.
        influence: ``(m, n)``.
        resampled: ``(replicates, m)`` FIDs, see :func:`_curvatures`.
        curved: ``(replicates, m)``, the same less their linear part.
        total: number of images of all groups.
        scores: ``(total, pairs)`` for the exchange test; 0 for images of other groups only.
    """

    group: ImageGroup
    columns: np.ndarray
    total: int
    fids: np.ndarray
    influence: np.ndarray
    resampled: np.ndarray
    curved: np.ndarray
    scores: np.ndarray
    basis_size: int


def _analyse(group: ImageGroup, draws: _Draws, options: _Options) -> _Analysis:
    frechet = PairedFrechet(group.real, group.fakes, tolerance=options.tolerance, seed=options.seed)
    columns = draws.columns(group)
    device = group.real.device
    exponentials = torch.from_numpy(draws.exponentials[:, columns]).to(device)
    weights = exponentials / exponentials.sum(1, keepdim=True)
    linear = frechet.linear(weights)
    some = weights[: _curvatures(frechet.basis_size)]
    curved = frechet.resample(some) - linear[: len(some)]
    curved = curved[torch.arange(len(weights), device=device) % len(some)]
    pairs = combinations(range(len(group.fakes)), 2)
    own_scores = torch.stack([frechet.exchange_scores(*pair) for pair in pairs], dim=1)
    scores = np.zeros((draws.count, own_scores.shape[1]))
    scores[columns] = own_scores.cpu().numpy()
    return _Analysis(
        group=group,
        columns=columns,
        total=draws.count,
        fids=frechet.fids.cpu().numpy(),
        influence=frechet.influence.cpu().numpy(),
        resampled=(linear + curved).cpu().numpy(),
        curved=curved.cpu().numpy(),
        scores=scores,
        basis_size=frechet.basis_size,
    )


def _curvatures(basis_size: int) -> int:
    """How many replicates are computed whole, which costs the third power of the basis.

    The others are linear, which costs nothing, with the small rest of one of these in turn. The
    rest spreads by less than a standard error of the difference, so that its mean over twelve
    widens the interval by a twentieth at most.
    """
    return max(12, min(200, 8_000_000 // basis_size**2))


def _difference(
    analysis: _Analysis,
    names: Sequence[str],
    pair: tuple[int, int],
    confidence: float,
    p_values: tuple[float, float],
) -> FidDifference:
    first, second = pair
    group = analysis.group
    influence = analysis.influence[first] - analysis.influence[second]
    plain = float(analysis.fids[first] - analysis.fids[second])
    error = float(influence.std(ddof=1) / np.sqrt(len(influence)))
    corrected, interval, basic = _intervals(
        plain,
        error,
        _between(analysis.resampled, pair),
        _between(analysis.curved, pair),
        confidence,
    )
    return FidDifference(
        group=group.name,
        first=names[first],
        second=names[second],
        n=len(group.real),
        dimension=group.real.shape[1],
        fid_first=float(analysis.fids[first]),
        fid_second=float(analysis.fids[second]),
        difference=plain,
        corrected=corrected,
        standard_error=error,
        interval=interval,
        basic_interval=basic,
        p_value=float(p_values[0]),
        p_adjusted=float(p_values[1]),
        basis_size=analysis.basis_size,
        influence=influence,
        images=group.images,
    )


def _overall(
    analyses: Sequence[_Analysis], names: Sequence[str], pair: tuple[int, int], confidence: float
) -> OverallDifference:
    first, second = pair
    each = np.array([item.fids[first] - item.fids[second] for item in analyses])
    influence = np.zeros(analyses[0].total)
    for item in analyses:
        psi = item.influence[first] - item.influence[second]
        influence[item.columns] += psi / len(psi) / len(analyses)
    error = float(influence.std(ddof=1) * np.sqrt(len(influence)))
    resampled = np.mean([_between(item.resampled, pair) for item in analyses], axis=0)
    curved = np.mean([_between(item.curved, pair) for item in analyses], axis=0)
    plain = float(each.mean())
    corrected, interval, basic = _intervals(plain, error, resampled, curved, confidence)
    return OverallDifference(
        first=names[first],
        second=names[second],
        difference=plain,
        corrected=corrected,
        standard_error=error,
        interval=interval,
        basic_interval=basic,
        wilcoxon_p=signed_rank_p_value(each),
    )


def _between(fids: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    difference: np.ndarray = fids[:, pair[0]] - fids[:, pair[1]]
    return difference


def _intervals(
    plain: float, error: float, resampled: np.ndarray, curved: np.ndarray, confidence: float
) -> tuple[float, Interval, Interval]:
    """Corrected estimate, its normal interval, and the basic bootstrap interval.

    The linear part of a replicate has mean zero; leaving it out (``curved``) makes a control
    variate, with which a hundred replicates are enough for the bias.
    """
    tail = (1 - confidence) / 2
    corrected = plain - (float(curved.mean()) - plain)
    reach = float(scipy.stats.norm.ppf(1 - tail)) * error
    low, high = np.quantile(resampled, [tail, 1 - tail])
    basic = Interval(2 * plain - float(high), 2 * plain - float(low))
    return corrected, Interval(corrected - reach, corrected + reach), basic


def _friedman(analyses: Sequence[_Analysis]) -> float:
    fids = np.array([item.fids for item in analyses])
    return float(scipy.stats.friedmanchisquare(*fids.T).pvalue)


def _warnings(groups: Sequence[ImageGroup], exchanges: int, pairs: int) -> Iterator[str]:
    for group in groups:
        yield from group.warnings
    smallest = floors(exchanges, pairs)[1]
    if smallest > LARGEST_FLOOR:
        yield (
            f"with {exchanges} exchanges no adjusted p-value can be below {smallest:.3g}: "
            f"{sufficient_exchanges(pairs)} exchanges would do"
        )
    for count in sorted({len(group.images) for group in groups}):
        # All signs and their opposites give one and the same statistic.
        smallest = min(1.0, pairs * 2.0 ** (1 - count))
        if smallest > LARGEST_FLOOR:
            names = listed([group.name for group in groups if len(group.images) == count])
            yield (
                f"{names}: {count} images can be exchanged in so few ways that no adjusted "
                f"p-value can be below {smallest:.2g}"
            )
