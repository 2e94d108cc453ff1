"""The nineteen labels of CelebAMask-HQ, and the orders in which other sources number them.

Example:
    >>> LABEL_NAMES[LABEL_IDS["hair"]]
    'hair'
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_NAMES: tuple[str, ...] = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear"),
    *("r_ear", "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
"""CelebAMask-HQ label names by id. ``l_lip`` is the *lower* lip, ``ear_r`` an earring, ``neck_l``
a necklace, ``eye_g`` eyeglasses; ``l_`` and ``r_`` of eye, brow and ear are the person's own left
and right."""

LABEL_IDS: Mapping[str, int] = {name: label for label, name in enumerate(LABEL_NAMES)}
"""Label name to id, the inverse of :data:`LABEL_NAMES`."""

PAIRED_LABELS: tuple[tuple[str, str], ...] = (
    *(("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")),
)
"""Labels that come left and right."""

LabelIds: TypeAlias = "NDArray[np.uint8]"
"""``(H, W)`` uint8 label ids in the order of CelebAMask-HQ."""

OVAL = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"),
)
"""Labels of a face's oval: all of the face but ears and hair."""

Side = Literal["person", "viewer", "unstated"]
"""Whose left a source means by left."""

_OTHER_SIDE = {a: b for pair in PAIRED_LABELS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class LabelOrder:
    """Which number stands for which label of a face in a data set, or in what a parser returns.

    Attributes:
        title: data set or parser.
        labels: label names by id, as in :data:`LABEL_NAMES`, left and right as the source says
            them. Names that CelebAMask-HQ does not have are explained by ``covers``.
        licence: terms of the data set, or of the data that the parser learnt from.
        source: where the order is stated.
        left: whose left the source means: the ``"person"``'s own as CelebAMask-HQ, the
            ``"viewer"``'s, or ``"unstated"``; then sides are told by where they lie in the face.
        covers: name to the labels of CelebAMask-HQ that it stands for, where these are not just
            the one of the same name. A name that covers several cannot be taken apart; one that
            covers none becomes background.
        ignored: further ids, of pixels that were left unlabelled; they become background.
        note: what else one should know.

    Example:
        >>> from facemask_inpaint.labels import LABEL_ORDERS
        >>> LABEL_ORDERS["lapa"].names[4]  # its "left eye" is on the left of the image
        'r_eye'
        >>> LABEL_ORDERS["lapa"].lacking({"l_ear", "r_ear"})
        ('l_ear', 'r_ear')
    """

    title: str
    labels: tuple[str, ...]
    licence: str
    source: str
    left: Side = "person"
    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    ignored: tuple[int, ...] = ()
    note: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Label names by id, left and right being the person's own."""
        if self.left != "viewer":
            return self.labels
        return tuple(_OTHER_SIDE.get(name, name) for name in self.labels)

    @property
    def translation(self) -> dict[int, int]:
        """The label id of CelebAMask-HQ for each id of this order."""
        covered = (self._covered(name) for name in self.names)
        ids = [LABEL_IDS[names[0]] if names else LABEL_IDS["background"] for names in covered]
        return dict(enumerate(ids)) | dict.fromkeys(self.ignored, LABEL_IDS["background"])

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the labels of CelebAMask-HQ that nothing in this order stands for."""
        present = {label for name in self.names for label in self._covered(name)}
        return tuple(name for name in LABEL_NAMES if name not in present)

    def lacking(self, labels: Collection[str]) -> tuple[str, ...]:
        """Return those of some labels that this order cannot give, missing or inseparable.

        Args:
            labels: names of the labels that a mask is to cover. One that this order has only
                together with a label outside these counts as lacking.
        """
        covered = (self._covered(name) for name in self.names)
        given = {label for names in covered if set(names) <= set(labels) for label in names}
        return tuple(name for name in LABEL_NAMES if name in labels and name not in given)

    def _covered(self, name: str) -> tuple[str, ...]:
        return self.covers.get(name, (name,))


_CELEBAMASK_LICENCE = "non-commercial research; no part may be passed on"
_LAPA_LABELS = (
    *("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "u_lip", "mouth"),
    *("l_lip", "hair"),
)

LABEL_ORDERS: Mapping[str, LabelOrder] = {
    "celebamask-hq": LabelOrder(
        title="CelebAMask-HQ",
        labels=LABEL_NAMES,
        licence=_CELEBAMASK_LICENCE,
        source="github.com/switchablenorms/CelebAMask-HQ @3f6c45d, g_mask.py",
        note="The order of everything in this library.",
    ),
    "bisenet": LabelOrder(
        title="BiSeNet of zllrunning and facexlib",
        labels=(
            *("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear"),
            *("r_ear", "ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth"),
            *("hair", "hat"),
        ),
        licence=f"CelebAMask-HQ: {_CELEBAMASK_LICENCE}",
        source="github.com/zllrunning/face-parsing.PyTorch @d2e684c, prepropess_data.py",
        note="The published weights (79999_iter.pth, parsing_bisenet.pth) confuse left and right.",
    ),
    "lapa": LabelOrder(
        title="LaPa, HELEN* and iBugMask with 11 labels",
        labels=_LAPA_LABELS,
        licence="non-commercial",
        source="github.com/JDAI-CV/lapa-dataset @271ab6d, labelmap.txt",
        left="viewer",
        note="The left eye, id 4, is on the left of the image; facer calls it right. HELEN* is "
        "HELEN as relabelled in this order. In iBugMask, skin includes the scalp.",
    ),
    "ibugmask-14": LabelOrder(
        title="iBugMask with 14 labels",
        labels=(*_LAPA_LABELS, "l_ear", "r_ear", "eye_g"),
        licence="not stated for the data",
        source="github.com/hhj1897/face_parsing @e5b7de7, README.md",
        left="unstated",
        note="Skin includes the scalp.",
    ),
    "facesynthetics": LabelOrder(
        title="FaceSynthetics",
        labels=(
            *("background", "skin", "nose", "r_eye", "l_eye", "r_brow", "l_brow", "r_ear"),
            *("l_ear", "mouth", "u_lip", "l_lip", "neck", "hair", "beard", "cloth", "eye_g"),
            *("hat", "facewear"),
        ),
        licence="R-UDA 1.0: non-commercial research",
        source="github.com/microsoft/FaceSynthetics @50797c9, README.md",
        covers={"beard": ("skin",), "facewear": ()},
        ignored=(255,),
        note="Clear lenses of glasses are labelled as what is behind them.",
    ),
    "easyportrait": LabelOrder(
        title="EasyPortrait",
        labels=(
            *("background", "person", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "lips"),
            "mouth",
        ),
        licence="variant of CC BY-SA 4.0",
        source="github.com/hukenovs/easyportrait @1b3d3e5, README.md",
        left="unstated",
        covers={"person": (), "skin": ("skin", "nose"), "lips": ("u_lip", "l_lip")},
        note="Of the mouth, the teeth are labelled; a nose is skin.",
    ),
    "facer-celebm": LabelOrder(
        title="FaRL, trained on CelebAMask-HQ, in facer",
        labels=(
            *("background", "neck", "skin", "cloth", "r_ear", "l_ear", "r_brow", "l_brow"),
            *("r_eye", "l_eye", "nose", "mouth", "l_lip", "u_lip", "hair", "eye_g", "hat"),
            *("ear_r", "neck_l"),
        ),
        licence=f"CelebAMask-HQ: {_CELEBAMASK_LICENCE}",
        source="github.com/FacePerceiver/facer @ddd35c7, face_parsing/farl.py",
    ),
    "facer-lapa": LabelOrder(
        title="FaRL, trained on LaPa, in facer",
        labels=(
            *("background", "skin", "r_brow", "l_brow", "r_eye", "l_eye", "nose", "u_lip"),
            *("mouth", "l_lip", "hair"),
        ),
        licence="LaPa: non-commercial",
        source="github.com/FacePerceiver/facer @ddd35c7, face_parsing/farl.py",
        note="The ids of LaPa; the names say the person's own left.",
    ),
    "jonathandinu-2023": LabelOrder(
        title="jonathandinu/face-parsing until January 2024",
        labels=(
            *("background", "skin", "nose", "r_eye", "l_eye", "r_brow", "l_brow", "r_ear"),
            *("l_ear", "mouth", "u_lip", "l_lip", "neck", "hair", "neck_l", "cloth", "eye_g"),
            *("hat", "ear_r"),
        ),
        licence=f"CelebAMask-HQ: {_CELEBAMASK_LICENCE}",
        source="huggingface.co/jonathandinu/face-parsing, config.json before 373bfce",
        note="A mistake of its config.json, still in copies of it: the weights have always had the "
        "order of CelebAMask-HQ.",
    ),
}
"""Orders of label ids by name, one record each."""
