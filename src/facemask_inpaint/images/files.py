"""Image files: read whole and upright or not at all, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import formats
from facemask_inpaint.images.opening import identify, is_file, open_binary
from facemask_inpaint.images.repair import leaner

MAX_PIXELS = 178_956_970
"""Pixels of the largest image that is decoded; larger ones are refused as decompression bombs."""

REDUCED = "facemask_inpaint reduced"
"""Key in an image's ``info`` under which the name of a file of 16 bits per colour is kept."""

_STRIP = 256
"""Rows of an image whose samples are read at a time."""

_EXIF_ORIENTATION = 0x0112

_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation other than 1, the upright one."""

_KEPT_INFO = ("icc_profile", "transparency", REDUCED)
"""Metadata that goes with the pixels. EXIF does not: its thumbnail shows what was hidden."""

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}

_PROFILE_SPACES = {b"GRAY": "grey", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB"}
_WITHOUT_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def read_image(path: str | Path) -> Image.Image:
    """Read an image file whole and upright, in its own mode.

    Of an animation the first frame is read. Of the metadata the colour profile is kept; damaged
    metadata is ignored. Pillow reads colour files of 16 bits per channel as 8 bits; pass those as
    ``uint16`` arrays instead.

    Args:
        path: a file, or a named pipe, which may be silent for a few seconds at most.

    Raises:
        ImageError: the file is missing, truncated, no image, or larger than ``MAX_PIXELS``.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "face.png")
        >>> save_image(Image.new("RGB", (4, 3)), path)
        >>> read_image(path).size
        (4, 3)
    """
    with open_binary(path) as file:
        try:
            return _decoded(identify(file, path), path)
        except ImageError as error:
            for lean in leaner(file):
                try:
                    return _decoded(identify(lean, path), path)
                except ImageError:
                    continue
            raise error


def _decoded(image: Image.Image, path: str | Path) -> Image.Image:
    with image:
        return shared_upright(image, os.fspath(path))


@contextmanager
def open_image(path: str | Path) -> Iterator[Image.Image]:
    """Open an image file for its format, mode, size and metadata; pixels are not decoded.

    Raises:
        ImageError: the file is missing, or no image.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "face.png")
        >>> save_image(Image.new("RGB", (4, 3)), path)
        >>> with open_image(path) as image:
        ...     image.format, image.size
        ('PNG', (4, 3))
    """
    with open_binary(path) as file, identify(file, path) as image:
        yield image


def upright(image: Image.Image, name: str = "image") -> Image.Image:
    """Decode a PIL image and apply its EXIF orientation; the original stays as it is.

    Returns:
        A new image without EXIF data.

    Raises:
        ImageError: the image is truncated, damaged, empty or larger than ``MAX_PIXELS``.

    Example:
        >>> image = Image.new("RGB", (4, 3))
        >>> image.getexif()[0x0112] = 6  # taken with the camera turned by 90 degrees
        >>> upright(image).size
        (3, 4)
    """
    turned = shared_upright(image, name)
    return turned.copy() if turned.im is image.im else turned


def shared_upright(image: Image.Image, name: str) -> Image.Image:
    """Return what :func:`upright` does, sharing its pixels with an image that is upright already.

    For images that nobody changes from then on: a copy of a large photo takes time and memory.
    """
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} is more than {MAX_PIXELS:,} pixels; scale it down first"
        )
    if width * height <= 0:
        raise ImageError(f"{name}: {width} x {height} has no pixels")
    try:
        is_reduced = _is_reduced(image)
        image.load()
        method = _TO_UPRIGHT.get(_orientation(image))
        turned = image._new(image.im) if method is None else image.transpose(method)
    except Exception as error:
        # Pillow's decoders let through whatever they stumble over, not only OSError.
        raise ImageError(f"{name}: truncated or damaged ({error})") from error
    turned.info = {key: image.info[key] for key in _KEPT_INFO if key in image.info}
    if is_reduced:
        turned.info[REDUCED] = name
    return turned


def samples_of(image: Image.Image) -> NDArray[np.generic]:
    """Return the samples ``(H, W)`` or ``(H, W, C)`` of an image as a new array.

    ``np.asarray(image)`` gives the same, but holds the bytes twice meanwhile.
    """
    samples: NDArray[np.generic] = np.empty(0)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        strip = np.asarray(image.crop((0, top, image.width, bottom)))
        if not top:
            samples = np.empty((image.height, *strip.shape[1:]), strip.dtype)
        samples[top:bottom] = strip
    return samples


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 where there is none, or none that can be read."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        return 1


def _is_reduced(image: Image.Image) -> bool:
    """Whether a colour file of 16 bits per channel is about to be decoded to 8."""
    tiles = () if image.mode in _GREY_MODES else getattr(image, "tile", ())
    return any(_is_of_16_bits(tile[0], tile[3]) for tile in tiles)


def _is_of_16_bits(decoder: str, arguments: Any) -> bool:
    parts = arguments if isinstance(arguments, tuple) else (arguments,)
    if decoder.startswith("ppm"):
        return int(parts[-1]) > 255
    return decoder == "SGI16" or any(isinstance(part, str) and ";16" in part for part in parts)


def result_mode(image: Image.Image) -> str:
    """Return the mode in which an image comes back: its own if it holds any colour and alpha."""
    if image.mode in ("P", "PA"):
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        return "RGBA" if image.mode == "RGB" else "LA"
    return _WITHOUT_PREMULTIPLIED.get(image.mode, image.mode)


def result_name(path: str | Path) -> str:
    """Return the name for the result of an image file: its own, unless that cannot hold it.

    Only the header is read. See :func:`facemask_inpaint.images.formats.result_suffix`.

    Example:
        >>> result_name("folder/face.png")
        'face.png'
    """
    path = Path(path)
    if not is_file(path):
        return path.name
    try:
        with open_image(path) as image:
            image_format, mode = image.format or "", result_mode(image)
            return path.stem + formats.result_suffix(path.suffix, image_format, mode)
    except ImageError:
        return path.name


def fitting_profile(image: Image.Image) -> bytes | None:
    """Return an image's colour profile; ``None`` for one of another colour space than its mode."""
    profile: bytes | None = image.info.get("icc_profile")
    space = _PROFILE_SPACES.get(bytes(profile[16:20])) if profile else None
    mode = "grey" if image.mode in _GREY_MODES else image.mode
    own = mode if mode in ("grey", "CMYK", "LAB") else "RGB"
    return profile if space in (None, own) else None


