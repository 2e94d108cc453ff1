"""Fetching a published file from the first of its sources that has it."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.utils import WeakFileLock

from facemask_inpaint.checkpoints.bars import hub_bars
from facemask_inpaint.checkpoints.integrity import verify
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.checkpoints.transfer import download, forget
from facemask_inpaint.errors import IntegrityError, WeightsNotFoundError
from facemask_inpaint.files import sha256_of

CACHE_VARIABLE = "FACEMASK_INPAINT_CACHE"
"""Environment variable with the folder for downloads."""

WEIGHTS_VARIABLE = "FACEMASK_INPAINT_WEIGHTS"
"""Environment variable with the folder where a user puts files that only a browser can get."""

PACKAGE = Path(__file__).parents[1]
"""Folder of this library."""

_logger = logging.getLogger(__name__)


def fetch(
    sources: Sequence[Source],
    *,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    progress: bool = True,
    architecture: str = "ARCH",
) -> Path:
    """Path of a verified copy of a published file, fetched if need be.

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
    if not sources:
        raise WeightsNotFoundError("no source publishes this file")
    cache = _Cache(cache_dir)
    failures: dict[Source, Exception] = {}
    for source in sources:
        if found := _try(cache.find, source, failures):
            return found
    if not (local_files_only or constants.HF_HUB_OFFLINE):
        with hub_bars(progress):
            for source in sources:
                if found := _try(lambda one: cache.get(one, progress), source, failures):
                    return found
    raise _nothing_found(sources, failures, cache, architecture)


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Folder for downloads: the argument, ``$FACEMASK_INPAINT_CACHE``, or the user's cache."""
    if chosen := cache_dir or os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "facemask_inpaint"


class _Cache:
    """Finds and fetches files; every path it answers with is verified."""

    def __init__(self, cache_dir: str | Path | None) -> None:
        self.folder = cache_folder(cache_dir)
        self._hub_folder = self.folder / "hub" if cache_dir else None

    @property
    def manual_folders(self) -> list[Path]:
        """Where files that a user fetched by hand are looked for."""
        own = os.environ.get(WEIGHTS_VARIABLE)
        return [*([Path(own).expanduser()] if own else []), self.folder / "manual"]

    def find(self, source: Source) -> Path | None:
        """The file if it lies on this machine.

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
        """The file from the network; ``None`` for sources that are not there.

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
            found = try_to_load_from_cache(
                source.location, source.filename, self._hub_folder, source.revision
            )
            return Path(found) if isinstance(found, str) else None
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


def _try(
    attempt: Callable[[Source], Path | None], source: Source, failures: dict[Source, Exception]
) -> Path | None:
    """Result of one attempt; a failure is noted and answered with ``None``."""
    try:
        return attempt(source)
    except (IntegrityError, WeightsNotFoundError, OSError) as error:
        failures[source] = error
        return None


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
) -> IntegrityError | WeightsNotFoundError:
    lines = [f"no source has {sources[0].basename}:"]
    for source in sources:
        absent = "not put into place" if source.kind == "manual" else "not on this machine"
        lines.append(f"- {source}: {failures.get(source, absent)}")
    lines += [_instructions(one, cache, architecture) for one in sources if one.kind == "manual"]
    if all(one.kind != "manual" for one in sources) and not failures:
        lines.append("Downloads are off (local_files_only or HF_HUB_OFFLINE); allow them once.")
    message = "\n".join(lines)
    if any(isinstance(failure, IntegrityError) for failure in failures.values()):
        return IntegrityError(message)
    return WeightsNotFoundError(message)


def _instructions(source: Source, cache: _Cache, architecture: str) -> str:
    size = f" ({source.size:,} bytes)" if source.size else ""
    return (
        f"To get it by hand: visit {source.location} in a browser, download "
        f"{source.basename}{size}, and save it as {cache.manual_folders[0] / source.filename} "
        f"(the environment variable {WEIGHTS_VARIABLE} names another folder for such files). Or "
        "turn it into a folder that loads by its path: facemask-inpaint convert "
        f"{architecture} {source.basename} --out FOLDER"
    )
