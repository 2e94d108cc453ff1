"""Portraits on disk with their label maps, as benchmarks and training read them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError, OptionError
from facemask_inpaint.images.folders import compose
from facemask_inpaint.labels import LABEL_NAMES, LabelOrder
from facemask_inpaint.masks.availability import unavailable_classes
from facemask_inpaint.masks.components import Component
from facemask_inpaint.masks.label_maps import (
    IMAGES_PER_FOLDER,
    LabelSource,
    open_label_map,
    read_annotation_folder,
)
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Face:
    """One portrait on disk; nothing is read before it is asked for.

    Attributes:
        key: name, unique in its data set: the file's stem, composed (NFC).
        image: image file.
        label_map: label map file, or the folder of CelebAMask-HQ's part files; ``None`` without.
        vocabulary: what the ids in the file stand for.
        label_order: in which ids of faces are in the file, if not in that of CelebAMask-HQ.

    Example:
        >>> from pathlib import Path
        >>> from facemask_inpaint.data import Face
        >>> Face("anna", Path("images/anna.jpg")).label_files()
        []
    """

    key: str
    image: Path
    label_map: Path | None = None
    vocabulary: Vocabulary = field(default=FACES, repr=False)
    label_order: LabelOrder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.label_order is not None and self.vocabulary.labels != FACES.labels:
            raise OptionError(f"a label order is of faces; {self.vocabulary.name} has its own ids")

    def read_image(self) -> Image.Image:
        """Read the portrait in RGB, upright.

        Raises:
            ImageError: The file is missing, damaged or no image.
        """
        return images.to_rgb(self.image)

    def read_label_map(self) -> LabelSource:
        """Read the portrait's label map, of its own size: not always that of the image.

        Faces come in the order of CelebAMask-HQ, whatever order the file is in.

        Raises:
            LabelMapError: There are none, or this is no label map.
            ImageError: A file is missing or damaged.
        """
        if self.label_map is None:
            raise LabelMapError(f"{self.image} has no label map")
        if self.label_map.is_dir():
            return read_annotation_folder(self.label_map, int(self.key))
        return open_label_map(self.label_map, self.vocabulary, self.label_order)

    def source_files(self) -> list[Path]:
        """Return every file that this portrait is read from, if it is there."""
        return [*([self.image] if self.image.is_file() else []), *self.label_files()]

    def label_files(self) -> list[Path]:
        """Return the existing files of :meth:`read_label_map`: one label map, or the part files."""
        if self.label_map is None:
            return []
        if not self.label_map.is_dir():
            return [self.label_map] if self.label_map.is_file() else []
        numbered = self.label_map / str(int(self.key) // IMAGES_PER_FOLDER)
        directory = numbered if numbered.is_dir() else self.label_map
        paths = (directory / f"{int(self.key):05d}_{name}.png" for name in LABEL_NAMES)
        return [path for path in paths if path.is_file()]


@dataclass(frozen=True)
class Faces(Sequence[Face]):
    """A data set: portraits in a fixed order.

    Attributes:
        name: what records and reports call it.
        faces: the portraits, with unique keys.
        trained_on: training split, as ``models.TRAINING_SPLITS`` names them, to the keys that it
            holds; empty for a data set that no published network was trained on, as far as known.

    Example:
        >>> from pathlib import Path
        >>> from facemask_inpaint.data import Face, Faces
        >>> faces = Faces("two", (Face("a", Path("a.png")), Face("b", Path("b.png"))))
        >>> len(faces.without(["a"])), faces[0].key
        (1, 'a')
    """

    name: str
    faces: tuple[Face, ...]
    trained_on: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not self.faces:
            raise OptionError(f"{self.name}: no portraits")
        if len({face.key for face in self.faces}) < len(self.faces):
            raise OptionError(f"{self.name}: two portraits share a key")

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice) -> Faces: ...

    def __getitem__(self, index: int | slice) -> Face | Faces:
        if isinstance(index, slice):
            return replace(self, faces=self.faces[index])
        return self.faces[index]

    @property
    def vocabulary(self) -> Vocabulary:
        """What label ids stand for in this data set."""
        return self.faces[0].vocabulary

    def unavailable(self, classes: Mapping[str, Component]) -> dict[str, str]:
        """Return the mask classes that these data can never give, with the reason, by name.

        Args:
            classes: name to component, as ``SemanticMasker.classes``.
        """
        return unavailable_classes(self.faces[0].label_order, classes)

    def given(self, classes: Mapping[str, Component]) -> list[str]:
        """Return the names of the mask classes that these data can give; others are logged.

        Args:
            classes: name to component, as ``SemanticMasker.classes``.

        Raises:
            OptionError: They can give none of them; the message says why.
        """
        reasons = self.unavailable(classes)
        if len(reasons) == len(classes):
            raise OptionError("; ".join(reasons.values()))
        for reason in reasons.values():
            _log.warning("left out: %s", reason)
        return [str(name) for name in classes if name not in reasons]

    def select(self, keys: Iterable[str]) -> Faces:
        """Return the portraits of these keys, in the order given.

        Raises:
            OptionError: A key is not among them; the message names the first few.
        """
        by_key = {face.key: face for face in self.faces}
        chosen = [compose(key) for key in keys]
        if unknown := [key for key in chosen if key not in by_key]:
            raise OptionError(
                f"{self.name} has no {', '.join(unknown[:5])}"
                + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            )
        return replace(self, faces=tuple(by_key[key] for key in chosen))

    def without(self, keys: Iterable[str]) -> Faces:
        """Return the portraits whose keys are not among these; unknown keys do not matter.

        Raises:
            OptionError: No portrait is left.
        """
        unwanted = {compose(key) for key in keys}
        return replace(self, faces=tuple(face for face in self.faces if face.key not in unwanted))
