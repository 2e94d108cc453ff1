"""Where a published file can be had, and how it is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One place that serves one file.

    Attributes:
        kind: ``"hf"`` (a hub repository), ``"url"`` (a plain download) or ``"manual"`` (a page
            that only a browser can use: the user puts the file into place).
        location: hub repository id, URL, or the page to visit.
        filename: path in the hub repository, or the file's name.
        revision: pinned hub commit.
        sha256: expected hash, 64 hex digits; ``None`` where no hash is known.
        md5: weaker hash, used only where no SHA-256 is known.
        size: bytes, where known.
    """

    kind: Literal["hf", "url", "manual"]
    location: str
    filename: str
    revision: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
