"""Five landmarks of a face, read off its label map: eyes, nose and the corners of the mouth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.labels import LABEL_IDS, OVAL, LabelIds
from facemask_inpaint.parsing.left_right import assign_left_right

Point = tuple[float, float]
"""x and y in pixels; the middle of the first pixel is at (0.5, 0.5)."""

_MOUTH = tuple(LABEL_IDS[name] for name in ("mouth", "u_lip", "l_lip"))
_OVAL = tuple(LABEL_IDS[name] for name in OVAL)
_CORNER = 3
"""Share in percent of the mouth's pixels that make up one of its corners."""

_LEAST = {"r_eye": 0.002, "l_eye": 0.002, "nose": 0.015, "mouth": 0.01}
"""Share of the face's own pixels below which a part is a speck: a quarter of what it covers in most
faces. Hair and clothes do not count: there may be any number of them."""

_TYPICAL = np.array(
    [(0.373, 0.461), (0.606, 0.461), (0.492, 0.557), (0.412, 0.702), (0.580, 0.702)]
)
"""Where the landmarks lie on average in upright portraits, as shares of their side: what stands in
for those that are hidden. Means of 200 portraits of the data that ``small`` was trained on."""


@dataclass(frozen=True)
class FiveLandmarks:
    """Five points of a face in an image, each x and y in pixels.

    Left and right are the person's own.

    Attributes:
        right_eye: middle of the right eye.
        left_eye: middle of the left eye.
        nose: middle of the nose.
        mouth_right: right corner of the mouth.
        mouth_left: left corner of the mouth.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> landmarks = parsing.read_landmarks(data.sample(256).label_map)
        >>> landmarks.right_eye[0] < landmarks.left_eye[0]
        True
    """

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth_right: Point
    mouth_left: Point

    @classmethod
    def of(cls, points: NDArray[np.float64]) -> FiveLandmarks:
        """Return the landmarks of an array ``(5, 2)``, in the order of the attributes."""
        return cls(*((float(x), float(y)) for x, y in points))

    @property
    def points(self) -> NDArray[np.float64]:
        """The landmarks as an array ``(5, 2)``, in the order of the attributes."""
        return np.array(astuple(self), dtype=np.float64)

    @property
    def roll(self) -> float:
        """Angle in radians by which the face is turned clockwise, from its eyes."""
        (right_x, right_y), (left_x, left_y) = self.right_eye, self.left_eye
        return math.atan2(left_y - right_y, left_x - right_x)

    def moved(self, dx: float, dy: float) -> FiveLandmarks:
        """Return all five, shifted."""
        return FiveLandmarks.of(self.points + np.array([dx, dy]))


def read_landmarks(label_map: LabelIds) -> FiveLandmarks:
    """Read the landmarks off the label map of one face.

    Eyes and nose are the means of their pixels, the corners of the mouth its outermost pixels along
    the face. Points that are hidden are put where an average face has them, given those that are
    not; the mouth alone, or the nose alone, is too little for that.

    Args:
        label_map: ``(H, W)`` CelebAMask-HQ label ids of one face, however it is turned.

    Returns:
        The landmarks. Which eye is the right one follows from geometry, not from the labels.

    Raises:
        ComponentAbsentError: fewer than two of the eyes, the nose and the mouth are labelled.

    Example:
        >>> from facemask_inpaint import data
        >>> round(read_landmarks(data.sample(256).label_map).roll, 2)
        0.05
    """
    label_map = assign_left_right(label_map)
    area = max(1, int(np.count_nonzero(np.isin(label_map, _OVAL))))
    parts = {
        "r_eye": _pixels(label_map, (LABEL_IDS["r_eye"],)),
        "l_eye": _pixels(label_map, (LABEL_IDS["l_eye"],)),
        "nose": _pixels(label_map, (LABEL_IDS["nose"],)),
        "mouth": _pixels(label_map, _MOUTH),
    }
    seen = {name: pixels for name, pixels in parts.items() if len(pixels) > _LEAST[name] * area}
    if len(seen) < 2:
        raise ComponentAbsentError(
            "of the eyes, the nose and the mouth fewer than two are labelled, so the face cannot "
            "be framed"
        )
    known = [
        index for index, name in enumerate(("r_eye", "l_eye", "nose", "mouth")) if name in seen
    ]
    means = np.array([seen[name].mean(axis=0) for name in seen])
    middles = np.concatenate([_TYPICAL[:3], _TYPICAL[3:].mean(axis=0, keepdims=True)])
    to_image = fit_similarity(middles[known], means)
    points = _mapped(to_image, _TYPICAL)
    for index, name in enumerate(("r_eye", "l_eye", "nose")):
        if name in seen:
            points[index] = seen[name].mean(axis=0)
    if "mouth" in seen:
        points[3:] = _corners(seen["mouth"], complex(to_image[0]))
    return FiveLandmarks.of(points)


def _pixels(label_map: LabelIds, ids: Sequence[int]) -> NDArray[np.float64]:
    """``(n, 2)``: the middles of the pixels with these labels, x first."""
    rows, columns = np.nonzero(np.isin(label_map, ids))
    return np.stack([columns, rows], axis=1).astype(np.float64) + 0.5


def fit_similarity(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Return factor and shift of the similarity from points to others, by least squares.

    With points as complex numbers it is ``factor * point + shift``; mirror images are not
    considered.

    Args:
        source: ``(n, 2)`` points, at least two of them different.
        target: ``(n, 2)`` where they should go.

    Example:
        >>> points = np.array([(0.0, 0.0), (1.0, 0.0)])
        >>> np.allclose(fit_similarity(points, 2 * points + 1), (2, 1 + 1j))
        True
    """
    points, goals = (each @ (1, 1j) for each in (source, target))
    system = np.stack([points, np.ones_like(points)], axis=1)
    return np.array(np.linalg.lstsq(system, goals, rcond=None)[0], dtype=np.complex128)


def _mapped(to_image: NDArray[np.complex128], points: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = to_image[0] * (points @ (1, 1j)) + to_image[1]
    return np.stack([moved.real, moved.imag], axis=1)


def _corners(mouth: NDArray[np.float64], across: complex) -> NDArray[np.float64]:
    """Right and left corner: the means of the outermost pixels along the direction ``across``."""
    along = mouth @ (across.real, across.imag)
    low, high = np.percentile(along, [_CORNER, 100 - _CORNER])
    corners = [mouth[along <= low].mean(axis=0), mouth[along >= high].mean(axis=0)]
    return np.array(corners, dtype=np.float64)
