"""The numbers in a label map of any form: array, tensor, image or file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError
from facemask_inpaint.images import formats
from facemask_inpaint.images.files import samples_of, shared_upright
from facemask_inpaint.masks._tensors import is_tensor, tensor_like
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

_ID_MODES = ("L", "P", "PA", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N")
MOST_LABELS = 32
"""More different numbers than this in one plane are levels of grey in a photo, not label ids,
unless the vocabulary has more labels."""

Ids = TypeVar("Ids", NDArray[np.generic], "Tensor", Image.Image)


def read_ids(label_map: object) -> NDArray[np.generic]:
    """Return the numbers of a label map on the CPU, of whatever integer type they came in.

    Raises:
        LabelMapError: This is no label map, or an image with colours.
        ImageError: A file is missing, damaged or no image.
    """
    if isinstance(label_map, str | Path):
        label_map = images.read_image(label_map)
    if isinstance(label_map, Image.Image):
        return _image_ids(shared_upright(label_map, "image"))
    if is_tensor(label_map):
        if not images.is_dense(label_map):
            raise LabelMapError("a meta, sparse or quantised tensor is not a label map")
        if label_map.is_floating_point() or label_map.is_complex():  # NumPy does not know them all
            raise LabelMapError(f"label ids are whole numbers, not {label_map.dtype}")
        return label_map.detach().cpu().numpy()
    if isinstance(label_map, np.ndarray):
        return label_map
    raise LabelMapError(f"a {type(label_map).__name__} is not a label map")


def read_plane(label_map: object, vocabulary: Vocabulary) -> NDArray[np.generic]:
    """Return the ``(H, W)`` numbers of one label map.

    Raises:
        LabelMapError: It is empty, not two-dimensional, or was saved as JPEG.
    """
    ids = _plane(read_ids(label_map))
    if ids.ndim != 2 or not ids.size:
        raise LabelMapError(f"a label map is (H, W), not of shape {tuple(ids.shape)}")
    is_jpeg = isinstance(label_map, str | Path) and _is_jpeg(Path(label_map))
    if is_jpeg and not _is_of_greys(ids, vocabulary):
        raise LabelMapError("JPEG changes label ids a little everywhere; save them as PNG")
    return ids


def with_ids(label_map: Ids, ids: NDArray[np.generic]) -> Ids:
    """Return other ids in the type, dtype and device of a label map."""
    if is_tensor(label_map):
        return tensor_like(ids, label_map).to(label_map.dtype)
    if isinstance(label_map, Image.Image):
        image = Image.fromarray(ids)
        if label_map.mode == "P":
            image.putpalette(label_map.getpalette() or [])
        return image
    return ids.astype(label_map.dtype)


def is_photo(
    image: NDArray[np.generic] | Tensor | Image.Image, vocabulary: Vocabulary = FACES
) -> bool:
    """Return whether an image ``(H, W)`` or with channels is a photo, not a label map.

    A photo has colours, floats, or more levels of grey than there could be labels.
    """
    try:
        plane = _plane(read_ids(image))
    except LabelMapError:
        return True
    if plane.ndim != 2 or not np.issubdtype(plane.dtype, np.integer):
        return plane.dtype != np.bool_
    return (
        bool(plane.size)
        and int(plane.max()) >= vocabulary.count
        and _is_of_greys(plane, vocabulary)
    )


def advice(numbers: NDArray[np.generic]) -> str:
    """Return what numbers that are no label ids may be instead."""
    present = np.unique(numbers)
    if len(present) > MOST_LABELS:
        return "so many levels are a photo's, which goes to a masker with a parser"
    if set(present.tolist()) <= {0, 255}:
        return "0 and 255 are a hole mask's, which needs no masker"
    return (
        "maps in another order need its name: `mask --label-order`, or reorder_label_map in Python"
    )


def _is_jpeg(path: Path) -> bool:
    return formats.written_under(path.suffix) == "JPEG"


def _image_ids(image: Image.Image) -> NDArray[np.generic]:
    """``(H, W)`` samples of an image in a grey or palette mode, or of three equal channels."""
    samples = samples_of(image)
    if image.mode in _ID_MODES:
        return samples if samples.ndim == 2 else samples[..., 0]
    plane = _plane(samples)
    if image.mode not in ("RGB", "RGBA", "RGBX") or plane.ndim != 2:
        raise LabelMapError(
            f"an image of mode {image.mode} with colours is not a label map, whose pixels are "
            f"label ids (modes {', '.join(_ID_MODES)}); for a photo give the masker a parser"
        )
    return plane


def _plane(ids: NDArray[np.generic]) -> NDArray[np.generic]:
    """``(H, W)`` of ids with one channel behind, or three equal ones and perhaps an alpha."""
    if ids.ndim != 3 or ids.shape[-1] not in (1, 3, 4):
        return ids
    colours = ids[..., :3]
    return ids[..., 0] if (colours == colours[..., :1]).all() else ids


def _is_of_greys(plane: NDArray[np.generic], vocabulary: Vocabulary) -> bool:
    return len(np.unique(plane)) > max(MOST_LABELS, len(vocabulary.names))
