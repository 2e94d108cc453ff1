"""Image files with broken metadata: the same file without what its pixels do not need."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PNG_LOOKS = frozenset({b"iCCP", b"eXIf"})

_JPEG = b"\xff\xd8"
_START_OF_SCAN = 0xDA
_COMMENT = 0xFE
_APPLICATION = range(0xE0, 0xF0)
_ADOBE, _ADOBE_BYTES = 0xEE, 16
"""The application segment that says how a JPEG's colours are stored, and its length when whole."""


def leaner(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the same image file with less metadata each time; nothing for unknown formats.

    A PNG first keeps its profile and orientation, then nothing but its pixels.
    """
    file.seek(0)
    start = file.read(len(_PNG))
    if start == _PNG:
        content = file.read()
        for kept in (_PNG_PIXELS | _PNG_LOOKS, _PNG_PIXELS):
            yield io.BytesIO(_PNG + b"".join(_png_chunks(content, kept)))
    elif start.startswith(_JPEG):
        file.seek(len(_JPEG))
        yield io.BytesIO(_JPEG + b"".join(_jpeg_segments(file.read())))


def _png_chunks(content: bytes, kept: frozenset[bytes]) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 12 + length
        if content[at + 4 : at + 8] in kept:
            yield content[at:end]
        at = end


def _jpeg_segments(content: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _START_OF_SCAN:
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        is_of_use = marker == _ADOBE and end - at >= _ADOBE_BYTES
        is_metadata = marker == _COMMENT or marker in _APPLICATION
        if is_of_use or not is_metadata:
            yield content[at:end]
        at = end
    yield content[at:]
