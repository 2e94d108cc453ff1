"""Picture files: read whole and upright or not at all, written whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from facemask_inpaint.errors import ImageError
from facemask_inpaint.files import atomic_path

MAX_PIXELS = 178_956_970
"""Largest picture that is decoded; larger ones are refused as decompression bombs."""

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

_KEPT_INFO = ("icc_profile", "transparency")
"""Metadata that goes with the pixels. EXIF does not: its thumbnail shows what was hidden."""

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def read_image(path: str | Path) -> Image.Image:
    """Read a picture file whole and upright, in its own mode.

    Of an animation the first frame is read. Of the metadata the colour profile is kept. Pillow
    reads colour files of 16 bits per channel as 8 bits; pass those as ``uint16`` arrays instead.

    Raises:
        ImageError: the file is missing, truncated, no picture, or larger than ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size that it refuses; MAX_PIXELS is this library's limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not a picture in any format that Pillow reads") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path}: more than {MAX_PIXELS:,} pixels; scale it down first") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error})") from error
    with opened:
        return upright(opened, str(path))


def upright(image: Image.Image, name: str = "image") -> Image.Image:
    """Decode a PIL picture and apply its EXIF orientation; the original stays as it is.

    Returns:
        A new picture without EXIF data.

    Raises:
        ImageError: the picture is truncated, damaged, empty or larger than ``MAX_PIXELS``.
    """
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} is more than {MAX_PIXELS:,} pixels; scale it down first"
        )
    if width * height == 0:
        raise ImageError(f"{name}: {width} x {height} has no pixels")
    try:
        image.load()
        method = _TO_UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception as error:
        # Pillow's decoders let through whatever they stumble over, not only OSError.
        raise ImageError(f"{name}: truncated or damaged ({error})") from error
    turned = image.copy() if method is None else image.transpose(method)
    turned.info = {key: image.info[key] for key in _KEPT_INFO if key in image.info}
    return turned


def save_image(image: Image.Image, path: str | Path) -> None:
    """Write a picture whole or not at all, in the format of the path's suffix.

    JPEG and AVIF are written at quality 95 without chroma subsampling, WebP without loss. The
    colour profile is kept.

    Raises:
        ImageError: no format has this suffix, or the format cannot hold this mode.
    """
    path = Path(path)
    picture_format = Image.registered_extensions().get(path.suffix.lower(), "")
    if picture_format not in Image.SAVE:
        raise ImageError(
            f"{path}: no picture format is written under the suffix {path.suffix!r}; "
            "use .png, .jpg, .webp or .tif"
        )
    options = dict(_SAVE_OPTIONS.get(picture_format, {}))
    if "icc_profile" in image.info:
        options["icc_profile"] = image.info["icc_profile"]
    with atomic_path(path) as temporary:
        try:
            image.save(temporary, picture_format, **options)
        except OSError as error:
            if error.errno is not None:  # the disk's fault, not the format's
                raise
            raise ImageError(
                f"{path}: {picture_format} cannot hold a picture of mode {image.mode}; "
                "use .png or .tif"
            ) from error
