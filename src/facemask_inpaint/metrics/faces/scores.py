"""Identity: whether a face recogniser takes the filled face for the person of the original.

The original images are the gallery, the filled ones the probes. Verification (1:1) compares each
probe with its own original at the recogniser's threshold. Identification (1:N) asks whether a
probe's own original is the nearest of the whole gallery (rank 1; Phillips et al., "The FERET
evaluation methodology for face-recognition algorithms", 2000). No identity network takes part in
P-IDS and U-IDS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.evaluation import Evaluation, evaluate
from facemask_inpaint.metrics.faces.cards import FACE_NETWORKS
from facemask_inpaint.metrics.features.custom import FeatureExtractor
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    FeaturePair,
    FeatureSource,
    common_identity,
    require_same_width,
)
from facemask_inpaint.metrics.pair_means import PairMean, Values
from facemask_inpaint.metrics.table import IDENTITY_METRICS

_RULE = re.compile(r"distance=(euclidean|cosine) threshold=(\S+)")
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class FaceComparison:
    """What a recogniser says of each pair of an original and its filled image.

    Attributes:
        distance: ``(n,)`` in the recogniser's own measure; NaN without a face on either side.
        cosine: ``(n,)`` 1 less the cosine of the angle between the embeddings; likewise.
        recognised: ``(n,)`` 1 where the distance is below the threshold, else 0, also where no
            face is found in the filled image; NaN where none is found in the original.
        reidentified: ``(n,)`` 1 where no other original is nearer than the own one; likewise.
        found: ``(n,)`` 1 where a face is found in the filled image; likewise.
    """

    distance: Values
    cosine: Values
    recognised: Values
    reidentified: Values
    found: Values


def compare_faces(pair: FeaturePair) -> FaceComparison:
    """Compare the embeddings of originals and filled images, row by row and each with all.

    Args:
        pair: embeddings of both sides, row by row of the same image; rows of zeros are images in
            which no face was found.

    Raises:
        OptionError: the features are not those of a face recogniser, or of two kinds.
    """
    measure, threshold = _rule(common_identity(pair.real.identity, pair.fake.identity))
    real, fake = (side.values.detach().cpu().double() for side in (pair.real, pair.fake))
    require_same_width(real.shape[1], fake.shape[1])
    known, seen = real.any(dim=1), fake.any(dim=1)
    angles = (_unit(real) - _unit(fake)).square().sum(dim=1) / 2
    apart = angles if measure == "cosine" else (real - fake).norm(dim=1)
    sides = (_unit(real), _unit(fake)) if measure == "cosine" else (real, fake)
    nearest = _own_is_nearest(*sides, known)
    return FaceComparison(
        _where(known & seen, apart),
        _where(known & seen, angles),
        _where(known, seen & (apart < threshold)),
        _where(known, seen & nearest),
        _where(known, seen),
    )


def comparison_warnings(pair: FeaturePair) -> tuple[str, ...]:
    """Return which images have no face that was found.

    Args:
        pair: features of both sides; rows of zeros are images without a face.
    """
    known, seen = (side.values.any(dim=1).cpu() for side in (pair.real, pair.fake))
    count, warnings = len(known), []
    if without := count - int(known.sum()):
        warnings.append(f"no face was found in {without} of {count} originals; they do not count")
    if lost := int((known & ~seen).sum()):
        warnings.append(
            f"no face was found in {lost} of {count} predictions; they count as not recognised, "
            "and have no distance"
        )
    return tuple(warnings)


def _score(name: str, attribute: str, share: bool = False) -> PairMean:
    return PairMean(name, partial(_values, attribute), comparison_warnings, share)


def _values(attribute: str, pair: FeaturePair) -> Values:
    values: Values = getattr(pair.once(compare_faces), attribute)
    return values


distance = _score("identity_distance", "distance")
cosine = _score("identity_cosine", "cosine")
recognised = _score("recognised", "recognised", share=True)
reidentified = _score("reidentified", "reidentified", share=True)


def identity(
    real: FeatureSource, fake: FeatureSource, embedder: FeatureExtractor | str = "dlib"
) -> Evaluation:
    """Measure whether a face recogniser takes filled faces for the persons of the originals.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> def mean_colour(images):
        ...     return images.float().mean((2, 3))
        >>> recogniser = metrics.embedder(mean_colour, "mean colour", threshold=0.01)
        >>> faces = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
        >>> print(metrics.identity(faces, faces, recogniser)["reidentified"])
        rank-1 re-identified 1 (n = 5)

    Args:
        real: the originals, one image per person: a folder, a list of paths or images, a uint8
            batch, or embeddings as a :class:`FeatureSet`.
        fake: the same images, filled; files pair by stem, everything else by order.
        embedder: name of a face recogniser, or one made by :func:`embedder`.

    Returns:
        ``identity_distance``, ``identity_cosine``, ``recognised`` and ``reidentified``, as in
        :data:`METRICS`.

    Raises:
        UnknownNameError: there is no such recogniser.
        MissingDependencyError: its packages are not installed.
        OptionError: unmatched files, or features that are no embeddings of faces.
    """
    return evaluate(real, fake, IDENTITY_METRICS, reader={"dlib": FeatureReader(embedder)})


def _rule(identity: str | None) -> tuple[str, float]:
    """The measure and the threshold that are part of a recogniser's identity."""
    match = _RULE.search(identity or "")
    if match is None:
        names = ", ".join(FACE_NETWORKS)
        raise OptionError(
            f"{identity or 'features of unknown origin'}: these are no embeddings of faces; take "
            f"one of {names}, or make an extractor by metrics.embedder"
        )
    return match[1], float(match[2])


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _where(defined: Tensor, values: Tensor) -> Values:
    result: Values = torch.where(defined, values.double(), torch.nan).numpy()
    return result


def _own_is_nearest(real: Tensor, fake: Tensor, known: Tensor) -> Tensor:
    """``(n,)`` bool: no original of another row is nearer to the filled image than its own."""
    rows = torch.arange(len(real))
    nearest = []
    for block in torch.split(rows, _BLOCK):
        apart = torch.cdist(fake[block], real, compute_mode="donot_use_mm_for_euclid_dist")
        own = apart[torch.arange(len(block)), block]
        nearest.append((apart.masked_fill(~known, torch.inf) >= own[:, None]).all(dim=1))
    return torch.cat(nearest)
