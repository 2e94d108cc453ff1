"""Where a published file can be had, and how it is recognised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.errors import IntegrityError

Container = Literal[
    "safetensors", "torch", "lightning", "torchscript", "stylegan2-ada", "stylegan-tf"
]
"""Kinds of checkpoint files, by what wrote them: safetensors, ``torch.save`` (zip and older),
PyTorch Lightning, ``torch.jit.save``, StyleGAN2-ADA (a pickle), and StyleGAN of the TensorFlow
era (another pickle)."""


@dataclass(frozen=True)
class Source:
    """One place that serves one file.

    Attributes:
        kind: ``"hf"`` (a hub repository), ``"url"`` (a plain download), ``"package"`` (ships with
            this library) or ``"manual"`` (a page that only a browser can use: the user puts the
            file into place).
        location: hub repository id, URL, folder in this package, or the page to visit.
        filename: path in the hub repository, or the file's name.
        revision: pinned hub commit.
        sha256: expected hash, 64 hex digits, or at least its first 8 where only those are
            published; ``None`` where no hash is known.
        md5: weaker hash, used only where no SHA-256 is known.
        size: bytes, where known.

    Example:
        >>> print(Source("hf", "someone/faces", "model.safetensors", revision="main"))
        hub repository someone/faces@main, file model.safetensors
    """

    kind: Literal["hf", "url", "package", "manual"]
    location: str
    filename: str
    revision: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def basename(self) -> str:
        """The file's name without folders; never one that leads elsewhere."""
        return PurePosixPath(self.filename.replace("\\", "/")).name

    def __str__(self) -> str:
        if self.kind == "hf":
            revision = f"@{self.revision}" if self.revision else ""
            return f"hub repository {self.location}{revision}, file {self.filename}"
        if self.kind == "url":
            return self.location
        if self.kind == "package":
            return f"{self.filename} of this library"
        return f"{self.filename} from {self.location} (browser)"


def verify(path: Path, source: Source) -> None:
    """Compare a file with the hash its source pins; with its size where no hash is known.

    Raises:
        IntegrityError: they differ; the message holds what was expected and what is there.
    """
    if source.sha256 is not None:
        actual = sha256_of(path)
        if not actual.startswith(source.sha256.lower()):
            raise _mismatch(path, "SHA-256", source.sha256, actual)
    elif source.md5 is not None:
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, "md5").hexdigest()
        if actual != source.md5.lower():
            raise _mismatch(path, "MD5", source.md5, actual)
    elif source.size is not None and path.stat().st_size != source.size:
        raise _mismatch(path, "size", str(source.size), str(path.stat().st_size))


def _mismatch(path: Path, quantity: str, expected: str, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not the published file: {quantity} expected {expected}, found {actual}"
    )
