"""From masks of any type to bool tensors: 1, True and 255 mean hole."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeGuard, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.types import ImageArray, MaskLike, MasksLike, Size
from facemask_inpaint.errors import MaskError
from facemask_inpaint.images.arrays import is_dense, ordered
from facemask_inpaint.images.files import read_image, result_mode, samples_of, shared_upright

_SCALES = (1, 255, 65535)
"""The values for hole in masks of whole numbers; the smallest that no value exceeds counts."""

_ROUNDING = 1e-3
_NEAR = 1 / 16
"""How far lossy files may carry samples from known and hole, as a share of the scale."""

_GREY_ENOUGH = 1 / 8
"""How far the channels of a grey mask may differ, as a share of the scale: lossy files and colour
conversion leave such differences."""

_LARGE_HOLES_ARE_ALLOWED = ContextVar("large_holes_are_allowed", default=False)

_SUSPICIOUS_SHARE = 0.7
_STRIP = 256
"""Rows of a mask whose values are compared at a time."""

_GREY_MODES = ("1", "L", "I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def decode_mask(mask: MaskLike, size: Size, *, name: str = "mask") -> Tensor:
    """Decode the mask of one image.

    Args:
        mask: a path, a PIL image of any mode, a NumPy array or a torch tensor, ``(H, W)`` or with
            one channel, or three nearly equal ones, first or last. Hole is True, 1 in floats (of 0
            to 1, or of 0 and 255 alone), and in whole numbers 1, 255 or 65535, the smallest that
            no value exceeds. PIL images are turned upright first; their alpha is ignored.
        size: height and width of the image.
        name: what error messages call a mask that is not a file.

    Returns:
        ``(H, W)`` bool, True = hole; on a tensor's own device and otherwise on the CPU.

    Raises:
        MaskError: the mask is of another size (it is never resized), empty, coloured, holds NaN
            or values that no mask has, or is of an unknown type.
        ImageError: the mask's file cannot be read.

    Warns:
        UserWarning: values between known and hole were cut at the half; or so much is hole that
            the mask may be inverted.

    Example:
        >>> import numpy as np
        >>> decode_mask(np.array([[0, 255], [0, 0]], np.uint8), (2, 2)).tolist()
        [[False, True], [False, False]]
    """
    if isinstance(mask, str | os.PathLike):
        name = os.fspath(mask)
    plane, scale = _plane(mask, size, name)
    hole = _reaches(plane, scale / 2)
    count = int(hole.count_nonzero())
    if not count:
        most = float(plane.max()) / scale
        hint = f" (its largest value is {most:.2g} of 1; is it a label map?)" if most else ""
        raise MaskError(f"{name} is empty: no pixel is hole{hint}")
    total = plane.numel()
    limits = (_NEAR * scale, (1 - _NEAR) * scale)
    near, sure = (_count(plane, limit) for limit in limits)
    if near > sure:
        _warn(f"{near - sure} of {total} pixels of {name} are neither known nor hole; cut at half")
    share = count / total
    if share > _SUSPICIOUS_SHARE and not _LARGE_HOLES_ARE_ALLOWED.get():
        _warn(f"{share:.0%} of {name} is hole: did you invert it? 1, True and 255 mean hole")
    return hole


def as_hole(mask: MaskLike, size: Size | None = None, *, name: str = "mask") -> Tensor:
    """Decode a mask that may be empty or soft, without a warning about either.

    Args:
        mask: see :func:`decode_mask`.
        size: height and width that it must have; ``None`` accepts any.
        name: what error messages call it.

    Returns:
        ``(H, W)`` bool, True = hole.

    Raises:
        MaskError: it is of another size, coloured, or no mask.
        ImageError: the mask's file cannot be read.

    Example:
        >>> import numpy as np
        >>> as_hole(np.array([[0.2, 0.8]])).tolist()
        [[False, True]]
    """
    plane, scale = _plane(mask, size, name)
    return _reaches(plane, scale / 2)


def decode_masks(masks: MasksLike, sizes: Sequence[Size]) -> list[Tensor]:
    """Decode the masks of several images.

    Args:
        masks: one mask for all images (see :func:`decode_mask`), a list or tuple of one each,
            or a batch ``(N, H, W)``, ``(N, 1, H, W)`` or ``(N, H, W, 1)`` of one each.
        sizes: height and width of each image.

    Returns:
        One ``(H, W)`` bool tensor per image, True = hole.

    Raises:
        MaskError: see :func:`decode_mask`; or there are not as many masks as images.

    Example:
        >>> import numpy as np
        >>> first, second = decode_masks(np.eye(4, dtype=bool), [(4, 4), (4, 4)])
    """
    if isinstance(masks, np.ndarray | Tensor) and masks.ndim == 4 and len(masks) == 1:
        masks = masks[0]
    if isinstance(masks, list | tuple) or _is_batch(masks, sizes):
        if len(masks) != len(sizes):
            raise MaskError(f"{len(masks)} masks for {len(sizes)} images; give one, or one each")
        named = [(f"mask[{i}]", mask) for i, mask in enumerate(masks)]
        return [decode_mask(mask, size, name=name) for (name, mask), size in zip(named, sizes)]
    hole = decode_mask(cast(MaskLike, masks), sizes[0])
    for size in sizes:
        _require_size(hole, size, "mask")
    return [hole] * len(sizes)


def _is_batch(mask: MasksLike, sizes: Sequence[Size]) -> TypeGuard[ImageArray]:
    if not isinstance(mask, np.ndarray | Tensor):
        return False
    several = len(sizes) > 1 and mask.ndim == 3 and len(mask) > 1
    return mask.ndim == 4 or (several and tuple(mask.shape[1:]) == tuple(sizes[0]))


def _plane(mask: MaskLike, size: Size | None, name: str) -> tuple[Tensor, int]:
    """``(H, W)`` from 0, known, to the scale, hole; and the scale."""
    if isinstance(mask, str | os.PathLike):
        mask = read_image(name := os.fspath(mask))
    values = _as_tensor(mask, name)
    scale = _scale(values, name)
    return _one_plane(values, scale, size, name), scale


def _reaches(plane: Tensor, threshold: float) -> Tensor:
    """Where values are at least a threshold; whole numbers are compared as such: no copy."""
    return plane >= (threshold if plane.is_floating_point() else math.ceil(threshold))


def _count(plane: Tensor, threshold: float) -> int:
    """How many values are at least a threshold, some rows at a time."""
    strips = (plane[top : top + _STRIP] for top in range(0, len(plane), _STRIP))
    return sum(int(_reaches(strip, threshold).count_nonzero()) for strip in strips)


def _as_tensor(mask: object, name: str) -> Tensor:
    """A mask of any type as a uint8, int64 or float32 tensor, which may share its memory."""
    if isinstance(mask, Image.Image):
        return _as_tensor(_samples(shared_upright(mask, name), name), name)
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "buif":
        bytes_do = mask.dtype in (np.bool_, np.uint8)
        dtype = np.uint8 if bytes_do else np.float32 if mask.dtype.kind == "f" else np.int64
        return torch.from_numpy(np.require(mask, dtype, ["C", "W", "E"]))
    if isinstance(mask, Tensor) and is_dense(mask) and not mask.is_complex():
        if mask.dtype in (torch.bool, torch.uint8):
            return ordered(mask, np.uint8)
        return ordered(mask, np.float32 if mask.is_floating_point() else np.int64)
    type_name = f"{mask.dtype} array" if hasattr(mask, "dtype") else type(mask).__name__
    if isinstance(mask, Tensor) and not is_dense(mask):
        type_name = "tensor without numbers in memory (meta, sparse or quantised)"
    raise MaskError(
        f"{name} is a {type_name}; needed: a path, a PIL image, or a bool, uint8 or float array"
    )


def _samples(image: Image.Image, name: str) -> np.ndarray:
    """Grey ``(H, W)`` or RGB ``(H, W, 3)`` samples of an upright PIL image."""
    if image.mode in _GREY_MODES:
        return samples_of(image)
    image = image.convert(result_mode(image)) if image.mode in ("La", "RGBa") else image
    samples = samples_of(image.convert("RGB"))
    if image.has_transparency_data and (samples == samples[0, 0]).all():
        least, most = image.convert("RGBA").getchannel("A").getextrema()
        if least != most:
            raise MaskError(
                f"{name} is of one colour and varies in alpha only; pass image.getchannel('A') "
                "if opaque means hole, or its inverse"
            )
    return samples


def _scale(values: Tensor, name: str) -> int:
    """The value in a mask that means hole."""
    if not values.numel():
        raise MaskError(f"{name} has the shape {tuple(values.shape)}, which holds no pixels")
    least, most = (float(end) for end in values.aminmax())
    if not math.isfinite(least) or not math.isfinite(most):
        raise MaskError(f"{name} holds NaN or infinity")
    levels = not values.is_floating_point() or (
        most in _SCALES and bool(((values == 0) | (values == most)).all())
    )
    scales = _SCALES if levels else (1,)
    scale = next((scale for scale in scales if most <= scale + _ROUNDING), None)
    if scale is None or least < -_ROUNDING:
        raise MaskError(
            f"{name} holds values from {least:g} to {most:g}; needed: bool, 0 and 255, or 0 to 1"
        )
    return scale


def _one_plane(values: Tensor, scale: int, size: Size | None, name: str) -> Tensor:
    """``(H, W)`` of a mask with no channel axis, or one or three channels that hardly differ."""
    if values.ndim == 2:
        _require_size(values, size, name)
        return values
    layouts = [
        values.movedim(axis, 0)
        for axis in (0, -1)
        if values.ndim == 3 and values.shape[axis] in (1, 3)
    ]
    if not layouts:
        raise MaskError(f"{name} must be (H, W) or have one channel, got {tuple(values.shape)}")
    fitting = [planes for planes in layouts if tuple(planes.shape[1:]) == tuple(size or ())]
    planes = (fitting or layouts)[0]
    _require_size(planes[0], size, name)
    spread = planes.amax(0) - planes.amin(0)
    if not spread.any():
        return planes[0]
    if bool((spread > _GREY_ENOUGH * scale).any()):
        raise MaskError(f"{name} is coloured: its three channels differ; pass one channel")
    return planes.float().mean(0)


def _require_size(plane: Tensor, size: Size | None, name: str) -> None:
    if size is not None and tuple(plane.shape) != tuple(size):
        raise MaskError(
            f"{name} is {plane.shape[1]} x {plane.shape[0]} pixels, its image {size[1]} x "
            f"{size[0]} (width x height); masks are never resized: make it of the image's size"
        )


@contextmanager
def allow_large_holes() -> Iterator[None]:
    """Turn off the warning about large holes in a block, and in threads that work for it."""
    token = _LARGE_HOLES_ARE_ALLOWED.set(True)
    try:
        yield
    finally:
        _LARGE_HOLES_ARE_ALLOWED.reset(token)


def _warn(message: str) -> None:
    # Up to the caller of decode_mask; who calls that differs.
    warnings.warn(message, UserWarning, stacklevel=3)
