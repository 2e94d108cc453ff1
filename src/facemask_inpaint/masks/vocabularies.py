"""What the ids of a label map stand for: the labels, pairs and mask classes of one domain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import LabelMapError
from facemask_inpaint.labels import LABEL_IDS, LABEL_ORDERS, PAIRED_LABELS
from facemask_inpaint.masks.components import MASK_CLASSES, Component, MaskClass

LARGEST_ID = 2**16 - 1
"""Label ids have at most sixteen bits."""

_SHOWN = 8

VocabularyIds: TypeAlias = NDArray[np.uint8 | np.uint16]
"""Label ids of any vocabulary: uint8, or uint16 where that is too small."""


@dataclass(frozen=True)
class Vocabulary:
    """The labels of a domain, and the mask classes that can be cut from its label maps.

    :data:`FACES` is the vocabulary that everything uses unless another is named.
    :func:`open_vocabulary` has the ones of other data sets, and reads your own.

    Attributes:
        name: what records and messages call it.
        labels: label name to id, 0 … 65535; names in lower case, with underscores.
        classes: mask class to component.
        mirrored: pairs of labels that change places when an image is mirrored.
        ignored: further ids that may occur, of pixels without a label; no mask class covers them.
        title: data set or domain.
        licence: terms of the data set.
        source: where the labels are stated.

    Raises:
        LabelMapError: An id is out of range or there twice, or a pair names no label.

    Example:
        >>> from facemask_inpaint.masks import open_vocabulary
        >>> streets = open_vocabulary("cityscapes")
        >>> streets.labels["car"], streets.ignored
        (13, (255,))
    """

    name: str
    labels: Mapping[str, int] = field(hash=False)
    classes: Mapping[str, Component] = field(hash=False)
    mirrored: tuple[tuple[str, str], ...] = ()
    ignored: tuple[int, ...] = ()
    title: str = ""
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        ids = [*self.labels.values(), *self.ignored]
        if not self.labels or not 0 <= min(ids) <= max(ids) <= LARGEST_ID:
            raise LabelMapError(f"{self.name}: label ids are numbers from 0 to {LARGEST_ID:,}")
        if twice := [label for label in ids if ids.count(label) > 1]:
            raise LabelMapError(f"{self.name}: two labels have the id {twice[0]}")
        if unknown := [name for pair in self.mirrored for name in pair if name not in self.labels]:
            raise LabelMapError(f"{self.name}: mirrored names no label {unknown[0]!r}")

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Label id to name."""
        return {label: name for name, label in self.labels.items()}

    @cached_property
    def count(self) -> int:
        """One more than the largest id of a label."""
        return max(self.names) + 1

    @cached_property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """Type of the ids: uint8 if that suffices, else uint16."""
        return np.dtype(np.uint8 if len(self._known) <= 256 else np.uint16)

    @cached_property
    def mirrored_ids(self) -> VocabularyIds:
        """By id, the id of the same thing in a mirrored image."""
        table = np.arange(len(self._known), dtype=self.dtype)
        for first, second in self.mirrored:
            ids = [self.labels[first], self.labels[second]]
            table[ids] = ids[::-1]
        return table

    @cached_property
    def digest(self) -> str:
        """First twelve hexadecimal digits of the SHA-256 of all that masks depend on."""
        classes = {str(name): vars(component) for name, component in self.classes.items()}
        content = [dict(self.labels), classes, self.mirrored, self.ignored]
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def by_name_or_letter(self) -> Mapping[str, Component]:
        """The mask classes by name and, where they have one, by letter; in lower case."""
        named = {normalised(name): component for name, component in self.classes.items()}
        letters = {
            name.letter.lower(): component
            for name, component in self.classes.items()
            if isinstance(name, MaskClass)
        }
        return named | letters

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """Whether each id up to the largest may occur."""
        known = np.zeros(max(*self.labels.values(), *self.ignored, 0) + 1, dtype=bool)
        known[[*self.labels.values(), *self.ignored]] = True
        return known

    def checked(
        self, ids: NDArray[np.generic], advice: Callable[[NDArray[np.generic]], str] | None = None
    ) -> VocabularyIds:
        """Return ids as :attr:`dtype`, refused unless all of them may occur.

        Args:
            ids: of any shape and integer type.
            advice: says of wrong ids what may have gone wrong, for the end of the message.

        Raises:
            LabelMapError: There are ids that no label has, or they are no whole numbers.
        """
        if not np.issubdtype(ids.dtype, np.integer):
            raise LabelMapError(f"label ids are whole numbers, not {ids.dtype}")
        if ids.size:
            low, high = int(ids.min()), int(ids.max())
            if low < 0 or high >= len(self._known) or not self._all_known(ids):
                message = self._of_unknown(np.unique(ids))
                raise LabelMapError(f"{message}; {advice(ids)}" if advice else message)
        return np.ascontiguousarray(ids, dtype=self.dtype)

    def _all_known(self, ids: NDArray[np.generic]) -> bool:
        return bool(self._known.all() or self._known[ids].all())

    def _of_unknown(self, present: NDArray[np.generic]) -> str:
        known = np.flatnonzero(self._known)
        unknown = present[~np.isin(present, known)].tolist()
        shown = ", ".join(map(str, unknown[:_SHOWN])) + (", …" if len(unknown) > _SHOWN else "")
        ignored = "".join(f", and {label} without a label" for label in self.ignored)
        owner = self.title or self.name
        low, high = min(self.names), max(self.names)
        return f"unknown label ids {shown}: {owner}'s run from {low} to {high}{ignored}"


def require_vocabulary(data: Vocabulary, masker: Vocabulary) -> None:
    """Refuse to cut masks of one vocabulary from label maps of another.

    Raises:
        LabelMapError: The message names both.
    """
    if data.labels != masker.labels:
        raise LabelMapError(
            f"the label maps are of {data.name}, and the masker cuts {masker.name}: make it with "
            f"vocabulary={data.name!r}"
        )


def normalised(name: str) -> str:
    """Return a name in lower case, with underscores."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


FACES = Vocabulary(
    name="faces",
    labels=LABEL_IDS,
    classes=MASK_CLASSES,
    mirrored=PAIRED_LABELS,
    title="CelebAMask-HQ",
    licence=LABEL_ORDERS["celebamask-hq"].licence,
    source=LABEL_ORDERS["celebamask-hq"].source,
)
"""The nineteen labels of CelebAMask-HQ and the twelve mask classes."""
