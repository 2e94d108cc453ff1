"""P-IDS and U-IDS: how well a linear classifier tells inpainted from real images.

Zhao et al., "Large Scale Image Completion via Co-Modulated Generative Adversarial Networks"
(ICLR 2021): a linear support vector machine f is trained on the Inception features of *all* real
and fake images and scored on the same ones. With row i of both sides made from one image,

    U-IDS = (#{f(real_i) <= 0} + #{f(fake_i) > 0}) / (n + n'),      best 0.5
    P-IDS = #{f(fake_i) > f(real_i)} / n,                           chance 0.5, ties count as lost

The features are those of an Inception classifier; no face recognition is involved. Both scores
depend on the number of images as much as on the images: points in general position in d
dimensions can be separated whatever they show when n + n' <= d + 1, and then both scores are 0,
unless the features differ so little that the classifier's penalty forbids it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics._svm import Hyperplane, SquaredHingeSVM
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    FeaturePair,
    FeatureSet,
    FeatureSource,
    common_identity,
    input_warnings,
    provenance,
    require_same_width,
)
from facemask_inpaint.metrics.results import MetricResult
from facemask_inpaint.metrics.separability import separability_warnings


@dataclass(frozen=True)
class DiscriminativeScore(MetricResult):
    """P-IDS or U-IDS, as a fraction.

    Attributes:
        dimension: width d of the features, on which the score depends as on n.
        ties: number of pairs whose two images score exactly alike (such as untouched copies).
        null: scores of the same images with the members of random pairs exchanged, that is of
            a perfect method at this n and d; empty unless asked for.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 30, 4))
        >>> metrics.uids(real, fake).dimension
        4
    """

    dimension: int = 0
    ties: int = 0
    null: tuple[float, ...] = ()

    @property
    def null_mean(self) -> float | None:
        """Mean of the null reference, ``None`` without one."""
        return float(np.mean(self.null)) if self.null else None

    def __str__(self) -> str:
        parts = [f"n = {self.n}", f"d = {self.dimension}", f"{self.ties} ties"]
        if self.null_mean is not None:
            parts.append(f"null {100 * self.null_mean:.2f} % from {len(self.null)} swaps")
        lines = [f"{self.label} {100 * self.value:.2f} % ({', '.join(parts)})"]
        return "\n".join(lines + [f"  warning: {text}" for text in self.warnings])


@dataclass(frozen=True, eq=False)
class DiscriminativeScores:
    """Both scores of one fit.

    Attributes:
        uids: the unpaired score.
        pids: the paired score; ``None`` when the sides differ in number.
        plane: the classifier.
        real_decisions: ``(n,)`` float64, f of the real images.
        fake_decisions: ``(n',)`` float64, f of the fake images.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 30, 4))
        >>> scores = metrics.discriminative_scores(real, fake)
        >>> scores.real_decisions.shape
        (30,)
    """

    uids: DiscriminativeScore
    pids: DiscriminativeScore | None
    plane: Hyperplane
    real_decisions: np.ndarray
    fake_decisions: np.ndarray

    @property
    def separated(self) -> bool:
        """Whether the classifier makes no error, which forces both scores to 0."""
        return self.uids.value == 0

    def __str__(self) -> str:
        return "\n".join(str(score) for score in (self.pids, self.uids) if score is not None)

    def to_dict(self) -> dict[str, object]:
        """Return both scores as dictionaries, ``pids`` as ``None`` without pairs."""
        return {
            "pids": None if self.pids is None else self.pids.to_dict(),
            "uids": self.uids.to_dict(),
        }


def pids(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    reader: FeatureReader | None = None,
    null_swaps: int = 0,
    seed: int = 0,
) -> DiscriminativeScore:
    """Compute the paired inception discriminative score; 0.5 is chance, 0 is worst.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> rng = np.random.default_rng(0)
        >>> real, fake = rng.normal(size=(2, 200, 4))
        >>> 0.3 < float(metrics.pids(real, fake)) < 0.7
        True

    Args:
        real: images or features ``(n, d)``, as :class:`FeatureReader` takes them.
        fake: their predictions. Files pair by stem, everything else by order.
        reader: how images become features; default ``FeatureReader()``.
        null_swaps: number of refits with randomly exchanged pairs for
            :attr:`DiscriminativeScore.null`.
        seed: of the exchanges.

    Returns:
        The share of pairs whose fake image scores higher than the real one.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: unmatched images, or features of different extractors or widths.
        ConvergenceError: the classifier's optimum was not reached.
    """
    pair = (reader or FeatureReader()).read_pair(real, fake)
    score = discriminative_scores(*pair, null_swaps=null_swaps, seed=seed).pids
    if score is None:
        raise OptionError("P-IDS needs as many fake as real images, in the same order")
    return score


def uids(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    reader: FeatureReader | None = None,
    null_swaps: int = 0,
    seed: int = 0,
) -> DiscriminativeScore:
    """Compute the unpaired inception discriminative score; 0.5 is best, 0 is worst.

    The sides may differ in number.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> rng = np.random.default_rng(0)
        >>> float(metrics.uids(rng.normal(size=(90, 4)), rng.normal(size=(60, 4)))) > 0.3
        True

    Args:
        real: images or features, see :func:`pids`.
        fake: likewise.
        reader: how images become features; default ``FeatureReader()``.
        null_swaps: number of refits with exchanged labels, see :attr:`DiscriminativeScore.null`.
        seed: of the exchanges.

    Returns:
        The error rate of the classifier.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: features of different extractors or widths.
        ConvergenceError: the classifier's optimum was not reached.
    """
    sides = (reader or FeatureReader()).read_both(real, fake)
    return discriminative_scores(*sides, null_swaps=null_swaps, seed=seed).uids


def pids_of_features(pair: FeaturePair) -> DiscriminativeScore | None:
    """Compute P-IDS; see :class:`~.table.FeatureMetric`."""
    return pair.once(_both_scores).pids


def uids_of_features(pair: FeaturePair) -> DiscriminativeScore:
    """Compute U-IDS; see :class:`~.table.FeatureMetric`."""
    return pair.once(_both_scores).uids


def _both_scores(pair: FeaturePair) -> DiscriminativeScores:
    return discriminative_scores(pair.real, pair.fake, null_swaps=pair.null_swaps)


@ordinary_torch()
def discriminative_scores(
    real: FeatureSet | np.ndarray | Tensor,
    fake: FeatureSet | np.ndarray | Tensor,
    *,
    null_swaps: int = 0,
    seed: int = 0,
    tolerance: float = 1e-12,
) -> DiscriminativeScores:
    """Compute P-IDS and U-IDS from one exact fit, on the device of the real features.

    The classifier is the optimum of the published objective, that of scikit-learn's
    ``LinearSVC(dual=False)``: squared hinge, C = 1, bias penalised, features unscaled.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> scores = metrics.discriminative_scores(np.eye(9, 4), np.eye(9, 4))
        >>> scores.uids.value, scores.uids.ties
        (0.5, 9)

    Args:
        real: features ``(n, d)``.
        fake: features ``(n', d)``; row i belongs to real row i when n = n'.
        null_swaps: number of refits for the null reference. The labels of random pairs are
            exchanged, or of random rows when the sides differ in number.
        seed: of the null reference.
        tolerance: relative gradient to reach, see :meth:`~._svm.SquaredHingeSVM.fit`.

    Raises:
        OptionError: empty sides, features of different extractors or widths, or a negative number
            of refits.
        ConvergenceError: the optimum was not reached.
    """
    if null_swaps < 0:
        raise OptionError(f"null_swaps is a number of refits, at least 0, not {null_swaps}")
    first, second = _feature_set(real), _feature_set(fake)
    common_identity(first.identity, second.identity)
    x, y = _checked(first.values, second.values)
    fit = _recent_fit(x, y, null_swaps, seed, tolerance)
    common = DiscriminativeScore(
        name="",
        value=0.0,
        n=min(len(x), len(y)),
        warnings=input_warnings(first, second) + fit.warnings,
        provenance=provenance(first, second) | _fit_record(fit.plane),
        dimension=x.shape[1],
        ties=fit.decisions.ties,
    )
    return _named_scores(common, fit)


@dataclass(frozen=True, eq=False)
class _Fit:
    """What both scores are read from; ``null`` holds P-IDS (None without pairs) and U-IDS."""

    plane: Hyperplane
    decisions: _Decisions
    scores: tuple[float | None, float]
    null: tuple[tuple[float | None, float], ...]
    warnings: tuple[str, ...]


_RECENT: dict[tuple[object, ...], _Fit] = {}
_REMEMBERED = 4


def _recent_fit(real: Tensor, fake: Tensor, null_swaps: int, seed: int, tolerance: float) -> _Fit:
    """Fit, unless the same numbers were fitted lately: one fit gives P-IDS and U-IDS."""
    key = (_digest(real), _digest(fake), str(real.device), null_swaps, seed, tolerance)
    fit = _RECENT.get(key) or _fit(real, fake, null_swaps, seed, tolerance)
    _RECENT.pop(key, None)
    _RECENT[key] = fit
    for old in [*_RECENT][:-_REMEMBERED]:
        _RECENT.pop(old, None)
    return fit


def _digest(values: Tensor) -> tuple[object, ...]:
    content = values.contiguous().view(torch.uint8).cpu().numpy().data
    return values.shape, values.dtype, hashlib.sha256(content).digest()


def _fit(real: Tensor, fake: Tensor, null_swaps: int, seed: int, tolerance: float) -> _Fit:
    svm = SquaredHingeSVM(torch.cat([real, fake]))
    labels = torch.ones(len(real) + len(fake), dtype=torch.float64, device=real.device)
    labels[len(real) :] = -1
    plane = svm.fit(labels, tolerance=tolerance)
    same = (real == fake).all(dim=1) if len(real) == len(fake) else None
    decisions = _decisions(svm.decide(plane), len(real), same)
    generator = np.random.default_rng(seed)
    null = []
    for _ in range(null_swaps):
        exchanged = _exchanged(labels, len(real), generator)
        refit = svm.decide(svm.fit(exchanged, tolerance=tolerance))
        null.append(_decisions(refit, len(real), same).scores(exchanged))
    warnings = separability_warnings(real, fake, svm.kernel)
    return _Fit(plane, decisions, decisions.scores(labels), tuple(null), warnings)


def _named_scores(common: DiscriminativeScore, fit: _Fit) -> DiscriminativeScores:
    """Both scores, of which ``common`` holds everything but name, value and null reference."""
    paired, unpaired = fit.scores
    null_paired = tuple(score for score, _ in fit.null if score is not None)
    null_unpaired = tuple(score for _, score in fit.null)
    return DiscriminativeScores(
        uids=replace(common, name="uids", value=unpaired, null=null_unpaired),
        pids=None
        if paired is None
        else replace(common, name="pids", value=paired, null=null_paired),
        plane=fit.plane,
        real_decisions=fit.decisions.real.cpu().numpy().copy(),
        fake_decisions=fit.decisions.fake.cpu().numpy().copy(),
    )


@dataclass(frozen=True, eq=False)
class _Decisions:
    """Decision values of both sides; equal rows have equal values."""

    real: Tensor
    fake: Tensor

    @property
    def ties(self) -> int:
        paired = len(self.real) == len(self.fake)
        return int((self.real == self.fake).sum()) if paired else 0

    def scores(self, labels: Tensor) -> tuple[float | None, float]:
        """P-IDS (None without pairs) and U-IDS when rows labelled +1 count as real."""
        decisions = torch.cat([self.real, self.fake])
        errors = (decisions > 0) != (labels > 0)
        unpaired = float(errors.sum()) / len(labels)
        if len(self.real) != len(self.fake):
            return None, unpaired
        won = labels[: len(self.real)] * (self.fake - self.real) > 0
        return float(won.sum()) / len(won), unpaired


def _decisions(decisions: Tensor, n_real: int, same: Tensor | None) -> _Decisions:
    real, fake = decisions[:n_real], decisions[n_real:]
    # Products may round equal rows differently, depending on where they lie in memory.
    return _Decisions(real, fake if same is None else torch.where(same, real, fake))


def _exchanged(labels: Tensor, n_real: int, generator: np.random.Generator) -> Tensor:
    if 2 * n_real != len(labels):
        return labels[torch.from_numpy(generator.permutation(len(labels))).to(labels.device)]
    signs = torch.from_numpy(2.0 * generator.integers(0, 2, n_real) - 1).to(labels)
    return torch.cat([signs, -signs])


def _feature_set(features: FeatureSet | np.ndarray | Tensor) -> FeatureSet:
    return features if isinstance(features, FeatureSet) else FeatureSet.from_array(features)


def _checked(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    if not len(real) or not len(fake):
        raise OptionError(f"both sides need images; there are {len(real)} and {len(fake)}")
    require_same_width(real.shape[1], fake.shape[1])
    return real.detach(), fake.detach().to(real.device)


def _fit_record(plane: Hyperplane) -> dict[str, object]:
    return {
        "dtype": "float64",
        "objective": plane.objective,
        "relative_gradient": plane.relative_gradient,
        "newton_steps": plane.iterations,
        "form": plane.form,
    }
