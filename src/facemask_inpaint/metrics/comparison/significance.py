"""Is the FID difference between two models real?

Two models filled the same holes of the same pictures. For D = FID(real, a) - FID(real, b):

1. the standard error comes from the influence function (infinitesimal jackknife); the Gaussian
   Wasserstein distance is Fréchet differentiable (Rippl, Munk & Sturm 2016), and pairing enters
   because both FIDs share the pictures;
2. the bias, which does not cancel in D, and a distribution-free interval come from a Bayesian
   bootstrap (Rubin 1981) whose weights belong to pictures, not to rows of a group;
3. the p-value comes from exchanging the two fillings within random pictures, which is exact in
   finite samples under the null that both models' fillings have one law;
4. p-values are adjusted over groups by Westfall and Young's step-down max-T, whose exchanges all
   groups share, and over pairs of models by Holm; see :mod:`~.multiplicity`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
import scipy.stats
import torch

from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics.comparison._groups import PictureGroup, read_groups
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


@ordinary_torch()
def compare(
    real: Any,
    models: Mapping[str, Any],
    *,
    pictures: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    replicates: int = 1000,
    exchanges: int | None = None,
    confidence: float = 0.95,
    tolerance: float = BASIS_TOLERANCE,
    seed: int = 0,
    reader: FeatureReader | None = None,
) -> Comparison:
    """Statistical comparison of models that filled the same pictures, by FID.

    Example:
        >>> result = compare("real", {"random": "filled/a", "mixed": "filled/b"})  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP

    Args:
        real: pictures or features ``(n, d)``, as :class:`~.reader.FeatureReader` takes them; or
            a mapping from group (mask class) to such a source; one source with models given by
            group serves every group.
        models: name of the model to its fillings, in the form of ``real``: files pair by stem,
            everything else by order. With more than two models all pairs are compared.
        pictures: names that say which rows of different groups show the same picture, by group,
            or one sequence for all. Default: the files' stems, or the row numbers where every
            group has as many rows.
        replicates: bootstrap resamples.
        exchanges: random exchanges of the test. The smallest p-value is ``1 / (1 + exchanges)``,
            the smallest adjusted one as many times that as there are pairs of models. ``None``
            takes 9,999, or as many as 0.01 needs; fewer are warned of.
        confidence: of the intervals.
        tolerance: see :class:`~.paired.PairedFrechet`.
        seed: of weights, exchanges and sketch; results depend on nothing else.
        reader: how pictures become features; default ``FeatureReader()``.

    Raises:
        OptionError: fewer than two models, groups that differ, unmatched pictures, or features of
            different extractors.
        ImageError: a picture cannot be decoded.
    """
    if not isinstance(models, Mapping):
        raise OptionError(f"models= is a mapping from names to fillings, not {type(models)}")
    names = tuple(models)
    pairs = list(combinations(range(len(names)), 2))
    exchanges = sufficient_exchanges(len(pairs)) if exchanges is None else exchanges
    _check_numbers(replicates, exchanges, confidence, seed)
    reader = reader or FeatureReader()
    groups = read_groups(real, models, pictures, reader)
    draws = _Draws.of(groups, replicates, seed)
    analyses = [
        _analyse(group, draws, tolerance, seed)
        for group in progress_bar(groups, "compare", shown=reader.progress, unit="group")
    ]
    scores = np.stack([one.scores for one in analyses], axis=1)
    p_values = exchange_test(scores, exchanges, np.random.default_rng([seed, 1]))
    several = len(groups) > 1
    return Comparison(
        differences=tuple(
            _difference(one, names, pair, confidence, tuple(p[row, column] for p in p_values))
            for row, one in enumerate(analyses)
            for column, pair in enumerate(pairs)
        ),
        overall=tuple(_overall(analyses, names, pair, confidence) for pair in pairs)
        if several
        else (),
        confidence=confidence,
        adjustment=adjustment(len(groups), len(pairs)),
        smallest_p=floors(exchanges, len(pairs))[0],
        smallest_p_adjusted=floors(exchanges, len(pairs))[1],
        friedman_p=_friedman(analyses) if several and len(names) > 2 else None,
        warnings=tuple(dict.fromkeys(_warnings(groups, exchanges, len(pairs)))),
        provenance=groups[0].provenance
        | {
            "pictures": draws.count,
            "replicates": replicates,
            "exchanges": exchanges,
            "tolerance": tolerance,
            "seed": seed,
        },
    )


def signed_rank_p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Wilcoxon's two-sided signed-rank test, by its exact distribution; 1 if all are zero."""
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    return float(scipy.stats.wilcoxon(values, method="exact").pvalue) if len(values) else 1.0


