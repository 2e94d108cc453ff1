"""Vocabularies by name and from files. Those of other domains are data, in ``domains``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from facemask_inpaint._internal.settings import as_type
from facemask_inpaint.errors import LabelMapError, OptionError, UnknownNameError, unknown_name
from facemask_inpaint.masks.class_tables import parse_classes, read_table
from facemask_inpaint.masks.components import Component
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary, normalised

_NAME = re.compile(r"[\w.-]{1,64}")
_KEYS: Mapping[str, object] = {
    "name": str,
    "labels": Sequence[str],
    "first_id": int,
    "mirrored": Sequence[tuple[str, str]],
    "ignored": Sequence[int],
    "classes": Mapping[str, object],
    "title": str,
    "licence": str,
    "source": str,
}


def list_vocabularies() -> tuple[str, ...]:
    """Return the names of the vocabularies that :func:`open_vocabulary` knows.

    Example:
        >>> from facemask_inpaint.masks import list_vocabularies
        >>> list_vocabularies()
        ('faces', 'ade20k', 'atr', 'cityscapes', 'lip')
    """
    files = (resources.files(__package__) / "domains").iterdir()
    stems = sorted(file.name.removesuffix(".yaml") for file in files if file.name[0] != "_")
    return (FACES.name, *stems)


def open_vocabulary(vocabulary: str | Path | Vocabulary) -> Vocabulary:
    """Return a vocabulary by name, from a file, or as it is.

    Args:
        vocabulary: a name of :func:`list_vocabularies`, or the path of a JSON or YAML file that
            holds what :func:`parse_vocabulary` takes.

    Raises:
        UnknownNameError: There is neither such a vocabulary nor such a file, or the file names
            something unknown.
        LabelMapError: The file cannot be read or is no vocabulary.

    Example:
        >>> from facemask_inpaint.masks import open_vocabulary
        >>> open_vocabulary("lip").mirrored[0]
        ('left_arm', 'right_arm')
    """
    if isinstance(vocabulary, Vocabulary):
        return vocabulary
    if str(vocabulary) in list_vocabularies():
        return _built_in(str(vocabulary))
    path = Path(vocabulary)
    if not path.is_file():
        raise unknown_name("vocabulary", str(vocabulary), list_vocabularies())
    try:
        return parse_vocabulary({"name": path.stem, **read_table(path, "vocabulary")})
    except (UnknownNameError, LabelMapError) as error:
        raise error if str(path) in str(error) else type(error)(f"{path}: {error}") from None


def parse_vocabulary(table: Mapping[str, object]) -> Vocabulary:
    """Make a vocabulary of your own from plain data.

    Args:
        table: with ``name`` and ``labels`` (names, or names with ids); and, where needed,
            ``first_id`` of a list of names (0 if not said), ``ignored`` ids, ``mirrored`` pairs
            of names, ``classes`` as :func:`parse_classes` takes them (one for each label but the
            background if not said), ``title``, ``licence`` and ``source``.

    Raises:
        UnknownNameError: A key or a label is not known.
        LabelMapError: A value is missing or of the wrong type, or ids are wrong.

    Example:
        >>> from facemask_inpaint import masks
        >>> labels = ["ground", "left wing", "right wing"]
        >>> birds = masks.parse_vocabulary(
        ...     {"name": "birds", "labels": labels, "classes": {"wings": labels[1:]}}
        ... )
        >>> list(birds.classes), birds.labels["left_wing"]
        (['wings'], 1)
    """
    values = _checked(table)
    labels = _labels(values.pop("labels"), values.pop("first_id", 0))
    classes = values.pop("classes", None)
    mirrored = tuple(
        (normalised(first), normalised(second)) for first, second in values.pop("mirrored", ())
    )
    ignored = tuple(values.pop("ignored", ()))
    vocabulary = Vocabulary(labels=labels, classes={}, mirrored=mirrored, ignored=ignored, **values)
    if classes is None:
        return replace(vocabulary, classes=_one_for_each_label(vocabulary))
    return replace(vocabulary, classes=parse_classes(classes, vocabulary))


@lru_cache
def _built_in(name: str) -> Vocabulary:
    if name == FACES.name:
        return FACES
    file = resources.files(__package__) / "domains" / f"{name}.yaml"
    with resources.as_file(file) as path:
        return parse_vocabulary({"name": name, **read_table(path, "vocabulary")})


def _checked(table: Mapping[str, object]) -> dict[str, Any]:
    if unknown := [key for key in table if key not in _KEYS]:
        raise unknown_name("key of a vocabulary", str(unknown[0]), _KEYS)
    if missing := [key for key in ("name", "labels") if not table.get(key)]:
        raise LabelMapError(f"a vocabulary needs {' and '.join(missing)}")
    with_ids = isinstance(table["labels"], Mapping)
    hints = {**_KEYS, "labels": Mapping[str, int]} if with_ids else _KEYS
    try:
        values = {key: as_type(hints[key], value, key) for key, value in table.items()}
    except OptionError as error:
        raise LabelMapError(str(error)) from None
    if not _NAME.fullmatch(values["name"]):
        raise LabelMapError(f"a vocabulary's name is letters and digits, not {values['name']!r}")
    return values


def _labels(labels: Sequence[str] | Mapping[str, int], first_id: int) -> dict[str, int]:
    pairs = (
        list(labels.items())
        if isinstance(labels, Mapping)
        else [(name, label) for label, name in enumerate(labels, first_id)]
    )
    ids = {normalised(name): label for name, label in pairs}
    if len(ids) < len(pairs) or not all(ids):
        raise LabelMapError("two labels have the same name, or one has none")
    return ids


def _one_for_each_label(vocabulary: Vocabulary) -> dict[str, Component]:
    return {
        name: Component(name, (label,))
        for name, label in vocabulary.labels.items()
        if name != "background"
    }
