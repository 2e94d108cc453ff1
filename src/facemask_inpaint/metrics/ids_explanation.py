"""Why P-IDS and U-IDS are what they are: number of images, separability, and swapped pairs.

What two samples of one distribution score is derived in
:mod:`~facemask_inpaint.metrics.separability`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy.stats
import torch

from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics.discriminative import DiscriminativeScores, discriminative_scores
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import FeatureSet, FeatureSource
from facemask_inpaint.metrics.neighbours import distance_blocks
from facemask_inpaint.metrics.separability import NEGLIGIBLE, expected_scores

SUFFICIENT = 0.4
"""U-IDS of equal distributions at the recommended number of images; its limit is 0.5."""

REFITS = 5
_NEARER = 0.8  # of the distance from its own original: then a prediction looks like another's


@dataclass(frozen=True, eq=False)
class IdsExplanation:
    """What P-IDS and U-IDS of two sets mean at their number of images.

    Attributes:
        scores: both scores; their ``null`` is of the same images with the members of random pairs
            exchanged, which a perfect method would reach.
        expected_uids: U-IDS of two independent samples of one distribution, of these sizes.
        expected_pids: P-IDS of the same.
        separable_by_size: whether a hyperplane separates any two sets of these sizes whose features
            are in general position.
        recommended_n: images a side from which ``expected_uids`` is at least :data:`SUFFICIENT`.
        widest_features: number of features for which the images at hand would be enough.
        swapped: names of two pairs each whose predictions seem to be exchanged.
        strangers: predictions that look like another original than theirs, and that original.
        extractor: of the features, ``None`` if not known.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 20, 40))
        >>> metrics.explain_ids(real, fake).separable_by_size
        True
    """

    scores: DiscriminativeScores
    expected_uids: float
    expected_pids: float
    separable_by_size: bool
    recommended_n: int
    widest_features: int
    swapped: tuple[tuple[str, str], ...]
    strangers: tuple[tuple[str, str], ...]
    extractor: str | None

    def __str__(self) -> str:
        return "\n".join([self._head(), *(f"- {text}" for text in self.findings)])

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences for people, the most important first."""
        return (self._separation(), *self._pairs(), self._advice(), self._origin())

    def to_dict(self) -> dict[str, object]:
        """Return everything in terms of JSON."""
        return {
            **self.scores.to_dict(),
            "expected_uids": self.expected_uids,
            "expected_pids": self.expected_pids,
            "separable_by_size": self.separable_by_size,
            "recommended_n": self.recommended_n,
            "widest_features": self.widest_features,
            "swapped": [list(names) for names in self.swapped],
            "strangers": [list(names) for names in self.strangers],
            "extractor": self.extractor,
            "findings": list(self.findings),
        }

    def _head(self) -> str:
        rows = (
            (self.scores.pids, self.expected_pids),
            (self.scores.uids, self.expected_uids),
        )
        return "\n".join(
            f"{score.label} {float(score):.2%}; two samples of one distribution would score "
            f"{expected:.2%}, the same images with pairs exchanged {score.null_mean or 0:.2%}"
            for score, expected in rows
            if score is not None
        )

    def _separation(self) -> str:
        uids = self.scores.uids
        total = len(self.scores.real_decisions) + len(self.scores.fake_decisions)
        size = f"{total} images of {uids.dimension} features"
        exchanged = self.expected_uids if uids.null_mean is None else uids.null_mean
        by_size = self.separable_by_size and exchanged < NEGLIGIBLE
        if by_size and self.scores.separated:
            return (
                f"{size}: any two sets of this size can be separated by a hyperplane, so both "
                "scores are 0 whatever the images show"
            )
        if self.scores.separated:
            return (
                f"{size} need not be separable, but these are: a hyperplane tells all predictions "
                "from all originals, so they differ in something that they have in common "
                "(compare file formats, sizes and colours first)"
            )
        perfect = max(self.expected_uids, uids.null_mean or 0)
        if uids.value >= perfect:
            return f"{size}: U-IDS is as high as that of a perfect method at this number"
        return f"{size}: U-IDS is {uids.value / perfect:.0%} of a perfect method's at this number"

    def _pairs(self) -> tuple[str, ...]:
        texts = []
        if self.swapped:
            pairs = [f"{first} and {second}" for first, second in self.swapped]
            texts.append(f"these seem to be swapped: {listed(pairs)}")
        if self.strangers:
            named = [f"{fake} (like {real})" for fake, real in self.strangers]
            texts.append(
                f"these look more like another original than like their own: {listed(named)}; "
                "P-IDS compares each with its own"
            )
        return tuple(texts)

    def _advice(self) -> str:
        if self.expected_uids >= SUFFICIENT and not self.separable_by_size:
            return "the number of images is sufficient for this number of features"
        fewer = f", or at most {self.widest_features} features for the images at hand"
        return (
            f"recommended: {self.recommended_n:,} images a side, from which equal distributions "
            f"score {SUFFICIENT:.0%}{fewer if self.widest_features > 1 else ''}; else compare at "
            "equal n only, or use KID, which has no such bias"
        )

    def _origin(self) -> str:
        features = f"features of {self.extractor}" if self.extractor else "these features"
        return f"the classifier saw {features}; no identity network takes part in these scores"


