"""Fingerprints of input files, so that stored results are never used for other inputs."""

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
    """The fingerprints of input files when something was made from them.

    Attributes:
        stamp: of their paths, sizes and times; see :func:`stamp_of`.
        content: of their names and bytes; see :func:`content_of`.
    """

    stamp: str
    content: str

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Identity:
        """Return the identity of files, which are read once.

        Raises:
            OSError: a file is missing, or cannot be read.
        """
        paths = list(paths)
        return cls(stamp_of(paths), content_of(paths))  # a change in between shows in the stamp

    def holds(self, paths: Iterable[Path]) -> bool:
        """Tell whether the files are still the same: untouched, or of the same names and bytes.

        The bytes are only read if paths, sizes or times have changed.
        """
        paths = list(paths)
        try:
            return self.stamp == stamp_of(paths) or self.content == content_of(paths)
        except OSError:
            return False


def stamp_of(paths: Iterable[Path], *, below: Path | None = None) -> str:
    """Return 32 hex digits that change with a file's path, size or times, to the nanosecond.

    Args:
        paths: of files; their order matters.
        below: folder that holds them all. Paths are then relative to it, and the time at which the
            directory entry changed is ignored, so that a folder copied with its times keeps its
            stamps.

    Raises:
        OSError: a file is missing.
    """
    total = hashlib.sha256()
    for path in paths:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            total.update(os.urandom(16))  # a pipe delivers something new each time
        name = os.path.realpath(path) if below is None else path.relative_to(below).as_posix()
        changed = status.st_ctime_ns if below is None else 0
        total.update(os.fsencode(name))
        total.update(f"\0{status.st_size} {status.st_mtime_ns} {changed}\n".encode())
    return total.hexdigest()[:_DIGITS]


def content_of(paths: Iterable[Path]) -> str:
    """Return 32 hex digits that change with a file's name or any of its bytes.

    Files that are not regular, such as pipes, are not read and never have the same digits twice.

    Raises:
        OSError: a file is missing, or cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
        digest = sha256_of(path) if is_regular else os.urandom(16).hex()
        total.update(os.fsencode(path.name) + f"\0{digest}\n".encode())
    return total.hexdigest()[:_DIGITS]
