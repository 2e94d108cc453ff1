"""What the input files of a stored result were, so that none is served for other ones."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facemask_inpaint._internal.files import sha256_of

_DIGITS = 32


@dataclass(frozen=True)
class Identity:
    """Some input files as they were when something was made from them.

    Attributes:
        stamp: of their places, sizes and times; see :func:`stamp_of`.
        content: of their names and bytes; see :func:`content_of`.
    """

    stamp: str
    content: str

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Identity:
        """Read the files once.

        Raises:
            OSError: one is missing, or cannot be read.
        """
        paths = list(paths)
        return cls(stamp_of(paths), content_of(paths))  # a change in between shows in the stamp

    def holds(self, paths: Iterable[Path]) -> bool:
        """Whether the files are the same still: untouched, or with the same names and bytes.

        Bytes are read only where something else tells that a file may have changed.
        """
        paths = list(paths)
        try:
            return self.stamp == stamp_of(paths) or self.content == content_of(paths)
        except OSError:
            return False


def stamp_of(paths: Iterable[Path], *, below: Path | None = None) -> str:
    """Return 32 hex digits that change with a file's place, size or times, to the nanosecond.

    Args:
        paths: of files; their order counts.
        below: folder that holds them all. Places then count from there, and the time at which the
            disk's entry changed does not, so that a folder which is copied with its times keeps
            its stamps.

    Raises:
        OSError: a file is missing.
    """
    total = hashlib.sha256()
    for path in paths:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            total.update(os.urandom(16))  # a pipe delivers something new each time
        place = os.path.realpath(path) if below is None else path.relative_to(below).as_posix()
        changed = status.st_ctime_ns if below is None else 0
        total.update(os.fsencode(place))
        total.update(f"\0{status.st_size} {status.st_mtime_ns} {changed}\n".encode())
    return total.hexdigest()[:_DIGITS]


def content_of(paths: Iterable[Path]) -> str:
    """Return 32 hex digits that change with a file's name or any of its bytes.

    What is no ordinary file, such as a pipe, is not read, and never the same again.

    Raises:
        OSError: a file is missing, or cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        is_ordinary = stat.S_ISREG(os.stat(path).st_mode)
        digest = sha256_of(path) if is_ordinary else os.urandom(16).hex()
        total.update(os.fsencode(path.name) + f"\0{digest}\n".encode())
    return total.hexdigest()[:_DIGITS]
