"""A lopsided face as a label map, and what each label order calls its labels: written by hand."""

from __future__ import annotations

import numpy as np

from facemask_inpaint.masks import LABEL_IDS

BOXES = {
    "cloth": (54, 64, 0, 64),
    "neck": (46, 54, 24, 40),
    "hair": (2, 14, 14, 50),
    "skin": (10, 48, 16, 48),
    "l_ear": (24, 32, 48, 52),  # the right ear is not seen
    "l_brow": (16, 18, 34, 44),
    "r_brow": (16, 18, 22, 30),
    "l_eye": (21, 26, 35, 43),  # larger than the right one
    "r_eye": (22, 25, 22, 28),
    "nose": (26, 34, 29, 35),
    "u_lip": (37, 39, 26, 38),
    "mouth": (39, 41, 27, 37),
    "l_lip": (41, 44, 26, 38),
}
"""Rows and columns; the person looks at us, so that their left is on the right of the image."""

PERSONS = {
    "celebamask-hq": "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip"
    " l_lip hair hat ear_r neck_l neck cloth",
    "bisenet": "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip"
    " l_lip neck neck_l cloth hair hat",
    "lapa": "background skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair",
    "ibugmask-14": "background skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair r_ear"
    " l_ear eye_g",
    "facesynthetics": "background skin nose r_eye l_eye r_brow l_brow r_ear l_ear mouth u_lip l_lip"
    " neck hair beard cloth eye_g hat facewear",
    "easyportrait": "background person skin l_brow r_brow l_eye r_eye lips mouth",
    "facer-celebm": "background neck skin cloth r_ear l_ear r_brow l_brow r_eye l_eye nose mouth"
    " l_lip u_lip hair eye_g hat ear_r neck_l",
    "facer-lapa": "background skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair",
    "jonathandinu-2023": "background skin nose r_eye l_eye r_brow l_brow r_ear l_ear mouth u_lip"
    " l_lip neck hair neck_l cloth eye_g hat ear_r",
}
"""Names by id, left and right being the person's own."""

STANDS_FOR = {
    "easyportrait": {
        **dict.fromkeys(("hair", "neck", "cloth", "l_ear", "r_ear"), "person"),
        **{"nose": "skin", "u_lip": "lips", "l_lip": "lips"},
    },
}
"""What an order calls labels that it has under another name; others it lacks are background."""

SEEN_AS = {"person": "background", "lips": "u_lip", "beard": "skin", "facewear": "background"}
"""Label of CelebAMask-HQ that a name of another order comes out as."""


def face() -> np.ndarray:
    """The face, in the order of CelebAMask-HQ."""
    ids = np.zeros((64, 64), dtype=np.uint8)
    for name, (top, bottom, left, right) in BOXES.items():
        ids[top:bottom, left:right] = LABEL_IDS[name]
    return ids


def face_in(order: str) -> np.ndarray:
    """The same face with the ids of another order."""
    names = PERSONS[order].split()
    ids = np.zeros((64, 64), dtype=np.uint8)
    for name, label in LABEL_IDS.items():
        own = STANDS_FOR.get(order, {}).get(name, name)
        ids[face() == label] = names.index(own) if own in names else 0
    return ids


def expected(order: str) -> np.ndarray:
    """What the face comes out as, in the order of CelebAMask-HQ."""
    names = PERSONS[order].split()
    ids = face_in(order)
    return np.array([LABEL_IDS[SEEN_AS.get(name, name)] for name in names], dtype=np.uint8)[ids]
