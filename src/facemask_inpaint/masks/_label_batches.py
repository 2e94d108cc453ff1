"""One label map or a batch: opened, and masks brought into the type that came in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint.errors import LabelMapError
from facemask_inpaint.labels import LabelOrder
from facemask_inpaint.masks._tensors import is_tensor, tensor_like
from facemask_inpaint.masks.label_maps import LabelMapLike, LabelSource, open_label_map
from facemask_inpaint.masks.vocabularies import Vocabulary, require_vocabulary

if TYPE_CHECKING:
    from torch import Tensor

Mask: TypeAlias = "NDArray[np.bool_ | np.float32] | Tensor | Image.Image"
"""A mask of the type of its label map: a bool or float32 array or tensor, or a PIL image."""

Wrap: TypeAlias = Callable[[NDArray[np.bool_ | np.float32]], Mask]
"""From masks ``(N, H, W)`` to the type of the label map they were cut from."""


def open_batch(
    label_map: LabelMapLike, vocabulary: Vocabulary, label_order: LabelOrder | None
) -> tuple[list[LabelSource], Wrap]:
    """Return the sources of one label map or a batch, and what turns masks into its type.

    Raises:
        LabelMapError: Something is no label map of this vocabulary, or the batch is empty.
    """
    batched = False
    if (isinstance(label_map, np.ndarray) or is_tensor(label_map)) and _is_batch(label_map):
        sources = [open_label_map(item, vocabulary, label_order) for item in label_map]
        batched = True
    else:
        sources = [open_label_map(label_map, vocabulary, label_order)]
    if not sources:
        raise LabelMapError("the batch holds no label maps")
    require_vocabulary(sources[0].vocabulary, vocabulary)

    def wrap(masks: NDArray[np.bool_ | np.float32]) -> Mask:
        mask = masks if batched else masks[0]
        if is_tensor(label_map):
            return tensor_like(mask, label_map)
        if isinstance(label_map, Image.Image | str | Path):
            return Image.fromarray(_levels(mask))
        return mask

    return sources, wrap


def _levels(mask: NDArray[np.bool_ | np.float32]) -> NDArray[np.uint8]:
    """A mask of bools, or of floats from 0 to 1, as 0 to 255."""
    if mask.dtype == np.bool_:
        return mask.view(np.uint8) * np.uint8(255)
    return np.round(mask * np.float32(255)).astype(np.uint8)


def _is_batch(label_maps: NDArray[np.generic] | Tensor) -> bool:
    """Whether three axes are ``(N, H, W)``, not ``(H, W, C)``."""
    shape = label_maps.shape
    return label_maps.ndim == 3 and not shape[-1] <= 4 < shape[0]
