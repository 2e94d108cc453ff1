"""Is this file the one that was published?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import IntegrityError


def verify(path: Path, source: Source) -> None:
    """Compare a file with the hash its source pins; with its size where no hash is known.

    Raises:
        IntegrityError: they differ; the message holds what was expected and what is there.
    """
    if source.sha256 is not None:
        found = sha256_of(path)
        if not found.startswith(source.sha256.lower()):
            raise _mismatch(path, "SHA-256", source.sha256, found)
    elif source.md5 is not None:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != source.md5.lower():
            raise _mismatch(path, "MD5", source.md5, found)
    elif source.size is not None and path.stat().st_size != source.size:
        raise _mismatch(path, "size", str(source.size), str(path.stat().st_size))


def _mismatch(path: Path, kind: str, expected: str, found: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not the published file: {kind} expected {expected}, found {found}"
    )
