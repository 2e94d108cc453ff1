"""Fetching a published file from the first of its sources that has it."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.utils import WeakFileLock

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.checkpoints._transfer import (
    NoNetworkError,
    download,
    forget,
    hub_bars,
    why_unreachable,
)
from facemask_inpaint.checkpoints.sources import Source, verify
from facemask_inpaint.errors import (
    CheckpointError,
    IntegrityError,
    OptionError,
    UnsafeCheckpointError,
    WeightsNotFoundError,
)

CACHE_VARIABLE = "FACEMASK_INPAINT_CACHE"
"""Environment variable with the folder for downloads."""

WEIGHTS_VARIABLE = "FACEMASK_INPAINT_WEIGHTS"
"""Environment variable with the folder where a user puts files that only a browser can get."""

PACKAGE = Path(__file__).parents[1]
"""Folder of this library."""

Content = TypeVar("Content")

_logger = logging.getLogger(__name__)


def fetch(
    sources: Sequence[Source],
    *,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    progress: bool = True,
    architecture: str = "ARCH",
) -> Path:
    """Return the path of a verified copy of a published file, fetched if need be.

    What already lies on this machine is preferred, in the order of the sources; then the sources
    are tried in order. The pinned hash is checked on every call, of cached files too. A file
    whose source pins no hash is accepted, and the SHA-256 it has is logged.

    Files of hub sources live in the hub's own cache (``HF_HOME``), unless ``cache_dir`` is given;
    other downloads in ``cache_dir``, ``$FACEMASK_INPAINT_CACHE`` or
    ``~/.cache/facemask_inpaint``. A download with a wrong hash is set aside as ``<name>.bad``; a
    wrong file in the hub's cache or in the user's own folder is reported and left alone.

    Args:
        sources: where the file can be had, best first.
        cache_dir: folder for everything that is downloaded.
        local_files_only: use only what lies on this machine; ``HF_HUB_OFFLINE=1`` does the same.
        progress: show a bar.
        architecture: name for the ``convert`` command in the message about manual downloads.

    Raises:
        IntegrityError: no source has the file, and at least one has another under its name.
        WeightsNotFoundError: no source has the file; the message says why for each, and what to
            do about files that only a browser can get.

    Example:
        >>> fetch([Source("hf", "someone/face", "G.safetensors", sha256="…")])  # doctest: +SKIP
    """
    return fetch_readable(
        sources,
        lambda source, path: path,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        progress=progress,
        architecture=architecture,
    )


def fetch_readable(
    sources: Sequence[Source],
    open_copy: Callable[[Source, Path], Content],
    *,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    progress: bool = True,
    architecture: str = "ARCH",
) -> Content:
    """Return the content of the first copy of a published file that can be had *and* read.

    Like :func:`fetch`, but a copy that ``open_copy`` refuses leads to the next one. The sources
    may serve different forms of the same weights. No file is fetched twice, nor one whose pinned
    SHA-256 is that of a copy which could not be read.

    Args:
        sources: where copies can be had, best first.
        open_copy: reads the copy of a source from a verified path; refuses it by raising
            :class:`CheckpointError` or :class:`OptionError`.
        cache_dir: see :func:`fetch`, as for the other arguments.
        local_files_only: use only what lies on this machine.
        progress: show a bar.
        architecture: name for the ``convert`` command in the message about manual downloads.

    Returns:
        What ``open_copy`` returned.

    Raises:
        IntegrityError: no copy can be used, and at least one file has the wrong hash.
        UnsafeCheckpointError: no copy can be used, and one asks for something that is refused.
        CheckpointError: no copy can be used, and one could not be read.
        WeightsNotFoundError: no copy can be had. Every message says why for each source.

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> sources = models.card("lite").files[0].sources
        >>> content = fetch_readable(sources, lambda source, path: checkpoints.read(path))
        >>> content.container
        'safetensors'
    """
    if not sources:
        raise WeightsNotFoundError("no source publishes this file")
    search = _Search(_Cache(cache_dir), open_copy)
    for source in sources:
        if search.succeeds(search.cache.find, source):
            return search.content
    if not (local_files_only or constants.HF_HUB_OFFLINE):
        with hub_bars(progress):
            for source in sources:
                if search.succeeds(lambda missing: search.cache.get(missing, progress), source):
                    return search.content
    raise _nothing_found(sources, search.failures, search.cache, architecture)


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Return the folder for downloads: the argument, ``$FACEMASK_INPAINT_CACHE`` or the default.

    Example:
        >>> cache_folder("downloads").name
        'downloads'
    """
    if chosen := cache_dir or os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "facemask_inpaint"


