"""Landmarks: how far the points of a filled face lie from those of the original.

The normalised mean error is the mean distance of corresponding points, divided by the distance of
the outer corners of the eyes of the original (Sagonas et al., "300 Faces in-the-Wild Challenge: The
First Facial Landmark Localization Challenge", ICCVW 2013). Both sides' points come from the same
landmark finder, so its own error is part of the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.evaluation import Evaluation, evaluate
from facemask_inpaint.metrics.faces.scores import comparison_warnings
from facemask_inpaint.metrics.features.custom import FeatureExtractor
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import FeaturePair, FeatureSource, require_same_width
from facemask_inpaint.metrics.pair_means import PairMean, Values
from facemask_inpaint.metrics.table import LANDMARK_METRICS

POINTS: Mapping[int, Mapping[str, range | tuple[int, ...]]] = {
    68: {
        "jaw": range(17),
        "eyebrows": range(17, 27),
        "nose": range(27, 36),
        "eyes": range(36, 48),
        "mouth": range(48, 68),
        "all": range(68),
    },
    5: {"eyes": range(4), "nose": (4,), "all": range(5)},
}
"""Points of each component, by the number of points: those of iBUG 300-W, and dlib's five."""

OUTER_CORNERS = {68: (36, 45), 5: (2, 0)}
"""The outer corners of the eyes, the person's right one first."""


def landmark_errors(component: str, pair: FeaturePair) -> Values:
    """Compute the normalised error of each pair.

    Args:
        component: one of :data:`POINTS`, or ``"all"``.
        pair: landmarks ``(n, 2 k)`` of both sides, row by row of the same image; rows of zeros
            are images in which no face was found.

    Returns:
        ``(n,)``; NaN without a face on either side, and for components without points.

    Raises:
        OptionError: the features are no landmarks, or the images of a pair differ in size.
    """
    real, fake = _points(pair)
    count = real.shape[1]
    chosen = list(POINTS[count].get(component, ()))
    if not chosen:
        return np.full(len(real), np.nan)
    right, left = OUTER_CORNERS[count]
    scale = (real[:, right] - real[:, left]).norm(dim=1)
    apart = (real - fake).norm(dim=2)[:, chosen].mean(dim=1)
    both = real.flatten(1).any(dim=1) & fake.flatten(1).any(dim=1)
    errors: Values = torch.where(both, apart / scale, torch.nan).numpy()
    return errors


def _found(pair: FeaturePair) -> Values:
    """1 where a face is found in the filled image, NaN where none is in the original."""
    known, seen = (points.flatten(1).any(dim=1) for points in _points(pair))
    found: Values = torch.where(known, seen.double(), torch.nan).numpy()
    return found


def _error(component: str) -> PairMean:
    name = "landmark_error" if component == "all" else f"landmark_error_{component}"
    return PairMean(name, partial(landmark_errors, component), comparison_warnings)


overall = _error("all")
eyes = _error("eyes")
eyebrows = _error("eyebrows")
nose = _error("nose")
mouth = _error("mouth")
jaw = _error("jaw")
found = PairMean("faces_found", _found, comparison_warnings, share=True)


def landmarks(
    real: FeatureSource, fake: FeatureSource, finder: FeatureExtractor | str = "dlib-68"
) -> Evaluation:
    """Measure how far the landmarks of filled faces lie from those of the originals.

    Example:
        >>> import numpy as np, torch
        >>> from facemask_inpaint import metrics
        >>> finder = metrics.landmark_finder(lambda images: torch.ones(len(images), 136), "ones")
        >>> faces = np.zeros((5, 32, 32, 3), np.uint8)
        >>> print(metrics.landmarks(faces, faces, finder)["faces_found"])
        faces found 1 (n = 5)

    Args:
        real: the originals: a folder, a list of paths or images, a uint8 batch, or landmarks as a
            :class:`FeatureSet`.
        fake: the same images, filled; files pair by stem, everything else by order.
        finder: name of a landmark finder, or one made by :func:`landmark_finder`.

    Returns:
        ``landmark_error``, ``landmark_error_eyes`` and so on for the components that have points,
        and ``faces_found``, as in :data:`METRICS`.

    Raises:
        UnknownNameError: there is no such landmark finder.
        MissingDependencyError: its packages are not installed.
        OptionError: unmatched files, or features that are no landmarks.
    """
    return evaluate(real, fake, LANDMARK_METRICS, reader={"dlib-68": FeatureReader(finder)})


def _points(pair: FeaturePair) -> tuple[Tensor, Tensor]:
    """``(n, k, 2)`` of both sides."""
    real, fake = (side.values.detach().cpu().double() for side in (pair.real, pair.fake))
    require_same_width(real.shape[1], fake.shape[1])
    if real.shape[1] not in {2 * count for count in POINTS}:
        raise OptionError(
            f"features of width {real.shape[1]} are no landmarks: x and y of 68 or 5 points"
        )
    if pair.real.sizes and pair.fake.sizes and pair.real.sizes != pair.fake.sizes:
        raise OptionError("landmarks are compared in pixels: images of a pair must have equal size")
    return real.reshape(len(real), -1, 2), fake.reshape(len(fake), -1, 2)
