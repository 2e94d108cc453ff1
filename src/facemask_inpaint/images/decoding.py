"""From images of any type to tensors, and back to the same type."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple, cast

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.types import (
    ImageArray,
    ImageLike,
    ImagesLike,
    LoadedImage,
    LoadedImages,
    Size,
    ValueRange,
)
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.arrays import extremes, is_dense
from facemask_inpaint.images.files import (
    REDUCED,
    fitting_profile,
    read_image,
    result_mode,
    shared_upright,
)
from facemask_inpaint.images.pixels import (
    BYTES,
    WHOLE,
    ArrayPixels,
    ConvertedPixels,
    PilPixels,
    Pixels,
    Region,
    SampleRange,
    TensorPixels,
)

_SLACK = 1e-3
"""How far rounding may carry float samples beyond their range, as a share of it."""

_WHOLE_RANGES: dict[str, ValueRange] = {
    "uint8": (0, 255),
    "uint16": (0, 65535),
    "int32": (0, 65535),  # PIL mode I: older Pillows read 16-bit files as it
}
_STRIP = 64
"""Rows that are converted at a time: floats of a whole photo take four times its memory."""

_ALMOST_BLACK = 255
"""Largest sample of a 16-bit image up to which it may really be an 8-bit image."""

_SAMPLED_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_CONVERTED_MODES = ("RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_EIGHT_BIT_MODES = ("1", "L", "LA", "RGB", "RGBA", *_CONVERTED_MODES)


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """One image as networks take it, with the way back to the caller's type.

    The caller's image is not copied; its colours are converted when they are asked for.

    Attributes:
        pixels: the caller's image.

    Example:
        >>> import numpy as np, torch
        >>> decoded = decode_image(np.zeros((4, 4, 3), np.uint8))
        >>> hole = torch.zeros(4, 4, dtype=torch.bool)
        >>> hole[0, 0] = True
        >>> decoded.compose(torch.ones(3, 4, 4), hole)[0, :2].tolist()
        [[255, 255, 255], [0, 0, 0]]
    """

    pixels: Pixels

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.pixels.size

    @cached_property
    def rgb(self) -> Tensor:
        """``(3, H, W)`` float32 in [-1, 1], on a tensor's own device and otherwise on the CPU."""
        return self.pixels.rgb(WHOLE)

    def part(self, region: Region) -> Tensor:
        """Return the colours ``(3, h, w)`` of a rectangle, given by its rows and columns."""
        height, width = (len(range(*s.indices(n))) for s, n in zip(region, self.size))
        return self.rgb if (height, width) == self.size else self.pixels.rgb(region)

    def to_pil(self) -> Image.Image:
        """Return the colours as a PIL image of mode RGB; one that is RGB shares its pixels."""
        source = self.pixels.source
        if isinstance(source, Image.Image) and source.mode in _EIGHT_BIT_MODES:
            return source if source.mode == "RGB" else _with_own_profile(source.convert("RGB"))
        samples = np.empty((*self.size, 3), dtype=np.uint8)
        for top in range(0, len(samples), _STRIP):
            strip = samples[top : top + _STRIP]
            rgb = self.pixels.rgb((slice(top, top + len(strip)), slice(None)))
            levels = ((rgb.cpu() + 1) * 127.5).round().clamp(0, 255).byte()
            strip[:] = rearrange(levels, "c h w -> h w c")
        return Image.fromarray(samples)

    def compose(
        self,
        prediction: Tensor,
        hole: Tensor,
        alpha: Tensor | None = None,
        region: Region = WHOLE,
    ) -> LoadedImage:
        """Return the caller's image with the prediction in the hole.

        Every other pixel is the original's, bit for bit.

        Args:
            prediction: ``(3, H, W)`` float in [-1, 1]; clamped, and rounded half to even where the
                image holds whole numbers.
            hole: ``(H, W)`` bool.
            alpha: ``(H, W)`` float in [0, 1], weight of the prediction outside the hole, for soft
                borders. Known pixels of weight 0 stay as they are. In the hole the weight is
                always 1, so that nothing hidden shows through.
            region: rows and columns of the rectangle that the other arguments are about.

        Returns:
            A new image of the same type, mode, dtype, size, device and value range, its alpha
            channel unchanged.

        Raises:
            ImageError: the prediction holds NaN or infinity where it is needed.
        """
        prediction = prediction.to(self.pixels.device, torch.float32)
        changed = hole = hole.to(self.pixels.device)
        if alpha is not None:
            rgb = self.part(region)
            weight = torch.where(hole, 1.0, alpha.to(rgb))
            changed = weight > 0
            prediction = torch.where(hole, prediction, torch.lerp(rgb, prediction, weight))
        fresh = prediction[:, changed]
        if not fresh.isfinite().all():
            raise ImageError("the prediction holds NaN or infinity; let the network use float32")
        return self.pixels.replace(fresh, changed, region)


