"""Where the faces are: from a label map of a whole photo to the crop of each face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from facemask_inpaint.labels import LABEL_IDS, OVAL, LabelIds
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.left_right import Axes

FACE_SHARE = 0.57
"""Root of the share of a CelebA-HQ crop that the face covers."""

FACE_BELOW = 0.033
"""How far the middle of the face lies below the middle of such a crop, as a share of its side."""

LEAST_SIZE = 0.04
"""Root of the share of a crop that a patch of face must cover to be one."""

GAP = 0.01
"""Patches of face whose distance is below twice this share of a crop's side are one."""

UPRIGHT = 0.17
"""Roll in radians up to which a face counts as upright and is not turned."""

EYES_TO_MOUTH = (0.25, 0.75)
"""Distance from the eyes to the mouth as a share of a face's size: 0.40 to 0.51 in nine portraits
of ten that look ahead, less in faces that look down."""

_OVAL = tuple(LABEL_IDS[name] for name in OVAL)
_FEATURES = tuple(
    tuple(LABEL_IDS[name] for name in names)
    for names in (
        ("l_eye", "r_eye", "l_brow", "r_brow", "eye_g"),
        ("nose",),
        ("mouth", "u_lip", "l_lip"),
    )
)
_LEAST_SHARES = (0.005, 0.015, 0.01)
"""Share of the face that each feature must cover to count: about a fifth of what it does."""


def find_faces(
    label_map: LabelIds, parsed: Crop, *, least: float = LEAST_SIZE, gap: float = GAP
) -> list[Crop]:
    """Return crops of the faces in a label map, like CelebA-HQ's, the largest face first.

    A face is a patch of skin and what lies in it, with at least two of: eyes (or brows, or
    glasses), a nose, a mouth; where they are all, in this order and at fitting distances. Faces
    that touch are taken for one.

    Args:
        label_map: ``(h, w)`` uint8, of what a square crop shows.
        parsed: that crop.
        least: root of the share of the crop that a patch of face must cover to be one.
        gap: patches closer than twice this share of the crop's side are one.
    """
    oval = np.isin(label_map, _OVAL)
    reach = max(1, round(gap * label_map.shape[1]))
    patches, _ = ndimage.label(ndimage.binary_dilation(oval, iterations=reach))
    crops = []
    for number, window in enumerate(ndimage.find_objects(patches), start=1):
        inside = oval[window] & (patches[window] == number)
        patch = np.where(inside, label_map[window], 0).astype(np.uint8)
        if _is_face(patch, least**2 * label_map.size):
            corner = (window[1].start, window[0].start)
            crops.append(_crop(patch, corner, label_map.shape, parsed))
    return sorted(crops, key=lambda crop: -crop.width)


def _is_face(patch: LabelIds, least_area: float) -> bool:
    area = int(np.count_nonzero(patch))
    if area < least_area:
        return False
    marks = [np.isin(patch, ids) for ids in _FEATURES]
    visible = [mark.sum() >= least * area for mark, least in zip(marks, _LEAST_SHARES)]
    if not (visible[0] and visible[2]):
        result: bool = sum(visible) == 2
        return result
    eyes, mouth = (np.argwhere(mark).mean(axis=0) for mark in (marks[0], marks[2]))
    down = mouth - eyes
    distance = float(np.hypot(*down))
    if not EYES_TO_MOUTH[0] < distance / area**0.5 < EYES_TO_MOUTH[1]:
        return False
    if not visible[1]:
        return True
    nose = np.argwhere(marks[1]).mean(axis=0)
    return bool(0 < (nose - eyes) @ down < distance**2)


def _crop(patch: LabelIds, corner: Sequence[int], shape: tuple[int, ...], parsed: Crop) -> Crop:
    """Crop around the face that is the only one in ``patch``."""
    axes = Axes.of(patch)
    roll = axes.roll if abs(axes.roll) > UPRIGHT else 0.0
    rows, columns = np.nonzero(patch)
    middle = (
        (float(columns.mean()) + 0.5 + corner[0]) / shape[1],
        (float(rows.mean()) + 0.5 + corner[1]) / shape[0],
    )
    x, y = parsed.to_photo(*middle)
    side = axes.size / shape[1] * parsed.width / FACE_SHARE
    crop = Crop(x, y, side, side, parsed.roll + roll)
    x, y = crop.to_photo(0.5, 0.5 - FACE_BELOW)
    return Crop(x, y, side, side, crop.roll)
