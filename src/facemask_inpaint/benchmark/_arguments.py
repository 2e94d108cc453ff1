"""Arguments of a benchmark, refused at once where they make no sense."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import SupportsIndex

from facemask_inpaint import SemanticMasker, data
from facemask_inpaint.benchmark.mask_sources import MaskSource
from facemask_inpaint.benchmark.store.records import ClassEntry
from facemask_inpaint.data.faces import Faces
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.vocabularies import Vocabulary, require_vocabulary
from facemask_inpaint.metrics import FeatureReader


def whole_number(name: str, value: SupportsIndex, least: int | None = None) -> int:
    """Return a whole number.

    Raises:
        OptionError: it is none, or smaller than ``least``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"{name} must be a whole number, not {value!r}") from None
    if least is not None and number < least:
        raise OptionError(f"{name} must be at least {least}, not {value}")
    return number


def checked_classes(masks: MaskSource, classes: str | Iterable[str]) -> tuple[ClassEntry, ...]:
    """Return the entries of the classes meant.

    Raises:
        OptionError: this is neither text nor several.
        UnknownNameError: an item is no class of these masks.
    """
    if not isinstance(classes, str | Iterable):
        raise OptionError(f"classes are names or letters such as 'hair,A-C', not {classes!r}")
    return masks.select(classes)


def given_classes(
    entries: Sequence[ClassEntry], masker: SemanticMasker, faces: Faces
) -> tuple[ClassEntry, ...]:
    """Return the classes that the data can give; of the others a warning is logged.

    Raises:
        OptionError: none is left.
    """
    given = faces.given({entry.name: masker.classes[entry.name] for entry in entries})
    return tuple(entry for entry in entries if entry.name in given)


def checked_masker(masker: SemanticMasker | None, vocabulary: Vocabulary) -> SemanticMasker:
    """Return the masker, or one with default options for label maps of a vocabulary.

    Raises:
        OptionError: this is none.
        LabelMapError: it is for other label maps.
    """
    if masker is None:
        return SemanticMasker(vocabulary=vocabulary)
    if not isinstance(masker, SemanticMasker):
        raise OptionError(f"masker is a SemanticMasker, not a {type(masker).__name__}")
    require_vocabulary(vocabulary, masker.vocabulary)
    return masker


def checked_readers(
    reader: FeatureReader | Mapping[str, FeatureReader] | None,
) -> dict[str, FeatureReader]:
    """Return the readers by name; one alone is ``"features"``, and without any there are none.

    Raises:
        OptionError: this is no reader, or a name cannot be part of a metric's.
    """
    if reader is None:
        return {}
    readers = dict(reader) if isinstance(reader, Mapping) else {"features": reader}
    for name, item in readers.items():
        if not isinstance(item, FeatureReader):
            raise OptionError(
                f"reader is a FeatureReader, not a {type(item).__name__}: FeatureReader(extractor) "
                "makes one"
            )
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
            raise OptionError(f"{name!r} cannot name an extractor: use letters, digits, - and _")
    return readers


def checked_dataset(dataset: Faces | str | Path) -> Faces:
    """Return portraits with label maps, or open those of a folder.

    Raises:
        OptionError: this is neither.
    """
    if isinstance(dataset, Faces):
        return dataset
    if not isinstance(dataset, str | os.PathLike):
        raise OptionError(
            f"dataset is a folder or portraits of the module data, not a {type(dataset).__name__}"
        )
    return data.open_faces(Path(dataset))


def checked_folder(out: str | Path) -> Path:
    """Return the folder of a run, as a path that stays right when the program changes its own.

    Raises:
        OptionError: this is no path, or a file.
    """
    if not isinstance(out, str | os.PathLike):
        raise OptionError(f"out is the folder of the run, not a {type(out).__name__}")
    folder = Path(os.path.abspath(out))
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file; out is the folder of the run")
    return folder
