"""Where to cut a portrait so that its face lies as networks for aligned faces expect it."""

from __future__ import annotations

import numpy as np

from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.labels import LABEL_IDS

EYES_APART = 0.235
"""Distance of the eyes as a share of the side, in CelebA-HQ and its like."""

EYES_AT = 0.465
"""Height of the eyes as a share of the side, from the top."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, as PIL's ``crop`` takes it."""


def face_box(labels: np.ndarray) -> Box:
    """Return the square around a face as CelebA-HQ crops faces; nothing is rotated.

    The box is moved, or made smaller, where it would leave the image.

    Args:
        labels: ``(H, W)`` CelebAMask-HQ ids of one upright face.

    Raises:
        ComponentAbsentError: An eye is not labelled.
    """
    height, width = labels.shape
    left, right = (_centre(labels, name) for name in ("l_eye", "r_eye"))
    apart = float(np.hypot(*(left - right)))
    side = round(min(apart / EYES_APART, height, width))
    x, y = (left + right) / 2
    from_left = int(np.clip(round(x - side / 2), 0, width - side))
    from_top = int(np.clip(round(y - EYES_AT * side), 0, height - side))
    return from_left, from_top, from_left + side, from_top + side


def _centre(labels: np.ndarray, name: str) -> np.ndarray:
    rows, columns = np.nonzero(labels == LABEL_IDS[name])
    if not len(rows):
        raise ComponentAbsentError(f"{name} is not labelled, so the face cannot be framed")
    return np.array([columns.mean(), rows.mean()])
