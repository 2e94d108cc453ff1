"""Label maps in any form, and CelebAMask-HQ's part files, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError, MaskError, UnknownNameError
from facemask_inpaint.images import formats
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES, LABEL_ORDERS
from facemask_inpaint.masks._tensors import is_tensor, tensor_like
from facemask_inpaint.masks.morphology import Hole

if TYPE_CHECKING:
    from torch import Tensor

LabelIds: TypeAlias = NDArray[np.uint8]
"""``(H, W)`` uint8 label ids in the order of CelebAMask-HQ."""

IMAGES_PER_FOLDER = 2000
"""Images in each numbered sub-folder of ``CelebAMask-HQ-mask-anno``."""

_COUNT = len(LABEL_NAMES)
_ID_MODES = ("L", "P", "PA", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N")
_MOST_LABELS = 32
"""More different numbers than this in one plane are levels of grey in a photo, not label ids."""


def _mirrored_ids() -> list[int]:
    other_side = {"l_": "r_", "r_": "l_"}
    paired = [name for name in LABEL_NAMES if name[2:] in ("eye", "brow", "ear")]
    swapped = {name: other_side[name[:2]] + name[2:] for name in paired}
    return [LABEL_IDS[swapped.get(name, name)] for name in LABEL_NAMES]


_MIRRORED = _mirrored_ids()


@dataclass(frozen=True)
class LabelMap:
    """A merged label map: every pixel has one label.

    Attributes:
        ids: ``(H, W)`` uint8, each one of the nineteen label ids.

    Example:
        >>> from facemask_inpaint import data, masks
        >>> masks.open_label_map(data.sample(256).label_map).shape
        (256, 256)
    """

    ids: LabelIds

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.ids.shape[0], self.ids.shape[1]

    @cached_property
    def areas(self) -> list[int]:
        """Number of pixels of each label, by id."""
        # Pillow counts bytes as they are; np.bincount widens each to eight bytes first.
        return Image.fromarray(self.ids).histogram()[:_COUNT]

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

    shape: tuple[int, int]
    parts: Mapping[int, Hole]

    @cached_property
    def areas(self) -> list[int]:
        """Number of pixels of each part, by id; pixels of two parts count in both."""
        return [
            int(np.count_nonzero(self.parts[label])) if label in self.parts else 0
            for label in range(_COUNT)
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

LabelMapLike: TypeAlias = "NDArray[Any] | Tensor | Image.Image | str | Path | LabelMap | Annotation"
"""A label map as ``(H, W)`` integers (NumPy or torch), a PIL image of mode L or P or the path of
one, or an :class:`Annotation`. Three equal channels, last in arrays, count as one. Label ids are
in the order of CelebAMask-HQ."""

Ids = TypeVar("Ids", NDArray[Any], "Tensor", Image.Image)
Mirrored = TypeVar("Mirrored", NDArray[Any], "Tensor", Image.Image, Annotation)


def open_label_map(label_map: LabelMapLike) -> LabelSource:
    """Open the label map of one image, whatever form it has.

    Args:
        label_map: see :data:`LabelMapLike`.

    Returns:
        A :class:`LabelMap`, or an :class:`Annotation` as it is.

    Raises:
        LabelMapError: This is no label map: empty, not two-dimensional, not of whole numbers, or
            with ids outside the nineteen.
        ImageError: A file is missing, damaged or no image.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.open_label_map(np.full((2, 2), 13)).areas[13]
        4
    """
    if isinstance(label_map, LabelMap | Annotation):
        return label_map
    try:
        ids = _plane(_ids(label_map))
        if ids.ndim != 2 or not ids.size:
            raise LabelMapError(f"a label map is (H, W), not of shape {tuple(ids.shape)}")
        is_jpeg = isinstance(label_map, str | Path) and _is_jpeg(Path(label_map))
        if is_jpeg and not _is_of_greys(ids):
            raise LabelMapError("JPEG changes label ids a little everywhere; save them as PNG")
        return LabelMap(_as_uint8(ids))
    except LabelMapError as error:
        if isinstance(label_map, str | Path):
            raise LabelMapError(f"{label_map}: {error}") from None
        raise


def _is_jpeg(path: Path) -> bool:
    return formats.written_under(path.suffix) == "JPEG"


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


def flip_label_map(label_map: Mirrored) -> Mirrored:
    """Mirror a label map left to right, so that ``l_`` stays the person's own left side.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch), a PIL image of mode L or P, or an
            :class:`Annotation`.

    Returns:
        The same type, with the label ids of left and right eyes, brows and ears exchanged.

    Raises:
        LabelMapError: An id is not one of the nineteen.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.flip_label_map(np.array([[4, 0, 1]], np.uint8))  # the left eye, skin
        array([[1, 0, 5]], dtype=uint8)
    """
    if isinstance(label_map, Annotation):
        mirrored = {_MIRRORED[label]: part[:, ::-1] for label, part in label_map.parts.items()}
        return Annotation(label_map.shape, mirrored)
    swapped = _translate(label_map, _MIRRORED)
    if is_tensor(swapped):
        return swapped.flip(-1)
    if isinstance(swapped, Image.Image):
        return swapped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.ascontiguousarray(swapped[..., ::-1])


def reorder_label_map(label_map: Ids, order: str) -> Ids:
    """Convert a label map from another label order into that of CelebAMask-HQ.

    The ids themselves do not show in which order they are, so the caller names it.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch) or a PIL image of mode L or P.
        order: a key of :data:`~facemask_inpaint.labels.LABEL_ORDERS`.

    Returns:
        The same type, in the order of CelebAMask-HQ.

    Raises:
        UnknownNameError: There is no such label order.
        LabelMapError: An id is not one of the nineteen.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import masks
        >>> masks.reorder_label_map(np.array([[17]], np.uint8), "bisenet")  # hair
        array([[13]], dtype=uint8)
    """
    if order not in LABEL_ORDERS:
        raise UnknownNameError(f"unknown label order {order!r}; known: {', '.join(LABEL_ORDERS)}")
    return _translate(label_map, [LABEL_IDS[name] for name in LABEL_ORDERS[order]])


def _translate(label_map: Ids, table: Sequence[int]) -> Ids:
    """Replace every id by its entry in ``table``; type, dtype and device stay."""
    old = _as_uint8(_ids(label_map))
    new = np.array(table, dtype=np.uint8)[old]
    if is_tensor(label_map):
        return tensor_like(new, label_map).to(label_map.dtype)
    if isinstance(label_map, Image.Image):
        image = Image.fromarray(new)
        if label_map.mode == "P":
            image.putpalette(label_map.getpalette() or [])
        return image
    return new.astype(label_map.dtype)


def _ids(label_map: LabelMapLike) -> NDArray[Any]:
    """The numbers of a label map, on the CPU, of whatever integer type they came in."""
    if isinstance(label_map, str | Path):
        label_map = images.read_image(label_map)
    if isinstance(label_map, Image.Image):
        return _image_ids(images.upright(label_map))
    if is_tensor(label_map):
        if not images.is_dense(label_map):
            raise LabelMapError("a meta, sparse or quantised tensor is not a label map")
        if label_map.is_floating_point() or label_map.is_complex():  # NumPy does not know them all
            raise LabelMapError(f"label ids are whole numbers, not {label_map.dtype}")
        return label_map.detach().cpu().numpy()
    if isinstance(label_map, np.ndarray):
        return label_map
    raise LabelMapError(f"a {type(label_map).__name__} is not a label map")


def _image_ids(image: Image.Image) -> NDArray[Any]:
    """``(H, W)`` samples of an image in a grey or palette mode, or of three equal channels."""
    samples = np.asarray(image)
    if image.mode in _ID_MODES:
        return samples if samples.ndim == 2 else samples[..., 0]
    plane = _plane(samples)
    if image.mode not in ("RGB", "RGBA", "RGBX") or plane.ndim != 2:
        raise LabelMapError(
            f"an image of mode {image.mode} with colours is not a label map, whose pixels are "
            f"label ids (modes {', '.join(_ID_MODES)}); for a photo give the masker a parser"
        )
    return plane


def _plane(ids: NDArray[Any]) -> NDArray[Any]:
    """``(H, W)`` of ids with one channel behind, or three equal ones and perhaps an alpha."""
    if ids.ndim != 3 or ids.shape[-1] not in (1, 3, 4):
        return ids
    colours = ids[..., :3]
    return ids[..., 0] if (colours == colours[..., :1]).all() else ids


def is_photo(image: NDArray[Any] | Tensor | Image.Image) -> bool:
    """Return whether an image ``(H, W)`` or with channels is a photo, not a label map.

    A photo has colours, floats, or more levels of grey than there could be labels.
    """
    try:
        plane = _plane(_ids(image))
    except LabelMapError:
        return True
    if plane.ndim != 2 or not np.issubdtype(plane.dtype, np.integer):
        return plane.dtype != np.bool_
    return bool(plane.size) and int(plane.max()) >= _COUNT and _is_of_greys(plane)


def _is_of_greys(plane: NDArray[Any]) -> bool:
    return len(np.unique(plane)) > _MOST_LABELS


def _as_uint8(ids: NDArray[Any]) -> LabelIds:
    """The same ids as uint8, refused unless all are among the nineteen."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise LabelMapError(f"label ids are whole numbers, not {ids.dtype}")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < _COUNT:
        present = np.unique(ids)
        unknown = present[(present < 0) | (present >= _COUNT)].tolist()
        shown = ", ".join(map(str, unknown[:8])) + (", …" if len(unknown) > 8 else "")
        raise LabelMapError(
            f"unknown label ids {shown}: CelebAMask-HQ's run from 0 to {_COUNT - 1}; "
            f"{_advice(present)}"
        )
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _advice(numbers: NDArray[Any]) -> str:
    """What numbers that are no label ids may be instead."""
    if len(numbers) > _MOST_LABELS:
        return "so many levels are a photo's, which goes to a masker with a parser"
    if set(numbers.tolist()) <= {0, 255}:
        return "0 and 255 are a hole mask's, which needs no masker"
    return "maps in another order go through reorder_label_map first"


def _read_part(path: Path) -> Hole:
    """Marked pixels of a part file; it is grey or has three equal channels of 0 and 255."""
    try:
        return images.as_hole(path).numpy()
    except MaskError as error:
        raise LabelMapError(str(error)) from error


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
