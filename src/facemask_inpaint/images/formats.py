"""Image formats: which are read, under which suffixes, and which can take a result back."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from PIL import Image

_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC"})
"""What Pillow identifies and this library does not read: it hands PostScript to another program,
and of the others it knows no more than the header."""

_EXACT_SUFFIXES = (".png", ".tif")

_USUAL_SUFFIX = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "BMP": ".bmp",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "JPEG2000": ".jp2",
    "PPM": ".ppm",
    "TGA": ".tga",
}
"""Formats that results are written back in."""

_HELD = {
    "PNG": "1 L LA P RGB RGBA I;16 I;16B",
    "JPEG": "1 L RGB CMYK YCbCr",
    "WEBP": "1 L LA P RGB RGBA",
    "TIFF": "1 L LA P PA RGB RGBA CMYK YCbCr LAB I I;16 I;16B F",
    "BMP": "1 L P RGB",
    "AVIF": "1 L LA P RGB RGBA",
    "HEIF": "1 L LA P RGB RGBA",
    "JPEG2000": "L LA RGB RGBA CMYK YCbCr I;16",
    "PPM": "1 L RGB I I;16 F",
    "TGA": "1 L LA P RGB RGBA",
    "GIF": "1 L P",
}
"""Modes that come back with every colour, alpha and bit. Some of Pillow's writers take others
too, and clip, quantise or drop what the format does not hold."""


@cache
def readable() -> tuple[str, ...]:
    """Return the names of the formats that are tried on a file, in Pillow's order.

    HEIC counts where the package ``pillow-heif`` is installed; it is registered with Pillow here.
    """
    Image.init()
    if importlib.util.find_spec("pillow_heif") is not None:
        importlib.import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in Image.ID if name in Image.OPEN and name not in _NOT_READ)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, lower case with their dot, of the files that are read as images."""
    known = set(readable())
    suffixes = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in suffixes if name in known)


def written_under(suffix: str) -> str | None:
    """Return the name of the format that a suffix stands for; ``None`` if there is none."""
    readable()
    name = Image.registered_extensions().get(suffix.lower(), "")
    return name if name in Image.SAVE else None


def holds(image_format: str, mode: str) -> bool:
    """Tell whether a format keeps images of this PIL mode as they are, apart from lossy coding.

    Formats that this library does not know in detail are assumed to; Pillow will refuse.
    """
    held = _HELD.get(image_format)
    return held is None or mode in held.split()


def exact_suffix(mode: str) -> str | None:
    """Return the suffix of a lossless format that holds a mode; ``None`` where there is none."""
    names = {suffix: written_under(suffix) or "" for suffix in _EXACT_SUFFIXES}
    return next((suffix for suffix, name in names.items() if holds(name, mode)), None)


def result_suffix(suffix: str, image_format: str, mode: str) -> str:
    """Return the suffix for the result of an image: its own, unless that cannot hold the result.

    Args:
        suffix: of the image's file.
        image_format: format that the file is really in, whatever its name says.
        mode: PIL mode of the result.

    Returns:
        The file's own suffix where it is true, or stands for PNG or TIFF and these hold the mode;
        else the usual suffix of the file's format, or of PNG or TIFF if that cannot hold the
        result.
    """
    named = written_under(suffix) or ""
    usual = _USUAL_SUFFIX.get(image_format)
    is_true = named == image_format or (usual is not None and _USUAL_SUFFIX.get(named) == usual)
    may_stay = named in _USUAL_SUFFIX and (is_true or named in ("PNG", "TIFF"))
    if may_stay and holds(named, mode):
        return suffix
    writer = written_under(usual) if usual else None
    if usual and writer and holds(writer, mode):
        return usual
    return exact_suffix(mode) or ".png"
