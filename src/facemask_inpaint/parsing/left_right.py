"""Left and right by geometry: which eye, brow and ear is the person's own left one.

Networks are unreliable here. BiSeNet's published weights were trained with mirrored images whose
labels were not exchanged, and the compact parser knows no sides at all. Where the parts lie in the
face does not depend on either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facemask_inpaint.labels import LABEL_IDS, LabelIds

PAIRS = tuple((LABEL_IDS[f"l_{part}"], LABEL_IDS[f"r_{part}"]) for part in ("eye", "brow", "ear"))
"""Ids of the left and the right of each pair."""

_ABOVE = [LABEL_IDS[name] for name in ("l_eye", "r_eye", "l_brow", "r_brow")]
_BELOW = [LABEL_IDS[name] for name in ("mouth", "u_lip", "l_lip")]
_MIDDLE = [LABEL_IDS["nose"], *_BELOW]
_OVAL = [LABEL_IDS["skin"], *_ABOVE, *_MIDDLE]

SPECK = 0.1
"""Patches below this share of a pair's largest patch do not decide where its sides part."""

APART = 0.2
"""Patches further apart than this share of the face's size are two sides, not one in pieces."""

JOINED = 0.25
"""A patch with at least this share on either side of the midline is both sides in one."""


@dataclass(frozen=True)
class Axes:
    """How a face lies in its image, which is taken to be unmirrored.

    Attributes:
        middle: x and y of a point on the midline: the middle of nose and mouth.
        down: unit vector from the eyes to the mouth.
        size: square root of the face's area in pixels.
    """

    middle: tuple[float, float]
    down: tuple[float, float]
    size: float

    @classmethod
    def of(cls, labels: LabelIds) -> Axes:
        """Return the axes of the face in a label map; upright where eyes or mouth are missing."""
        oval = _centre(labels, _OVAL) or ((labels.shape[1] - 1) / 2, (labels.shape[0] - 1) / 2)
        above, below = _centre(labels, _ABOVE), _centre(labels, _BELOW)
        down = (0.0, 1.0)
        if above and below:
            length = float(np.hypot(below[0] - above[0], below[1] - above[1]))
            if length > 1:
                down = ((below[0] - above[0]) / length, (below[1] - above[1]) / length)
        area = max(1, int(np.count_nonzero(np.isin(labels, _OVAL))))
        return cls(_centre(labels, _MIDDLE) or oval, down, math.sqrt(area))

    @property
    def roll(self) -> float:
        """Angle in radians by which the face is turned clockwise, as one looks at the image."""
        return float(np.arctan2(-self.down[0], self.down[1]))

    def leftness(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the distance in pixels from the midline, positive on the person's own left."""
        across, along = columns - self.middle[0], rows - self.middle[1]
        return across * self.down[1] - along * self.down[0]


def assign_left_right(labels: LabelIds, axes: Axes | None = None) -> LabelIds:
    """Set the label ids of eyes, brows and ears by where they lie in the face.

    Each pair is parted where its patches are furthest from one another, across the face. A pair
    with a single patch is one side, unless it straddles the midline as joined brows do.

    Args:
        labels: ``(H, W)`` uint8. Which of a pair's two ids a pixel has does not matter.
        axes: of the face; found from the labels when omitted.

    Returns:
        A new label map.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> label_map = data.sample(256).label_map
        >>> bool((parsing.assign_left_right(label_map) == label_map).mean() > 0.99)
        True
    """
    axes = axes or Axes.of(labels)
    result = labels.copy()
    for left, right in PAIRS:
        both = (labels == left) | (labels == right)
        if both.any():
            rows, columns = np.nonzero(both)
            leftness = axes.leftness(rows, columns)
            border = _border(_patches(both, rows, columns), leftness, axes.size)
            result[rows, columns] = np.where(leftness > border, left, right)
    return result


def _patches(
    both: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.int32]:
    """Number of the connected patch of each marked pixel."""
    window = (slice(rows[0], rows[-1] + 1), slice(columns.min(), columns.max() + 1))
    numbers, _ = ndimage.label(both[window], structure=np.ones((3, 3)))
    result: NDArray[np.int32] = numbers[rows - window[0].start, columns - window[1].start]
    return result


def _border(patches: NDArray[np.int32], leftness: NDArray[np.float64], face_size: float) -> float:
    """Distance from the midline at which left begins."""
    areas = np.bincount(patches)
    means = np.bincount(patches, weights=leftness) / np.maximum(areas, 1)
    places = np.sort(means[areas >= max(1, SPECK * areas.max())])
    gaps = np.diff(places)
    if gaps.size and gaps.max() > APART * face_size:
        widest = int(gaps.argmax())
        return float(places[widest : widest + 2].mean())
    share = float(np.mean(leftness > 0))
    if JOINED <= share <= 1 - JOINED:
        return 0.0
    return -np.inf if share > 0.5 else np.inf


def _centre(labels: LabelIds, ids: Sequence[int]) -> tuple[float, float] | None:
    """Return x and y of the mean pixel with any of these ids; ``None`` where there is none."""
    rows, columns = np.nonzero(np.isin(labels, ids))
    return (float(columns.mean()), float(rows.mean())) if rows.size else None