class _Cache:
    """Finds and fetches files; every path it returns is verified."""

    def __init__(self, cache_dir: str | Path | None) -> None:
        self.folder = cache_folder(cache_dir)
        self._hub_folder = self.folder / "hub" if cache_dir else None

    @property
    def manual_folders(self) -> list[Path]:
        """Where files that a user fetched by hand are looked for."""
        own = os.environ.get(WEIGHTS_VARIABLE)
        return [*([Path(own).expanduser()] if own else []), self.folder / "manual"]

    def find(self, source: Source) -> Path | None:
        """Return the file if it lies on this machine.

        Raises:
            IntegrityError: a file lies there, but another one.
        """
        path = self._local(source)
        if path is None:
            return None
        verify(path, source)
        _report_unpinned(path, source, logging.INFO)
        return path

    def get(self, source: Source, progress: bool) -> Path | None:
        """Return the file from the network; ``None`` for sources that are not there.

        Raises:
            IntegrityError: what arrived is another file.
            WeightsNotFoundError: the source does not answer with a file.
        """
        if source.kind in ("manual", "package"):
            return None
        path = self._from_hub(source) if source.kind == "hf" else self._from_url(source, progress)
        _report_unpinned(path, source, logging.WARNING)
        return path

    def _local(self, source: Source) -> Path | None:
        if source.kind == "hf":
            cached = try_to_load_from_cache(
                source.location, source.filename, self._hub_folder, source.revision
            )
            return Path(cached) if isinstance(cached, str) else None
        if source.kind == "url":
            candidates = [self._target(source)]
        elif source.kind == "package":
            candidates = [PACKAGE / source.location / source.filename]
        else:
            candidates = [folder / source.filename for folder in self.manual_folders]
        return next((path for path in candidates if path.is_file()), None)

    def _target(self, source: Source) -> Path:
        """Where a plain download lives; the address is in the path, so names cannot clash."""
        key = hashlib.sha256(source.location.encode()).hexdigest()[:16]
        return self.folder / "downloads" / key / source.basename

    def _from_hub(self, source: Source) -> Path:
        try:
            # One question without retries first: without a network the download alone would
            # retry for half a minute.
            get_hf_file_metadata(
                hf_hub_url(source.location, source.filename, revision=source.revision)
            )
            path = hf_hub_download(
                source.location,
                source.filename,
                revision=source.revision,
                cache_dir=self._hub_folder,
            )
        except Exception as error:  # the hub client's error classes differ between its versions
            if why := why_unreachable(error):
                raise NoNetworkError(f"{urlsplit(constants.ENDPOINT).hostname}: {why}") from error
            reason = str(error).strip().splitlines() or [""]
            raise WeightsNotFoundError(f"{type(error).__name__}: {reason[0][:300]}") from error
        verify(Path(path), source)
        return Path(path)

    def _from_url(self, source: Source, progress: bool) -> Path:
        target = self._target(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(target.with_name(f"{target.name}.lock")):
            if target.is_file():
                if _fits(target, source):  # another process was faster
                    return target
                os.replace(target, _bad_name(target))
            part = target.with_name(f"{target.name}.part")
            download(source.location, part, size=source.size, progress=progress)
            try:
                verify(part, source)
            except IntegrityError as error:
                os.replace(part, _bad_name(target))
                raise IntegrityError(f"{error}; kept as {_bad_name(target).name}") from None
            else:
                os.replace(part, target)
            finally:
                forget(part)
        return target


class _Search(Generic[Content]):
    """Searches for a copy that can be read, and remembers why others could not be used.

    Attributes:
        failures: why a source does not serve.
        content: of the copy that was read, once there is one.
    """

    content: Content

    def __init__(self, cache: _Cache, open_copy: Callable[[Source, Path], Content]) -> None:
        self.cache, self._open_copy = cache, open_copy
        self.failures: dict[Source, Exception] = {}
        self._unreadable: list[Source] = []

    def succeeds(self, attempt: Callable[[Source], Path | None], source: Source) -> bool:
        """Whether the file that ``attempt`` finds for a source can be read."""
        if self._is_known_to_fail(source):
            return False
        try:
            path = attempt(source)
        except (IntegrityError, WeightsNotFoundError, OSError) as error:
            self.failures[source] = error
            return False
        return path is not None and self._opens(source, path)

    def _opens(self, source: Source, path: Path) -> bool:
        try:
            self.content = self._open_copy(source, path)
        except (CheckpointError, OptionError) as error:
            self.failures[source] = error
            self._unreadable.append(source)
            _logger.warning("%s cannot be used (%s); looking for another copy", source, error)
            return False
        return True

    def _is_known_to_fail(self, source: Source) -> bool:
        if source in self._unreadable:
            return True
        twins = [bad for bad in self._unreadable if bad.sha256 and bad.sha256 == source.sha256]
        if twins:
            self.failures[source] = CheckpointError(f"the same bytes as {twins[0]}, see there")
            return True
        return False


def _fits(path: Path, source: Source) -> bool:
    try:
        verify(path, source)
    except IntegrityError:
        return False
    return True


def _bad_name(target: Path) -> Path:
    return target.with_name(f"{target.name}.bad")


def _report_unpinned(path: Path, source: Source, level: int) -> None:
    if source.sha256 is None and _logger.isEnabledFor(level):
        _logger.log(level, "no SHA-256 is pinned for %s; it has %s", source, sha256_of(path))


def _nothing_found(
    sources: Sequence[Source], failures: dict[Source, Exception], cache: _Cache, architecture: str
) -> CheckpointError | WeightsNotFoundError:
    if failures and all(isinstance(failure, NoNetworkError) for failure in failures.values()):
        return _offline(sources, next(iter(failures.values())), cache, architecture)
    unread = [fail for fail in failures.values() if isinstance(fail, CheckpointError | OptionError)]
    what = "no copy can be used of" if unread else "no source has"
    lines = [f"{what} {sources[0].basename}:"]
    for source in sources:
        absent = "not put into place" if source.kind == "manual" else "not on this machine"
        lines.append(f"- {source}: {failures.get(source, absent)}")
    lines += [
        _instructions(source, cache, architecture) for source in sources if source.kind == "manual"
    ]
    if all(source.kind != "manual" for source in sources) and not failures:
        lines.append("Downloads are off (local_files_only or HF_HUB_OFFLINE); allow them once.")
    message = "\n".join(lines)
    for error_class in (IntegrityError, UnsafeCheckpointError):
        if any(isinstance(failure, error_class) for failure in unread):
            return error_class(message)
    return CheckpointError(message) if unread else WeightsNotFoundError(message)


def _offline(
    sources: Sequence[Source], failure: Exception, cache: _Cache, architecture: str
) -> WeightsNotFoundError:
    """One sentence for all sources: where one cannot be reached, nor can the others."""
    by_hand = [
        _instructions(source, cache, architecture) for source in sources if source.kind == "manual"
    ]
    sentence = (
        f"{sources[0].basename} is not on this machine and cannot be fetched without a network "
        f"({failure}): connect once and run this again"
    )
    return WeightsNotFoundError("\n".join([sentence, *by_hand]))


def _instructions(source: Source, cache: _Cache, architecture: str) -> str:
    size = f" ({source.size:,} bytes)" if source.size else ""
    return (
        f"To get it by hand: visit {source.location} in a browser, download "
        f"{source.basename}{size}, and save it as {cache.manual_folders[0] / source.filename} "
        f"(the environment variable {WEIGHTS_VARIABLE} names another folder for such files). Or "
        "turn it into a folder that loads by its path: facemask-inpaint convert "
        f"{architecture} {source.basename} --out FOLDER"
    )
