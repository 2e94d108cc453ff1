"""What the metrics read: pictures from folders, lists, streams and tensors, and their pairing."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.files import sha256_of
from facemask_inpaint.folders import list_images
from facemask_inpaint.images import read_image, upright

OnError = Literal["raise", "skip"]
Item = TypeVar("Item")
Result = TypeVar("Result")

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".webp"})
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_SHOWN = 5


class Skipped(NamedTuple):
    """A picture that could not be used, and why."""

    name: str
    reason: str


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
        dropped, as they all do.

        Raises:
            ImageError: the file is damaged or missing, or samples are not of 8 bits.
        """
        content = self.content
        if isinstance(content, (str, os.PathLike)):
            content = read_image(os.fspath(content))
        elif isinstance(content, Image.Image):
            content = upright(content, self.name)
        if isinstance(content, Image.Image):
            content = _rgb_array(content, self.name)
        if isinstance(content, np.ndarray):
            content = torch.from_numpy(np.require(content, requirements=("C", "W")))
            content = content.movedim(-1, 0) if content.ndim == 3 else content
        return _three_channels(content, self.name)

    def digest(self) -> str | None:
        """SHA-256 of the file's bytes; ``None`` when there is no file."""
        if not isinstance(self.content, (str, os.PathLike)):
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


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None, ahead: int
) -> Iterator[Result]:
    """``map`` in threads (decoders release the interpreter), keeping order.

    Args:
        function: called in a worker thread.
        items: consumed no further than ``ahead`` beyond what was yielded.
        workers: threads; ``None`` for one per processor, at most eight.
        ahead: how many results may wait.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    iterator = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting = deque(pool.submit(function, item) for item in islice(iterator, ahead))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(iterator, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _as_picture(item: Any, index: int) -> Picture:
    if isinstance(item, Picture):
        return item
    if isinstance(item, (str, os.PathLike)):
        path = Path(item)
        return Picture(str(path), path.stem, path)
    return Picture(f"#{index}", None, item)


def _rgb_array(image: Image.Image, name: str) -> np.ndarray:
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(f"{name}: mode {image.mode} is not 8 bits per channel; convert it first")
    return np.asarray(image.convert("RGB"))


def _three_channels(pixels: Any, name: str) -> Tensor:
    if not isinstance(pixels, Tensor):
        raise ImageError(f"{name} is a {type(pixels).__name__}, not a picture")
    if pixels.dtype != torch.uint8:
        raise ImageError(
            f"{name}: {pixels.dtype} samples; pass uint8, since rounding is part of the metric"
        )
    planes = pixels if pixels.ndim == 3 else pixels[None]
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        raise ImageError(f"{name}: shape {tuple(pixels.shape)}; needed: one or three channels")
    return planes.expand(3, -1, -1)
