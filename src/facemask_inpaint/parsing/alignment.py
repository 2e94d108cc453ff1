"""Where to crop a portrait so that its face lies as networks for aligned faces expect it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.labels import LABEL_IDS

EYE_DISTANCE = 0.235
"""Distance of the eyes in CelebA-HQ, as a share of the image's side."""

EYE_HEIGHT = 0.465
"""Distance of the eyes from the top in CelebA-HQ, as a share of the image's side."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, as PIL's ``crop`` takes it."""


def face_box(label_map: NDArray[np.uint8]) -> Box:
    """Return the square that frames a face as CelebA-HQ does; the image is not rotated.

    The box is moved, or made smaller, where it would leave the image.

    Args:
        label_map: ``(H, W)`` CelebAMask-HQ label ids of one upright face.

    Raises:
        ComponentAbsentError: an eye is not labelled.

    Example:
        >>> import facemask_inpaint as fmi
        >>> face_box(fmi.data.sample(256).label_map)
        (39, 19, 218, 198)
    """
    height, width = label_map.shape
    left, right = (_centre(label_map, name) for name in ("l_eye", "r_eye"))
    distance = float(np.hypot(*(left - right)))
    side = round(min(distance / EYE_DISTANCE, height, width))
    x, y = (left + right) / 2
    from_left = int(np.clip(round(x - side / 2), 0, width - side))
    from_top = int(np.clip(round(y - EYE_HEIGHT * side), 0, height - side))
    return from_left, from_top, from_left + side, from_top + side


def _centre(label_map: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    rows, columns = np.nonzero(label_map == LABEL_IDS[name])
    if not len(rows):
        raise ComponentAbsentError(f"{name} is not labelled, so the face cannot be framed")
    return np.array([columns.mean(), rows.mean()])