def decode_image(
    image: ImageLike, *, value_range: ValueRange | None = None, name: str = "image"
) -> DecodedImage:
    """Decode one image of any type.

    Args:
        image: one of

            - a path: read upright, comes back as a PIL image;
            - a PIL image of mode 1, L, LA, RGB, RGBA, RGBX, I;16, I, F, CMYK, YCbCr, LAB or
              HSV: comes back upright in its mode. Palettes (P, PA) and colour keys cannot hold
              new colours: such an image comes back as RGB, or as LA or RGBA if it is
              transparent; premultiplied ones (La, RGBa) come back as LA and RGBA. Of the
              metadata the colour profile comes back, if it fits the result's colour space;
            - a NumPy array ``(H, W)`` or ``(H, W, C)`` of uint8, uint16 or a float dtype, in any
              byte order and memory layout, with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA)
              channels;
            - a torch tensor ``(H, W)`` or ``(C, H, W)`` of the same dtypes, or bfloat16.
        value_range: (lowest, highest) sample of an array, a tensor or a PIL image of mode
            I;16, I or F. When omitted: the whole range of uint8 and uint16; 0 to 65535 for mode
            I; for floats -1 to 1 if any sample is negative (beyond rounding), else 0 to 1.
        name: what error messages call the image.

    Raises:
        ImageError: the image cannot be read, is empty, of an unknown type, or holds NaN,
            infinity or samples outside its range.
        OptionError: ``value_range`` is not an interval.

    Warns:
        UserWarning: a file of 16 bits per colour was read as 8; or samples of 16 bits do not go
            beyond 255.

    Example:
        >>> import numpy as np
        >>> decode_image(np.full((2, 3), 255, np.uint8)).rgb.shape
        torch.Size([3, 2, 3])
    """
    opened, name = _opened(image, name)
    if isinstance(opened, Image.Image):
        if REDUCED in opened.info:
            _warn(
                f"{opened.info[REDUCED]} holds colours of 16 bits, of which Pillow reads 8, so the "
                "result has 8; pass a uint16 array to keep all"
            )
        return _decode_pil(opened, value_range, name)
    if isinstance(opened, np.ndarray | Tensor):
        _require_dtype(opened, name)
        return _decode_samples(opened, _span(opened, value_range, name), name)
    raise ImageError(
        f"{name} is a {type(image).__name__}; needed: a path, a PIL image, a NumPy array or a "
        "torch tensor"
    )


def _opened(image: ImageLike, name: str) -> tuple[LoadedImage, str]:
    """An image as it is, a file read, PIL images upright; and what messages call it."""
    if isinstance(image, str | os.PathLike):
        return read_image(os.fspath(image)), os.fspath(image)
    return (shared_upright(image, name) if isinstance(image, Image.Image) else image), name


class DecodedImages(NamedTuple):
    """Single images, and the way back to the caller's arrangement.

    Attributes:
        images: one by one.
        regroup: from as many composed images to one image, a list or tuple, or a batch of the
            same dtype on the same device.
    """

    images: list[DecodedImage]
    regroup: Callable[[list[LoadedImage]], LoadedImages]


def decode_images(images: ImagesLike, *, value_range: ValueRange | None = None) -> DecodedImages:
    """Decode one image, a list or tuple of images, or a batch.

    Args:
        images: whatever :func:`decode_image` takes; a list or tuple of such, of mixed types and
            sizes if need be; an array ``(N, H, W, C)``; or a tensor ``(N, C, H, W)``.
        value_range: see :func:`decode_image`. When it is omitted, the range of a batch is inferred
            once for all of it, that of a list's images one by one.

    Returns:
        The images, and a function from as many composed images to the caller's arrangement.

    Raises:
        ImageError: see :func:`decode_image`; or there are no images.

    Example:
        >>> import numpy as np
        >>> decoded, regroup = decode_images(np.zeros((2, 4, 4, 3), np.uint8))
        >>> len(decoded)
        2
    """
    if isinstance(images, list | tuple):
        if not images:
            raise ImageError("there are no images: the list is empty")
        named = [(f"images[{i}]", image) for i, image in enumerate(images)]
        decoded = [decode_image(image, value_range=value_range, name=name) for name, image in named]
        return DecodedImages(decoded, tuple if isinstance(images, tuple) else list)
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 4:
        _require_dtype(images, "images")
        span = _span(images, value_range, "images")
        decoded = [_decode_samples(samples, span, "images") for samples in images]
        stack = cast(_Regroup, torch.stack if isinstance(images, Tensor) else np.stack)
        return DecodedImages(decoded, stack)
    image = cast(ImageLike, images)
    return DecodedImages([decode_image(image, value_range=value_range)], itemgetter(0))


_Regroup = Callable[[list[LoadedImage]], LoadedImages]


