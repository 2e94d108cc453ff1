"""Label maps of every kind, and the raw annotation folder, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError, MaskError, UnknownNameError
from facemask_inpaint.images import formats
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES, LABEL_ORDERS
from facemask_inpaint.masks.morphology import Hole

Labels = NDArray[np.uint8]
"""``(H, W)`` uint8 ids in CelebAMask-HQ order."""

PICTURES_PER_FOLDER = 2000
"""Pictures in each numbered sub-folder of ``CelebAMask-HQ-mask-anno``."""

_COUNT = len(LABEL_NAMES)
_ID_MODES = ("L", "P", "PA", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N")
_MOST_LABELS = 32
"""More different numbers than this in one plane are a photo's levels of grey, no labels."""


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
        ids: ``(H, W)`` uint8, each one of the nineteen ids.
    """

    ids: Labels

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.ids.shape[0], self.ids.shape[1]

    @cached_property
    def areas(self) -> list[int]:
        """Pixels of each label, by id."""
        # Pillow counts bytes as they are; np.bincount widens each to eight bytes first.
        return Image.fromarray(self.ids).histogram()[:_COUNT]

    def select(self, label_ids: Sequence[int]) -> Hole:
        """``(H, W)`` bool: where any of these labels is; a new array."""
        chosen = np.zeros(self.ids.shape, dtype=bool)
        for label in label_ids:
            chosen |= self.ids == label
        return chosen


@final
@dataclass(frozen=True)
class Annotation:
    """One picture's part masks as annotated; they may overlap (hair over an ear, say).

    Attributes:
        shape: height and width.
        parts: label id to ``(H, W)`` bool; a part that is absent or empty has no entry.
    """

    shape: tuple[int, int]
    parts: Mapping[int, Hole]

    @cached_property
    def areas(self) -> list[int]:
        """Pixels of each part, by id; overlapping parts count the shared pixels each."""
        return [
            int(np.count_nonzero(self.parts[label])) if label in self.parts else 0
            for label in range(_COUNT)
        ]

    def select(self, label_ids: Sequence[int]) -> Hole:
        """``(H, W)`` bool: where any of these parts is; a new array."""
        chosen = np.zeros(self.shape, dtype=bool)
        for label in label_ids:
            if label in self.parts:
                chosen |= self.parts[label]
        return chosen

    def merged(self) -> Labels:
        """Label map after the data set's own rule: parts in the order of ids, later ones on top.

        Components cut from it are smaller than the parts wherever parts overlap.
        """
        ids = np.zeros(self.shape, dtype=np.uint8)
        for label in sorted(self.parts):
            ids[self.parts[label]] = label
        return ids


LabelSource: TypeAlias = LabelMap | Annotation
"""What a masker cuts from: both tell their ``shape`` and ``areas``, and ``select`` labels."""

LabelMapLike: TypeAlias = NDArray[Any] | Tensor | Image.Image | str | Path | LabelMap | Annotation
"""A label map as ``(H, W)`` integers (NumPy or torch), a picture of mode L or P or the path of
one, or an :class:`Annotation`. Three equal channels, behind in arrays, count as one. Ids are
CelebAMask-HQ's."""

Ids = TypeVar("Ids", NDArray[Any], Tensor, Image.Image)
Mirrored = TypeVar("Mirrored", NDArray[Any], Tensor, Image.Image, Annotation)


