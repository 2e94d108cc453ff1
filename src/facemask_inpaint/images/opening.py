"""From a path to an opened image: what can be read at all, and by which of Pillow's plug-ins.

``Image.open`` is not called: it warns by the host program's filters and refuses by the host
program's limit, and lets through whatever a plug-in stumbles over.
"""

from __future__ import annotations

import io
import os
import selectors
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image

from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import formats

PIPE_SECONDS = 5.0
"""How long a named pipe may stay silent before it is given up."""

_PIPE_BYTES = 2**30
_PREFIX = 16
_HEIF_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")


def is_file(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is an ordinary file, which can be read more than once.

    Example:
        >>> is_file("no-such-file.png")
        False
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def open_binary(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file, or read what a named pipe delivers, as a stream that can ``seek``.

    Raises:
        ImageError: there is no such file, it is a folder or a device, may not be read, or is a
            pipe that nothing is written to.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISFIFO(mode):
            file: IO[bytes] = io.BytesIO(_read_pipe(path))
        elif stat.S_ISREG(mode):
            file = open(path, "rb")  # noqa: SIM115  (closed below)
        else:
            kind = "a folder" if stat.S_ISDIR(mode) else "a device or socket"
            raise ImageError(f"{path} is {kind}, not an image file")
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error})") from error
    except ValueError as error:
        raise ImageError(f"{path!r} cannot name a file ({error})") from error
    with file:
        yield file


def _read_pipe(path: str | Path) -> bytes:
    """All that is written to a pipe until its writers close it."""
    parts: list[bytes] = []
    total = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(PIPE_SECONDS):
            part = pipe.read(2**16)
            if part == b"":
                return b"".join(parts)
            parts.append(part or b"")
            total += len(parts[-1])
            if total > _PIPE_BYTES:
                raise ImageError(f"{path}: a pipe that delivers more than {_PIPE_BYTES:,} bytes")
    raise ImageError(f"{path}: a pipe to which nothing was written for {PIPE_SECONDS:g} seconds")


def identify(file: IO[bytes], path: str | Path) -> Image.Image:
    """Return the image in an opened file, its pixels not decoded yet.

    Args:
        file: what to read; the image keeps it for decoding.
        path: what error messages call it.

    Raises:
        ImageError: no plug-in reads it; if one recognised it, the message says what was wrong.
    """
    prefix = file.read(_PREFIX)
    recognised = ""
    for name in formats.readable():
        factory, accepts = Image.OPEN[name]
        if not _may_be(prefix, accepts):
            continue
        try:
            file.seek(0)
            return factory(file, os.fspath(path))
        except Exception as error:
            # Plug-ins let through whatever a header makes them stumble over.
            if accepts is not None and not recognised:
                recognised = f"damaged or of a kind that Pillow does not read: {name} ({error})"
    if not recognised and prefix[4:12] in _HEIF_BRANDS:
        recognised = "a HEIC image; `pip install pillow-heif` to read it, or save it as JPEG"
    raise ImageError(f"{path}: {recognised or 'not an image in any format that Pillow reads'}")


def _may_be(prefix: bytes, accepts: Callable[[bytes], bool | str] | None) -> bool:
    """Whether a plug-in takes files that begin so; one that cannot tell may try."""
    try:
        taken = accepts is None or accepts(prefix)
    except Exception:
        return False
    # Text instead of a truth value says why this build of Pillow cannot read the format.
    return bool(taken) and not isinstance(taken, str)
