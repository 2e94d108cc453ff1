"""One run at a time in a folder of results; the ranks of a run count as one."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from facemask_inpaint._internal.files import naming
from facemask_inpaint.errors import FacemaskInpaintError, FolderInUseError, OptionError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

try:
    import fcntl
except ImportError:  # Windows: the owner's process alone decides
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".fmi.lock"
"""File in a folder that somebody works in; it names the process that does."""

_ATTEMPTS = 10


@contextmanager
def locked(folder: str | Path, work: str, *, group: ProcessGroup | None = None) -> Iterator[None]:
    """Keep every other run out of a folder while the block runs.

    The operating system frees the lock of a process that ends, however it ends. Where processes
    form a group of ``torch.distributed``, all of them have to come here; they share the lock.

    Args:
        folder: made if need be.
        work: what is done there, for the message to those who come second.
        group: gloo group of the ranks; by default one of all of them.

    Raises:
        FolderInUseError: another run works in the folder.
        OptionError: this is a file, or below one.
        OSError: the folder cannot be written.
    """
    with ExitStack() as stack:
        failure: Exception | None = None
        dist = _distributed()
        if dist is None or dist.get_rank() == 0:
            try:
                stack.enter_context(_owned(Path(folder), work))
            except (FacemaskInpaintError, OSError) as error:
                failure = error
        told = _from_first_rank(str(failure) if failure else None, group)
        if failure is not None:
            raise failure
        if told is not None:
            raise FolderInUseError(told)
        yield


def _distributed() -> ModuleType | None:
    """``torch.distributed`` where this process belongs to a group; it is slow to import."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def _from_first_rank(message: str | None, group: ProcessGroup | None) -> str | None:
    """What the first rank says, on every rank."""
    dist = _distributed()
    if dist is None or dist.get_world_size() == 1:
        return message
    told = [message]
    dist.broadcast_object_list(told, src=0, group=group or dist.new_group(backend="gloo"))
    return told[0]


@contextmanager
def _owned(folder: Path, work: str) -> Iterator[None]:
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OptionError(f"{folder}: there is a file where a folder is needed") from None
    path = folder / LOCK_NAME
    handle = _take(path, folder)
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = {"pid": os.getpid(), "work": work, "since": since, **_machine()}
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        with naming(path):
            os.write(handle, json.dumps(owner).encode())
        yield
    finally:
        with suppress(OSError):  # a folder that is gone, or cannot be written any more
            if os.fstat(handle).st_ino == path.stat().st_ino:
                path.unlink()
        os.close(handle)
        if is_new:
            with suppress(OSError):  # results are in it
                folder.rmdir()


def _take(path: Path, folder: Path) -> int:
    """Handle of the lock file, which is this process's from now on."""
    for _ in range(_ATTEMPTS):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        is_free = _flock(handle)
        owner = _owner(handle)
        is_named = path.exists() and os.fstat(handle).st_ino == path.stat().st_ino
        if is_free and is_named:
            return handle
        os.close(handle)
        if is_free or not is_named:
            continue  # its owner finished, and removed it, a moment ago
        if not _is_dead(owner):
            raise FolderInUseError(f"{folder} is in use: {_in_words(owner)}")
        # Children that a killed owner has left hold its lock; they write nothing.
        path.unlink(missing_ok=True)
    raise FolderInUseError(f"{folder} is in use by several processes that come and go; try again")


def _flock(handle: int) -> bool:
    """Whether the file behind the handle is this process's alone."""
    try:
        if fcntl is None:
            raise OSError("no locks here")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: what the file says has to do
        owner = _owner(handle)
        return not owner or _is_dead(owner)
    return True


def _owner(handle: int) -> dict[str, Any]:
    """What the lock file says of its owner; nothing where it is being written or damaged."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = json.loads(os.read(handle, 4096))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _machine() -> dict[str, str]:
    """Where process numbers mean something: a machine, and on Linux a container of it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": socket.gethostname(), "space": space}


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether the owner was a process of this machine that runs no more."""
    here = all(owner.get(name) == value for name, value in _machine().items())
    if not here or not isinstance(owner.get("pid"), int) or os.name == "nt":
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _in_words(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process works in it; wait for it to end, or give another folder"
    at = "" if owner.get("host") == socket.gethostname() else f" on {owner.get('host')}"
    return (
        f"process {owner.get('pid')}{at} ({owner.get('work')}, since {owner.get('since')}) works "
        "in it; wait for it to end, or give another folder"
    )
