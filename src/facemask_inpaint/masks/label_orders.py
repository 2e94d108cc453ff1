"""Label maps of faces from other label orders into that of CelebAMask-HQ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import LabelMapError, UnknownNameError
from facemask_inpaint.labels import LABEL_ORDERS, LabelOrder
from facemask_inpaint.masks.vocabularies import FACES


def named_order(order: str | LabelOrder) -> LabelOrder:
    """Return a label order by its name, or as it is.

    Raises:
        UnknownNameError: There is no such label order.
    """
    if isinstance(order, LabelOrder):
        return order
    if order not in LABEL_ORDERS:
        raise UnknownNameError(f"unknown label order {order!r}; known: {', '.join(LABEL_ORDERS)}")
    return LABEL_ORDERS[order]


def in_order_of_faces(ids: NDArray[np.generic], order: LabelOrder) -> NDArray[np.uint8]:
    """Return ids ``(..., H, W)`` of a label order in that of CelebAMask-HQ.

    Raises:
        LabelMapError: There is an id that the order does not have, or these are no whole numbers.
    """
    if not np.issubdtype(ids.dtype, np.integer):
        raise LabelMapError(f"label ids are whole numbers, not {ids.dtype}")
    translation = order.translation
    unknown = [label for label in np.unique(ids).tolist() if label not in translation]
    if unknown:
        raise LabelMapError(
            f"unknown label ids {', '.join(map(str, unknown[:8]))}: those of {order.title} run "
            f"from 0 to {len(order.labels) - 1}"
            + "".join(f", and {label} without a label" for label in order.ignored)
        )
    table = np.zeros(max(translation) + 1, dtype=FACES.dtype)
    table[list(translation)] = list(translation.values())
    faces: NDArray[np.uint8] = table[ids]
    return _with_sides(faces) if order.left == "unstated" else faces


def _with_sides(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from facemask_inpaint.parsing.left_right import assign_left_right

    if ids.ndim < 3:
        return assign_left_right(ids)
    return np.stack([_with_sides(each) for each in ids])