def open_label_map(label_map: LabelMapLike) -> LabelSource:
    """One picture's labels, whatever they came as.

    Raises:
        LabelMapError: this is no label map: empty, not two-dimensional, not of whole numbers,
            or with ids outside the nineteen.
        ImageError: a file is missing, damaged or no picture.
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
    """Read one picture's part files of CelebAMask-HQ, such as ``00000_l_eye.png``.

    Args:
        folder: ``CelebAMask-HQ-mask-anno`` with its numbered sub-folders, or one flat folder.
        image_id: number of the picture, 0 … 29999.

    Returns:
        The parts; those without a file, with an empty file or without a marked pixel are absent.

    Raises:
        LabelMapError: there is no part file of this picture, or two differ in size.
        ImageError: a part file is damaged.
    """
    folder = Path(folder)
    numbered = folder / str(image_id // PICTURES_PER_FOLDER)
    directory = numbered if numbered.is_dir() else folder
    files = {label: directory / f"{image_id:05d}_{name}.png" for name, label in LABEL_IDS.items()}
    parts = {label: _read_part(path) for label, path in files.items() if _has_content(path)}
    if not parts:
        raise LabelMapError(
            f"no part file of picture {image_id} ({image_id:05d}_skin.png, …) in {directory}"
        )
    shapes = {part.shape for part in parts.values()}
    if len(shapes) > 1:
        raise LabelMapError(f"part files of picture {image_id} differ in size: {sorted(shapes)}")
    height, width = shapes.pop()
    return Annotation((height, width), {label: part for label, part in parts.items() if part.any()})


def flip_label_map(label_map: Mirrored) -> Mirrored:
    """Mirror a label map left to right, so that ``l_`` stays the person's own left side.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch), a picture of mode L or P, or an
            :class:`Annotation`.

    Returns:
        The same kind, with the ids of left and right eyes, brows and ears exchanged.

    Raises:
        LabelMapError: an id is not one of the nineteen.
    """
    if isinstance(label_map, Annotation):
        mirrored = {_MIRRORED[label]: part[:, ::-1] for label, part in label_map.parts.items()}
        return Annotation(label_map.shape, mirrored)
    swapped = _translate(label_map, _MIRRORED)
    if isinstance(swapped, Tensor):
        return swapped.flip(-1)
    if isinstance(swapped, Image.Image):
        return swapped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.ascontiguousarray(swapped[..., ::-1])


def reorder_label_map(label_map: Ids, order: str) -> Ids:
    """Turn a label map in another order of ids into CelebAMask-HQ's order.

    No order can be told from the ids themselves, so the caller names it.

    Args:
        label_map: ``(..., H, W)`` integers (NumPy or torch) or a picture of mode L or P.
        order: a key of :data:`LABEL_ORDERS`.

    Raises:
        UnknownNameError: the order is not known.
        LabelMapError: an id is not one of the nineteen.
    """
    if order not in LABEL_ORDERS:
        raise UnknownNameError(f"unknown label order {order!r}; known: {', '.join(LABEL_ORDERS)}")
    return _translate(label_map, [LABEL_IDS[name] for name in LABEL_ORDERS[order]])


def _translate(label_map: Ids, table: Sequence[int]) -> Ids:
    """Replace every id by its entry in ``table``; kind, type of numbers and device stay."""
    old = _as_uint8(_ids(label_map))
    new = np.array(table, dtype=np.uint8)[old]
    if isinstance(label_map, Tensor):
        return torch.from_numpy(new).to(label_map)
    if isinstance(label_map, Image.Image):
        picture = Image.fromarray(new)
        if label_map.mode == "P":
            picture.putpalette(label_map.getpalette() or [])
        return picture
    return new.astype(label_map.dtype)


def _ids(label_map: LabelMapLike) -> NDArray[Any]:
    """The numbers of a label map, on the CPU, of whatever integer type they came in."""
    if isinstance(label_map, str | Path):
        label_map = images.read_image(label_map)
    if isinstance(label_map, Image.Image):
        return _picture_ids(images.upright(label_map))
    if isinstance(label_map, Tensor):
        if not images.is_dense(label_map):
            raise LabelMapError("a meta, sparse or quantised tensor is not a label map")
        if label_map.is_floating_point() or label_map.is_complex():  # NumPy does not know them all
            raise LabelMapError(f"label ids are whole numbers, not {label_map.dtype}")
        return label_map.detach().cpu().numpy()
    if isinstance(label_map, np.ndarray):
        return label_map
    raise LabelMapError(f"a {type(label_map).__name__} is not a label map")


def _picture_ids(picture: Image.Image) -> NDArray[Any]:
    """``(H, W)`` samples of a picture in a grey or palette mode, or of three equal channels."""
    samples = np.asarray(picture)
    if picture.mode in _ID_MODES:
        return samples if samples.ndim == 2 else samples[..., 0]
    plane = _plane(samples)
    if picture.mode not in ("RGB", "RGBA", "RGBX") or plane.ndim != 2:
        raise LabelMapError(
            f"a picture of mode {picture.mode} with colours is not a label map, whose pixels are "
            f"label ids (modes {', '.join(_ID_MODES)}); for a photo give the masker a parser"
        )
    return plane


def _plane(ids: NDArray[Any]) -> NDArray[Any]:
    """``(H, W)`` of ids with one channel behind, or three equal ones and perhaps an alpha."""
    if ids.ndim != 3 or ids.shape[-1] not in (1, 3, 4):
        return ids
    colours = ids[..., :3]
    return ids[..., 0] if (colours == colours[..., :1]).all() else ids


def is_photo(picture: NDArray[Any] | Tensor | Image.Image) -> bool:
    """Whether a picture ``(H, W)`` or with channels shows something, rather than holding labels.

    Colours, floats, and more levels of grey than there could be labels are a photo's.
    """
    try:
        plane = _plane(_ids(picture))
    except LabelMapError:
        return True
    if plane.ndim != 2 or not np.issubdtype(plane.dtype, np.integer):
        return plane.dtype != np.bool_
    return bool(plane.size) and int(plane.max()) >= _COUNT and _is_of_greys(plane)


def _is_of_greys(plane: NDArray[Any]) -> bool:
    return len(np.unique(plane)) > _MOST_LABELS


def _as_uint8(ids: NDArray[Any]) -> Labels:
    """The same ids as uint8, refused unless all are among the nineteen."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise LabelMapError(f"label ids are whole numbers, not {ids.dtype}")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < _COUNT:
        found = np.unique(ids)
        unknown = found[(found < 0) | (found >= _COUNT)].tolist()
        shown = ", ".join(map(str, unknown[:8])) + (", …" if len(unknown) > 8 else "")
        raise LabelMapError(
            f"unknown label ids {shown}: CelebAMask-HQ's run from 0 to {_COUNT - 1}; "
            f"{_advice(found)}"
        )
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _advice(found: NDArray[Any]) -> str:
    """What numbers that are no label ids may be instead."""
    if len(found) > _MOST_LABELS:
        return "so many levels are a photo's, which goes to a masker with a parser"
    if set(found.tolist()) <= {0, 255}:
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