@ordinary_torch()
def explain_ids(
    real: FeatureSource,
    fake: FeatureSource,
    *,
    reader: FeatureReader | None = None,
    null_swaps: int = REFITS,
    seed: int = 0,
) -> IdsExplanation:
    """Explain P-IDS and U-IDS: whether the number of images, the pairing or the images decide.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> real, fake = np.random.default_rng(0).normal(size=(2, 8, 16))
        >>> explanation = metrics.explain_ids(real, fake)
        >>> explanation.separable_by_size, explanation.recommended_n
        (True, 141)

    Args:
        real: images or features, see :func:`pids`.
        fake: their predictions. Files pair by stem, everything else by order.
        reader: how images become features; default ``FeatureReader()``.
        null_swaps: number of refits with exchanged pairs.
        seed: of the exchanges.

    Raises:
        ImageError: an image cannot be decoded.
        OptionError: unmatched images, or features of different extractors or widths.
        ConvergenceError: the classifier's optimum was not reached.
    """
    pair = (reader or FeatureReader()).read_pair(real, fake)
    scores = discriminative_scores(*pair, null_swaps=null_swaps, seed=seed)
    return _explained(scores, *pair)


def _explained(scores: DiscriminativeScores, real: FeatureSet, fake: FeatureSet) -> IdsExplanation:
    total, dimension = len(real) + len(fake), scores.uids.dimension
    expected_pids, expected_uids = expected_scores(real.values, fake.values.to(real.values))
    swapped, strangers = _mistaken_pairs(real, fake)
    z = float(scipy.stats.norm.ppf(SUFFICIENT))
    leverage = z**2 / (1 + z**2)
    return IdsExplanation(
        scores=scores,
        expected_uids=expected_uids,
        expected_pids=expected_pids,
        separable_by_size=total <= dimension + 1,
        recommended_n=math.ceil((dimension + 1) / (2 * leverage)),
        widest_features=max(1, int(total * leverage) - 1),
        swapped=swapped,
        strangers=strangers,
        extractor=real.identity or fake.identity,
    )


def _mistaken_pairs(
    real: FeatureSet, fake: FeatureSet
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Names of pairs that seem to be swapped, and of other predictions with a nearer original."""
    first = real.values.double()
    centre = first.mean(dim=0)
    second = fake.values.to(first) - centre
    blocks = [
        (squared.min(dim=1), squared.diagonal(start).clone())
        for start, squared in distance_blocks(second, first - centre)
    ]
    nearest = torch.cat([near.indices for near, _ in blocks])
    ratio = torch.cat([near.values / own for near, own in blocks]).sqrt()
    rows = (ratio < _NEARER).nonzero()[:, 0].tolist()
    mistaken = {row: int(nearest[row]) for row in rows}
    swaps = {row: other for row, other in mistaken.items() if mistaken.get(other) == row}
    return (
        tuple((fake.names[row], fake.names[other]) for row, other in swaps.items() if row < other),
        tuple(
            (fake.names[row], real.names[other])
            for row, other in mistaken.items()
            if row not in swaps
        ),
    )
