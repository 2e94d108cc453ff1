"""Label maps in any form, and CelebAMask-HQ's part files, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError, MaskError
from facemask_inpaint.labels import LABEL_IDS, LabelIds, LabelOrder
from facemask_inpaint.masks._label_arrays import Ids, advice, read_ids, read_plane, with_ids
from facemask_inpaint.masks._tensors import is_tensor
from facemask_inpaint.masks.label_orders import in_order_of_faces, named_order
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary, VocabularyIds

if TYPE_CHECKING:
    from torch import Tensor

IMAGES_PER_FOLDER = 2000
"""Images in each numbered sub-folder of ``CelebAMask-HQ-mask-anno``."""


@dataclass(frozen=True)
class LabelMap:
    """A merged label map: every pixel has one label.

    Attributes:
        ids: ``(H, W)``, of the vocabulary's own type: uint8, or uint16 where that is too small.
        vocabulary: what the ids stand for.
        label_order: in which the ids were before they were brought into that of CelebAMask-HQ;
            it decides which labels could be there at all.

    Example:
        >>> from facemask_inpaint import data, masks
        >>> masks.open_label_map(data.sample(256).label_map).shape
        (256, 256)
    """

    ids: VocabularyIds
    vocabulary: Vocabulary = field(default=FACES, repr=False)
    label_order: LabelOrder | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.ids.shape[0], self.ids.shape[1]

    @cached_property
    def areas(self) -> list[int]:
        """Number of pixels of each label, by id."""
        count = self.vocabulary.count
        if self.ids.dtype != np.uint8:
            return [int(area) for area in np.bincount(self.ids.ravel(), minlength=count)[:count]]
        # Pillow counts bytes as they are; np.bincount widens each to eight bytes first.
        return Image.fromarray(self.ids).histogram()[:count]

    def select(self, label_ids: Sequence[int]) -> Hole:
        """Return a new ``(H, W)`` bool array, True where any of these labels is."""
        chosen = np.zeros(self.ids.shape, dtype=bool)
        for label in label_ids:
            chosen |= self.ids == label
        return chosen


@final
@dataclass(frozen=True)
class Annotation:
    """The part masks of one image as annotated; they may overlap (hair over an ear, say).

    Attributes:
        shape: height and width.
        parts: label id to ``(H, W)`` bool; a part that is absent or empty has no entry.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import Annotation
        >>> hair = np.ones((4, 4), dtype=bool)
        >>> Annotation((4, 4), {13: hair}).merged()[0, 0].item()
        13
    """

    vocabulary: ClassVar[Vocabulary] = FACES
    label_order: ClassVar[None] = None

    shape: tuple[int, int]
    parts: Mapping[int, Hole]

    @cached_property
    def areas(self) -> list[int]:
        """Number of pixels of each part, by id; pixels of two parts count in both."""
        return [
            int(np.count_nonzero(self.parts[label])) if label in self.parts else 0
            for label in range(FACES.count)
        ]

    def select(self, label_ids: Sequence[int]) -> Hole:
        """Return a new ``(H, W)`` bool array, True where any of these parts is."""
        chosen = np.zeros(self.shape, dtype=bool)
        for label in label_ids:
            if label in self.parts:
                chosen |= self.parts[label]
        return chosen

    def merged(self) -> LabelIds:
        """Return the label map by the data set's own rule: later label ids lie on top.

        Components cut from it are smaller than the parts wherever parts overlap.

        Returns:
            ``(H, W)`` uint8 label ids.
        """
        ids = np.zeros(self.shape, dtype=np.uint8)
        for label in sorted(self.parts):
            ids[self.parts[label]] = label
        return ids


LabelSource: TypeAlias = LabelMap | Annotation
"""What a masker cuts from: both have ``shape`` and ``areas``, and ``select`` labels."""

LabelMapLike: TypeAlias = (
    "NDArray[np.generic] | Tensor | Image.Image | str | Path | LabelMap | Annotation"
)
"""A label map as ``(H, W)`` integers (NumPy or torch), a PIL image of mode L or P or the path of
one, or an :class:`Annotation`. Three equal channels, last in arrays, count as one. Label ids are
in the order of CelebAMask-HQ, unless a vocabulary or a label order is given."""

Mirrored = TypeVar("Mirrored", NDArray[Any], "Tensor", Image.Image, LabelMap, Annotation)


def open_label_map(
    label_map: LabelMapLike,
    vocabulary: Vocabulary = FACES,
    label_order: str | LabelOrder | None = None,
) -> LabelSource:
    """Open the label map of one image, whatever form it has.

    Args:
        label_map: see :data:`LabelMapLike`.
        vocabulary: what the ids stand for.
        label_order: in which ids of faces are, if not in that of CelebAMask-HQ; see
            :func:`reorder_label_map`.

    Returns:
        A :class:`LabelMap`, or a label map that is open already as it is.

    Raises:
        LabelMapError: This is no label map: empty, not two-dimensional, not of whole numbers, or
            with ids that no label has.
        ImageError: A file is missing, damaged or no image.
        UnknownNameError: There is no such label order.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.open_label_map(np.full((2, 2), 13)).areas[13]
        4
    """
    if isinstance(label_map, LabelMap | Annotation):
        return label_map
    try:
        ids = read_plane(label_map, vocabulary)
        if label_order is not None:
            order = named_order(label_order)
            return LabelMap(in_order_of_faces(ids, order), FACES, order)
        return LabelMap(vocabulary.checked(ids, advice), vocabulary)
    except LabelMapError as error:
        if isinstance(label_map, str | Path):
            raise LabelMapError(f"{label_map}: {error}") from None
        raise


def read_annotation_folder(folder: str | Path, image_id: int) -> Annotation:
    """Read the part files of one image of CelebAMask-HQ, such as ``00000_l_eye.png``.

    Args:
        folder: ``CelebAMask-HQ-mask-anno`` with its numbered sub-folders, or one flat folder.
        image_id: number of the image, 0 … 29999.

    Returns:
        The parts; those without a file, with an empty file or without a marked pixel are absent.

    Raises:
        LabelMapError: There is no part file of this image, or two differ in size.
        ImageError: A part file is damaged.

    Example:
        >>> from facemask_inpaint import masks
        >>> folder = "CelebAMask-HQ/CelebAMask-HQ-mask-anno"
        >>> masks.read_annotation_folder(folder, 0).shape  # doctest: +SKIP
        (512, 512)
    """
    folder = Path(folder)
    numbered = folder / str(image_id // IMAGES_PER_FOLDER)
    directory = numbered if numbered.is_dir() else folder
    files = {label: directory / f"{image_id:05d}_{name}.png" for name, label in LABEL_IDS.items()}
    parts = {label: _read_part(path) for label, path in files.items() if _has_content(path)}
    if not parts:
        raise LabelMapError(
            f"no part file of image {image_id} ({image_id:05d}_skin.png, …) in {directory}"
        )
    shapes = {part.shape for part in parts.values()}
    if len(shapes) > 1:
        raise LabelMapError(f"part files of image {image_id} differ in size: {sorted(shapes)}")
    height, width = shapes.pop()
    return Annotation((height, width), {label: part for label, part in parts.items() if part.any()})


def flip_label_map(label_map: Mirrored, vocabulary: Vocabulary = FACES) -> Mirrored:
    """Mirror a label map left to right, so that ``l_`` stays the person's own left side.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch), a PIL image of mode L or P, or a
            label map or annotation that is open, which has a vocabulary of its own.
        vocabulary: what the ids stand for.

    Returns:
        The same type, with the ids of the vocabulary's mirrored pairs exchanged: of faces, left
        and right eyes, brows and ears.

    Raises:
        LabelMapError: There is an id that no label has.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.flip_label_map(np.array([[4, 0, 1]], np.uint8))  # the left eye, skin
        array([[1, 0, 5]], dtype=uint8)
    """
    if isinstance(label_map, Annotation):
        swap = FACES.mirrored_ids
        mirrored = {int(swap[label]): part[:, ::-1] for label, part in label_map.parts.items()}
        return Annotation(label_map.shape, mirrored)
    if isinstance(label_map, LabelMap):
        return replace(label_map, ids=flip_label_map(label_map.ids, label_map.vocabulary))
    ids = vocabulary.checked(read_ids(label_map), advice)
    swapped = with_ids(label_map, vocabulary.mirrored_ids[ids])
    if is_tensor(swapped):
        return swapped.flip(-1)
    if isinstance(swapped, Image.Image):
        return swapped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.ascontiguousarray(swapped[..., ::-1])


def reorder_label_map(label_map: Ids, order: str | LabelOrder) -> Ids:
    """Convert a label map of a face from another label order into that of CelebAMask-HQ.

    The ids themselves do not show in which order they are, so the caller names it;
    :func:`order_violations` tells whether a face comes out. What this order lacks is not there
    afterwards: ``labels.LABEL_ORDERS[order].missing``. Where an order does not say whose left it
    means, sides are told by where the components lie in the face.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch) or a PIL image of mode L or P.
        order: a key of :data:`~facemask_inpaint.labels.LABEL_ORDERS`, or a record of your own.

    Returns:
        The same type, in the order of CelebAMask-HQ.

    Raises:
        UnknownNameError: There is no such label order.
        LabelMapError: There is an id that the order does not have.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.reorder_label_map(np.array([[17]], np.uint8), "bisenet")  # hair
        array([[13]], dtype=uint8)
    """
    return with_ids(label_map, in_order_of_faces(read_ids(label_map), named_order(order)))


def _read_part(path: Path) -> Hole:
    """Marked pixels of a part file; it is grey or has three equal channels of 0 and 255."""
    try:
        return images.as_hole(path).numpy()
    except MaskError as error:
        raise LabelMapError(str(error)) from error


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
