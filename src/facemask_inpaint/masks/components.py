"""What a mask can cover: the nineteen labels, and the twelve mask classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from facemask_inpaint.labels import LABEL_IDS as LABEL_IDS
from facemask_inpaint.labels import LABEL_NAMES as LABEL_NAMES
from facemask_inpaint.labels import OVAL

GLASSES = LABEL_IDS["eye_g"]

_EYES = ("l_eye", "r_eye")
_BROWS = ("l_brow", "r_brow")
_LIPS = ("u_lip", "l_lip")
_MOUTH = ("mouth", *_LIPS)
_EARS = ("l_ear", "r_ear")


class MaskClass(StrEnum):
    """The twelve mask classes A–L. Members are strings: ``MaskClass.HAIR == "hair"``.

    Attributes:
        letter: ``"A"`` … ``"L"``.
        label_ids: ids of the labels that the class covers, ascending.
        description: one line on what is hidden.

    Example:
        >>> from facemask_inpaint import MaskClass
        >>> MaskClass.HAIR.letter, MaskClass.HAIR.label_ids
        ('G', (13,))
    """

    letter: str
    label_ids: tuple[int, ...]
    description: str

    EYES = "eyes", "A", _EYES, "both eyes: symmetry, iris, gaze"
    EYEBROWS = "eyebrows", "B", _BROWS, "both eyebrows: small and thin"
    FULL_MOUTH = "full_mouth", "C", _MOUTH, "lips and what is between them"
    NOSE = "nose", "D", ("nose",), "the nose, centre of the face"
    MOUTH_AND_NOSE = "mouth_and_nose", "E", ("nose", *_MOUTH), "what a medical mask hides"
    EARS = "ears", "F", _EARS, "both ears: often missing, or covered by hair"
    HAIR = "hair", "G", ("hair",), "the hair: texture, flow, colour continuity"
    EYES_AND_EYEBROWS = "eyes_and_eyebrows", "H", (*_EYES, *_BROWS), "what an eye bar hides"
    FACE = "face", "I", ("skin",), "facial skin only: eyes, brows, nose and mouth stay visible"
    LIPS = "lips", "J", _LIPS, "both lips: teeth stay visible"
    FACE_OVAL = "face_oval", "K", OVAL, "the whole face with everything in it"
    HEAD = "head", "L", (*OVAL, *_EARS, "hair"), "the whole face, ears and hair"

    def __new__(
        cls, name: str, letter: str, labels: tuple[str, ...], description: str
    ) -> MaskClass:
        """Build a member from its row of the table above."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.letter = letter
        member.label_ids = tuple(sorted(LABEL_IDS[label] for label in labels))
        member.description = description
        return member

    @property
    def letter_from_study(self) -> bool:
        """Whether the study fixes this letter (C, G, I); the others are this library's choice."""
        return self.letter in ("C", "G", "I")


@dataclass(frozen=True)
class Component:
    """What one mask covers, in label ids.

    Attributes:
        name: a :class:`MaskClass`, a label name, or the name of a custom class.
        label_ids: ids whose pixels are covered.
        filled_ids: ids whose union is covered together with the holes inside it.
        behind_glasses: whether eyeglasses hide this component, so that they may be covered too.

    Example:
        >>> from facemask_inpaint import SemanticMasker, data
        >>> from facemask_inpaint.masks import Component
        >>> clothes = Component("clothes", label_ids=(16, 18))
        >>> SemanticMasker()(data.sample().label_map, clothes).any().item()
        True
    """

    name: str
    label_ids: tuple[int, ...]
    filled_ids: tuple[int, ...] = ()
    behind_glasses: bool = False


ClassTable: TypeAlias = Mapping[str, Component | Collection[str | int] | Mapping[str, object]]
"""Mask classes by name, each as :func:`parse_classes` takes it."""

ComponentLike: TypeAlias = str | int | Component | Iterable[str | int | Component]
"""A class name or letter, a label name or id, a :class:`Component`, or several (their union)."""

_OVAL_IDS = MaskClass.FACE_OVAL.label_ids

MASK_CLASSES: Mapping[str, Component] = {
    member: Component(
        name=member,
        label_ids=member.label_ids,
        filled_ids=_OVAL_IDS if member in (MaskClass.FACE_OVAL, MaskClass.HEAD) else (),
        behind_glasses=member in (MaskClass.EYES, MaskClass.EYES_AND_EYEBROWS),
    )
    for member in MaskClass
}
"""The twelve classes in the order of their letters."""