@dataclass(frozen=True, eq=False)
class _Draws:
    """Random numbers per picture, shared by all groups that contain it.

    Attributes:
        column: of each picture, in the arrays.
        exponentials: ``(replicates, count)``; normalised, Dirichlet(1, ..., 1) weights.
    """

    column: dict[str, int]
    exponentials: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[PictureGroup], replicates: int, seed: int) -> _Draws:
        seen = dict.fromkeys(name for group in groups for name in group.pictures)
        column = {name: index for index, name in enumerate(seen)}
        weights = np.random.default_rng([seed, 0])
        return cls(column, weights.standard_exponential((replicates, len(column))))

    @property
    def count(self) -> int:
        return len(self.column)

    def columns(self, group: PictureGroup) -> np.ndarray:
        return np.array([self.column[name] for name in group.pictures])


@dataclass(frozen=True, eq=False)
class _Analysis:
    """One group's FIDs: as they are and resampled, and the scores of the exchange test.

    Attributes:
        columns: ``(n,)`` of the group's pictures among all ``pictures``.
        fids: ``(m,)``.
        influence: ``(m, n)``.
        resampled: ``(replicates, m)`` FIDs, see :func:`_curvatures`.
        curved: ``(replicates, m)``, the same less their linear part.
        scores: ``(pictures, pairs)`` for the exchange test; 0 for pictures of other groups only.
    """

    group: PictureGroup
    columns: np.ndarray
    pictures: int
    fids: np.ndarray
    influence: np.ndarray
    resampled: np.ndarray
    curved: np.ndarray
    scores: np.ndarray
    basis_size: int


def _analyse(group: PictureGroup, draws: _Draws, tolerance: float, seed: int) -> _Analysis:
    frechet = PairedFrechet(group.real, group.fakes, tolerance=tolerance, seed=seed)
    columns = draws.columns(group)
    device = group.real.device
    exponentials = torch.from_numpy(draws.exponentials[:, columns]).to(device)
    weights = exponentials / exponentials.sum(1, keepdim=True)
    linear = frechet.linear(weights)
    some = weights[: _curvatures(frechet.basis_size)]
    curved = frechet.resample(some) - linear[: len(some)]
    curved = curved[torch.arange(len(weights), device=device) % len(some)]
    pairs = combinations(range(len(group.fakes)), 2)
    found = torch.stack([frechet.exchange_scores(*pair) for pair in pairs], dim=1)
    scores = np.zeros((draws.count, found.shape[1]))
    scores[columns] = found.cpu().numpy()
    return _Analysis(
        group=group,
        columns=columns,
        pictures=draws.count,
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
        pictures=group.pictures,
    )


def _overall(
    analyses: Sequence[_Analysis], names: Sequence[str], pair: tuple[int, int], confidence: float
) -> OverallDifference:
    first, second = pair
    each = np.array([one.fids[first] - one.fids[second] for one in analyses])
    influence = np.zeros(analyses[0].pictures)
    for one in analyses:
        psi = one.influence[first] - one.influence[second]
        influence[one.columns] += psi / len(psi) / len(analyses)
    error = float(influence.std(ddof=1) * np.sqrt(len(influence)))
    resampled = np.mean([_between(one.resampled, pair) for one in analyses], axis=0)
    curved = np.mean([_between(one.curved, pair) for one in analyses], axis=0)
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
    return fids[:, pair[0]] - fids[:, pair[1]]


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
    fids = np.array([one.fids for one in analyses])
    return float(scipy.stats.friedmanchisquare(*fids.T).pvalue)


def _warnings(groups: Sequence[PictureGroup], exchanges: int, pairs: int) -> Iterator[str]:
    for group in groups:
        yield from group.warnings
    smallest = floors(exchanges, pairs)[1]
    if smallest > LARGEST_FLOOR:
        yield (
            f"with {exchanges} exchanges no adjusted p-value can be below {smallest:.3g}: "
            f"{sufficient_exchanges(pairs)} exchanges would do"
        )
    for count in sorted({len(group.pictures) for group in groups}):
        # All signs and their opposites give one and the same statistic.
        smallest = min(1.0, pairs * 2.0 ** (1 - count))
        if smallest > LARGEST_FLOOR:
            names = listed([group.name for group in groups if len(group.pictures) == count])
            yield (
                f"{names}: {count} pictures can be exchanged in so few ways that no adjusted "
                f"p-value can be below {smallest:.2g}"
            )


def _check_numbers(replicates: int, exchanges: int, confidence: float, seed: int) -> None:
    numbers = {"replicates": replicates, "exchanges": exchanges, "seed": seed}
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
            raise OptionError(f"{name} is a whole number from 0 on, not {value!r}")
    if replicates < 2 or exchanges < 1:
        raise OptionError(
            f"needed: 2 replicates and 1 exchange at least, not {replicates} and {exchanges}"
        )
    if not 0 < confidence < 1:
        raise OptionError(f"confidence lies between 0 and 1, not {confidence}")
