"""The network: HTTP downloads that resume after a break, its absence, and its progress bars."""

from __future__ import annotations

import errno
import http.client
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from facemask_inpaint._internal.files import naming
from facemask_inpaint._internal.progress import is_visible, progress_bar
from facemask_inpaint.errors import WeightsNotFoundError

ATTEMPTS = 5
BACKOFF_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0

_BLOCK = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_logger = logging.getLogger(__name__)


class _BrokenError(Exception):
    """The transfer broke off in a way that another attempt may mend."""


def download(url: str, part: Path, *, size: int | None = None, progress: bool = True) -> None:
    """Download ``url`` into ``part``, going on where an earlier attempt or process stopped.

    Beside ``part`` lies ``part``'s own validator file, so that bytes of two different versions
    are never joined. The caller moves the finished file into place.

    Args:
        url: ``http://`` or ``https://``.
        part: file of the unfinished download; kept when the download fails.
        size: expected number of bytes; a server that announces another is refused.
        progress: show a bar.

    Raises:
        NoNetworkError: no network leads to the server; nothing is tried again.
        WeightsNotFoundError: the server refuses, answers with a web page, or the transfer broke
            too many times.
    """
    if not url.startswith(("https://", "http://")):
        raise WeightsNotFoundError(f"not a web address: {url}")
    for attempt in range(ATTEMPTS):
        try:
            return _attempt(url, part, size, progress)
        except _BrokenError as error:
            reason = str(error)
            _logger.info("%s broke off (%s), attempt %d", url, reason, attempt + 1)
        time.sleep(BACKOFF_SECONDS * 2**attempt)
    raise WeightsNotFoundError(
        f"gave up after {ATTEMPTS} attempts ({reason}); what has arrived is kept for the next call"
    )


def _attempt(url: str, part: Path, size: int | None, progress: bool) -> None:
    try:
        with urllib.request.urlopen(_request(url, part), timeout=TIMEOUT_SECONDS) as response:
            _receive(response, part, size, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what lies here does not fit what lies there
            forget(part)
            raise _BrokenError("the partial file did not fit and was dropped") from error
        if error.code in _TRANSIENT:
            raise _BrokenError(f"HTTP {error.code}") from error
        raise WeightsNotFoundError(f"HTTP {error.code} {error.reason}") from error
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as error:
        if reason := why_unreachable(error):
            raise NoNetworkError(f"{urlsplit(url).hostname}: {reason}") from error
        raise _BrokenError(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _request(url: str, part: Path) -> urllib.request.Request:
    request = urllib.request.Request(
        url, headers={"User-Agent": "facemask-inpaint", "Accept-Encoding": "identity"}
    )
    validator = _validator_file(part)
    if part.exists() and part.stat().st_size and validator.exists():
        request.add_header("Range", f"bytes={part.stat().st_size}-")
        request.add_header("If-Range", validator.read_text())
    return request


def _receive(response: http.client.HTTPResponse, part: Path, size: int | None, bar: bool) -> None:
    if response.headers.get_content_type() == "text/html":
        raise WeightsNotFoundError("the server answered with a web page instead of the file")
    resumed = response.status == 206
    start = part.stat().st_size if resumed else 0
    if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        forget(part)
        raise _BrokenError("the server went on at another place")
    length = response.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else size
    if size is not None and total != size:
        raise WeightsNotFoundError(f"the server offers {total} bytes, expected {size}")
    if not resumed:
        _remember(response, part)
    with (
        naming(part),
        open(part, "ab" if resumed else "wb") as file,
        progress_bar(
            None, part.stem, total=total, initial=start, unit="B", unit_scale=True, shown=bar
        ) as meter,
    ):
        received = start
        while block := response.read(_BLOCK):
            received += len(block)
            if total is not None and received > total:
                raise WeightsNotFoundError(f"the server sent more than the {total} bytes expected")
            file.write(block)
            meter.update(len(block))
    if total is not None and received < total:
        raise _BrokenError(f"{received} of {total} bytes arrived")


def _remember(response: http.client.HTTPResponse, part: Path) -> None:
    """Keep what identifies this version of the file; without it there is no resuming."""
    tag = response.headers.get("ETag") or ""
    strong = tag if not tag.startswith("W/") else ""
    mark = strong or response.headers.get("Last-Modified") or ""
    if mark:
        _validator_file(part).write_text(mark)
    else:
        _validator_file(part).unlink(missing_ok=True)


def forget(part: Path) -> None:
    """Remove what is left of an unfinished download, so that the next one starts anew."""
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


class NoNetworkError(WeightsNotFoundError):
    """A host has no address here, or nothing leads to it."""


def why_unreachable(error: BaseException) -> str | None:
    """Return why no network leads to a host; ``None`` where a failure is of another kind.

    Clients wrap what the system said, each in its own way, so everything behind ``error`` is
    looked at.
    """
    pending, seen = [error], set()
    while pending:
        cause = pending.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        if isinstance(cause, socket.gaierror) or (
            isinstance(cause, OSError) and cause.errno in _NO_WAY
        ):
            return cause.strerror or str(cause)
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        pending += [part for part in inner if isinstance(part, BaseException)]
    return None


@contextmanager
def hub_bars(progress: bool) -> Iterator[None]:
    """Switch the bars off when no progress is wanted, and back to what they were afterwards."""
    change = not (progress and is_visible()) and not are_progress_bars_disabled()
    if change:
        disable_progress_bars()
    try:
        yield
    finally:
        if change:
            enable_progress_bars()