def save_image(image: Image.Image, path: str | Path) -> None:
    """Write an image whole or not at all, in the format of the path's suffix.

    JPEG and AVIF are written at quality 95 without chroma subsampling, WebP without loss. The
    colour profile is kept if it fits the image's colour space.

    Raises:
        ImageError: no format has this suffix, or the format cannot hold this mode.

    Example:
        >>> import tempfile, pathlib
        >>> save_image(Image.new("L", (8, 8)), pathlib.Path(tempfile.mkdtemp(), "mask.png"))
    """
    path = Path(path)
    image_format = require_writable(path, image.mode)
    options = dict(_SAVE_OPTIONS.get(image_format, {}))
    options["icc_profile"] = fitting_profile(image)  # None overrules what is in its info
    with atomic_path(path) as temporary:
        try:
            image.save(temporary, image_format, **options)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk failed, not the format
            raise _cannot_hold(path, image_format, image.mode) from error


def require_writable(path: Path, mode: str) -> str:
    """Return the format in which an image of a PIL mode is written to a path.

    Raises:
        ImageError: no format has this suffix, or the format cannot hold this mode.
    """
    image_format = formats.written_under(path.suffix)
    if image_format is None:
        raise ImageError(
            f"{path}: no image format is written under the suffix {path.suffix!r}; "
            "use .png, .jpg, .webp or .tif"
        )
    if not formats.holds(image_format, mode):
        raise _cannot_hold(path, image_format, mode)
    return image_format


def require_result_fits(source: str | Path, target: Path) -> None:
    """Refuse a path under which the result of an image file cannot be written.

    Only the header is read.

    Raises:
        ImageError: as :func:`require_writable` says, or the source is no image.
    """
    with open_image(source) as image:
        require_writable(target, result_mode(image))


def _cannot_hold(path: Path, image_format: str, mode: str) -> ImageError:
    suffix = formats.exact_suffix(mode)
    advice = f"use {suffix}" if suffix else "convert it to RGB first"
    return ImageError(f"{path}: {image_format} cannot hold an image of mode {mode}; {advice}")
