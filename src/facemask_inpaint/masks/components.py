"""What a mask can cover: the nineteen labels, the twelve mask classes, and your own classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, SupportsIndex, TypeAlias

from facemask_inpaint._internal.settings import parse_json, parse_yaml, read_text
from facemask_inpaint.errors import LabelMapError, OptionError, UnknownNameError, unknown_name
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

_BY_NAME_OR_LETTER = {
    key: MASK_CLASSES[member]
    for member in MaskClass
    for key in (member.value, member.letter.lower())
}


def resolve(component: ComponentLike, classes: Mapping[str, Component]) -> tuple[Component, ...]:
    """Return the components meant by a request; its mask is the union of theirs.

    Args:
        component: see :data:`ComponentLike`. A :class:`MaskClass` member always means itself;
            a plain string is looked up among ``classes``, then the twelve classes by name or
            letter, then the labels. Case, spaces and hyphens do not matter.
        classes: the classes in use, name to component.

    Raises:
        UnknownNameError: A name is not known; the message lists the near ones.
        LabelMapError: An id is not one of the nineteen.
    """
    if isinstance(component, Component):
        return (component,)
    if isinstance(component, MaskClass):
        return (MASK_CLASSES[component],)
    if isinstance(component, str):
        return (_named(component, classes),)
    if isinstance(component, Iterable):
        components = tuple(part for item in component for part in resolve(item, classes))
        if not components:
            raise UnknownNameError("an empty union of components was asked for")
        return components
    return (_label(label_id(component)),)


def select(spec: str | Iterable[str], classes: Mapping[str, Component]) -> list[str]:
    """Return the names of the classes meant by a list of names, letters and letter ranges.

    Args:
        spec: ``"all"``, comma-separated text such as ``"hair,eyes"`` or ``"A-D,hair"``, or the
            items of such a text.
        classes: the classes in use, name to component.

    Returns:
        Names without repetition, in the order asked for.

    Raises:
        UnknownNameError: An item is no class or is empty, there is none, or a range has no
            beginning or end.
    """
    items = [item.strip() for item in (spec.split(",") if isinstance(spec, str) else spec)]
    if not items or not all(items):
        known = ", ".join(classes)
        raise UnknownNameError(f"no class was asked for, or an empty one: {spec!r}; known: {known}")
    chosen: list[str] = []
    for item in items:
        chosen += _expand(item, classes)
    return list(dict.fromkeys(chosen))


def label_id(label: str | int) -> int:
    """Return the id of a label given by name or id.

    Raises:
        UnknownNameError: No label has this name.
        LabelMapError: No label has this id.
    """
    if isinstance(label, str):
        name = _normalised(label)
        if name not in LABEL_IDS:
            raise unknown_name("label", label, LABEL_NAMES)
        return LABEL_IDS[name]
    whole = isinstance(label, SupportsIndex) and not isinstance(label, bool)
    if not whole or not 0 <= label < len(LABEL_NAMES):
        raise LabelMapError(f"label id {label!r} is not one of 0 … {len(LABEL_NAMES) - 1}")
    return int(label)


def parse_classes(table: ClassTable) -> dict[str, Component]:
    """Make your own mask classes from plain data.

    Args:
        table: class name to a :class:`Component`, to a list of label names or ids, or to
            ``{"labels": [...], "fill_holes": bool, "behind_glasses": bool}``.

    Returns:
        Class name to component.

    Raises:
        UnknownNameError: A label or a key is not known.
        LabelMapError: An id is not one of the nineteen, or a class has no labels.

    Example:
        >>> from facemask_inpaint import SemanticMasker, data, masks
        >>> classes = masks.parse_classes({"beard": ["skin", "mouth", "u_lip", "l_lip"]})
        >>> SemanticMasker(classes=classes).present(data.sample().label_map)
        ['beard']
    """
    if not table:
        raise LabelMapError("the table of classes is empty")
    return {name: _parse_class(name, entry) for name, entry in table.items()}


def load_classes(path: str | Path) -> dict[str, Component]:
    """Read a table of classes from a JSON or YAML file; :func:`parse_classes` says what is in it.

    Raises:
        LabelMapError: The file cannot be read or is no table.

    Example:
        >>> from facemask_inpaint import masks
        >>> masks.load_classes("classes.yaml")  # doctest: +SKIP
    """
    path = Path(path)
    parse = parse_yaml if path.suffix.lower() in (".yaml", ".yml") else parse_json
    try:
        table = parse(read_text(path), str(path))
    except OptionError as error:
        raise LabelMapError(f"cannot read the table of classes: {error}") from None
    if not isinstance(table, dict):
        raise LabelMapError(f"{path} is not a table of class names to label lists")
    try:
        return parse_classes(table)
    except (UnknownNameError, LabelMapError) as error:
        raise type(error)(f"{path}: {error}") from None


def _named(text: str, classes: Mapping[str, Component]) -> Component:
    name = _normalised(text)
    own = {_normalised(key): component for key, component in classes.items()}
    for table in (own, _BY_NAME_OR_LETTER):
        if name in table:
            return table[name]
    if name in LABEL_IDS:
        return _label(LABEL_IDS[name])
    raise unknown_name("component", text, [*classes, *MASK_CLASSES, *LABEL_NAMES])


def _label(label: int) -> Component:
    return Component(LABEL_NAMES[label], (label,))


def _expand(item: str, classes: Mapping[str, Component]) -> list[str]:
    names = list(classes)
    if item.lower() == "all":
        return names
    first, dash, last = item.partition("-")
    if dash and len(first) == len(last) == 1:
        begin, end = (_position(letter, classes) for letter in (first, last))
        if begin > end:
            raise UnknownNameError(f"the range {item!r} runs backwards")
        return names[begin : end + 1]
    return [names[_position(item, classes)]]


def _position(item: str, classes: Mapping[str, Component]) -> int:
    try:
        return list(classes).index(_named(item, classes).name)
    except (UnknownNameError, ValueError):  # or it is a label, or a class of another table
        raise unknown_name("class", item, classes) from None


def _parse_class(name: str, entry: Any) -> Component:
    if not isinstance(name, str) or not name:
        raise LabelMapError(f"the name of a class must be text, not {name!r}")
    if isinstance(entry, Component):
        return entry
    options = dict(entry) if isinstance(entry, Mapping) else {"labels": entry}
    labels = options.pop("labels", ())
    fill, glasses = (bool(options.pop(key, False)) for key in ("fill_holes", "behind_glasses"))
    if options:
        known = ("labels", "fill_holes", "behind_glasses")
        raise unknown_name(f"key of class {name!r}", next(iter(options)), known)
    if not isinstance(labels, list | tuple | set | frozenset) or not labels:
        raise LabelMapError(f"class {name!r} needs a list of label names, not {labels!r}")
    ids = tuple(sorted({label_id(label) for label in labels}))
    return Component(name, ids, filled_ids=ids if fill else (), behind_glasses=glasses)


def _normalised(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