def _decode_pil(image: Image.Image, value_range: ValueRange | None, name: str) -> DecodedImage:
    """Decode an upright image."""
    image = _in_result_mode(image)
    if image.mode in _CONVERTED_MODES:
        return DecodedImage(ConvertedPixels(image))
    if image.mode not in _SAMPLED_MODES:
        raise ImageError(
            f"{name} has the PIL mode {image.mode}, which is not one of "
            f"{', '.join(_SAMPLED_MODES + _CONVERTED_MODES)}, P, PA, La and RGBa; convert it first"
        )
    is_plain = image.mode in _EIGHT_BIT_MODES
    span = BYTES if is_plain else _span(np.asarray(image), value_range, name)
    return DecodedImage(PilPixels(image, span))


def _in_result_mode(image: Image.Image) -> Image.Image:
    """The same upright image in the mode that it comes back in, with a profile that fits it."""
    mode = result_mode(image)
    return _with_own_profile(image if mode == image.mode else image.convert(mode))


def _with_own_profile(image: Image.Image) -> Image.Image:
    profile = fitting_profile(image)
    image.info = {} if profile is None else {"icc_profile": profile}
    return image


def to_rgb(image: ImageLike, *, name: str = "image") -> Image.Image:
    """Convert an image of any type to RGB of 8 bits, as people see it and metrics measure it.

    Samples of 16 bits and floats are scaled by their value range, as :func:`decode_image` does,
    and rounded half to even; alpha is dropped.

    Args:
        image: anything that :func:`decode_image` takes; it is not changed.
        name: what error messages call the image.

    Returns:
        An upright PIL image of mode RGB.

    Raises:
        ImageError: see :func:`decode_image`.

    Example:
        >>> import numpy as np
        >>> to_rgb(np.ones((2, 2), np.float32)).getpixel((0, 0))
        (255, 255, 255)
    """
    rgb = shared_rgb(image, name=name)
    is_shared = isinstance(image, Image.Image) and rgb.im is image.im
    return rgb.copy() if is_shared else rgb


def shared_rgb(image: ImageLike, *, name: str = "image") -> Image.Image:
    """Return what :func:`to_rgb` does, sharing its pixels with an image that is RGB already.

    For images that nobody changes from then on: a copy of a large photo takes time and memory.
    """
    opened, name = _opened(image, name)
    if isinstance(opened, Image.Image):
        return _decode_pil(opened, None, name).to_pil()  # without a warning: RGB has 8 bits
    return decode_image(opened, name=name).to_pil()


def _decode_samples(samples: ImageArray, span: SampleRange, name: str) -> DecodedImage:
    """Decode one array or tensor whose value range is known."""
    if isinstance(samples, np.ndarray):
        pixels: Pixels = ArrayPixels(samples, span)
        layout, channels = "(H, W) or (H, W, C)", samples.shape[2:]
    else:
        pixels = TensorPixels(samples, span)
        layout, channels = "(H, W) or (C, H, W)", samples.shape[:-2]
    if samples.ndim not in (2, 3) or not all(1 <= count <= 4 for count in channels):
        raise ImageError(
            f"{name} has the shape {tuple(samples.shape)}; a {type(samples).__name__} must be "
            f"{layout} with 1 to 4 channels"
        )
    return DecodedImage(pixels)


def _dtype_name(samples: ImageArray) -> str:
    return samples.dtype.name if isinstance(samples, np.ndarray) else str(samples.dtype)[6:]


def _require_dtype(samples: ImageArray, name: str) -> None:
    if isinstance(samples, Tensor) and not is_dense(samples):
        raise ImageError(f"{name} is a tensor without pixels in memory (meta, sparse or quantised)")
    dtype = _dtype_name(samples)
    if dtype not in ("uint8", "uint16") and "float" not in dtype:
        raise ImageError(f"{name} is of dtype {dtype}; needed: uint8, uint16 or a float dtype")


def _span(samples: ImageArray, value_range: ValueRange | None, name: str) -> SampleRange:
    """Value range of an image or batch: given, that of its dtype, or inferred."""
    if 0 in samples.shape:
        raise ImageError(f"{name} has the shape {tuple(samples.shape)}, which holds no pixels")
    if value_range is None and _dtype_name(samples) == "uint8":
        return BYTES
    least, most = extremes(samples)
    whole_range = _WHOLE_RANGES.get(_dtype_name(samples))
    if not math.isfinite(least) or not math.isfinite(most):
        raise ImageError(f"{name} holds NaN or infinity")
    low, high = value_range or whole_range or (-1.0 if least < -_SLACK else 0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(
            f"value_range must be two finite numbers, the lower one first, got {value_range}"
        )
    slack = _SLACK * (high - low)
    if least < low - slack or most > high + slack:
        raise ImageError(
            f"{name} holds values from {least:g} to {most:g}, outside of {low:g} to {high:g}; "
            "scale them, or say by value_range=(lowest, highest) in Python what they mean"
        )
    if high == 65535 and value_range is None and 0 < most <= _ALMOST_BLACK:
        _warn(
            f"{name} holds 16 bits per sample and none beyond {most:g}, which is almost black; "
            "if 255 means white, make it 8 bits or pass value_range=(0, 255) in Python"
        )
    return SampleRange(low, high, whole=whole_range is not None)


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
