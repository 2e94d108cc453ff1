"""Single objects of a class: the connected areas of a mask."""

from __future__ import annotations

import numpy as np

from facemask_inpaint.masks.morphology import Hole

_NEIGHBOURS = np.ones((3, 3), dtype=bool)
"""Pixels that touch at a corner belong together."""


def connected_objects(hole: Hole, min_area: int = 1) -> list[Hole]:
    """Return the connected objects of a mask, the largest first.

    Args:
        hole: ``(H, W)`` bool.
        min_area: objects with fewer pixels are left out, except for the largest.

    Returns:
        A mask for each object, of the same shape; of two of one size, that nearer the top first.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import connected_objects
        >>> [int(each.sum()) for each in connected_objects(np.array([[1, 0, 1, 1]], dtype=bool))]
        [2, 1]
    """
    from scipy import ndimage  # here, since importing it takes longer than cutting a mask

    numbers, count = ndimage.label(hole, structure=_NEIGHBOURS)
    areas = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    ranking = np.argsort(-areas, kind="stable")
    kept = [index for rank, index in enumerate(ranking) if not rank or areas[index] >= min_area]
    return [numbers == index + 1 for index in kept]
