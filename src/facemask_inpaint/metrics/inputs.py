"""What metrics read: images from folders, lists, streams and tensors, and their pairing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint._internal.types import ImageLike, ImageSource, MaskLike
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images import as_tensor, is_file, to_rgb
from facemask_inpaint.images.folders import key_of, list_images, listed

OpenableImages: TypeAlias = "ImageSource | Sequence[SourceImage]"
"""What :func:`open_images` opens: a source of images, or images that it has opened before."""

MaskSource: TypeAlias = MaskLike | Iterable[MaskLike]
"""Masks, 1/True/255 = hole: a folder or a list of masks, a batch ``(N, H, W)``, or one mask
``(H, W)`` for all images."""

Source = TypeVar("Source")

OnError = Literal["raise", "skip"]
"""What happens to an image that cannot be read: an error is raised, or the image is left out."""

_STATISTICS = "feature statistics are read by metrics.fid alone, in Python"

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp"})


class Skipped(NamedTuple):
    """An image that was left out.

    Attributes:
        name: of the image.
        reason: why it could not be used.
    """

    name: str
    reason: str


OnSkip = Callable[[Skipped], None]
"""Called with every image that is left out, as soon as it is."""


@dataclass(frozen=True)
class SourceImage:
    """One image of a source, not decoded yet.

    Attributes:
        name: the path, or ``"#3"`` for the fourth image of a stream or tensor.
        key: what pairs it with its counterpart: the file's stem, ``None`` without a file.
        content: path, PIL image, ``uint8`` array ``(H, W, 3)`` or tensor ``(3, H, W)``.
    """

    name: str
    key: str | None
    content: ImageLike

    def pixels(self) -> Tensor:
        """Decode the image: ``(3, H, W)`` uint8 RGB, channels last in memory unless a tensor.

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
        """Return the SHA-256 of the file's bytes, ``None`` without a file.

        Raises:
            ImageError: the file cannot be opened.
        """
        if not isinstance(self.content, (str, os.PathLike)) or not is_file(self.content):
            return None
        try:
            return sha256_of(os.fspath(self.content))
        except OSError as error:
            raise ImageError(f"{self.name}: cannot be opened ({error})") from error


def open_images(source: OpenableImages) -> list[SourceImage] | Iterator[SourceImage]:
    """List the images of a source, in order and not decoded; a stream stays a stream.

    Args:
        source: a folder (its images in the order of their names), a list of paths, PIL images,
            ``(H, W, 3)`` uint8 arrays or ``(3, H, W)`` uint8 tensors, a uint8 batch (tensor
            ``(N, 3, H, W)`` or array ``(N, H, W, 3)``), or an iterator of images.

    Raises:
        ImageError: the folder holds no images.
        OptionError: the source is something else.
    """
    if isinstance(source, (str, os.PathLike)):
        folder = Path(source)
        if folder.exists() and not folder.is_dir():
            hint = f"; {_STATISTICS}" if folder.suffix.lower() == ".npz" else ""
            raise ImageError(
                f"{folder} is a file: give a folder of images, or a list of files{hint}"
            )
        if not folder.is_dir():
            raise ImageError(f"{folder}: there is no such folder of images")
        return [_as_image(path, 0) for path in list_images(folder)]
    if isinstance(source, (np.ndarray, Tensor)) and source.ndim != 4:
        raise OptionError(
            f"an array or tensor of images has four axes, this one {tuple(source.shape)}"
        )
    if not isinstance(source, Iterable):
        kind = type(source).__name__
        hint = f": {_STATISTICS}" if kind == "FeatureStatistics" else ""
        raise OptionError(f"images cannot be read from a {kind}{hint}")
    images = (_as_image(item, index) for index, item in enumerate(source))
    if not isinstance(source, (Sequence, np.ndarray, Tensor)):
        return images
    if not len(source):
        raise OptionError("there are no images: the list is empty")
    return list(images)


def rereadable(source: Source) -> Source | list[SourceImage]:
    """Return the source itself, or a list of the images of a stream, which is read only once."""
    return list(open_images(source)) if isinstance(source, Iterator) else source


def match(real: Sequence[str | None], fake: Sequence[str | None]) -> list[int]:
    """Find, for every real key, the position of its partner among the fake ones.

    Keys are file stems. When either side has none (tensors, streams), order decides.

    Args:
        real: keys of the real images.
        fake: keys of the fake images.

    Raises:
        OptionError: keys without partner, a key twice on one side, or unequal counts.
    """
    if None in real or None in fake:
        if len(real) != len(fake):
            raise OptionError(f"{len(real)} real images cannot be paired with {len(fake)} fake")
        return list(range(len(real)))
    position = {key: index for index, key in enumerate(fake)}
    for side, keys in (("real", real), ("fake", fake)):
        require_different(f"{side} images", keys)
    without = sorted(str(key) for key in real if key not in position)
    extra = sorted(str(key) for key in set(fake) - set(real))
    if without or extra:
        parts = [f"{len(without)} real without fake: {listed(without)}"] if without else []
        parts += [f"{len(extra)} fake without real: {listed(extra)}"] if extra else []
        raise OptionError("images are paired by file stem; " + "; ".join(parts))
    return [position[key] for key in real]


def require_different(what: str, keys: Sequence[str | None]) -> None:
    """Refuse files of which two have one stem.

    Args:
        what: the files are, such as ``"masks"``.
        keys: their stems.

    Raises:
        OptionError: a stem occurs twice; the message names it.
    """
    if twice := sorted(str(key) for key, count in Counter(keys).items() if count > 1):
        raise OptionError(f"the {what} have stems twice: {listed(twice)}")


def _as_image(item: ImageLike | SourceImage, index: int) -> SourceImage:
    if isinstance(item, SourceImage):
        return item
    if isinstance(item, (str, os.PathLike)):
        path = Path(item)
        return SourceImage(str(path), key_of(path), path)
    return SourceImage(f"#{index}", None, item)


def _three_channels(pixels: Any, name: str) -> Tensor:
    if not isinstance(pixels, Tensor) or pixels.layout != torch.strided or pixels.is_meta:
        raise ImageError(f"{name} is a {_kind(pixels)}, not an image")
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
