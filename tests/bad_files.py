"""Files that are named like pictures and are none, or none that can be used."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Writer = Callable[[Path], object]


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its check sum."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def encoded(image: Image.Image, picture_format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def photo(side: int = 64) -> Image.Image:
    """Noise that no format compresses to nothing."""
    levels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(levels)


def _short_header() -> bytes:
    whole = encoded(photo())
    return whole[:8] + png_chunk(b"IHDR", whole[16:21]) + whole[33:]


def _bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x" * 20)


def _without_width() -> bytes:
    tiff = bytearray(encoded(photo(), "TIFF"))
    entry = next(
        at
        for at in range(len(tiff))
        if tiff[at : at + 2] == struct.pack("<H", 256) and tiff[at + 4 : at + 8] == b"\1\0\0\0"
    )
    tiff[entry + 8 : entry + 12] = bytes(4)
    return bytes(tiff)


def _not_finite(path: Path) -> None:
    levels = np.full((64, 64), np.nan, np.float32)
    path.write_bytes(encoded(Image.fromarray(levels), "TIFF"))


def _content(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)


BAD: Mapping[str, Writer] = {
    "empty": _content(b""),
    "truncated": _content(encoded(photo())[:3000]),
    "text": _content(b"this is not a picture\n" * 40),
    "short_header": _content(_short_header()),
    "no_width": _content(_without_width()),
    "cut_ppm": _content(encoded(photo(), "PPM")[:5]),
    "bomb": _content(_bomb()),
    "folder": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "not_finite": _not_finite,
    "dds": _content(b"DDS " + b"\x7c\0\0\0" + bytes(10)),
    "postscript": _content(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n"),
}
"""By name of the fault, what makes such a file."""


def write_bad(folder: Path) -> list[str]:
    """Write one file of each kind as ``<fault>.png``; their names."""
    for fault, write in BAD.items():
        write(folder / f"{fault}.png")
    return [f"{fault}.png" for fault in BAD]
