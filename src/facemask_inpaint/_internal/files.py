"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed: as good as a lock
    fcntl = None  # type: ignore[assignment]

_MARK = ".fmi.part"
"""Part of the name of every temporary file; the target's suffix follows it."""

_MAX_NAME_BYTES = 255
_MAX_WRITERS = 8
"""Up to so many simultaneous writers of a target get temporary names that later ones reuse."""

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Error numbers that say that a disk, or a quota on it, is full."""

_BLOCK = 1 << 16

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@contextmanager
def atomic_path(target: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that replaces it when the block succeeds.

    An exception, or a kill at any moment, leaves the old ``target`` (or none) behind. A temporary
    file that a killed process leaves is overwritten by the next write of the same target, and
    removed by :func:`remove_abandoned`. The temporary name ends in the target's own suffix, for
    writers that derive the format from it.

    Args:
        target: file to write; its folder is created if need be.
        durable: wait until file and folder are on the disk, so that a power cut afterwards
            leaves the new file, and one before leaves the old.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target):
        temporary, file = _open_temporary(target)
    try:
        try:
            yield temporary
            if durable:
                os.fsync(file.fileno())
        finally:
            if fcntl is None:
                file.close()  # no open file can be renamed or removed there
        os.replace(temporary, target)
        if durable:
            _sync_folder(target.parent)
    except BaseException as error:
        full = _disk_error(file, target)
        temporary.unlink(missing_ok=True)
        if full is not None and getattr(error, "errno", None) is None:
            raise full from error  # other libraries' writers have errors of their own
        with naming(target):
            raise
    finally:
        file.close()  # releases the lock, last: until here nobody else may take the name


@contextmanager
def naming(target: Path) -> Iterator[None]:
    """Let an error say which file was being written: of a full disk, or of its temporary file.

    Args:
        target: written to in the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL and error.filename is None:
            error.filename = str(target)
        if _MARK in str(error.filename):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def remove_abandoned(folder: str | Path) -> None:
    """Remove the temporary files of processes that have ended, in a folder and below."""
    for path in Path(folder).rglob(f".*{_MARK}*"):
        with suppress(OSError):  # without locks nobody knows whether its writer has ended
            file = _claim(path, create=False)
            if file is not None:
                with file:
                    path.unlink(missing_ok=True)


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 lower-case hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk_error(file: IO[bytes], target: Path) -> OSError | None:
    """The error of writing one more block, if the disk is full; the block goes with the file."""
    try:
        if not file.closed:
            file.seek(0, os.SEEK_END)
            file.write(bytes(_BLOCK))
            file.flush()
    except OSError as error:
        if error.errno in DISK_FULL:
            return OSError(error.errno, error.strerror, str(target))
    return None


def _open_temporary(target: Path) -> tuple[Path, IO[bytes]]:
    """A temporary file for this writer alone, locked for as long as the writer runs."""
    stem, suffix = target.stem, target.suffix
    if len(os.fsencode(f".{stem}.00{_MARK}{suffix}")) > _MAX_NAME_BYTES:
        stem = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
        suffix = suffix if len(os.fsencode(suffix)) < _MAX_NAME_BYTES // 2 else ""
    for number in range(_MAX_WRITERS):
        path = target.with_name(f".{stem}{f'.{number}' if number else ''}{_MARK}{suffix}")
        try:
            file = _claim(path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            break
        if file is not None:
            file.truncate(0)
            return path, file
    path = target.with_name(f".{stem[:60]}.{uuid.uuid4().hex[:12]}{_MARK}{suffix}")
    file = os.fdopen(os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666), "r+b")
    with suppress(OSError):
        _lock(file.fileno(), path)
    return path, file


def _claim(path: Path, *, create: bool = True) -> IO[bytes] | None:
    """A temporary file, opened, that no running writer has; ``None`` if one has."""
    try:
        if fcntl is None:
            path.unlink(missing_ok=True)
        handle = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o666)
    except OSError:
        if create and not os.path.lexists(path):
            raise
        return None
    try:
        ours = _lock(handle, path)
    except BaseException:
        os.close(handle)
        raise
    if ours:
        return os.fdopen(handle, "r+b")
    os.close(handle)
    return None


def _lock(handle: int, path: Path) -> bool:
    """Lock the file behind a handle; whether it is ours alone, and still the one of its name.

    Raises:
        OSError: the file system has no locks.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        named = os.stat(path, follow_symlinks=False)
    except (BlockingIOError, FileNotFoundError):  # being written, or finished a moment ago
        return False
    ours = os.fstat(handle)
    return (ours.st_ino, ours.st_dev, ours.st_uid) == (named.st_ino, named.st_dev, os.geteuid())


def _sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, where the system can say so."""
    if fcntl is None:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
