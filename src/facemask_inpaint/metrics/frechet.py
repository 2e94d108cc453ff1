"""The Fréchet inception distance, without matrix square roots.

Heusel et al. (2017)::

    FID = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2).

With S1 = A^T A and S2 = B^T B the last trace is the nuclear norm of A B^T, because
A B^T B A^T has the non-zero eigenvalues of S1 S2. It needs no complex numbers and stays right for
singular covariances, hence for fewer images than feature dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics._linear_algebra import (
    congruent_eigenvalues,
    pivoted_factor,
    spectral_norm,
)
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    Convention,
    FeaturePair,
    FeatureSet,
    FeatureSource,
    common_identity,
    input_warnings,
    provenance,
    require_same_width,
)
from facemask_inpaint.metrics.features.statistics import FeatureStatistics
from facemask_inpaint.metrics.results import MetricResult, finite

StatisticsSource: TypeAlias = "FeatureSource | FeatureStatistics"
"""Images, their features, or feature statistics; a path that ends in ``.npz`` is a saved file of
such statistics."""

MIN_SAMPLES = 2048
"""Below this number of images FID is marked as biased."""

ALLOWED_ERROR = 1e-8
"""What rounding may change in FID, relative to the traces, before a slower way is taken."""


def fid(
    real: StatisticsSource,
    fake: StatisticsSource,
    *,
    convention: Convention = "n-1",
    reader: FeatureReader | None = None,
) -> MetricResult:
    """Compute the Fréchet inception distance between two sets of images; 0 is best.

    Its estimate is biased upward by about a constant over n: compare only at equal n. Published
    numbers differ by front end and by the divisor of the covariance; both can be chosen here.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> rng = np.random.default_rng(0)
        >>> real, fake = rng.normal(size=(2, 400, 8))
        >>> float(metrics.fid(real, fake)) < float(metrics.fid(real, fake + 0.5))
        True

    Args:
        real: a folder, a list of paths or images, a uint8 batch, an iterator of images, an
            ``(n, d)`` float array of features, a :class:`FeatureSet`, a
            :class:`FeatureStatistics` or the path of a saved one.
        fake: the same; sides need not be equal in number, and are not paired.
        convention: divisor of the covariance, ``"n-1"`` (most tools) or ``"n"`` (StyleGAN2-ADA,
            MAT).
        reader: how images become features; default ``FeatureReader()``.

    Returns:
        The distance, which is at least 0.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: fewer than two images on a side, or features of different extractors.
    """
    reader = reader or FeatureReader()
    return frechet_result(_read(real, reader, "real"), _read(fake, reader, "fake"), convention)


@ordinary_torch()
def frechet_result(
    real: FeatureSet | FeatureStatistics,
    fake: FeatureSet | FeatureStatistics,
    convention: Convention = "n-1",
) -> MetricResult:
    """Compute FID from what was read already, with its warnings and provenance.

    Args:
        real: features or statistics of the real images.
        fake: of the fake ones.
        convention: see :func:`fid`.
    """
    first, second = (
        side if isinstance(side, FeatureStatistics) else FeatureStatistics.of(side)
        for side in (real, fake)
    )
    value = frechet_distance(first, second, convention)
    counts = [side.n for side in (first, second) if side.n is not None]
    warnings = [*_unknown_count_warnings(first, second), *_count_warnings(counts, first.dim)]
    if isinstance(real, FeatureSet) and isinstance(fake, FeatureSet):
        warnings += input_warnings(real, fake)
    details = provenance(real, fake) | {"convention": convention}
    return MetricResult("fid", value, min(counts, default=None), tuple(warnings), details)


def fid_of_features(pair: FeaturePair) -> MetricResult:
    """Compute FID; see :class:`~.table.FeatureMetric`."""
    return frechet_result(pair.real, pair.fake, pair.convention)


@ordinary_torch()
def frechet_distance(
    first: FeatureStatistics, second: FeatureStatistics, convention: Convention = "n-1"
) -> float:
    """Compute FID from the statistics of both sides.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.metrics import FeatureStatistics, frechet_distance
        >>> statistics = FeatureStatistics.of(np.eye(5))
        >>> round(frechet_distance(statistics, statistics), 6)
        0.0

    Args:
        first: of the one side.
        second: of the other.
        convention: see :func:`fid`.

    Returns:
        The distance, which is at least 0.

    Raises:
        OptionError: different extractors or widths, or fewer than two images on a side.
    """
    common_identity(first.identity, second.identity)
    if 0 in (first.n, second.n):
        raise OptionError("a covariance needs at least two images; there are 0")
    require_same_width(first.dim, second.dim)
    step = first.mean - second.mean.to(first.device)
    shapes = [_shape(side, convention, first.device) for side in (first, second)]
    value = step @ step + shapes[0].trace + shapes[1].trace - 2 * _cross_trace(*shapes)
    return max(0.0, finite("FID", float(value)))


class _Shape(NamedTuple):
    """A covariance S, as rows A with ``A^T A = S`` where there are at most d, else as itself."""

    rows: Tensor | None
    covariance: Tensor | None
    trace: Tensor

    def factor(self) -> Tensor:
        """``(r, d)`` rows A with ``A^T A = S``."""
        if self.rows is not None:
            return self.rows
        assert self.covariance is not None  # one of the two is there
        return _factor(self.covariance)


def _shape(statistics: FeatureStatistics, convention: Convention, device: torch.device) -> _Shape:
    rows = statistics.rows
    if rows is None:
        covariance = statistics.covariance(convention).to(device)
        return _Shape(None, covariance, covariance.trace())
    centred = (rows - rows.mean(dim=0)).to(device) / statistics.divisor(convention) ** 0.5
    return _Shape(centred, None, centred.square().sum())


def _cross_trace(first: _Shape, second: _Shape) -> Tensor:
    """``tr (S1 S2)^(1/2)``."""
    if first.covariance is None or second.covariance is None:
        return _nuclear_norm(first.factor() @ second.factor().T)
    allowed = ALLOWED_ERROR * float(first.trace + second.trace)
    delta = _rounding(first.covariance, second.covariance)
    factors = [torch.linalg.cholesky_ex(side) for side in (first.covariance, second.covariance)]
    if any(int(factor.info) for factor in factors):
        return _singular_cross_trace(first.covariance, second.covariance, allowed, delta)
    lower, other = (factor.L for factor in factors)
    # Pivots show how small eigenvalues get; what they foretell need not be right, only cheap.
    if _error_bound((lower.diagonal() * other.diagonal()).square(), delta) < allowed:
        eigenvalues = congruent_eigenvalues(lower, second.covariance)
        if _error_bound(eigenvalues, delta) < allowed:
            return _root_sum(eigenvalues)
    return _nuclear_norm(other.T @ lower)


def _singular_cross_trace(first: Tensor, second: Tensor, allowed: float, delta: Tensor) -> Tensor:
    """The same where a covariance is singular."""
    factors = _factor(first), _factor(second)
    # Where only one null space counts, the smaller factor leaves no eigenvalue that should be 0.
    small, covariance = (
        (factors[0], second) if len(factors[0]) <= len(factors[1]) else (factors[1], first)
    )
    if len(small) < len(covariance):
        eigenvalues = torch.linalg.eigvalsh(small @ covariance @ small.T)
        if _error_bound(eigenvalues, delta) < allowed:
            return _root_sum(eigenvalues)
    return _nuclear_norm(factors[0] @ factors[1].T)


def _nuclear_norm(matrix: Tensor) -> Tensor:
    values: Tensor = torch.linalg.svdvals(matrix)
    return values.sum()


def _rounding(first: Tensor, second: Tensor) -> Tensor:
    """How far rounding moves an eigenvalue of ``A S2 A^T``: by about ``16 eps |S1| |S2|``."""
    eps = torch.finfo(first.dtype).eps
    return 16 * eps * spectral_norm(first) * spectral_norm(second)


def _error_bound(eigenvalues: Tensor, delta: Tensor) -> float:
    """How far eigenvalues that move by ``delta`` can move the sum of their square roots.

    Each root moves by at most ``sqrt(delta)``, and by ``delta / (2 sqrt(eigenvalue))`` where its
    eigenvalue is far from 0.
    """
    moved = delta / (2 * eigenvalues.clamp_min(0).sqrt())
    return float(torch.minimum(moved, delta.sqrt()).sum())


def _root_sum(eigenvalues: Tensor) -> Tensor:
    return eigenvalues.clamp_min(0).sqrt().sum()


def _factor(covariance: Tensor) -> Tensor:
    """``(r, d)`` rows A with ``A^T A = S``, r the numerical rank."""
    if covariance.device.type == "cpu":
        return pivoted_factor(covariance)
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    noise = eigenvalues[-1] * (len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps)
    kept = eigenvalues > noise
    rows: Tensor = (vectors[:, kept] * eigenvalues[kept].sqrt()).T
    return rows


def _read(
    source: StatisticsSource, reader: FeatureReader, label: str
) -> FeatureSet | FeatureStatistics:
    if isinstance(source, FeatureStatistics):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() == ".npz" and not path.is_dir():
            return FeatureStatistics.load(path)
    return reader.read(source, label)


def _unknown_count_warnings(*sides: FeatureStatistics) -> Iterator[str]:
    unknown = [label for label, side in zip(("real", "fake"), sides) if side.n is None]
    if unknown:
        yield (
            f"the number of {' and '.join(unknown)} images is unknown, and so is the bias of FID; "
            "compare at equal n only"
        )


def _count_warnings(counts: list[int], dim: int) -> Iterator[str]:
    smallest = min(counts, default=MIN_SAMPLES)
    if smallest <= dim:
        yield (
            f"{smallest} images for {dim} dimensions: the covariance is singular and FID far above "
            "its limit; compare at equal n only"
        )
    elif smallest < MIN_SAMPLES:
        yield f"{smallest} images: FID is biased upward; compare at equal n only"
    if len(set(counts)) > 1:
        yield f"{counts[0]} real and {counts[1]} fake images"
