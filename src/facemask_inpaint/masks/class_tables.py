"""Mask classes by name: requests understood, and classes of your own made from plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import SupportsIndex, cast

from facemask_inpaint._internal.settings import parse_json, parse_yaml, read_text
from facemask_inpaint.errors import LabelMapError, OptionError, UnknownNameError, unknown_name
from facemask_inpaint.masks.components import ClassTable, Component, ComponentLike, MaskClass
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary, normalised


def resolve(
    component: ComponentLike, classes: Mapping[str, Component], vocabulary: Vocabulary = FACES
) -> tuple[Component, ...]:
    """Return the components meant by a request; its mask is the union of theirs.

    Args:
        component: see :data:`ComponentLike`. A :class:`MaskClass` member always means itself;
            a plain string is looked up among ``classes``, then the vocabulary's classes by name
            or letter, then its labels. Case, spaces and hyphens do not matter.
        classes: the classes in use, name to component.
        vocabulary: of the label maps.

    Raises:
        UnknownNameError: A name is not known; the message lists the near ones.
        LabelMapError: An id is none of the vocabulary's.
    """
    if isinstance(component, Component):
        return (component,)
    if isinstance(component, MaskClass) and component in vocabulary.classes:
        return (vocabulary.classes[component],)
    if isinstance(component, str):
        return (_named(component, classes, vocabulary),)
    if isinstance(component, Iterable):
        components = tuple(
            part for item in component for part in resolve(item, classes, vocabulary)
        )
        if not components:
            raise UnknownNameError("an empty union of components was asked for")
        return components
    return (_label(label_id(component, vocabulary), vocabulary),)


def select(
    spec: str | Iterable[str], classes: Mapping[str, Component], vocabulary: Vocabulary = FACES
) -> list[str]:
    """Return the names of the classes meant by a list of names, letters and letter ranges.

    Args:
        spec: ``"all"``, comma-separated text such as ``"hair,eyes"`` or ``"A-D,hair"``, or the
            items of such a text.
        classes: the classes in use, name to component.
        vocabulary: of the label maps.

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
        chosen += _expand(item, classes, vocabulary)
    return list(dict.fromkeys(chosen))


def label_id(label: str | int, vocabulary: Vocabulary = FACES) -> int:
    """Return the id of a label given by name or id.

    Raises:
        UnknownNameError: No label has this name.
        LabelMapError: No label has this id.
    """
    if isinstance(label, str):
        name = normalised(label)
        if name not in vocabulary.labels:
            raise unknown_name("label", label, vocabulary.labels)
        return vocabulary.labels[name]
    whole = isinstance(label, SupportsIndex) and not isinstance(label, bool)
    if not whole or label not in vocabulary.names:
        low, high = min(vocabulary.names), max(vocabulary.names)
        raise LabelMapError(f"label id {label!r} is not one of {low} … {high}")
    return int(label)


def parse_classes(table: ClassTable, vocabulary: Vocabulary = FACES) -> dict[str, Component]:
    """Make your own mask classes from plain data.

    Args:
        table: class name to a :class:`Component`, to a list of label names or ids, or to
            ``{"labels": [...], "fill_holes": bool, "behind_glasses": bool}``.
        vocabulary: whose labels these are; faces unless another is given.

    Returns:
        Class name to component.

    Raises:
        UnknownNameError: A label or a key is not known.
        LabelMapError: An id is none of the vocabulary's, or a class has no labels.

    Example:
        >>> from facemask_inpaint import SemanticMasker, data, masks
        >>> classes = masks.parse_classes({"beard": ["skin", "mouth", "u_lip", "l_lip"]})
        >>> SemanticMasker(classes=classes).present(data.sample().label_map)
        ['beard']
    """
    if not table:
        raise LabelMapError("the table of classes is empty")
    return {name: _parse_class(name, entry, vocabulary) for name, entry in table.items()}


def load_classes(path: str | Path, vocabulary: Vocabulary = FACES) -> dict[str, Component]:
    """Read a table of classes from a JSON or YAML file; :func:`parse_classes` says what is in it.

    Raises:
        LabelMapError: The file cannot be read or is no table.

    Example:
        >>> from facemask_inpaint import masks
        >>> masks.load_classes("classes.yaml")  # doctest: +SKIP
    """
    table = cast(ClassTable, read_table(path, "table of classes"))
    try:
        return parse_classes(table, vocabulary)
    except (UnknownNameError, LabelMapError) as error:
        raise type(error)(f"{path}: {error}") from None


def read_table(path: str | Path, what: str) -> dict[str, object]:
    """Read a mapping from a JSON or YAML file.

    Args:
        path: YAML if it ends in ``.yaml`` or ``.yml``, else JSON.
        what: the mapping describes, for messages.

    Raises:
        LabelMapError: The file cannot be read or holds no mapping.
    """
    path = Path(path)
    parse = parse_yaml if path.suffix.lower() in (".yaml", ".yml") else parse_json
    try:
        table = parse(read_text(path), str(path))
    except OptionError as error:
        raise LabelMapError(f"cannot read the {what}: {error}") from None
    if not isinstance(table, dict):
        raise LabelMapError(f"{path} is not a {what}: it holds no names with values")
    return table


def _named(text: str, classes: Mapping[str, Component], vocabulary: Vocabulary) -> Component:
    name = normalised(text)
    own = {normalised(key): component for key, component in classes.items()}
    for table in (own, vocabulary.by_name_or_letter):
        if name in table:
            return table[name]
    if name in vocabulary.labels:
        return _label(vocabulary.labels[name], vocabulary)
    known = [*classes, *vocabulary.classes, *vocabulary.labels]
    raise unknown_name("component", text, known)


def _label(label: int, vocabulary: Vocabulary) -> Component:
    return Component(vocabulary.names[label], (label,))


def _expand(item: str, classes: Mapping[str, Component], vocabulary: Vocabulary) -> list[str]:
    names = list(classes)
    if item.lower() == "all":
        return names
    first, dash, last = item.partition("-")
    if dash and len(first) == len(last) == 1:
        begin, end = (_position(letter, classes, vocabulary) for letter in (first, last))
        if begin > end:
            raise UnknownNameError(f"the range {item!r} runs backwards")
        return names[begin : end + 1]
    return [names[_position(item, classes, vocabulary)]]


def _position(item: str, classes: Mapping[str, Component], vocabulary: Vocabulary) -> int:
    try:
        return list(classes).index(_named(item, classes, vocabulary).name)
    except (UnknownNameError, ValueError):  # or it is a label, or a class of another table
        raise unknown_name("class", item, classes) from None


def _parse_class(name: str, entry: object, vocabulary: Vocabulary) -> Component:
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
    if glasses and "eye_g" not in vocabulary.labels:
        raise LabelMapError(f"class {name!r}: {vocabulary.name} has no label of glasses, eye_g")
    ids = tuple(sorted({label_id(label, vocabulary) for label in labels}))
    return Component(name, ids, filled_ids=ids if fill else (), behind_glasses=glasses)
