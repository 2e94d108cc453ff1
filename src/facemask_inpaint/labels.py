"""The nineteen labels of CelebAMask-HQ, and the orders in which other sources number them.

Example:
    >>> LABEL_NAMES[LABEL_IDS["hair"]]
    'hair'
"""

from __future__ import annotations

from collections.abc import Mapping

LABEL_NAMES: tuple[str, ...] = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear"),
    *("r_ear", "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
"""CelebAMask-HQ label names by id. ``l_lip`` is the *lower* lip, ``ear_r`` an earring, ``neck_l``
a necklace, ``eye_g`` eyeglasses; ``l_`` and ``r_`` of eye, brow and ear are the person's own left
and right."""

LABEL_IDS: Mapping[str, int] = {name: label for label, name in enumerate(LABEL_NAMES)}
"""Label name to id, the inverse of :data:`LABEL_NAMES`."""

LABEL_ORDERS: Mapping[str, tuple[str, ...]] = {
    "bisenet": (
        *("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear"),
        *("ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat"),
    ),
}
"""Label names by id in orders other than CelebAMask-HQ's. ``"bisenet"`` is the order of
``79999_iter.pth`` (zllrunning/face-parsing.PyTorch) and of facexlib's ``parsing_bisenet.pth``."""

OVAL = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"),
)
"""Labels of a face's oval: all of the face but ears and hair."""
