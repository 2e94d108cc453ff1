"""What the metrics read: pictures from folders, lists, streams and tensors, and their pairing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images import as_tensor, is_file, to_rgb
from facemask_inpaint.images.folders import key_of, list_images, listed

OnError = Literal["raise", "skip"]

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp"})


class Skipped(NamedTuple):
    """A picture that could not be used, and why."""

    name: str
    reason: str


OnSkip = Callable[[Skipped], None]


@dataclass(frozen=True)
class Picture:
    """One picture, not decoded yet.

    Attributes:
        name: the path, or ``"#3"`` for the fourth picture of a stream or tensor.
        key: what pairs it with its counterpart: the file's stem, ``None`` without a file.
        content: path, PIL picture, ``uint8`` array ``(H, W, 3)`` or tensor ``(3, H, W)``.
    """

    name: str
    key: str | None
    content: Any

    def pixels(self) -> Tensor:
        """``(3, H, W)`` uint8 RGB; channels last in memory unless it came as a tensor.

        Files are turned upright by their EXIF tag, which the published tools ignore; alpha is
        dropped, as they all do. Grey files of 16 bits and floats are scaled to 8 bits, see
        :func:`facemask_inpaint.images.to_rgb`.

        Raises:
            ImageError: the file is damaged or missing, or an array's samples are not of 8 bits.
        """
        content = self.content
        if isinstance(content, (str, os.PathLike, Image.Image)):
            content = np.asarray(to_rgb(content, name=self.name))
        if isinstance(content, np.ndarray) and content.dtype.kind in "buif":
            content = as_tensor(content)
            content = content.movedim(-1, 0) if content.ndim == 3 else content
        return _three_channels(content, self.name)

    def digest(self) -> str | None:
        """SHA-256 of the file's bytes; ``None`` when there is no file, or a pipe."""
        if not isinstance(self.content, (str, os.PathLike)) or not is_file(self.content):
            return None
        try:
            return sha256_of(os.fspath(self.content))
        except OSError as error:
            raise ImageError(f"{self.name}: cannot be opened ({error})") from error


def open_pictures(source: Any) -> list[Picture] | Iterator[Picture]:
    """The pictures of a source, in order; a list unless the source is a stream.

    Args:
        source: a folder (its pictures in the order of their names), a list of paths, PIL pictures,
            ``(H, W, 3)`` uint8 arrays or ``(3, H, W)`` uint8 tensors, a uint8 batch (tensor
            ``(N, 3, H, W)`` or array ``(N, H, W, 3)``), or an iterator of pictures.

    Raises:
        ImageError: the folder holds no pictures.
        OptionError: the source is something else.
    """
    if isinstance(source, (str, os.PathLike)):
        folder = Path(source)
        if folder.exists() and not folder.is_dir():
            raise ImageError(f"{folder} is a file: give a folder of pictures, or a list of files")
        if not folder.is_dir():
            raise ImageError(f"{folder}: there is no such folder of pictures")
        return [_as_picture(path, 0) for path in list_images(folder)]
    if isinstance(source, (np.ndarray, Tensor)) and source.ndim != 4:
        raise OptionError(
            f"an array or tensor of pictures has four axes, this one {tuple(source.shape)}"
        )
    if not isinstance(source, Iterable):
        raise OptionError(f"pictures cannot be read from a {type(source).__name__}")
    found = (_as_picture(item, index) for index, item in enumerate(source))
    if not isinstance(source, (Sequence, np.ndarray, Tensor)):
        return found
    if not len(source):
        raise OptionError("there are no pictures: the list is empty")
    return list(found)


def match(real: Sequence[str | None], fake: Sequence[str | None]) -> list[int]:
    """For every real key the position of its partner among the fake ones.

    Keys are file stems. When either side has none (tensors, streams), order decides.

    Raises:
        OptionError: keys without partner, a key twice on one side, or unequal counts.
    """
    if None in real or None in fake:
        if len(real) != len(fake):
            raise OptionError(f"{len(real)} real pictures cannot be paired with {len(fake)} fake")
        return list(range(len(real)))
    position = {key: index for index, key in enumerate(fake)}
    for side, keys in (("real", real), ("fake", fake)):
        if twice := sorted(str(key) for key, count in Counter(keys).items() if count > 1):
            raise OptionError(f"the {side} pictures have stems twice: {listed(twice)}")
    without = sorted(str(key) for key in real if key not in position)
    extra = sorted(str(key) for key in set(fake) - set(real))
    if without or extra:
        parts = [f"{len(without)} real without fake: {listed(without)}"] if without else []
        parts += [f"{len(extra)} fake without real: {listed(extra)}"] if extra else []
        raise OptionError("pictures are paired by file stem; " + "; ".join(parts))
    return [position[key] for key in real]


def _as_picture(item: Any, index: int) -> Picture:
    if isinstance(item, Picture):
        return item
    if isinstance(item, (str, os.PathLike)):
        path = Path(item)
        return Picture(str(path), key_of(path), path)
    return Picture(f"#{index}", None, item)


def _three_channels(pixels: Any, name: str) -> Tensor:
    if not isinstance(pixels, Tensor) or pixels.layout != torch.strided or pixels.is_meta:
        raise ImageError(f"{name} is a {_kind(pixels)}, not a picture")
    if pixels.dtype != torch.uint8:
        raise ImageError(
            f"{name}: {pixels.dtype} samples; pass uint8, since rounding is part of the metric"
        )
    planes = pixels if pixels.ndim == 3 else pixels[None]
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        raise ImageError(f"{name}: shape {tuple(pixels.shape)}; needed: one or three channels")
    return planes.expand(3, -1, -1)


def _kind(content: Any) -> str:
    kind = type(content).__name__
    return f"{kind} without pixels in memory" if isinstance(content, Tensor) else kind
