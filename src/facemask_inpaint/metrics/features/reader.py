"""From images to features: decoded in threads, prepared and read by the network on its device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics.features._cache import CachedFeature, FeatureCache
from facemask_inpaint.metrics.features._precision import feature_dtype
from facemask_inpaint.metrics.features.custom import FeatureExtractor
from facemask_inpaint.metrics.features.extractors import resolve_extractor
from facemask_inpaint.metrics.features.sets import FeatureSet, FeatureSource, is_feature_array
from facemask_inpaint.metrics.inputs import (
    OnError,
    OnSkip,
    Skipped,
    SourceImage,
    match,
    open_images,
)

Item = TypeVar("Item")


@dataclass(frozen=True)
class FeatureReader:
    """How images become features: the extractor, its device, batches, threads and cache.

    The network is loaded when the first image needs it.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> extractor = metrics.custom(lambda images: images.float().mean((2, 3)), "mean colour")
        >>> reader = metrics.FeatureReader(extractor, progress=False)
        >>> reader.read(np.zeros((5, 32, 32, 3), np.uint8)).values.shape
        torch.Size([5, 3])

    Attributes:
        extractor: an extractor, or a name that :func:`~.extractors.open_extractor` knows, such as
            that of a front end of the Inception network of 2015. ``None`` is its default front
            end; where the weights cannot be had and the extra ``features`` is installed,
            ``"efficientnet-lite0"``.
        device: for an extractor given by name; ``None`` is CUDA when there, else the CPU.
        batch_size: number of images per pass of the network.
        workers: decoding threads; ``None`` for one per processor, at most eight.
        cache: folder that keeps features by the hash of the image file; ``None`` keeps none.
        on_error: ``"raise"`` stops at the first undecodable image, ``"skip"`` leaves it out and
            names it in :attr:`FeatureSet.skipped`.
        progress: whether a progress bar is shown.
        on_skip: called with every image that is left out, as soon as it is.
        dtype: that an extractor given by name computes in, see :func:`~.extractors.open_extractor`.
    """

    extractor: FeatureExtractor | str | None = None
    device: str | torch.device | None = None
    batch_size: int = 32
    workers: int | None = None
    cache: str | Path | None = None
    on_error: OnError = "raise"
    progress: bool = True
    on_skip: OnSkip | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise OptionError(f"on_error is 'raise' or 'skip', not {self.on_error!r}")
        if self.batch_size < 1 or (self.workers is not None and self.workers < 1):
            raise OptionError("batch_size and workers must be at least 1")
        feature_dtype(self.dtype)

    @cached_property
    def network(self) -> FeatureExtractor:
        """The extractor itself, loaded now if it is not yet.

        Raises:
            WeightsNotFoundError: its weights cannot be had.
            OptionError: it does not compute in this dtype.
        """
        return resolve_extractor(self.extractor, self.device, self.dtype)

    def read(self, source: FeatureSource, label: str = "features") -> FeatureSet:
        """Compute the features of one source.

        Args:
            source: whatever :func:`~.inputs.open_images` reads, an ``(n, d)`` float array, or a
                feature set (returned as it is).
            label: of the progress bar.

        Raises:
            ImageError: an image cannot be decoded (with ``on_error="raise"``), or none can.
            OptionError: the source is of an unknown kind.
        """
        source = _with_arrays_as_sets(source)
        if isinstance(source, FeatureSet):
            return source
        images = open_images(source)
        skipped: list[Skipped] = []
        with self._open_cache() as cache:
            load = partial(_load, cache=cache)
            loaded = in_order(load, images, self.workers, ahead=3 * self.batch_size)
            total = len(images) if isinstance(images, list) else None
            bar = progress_bar(loaded, label, total=total, shown=self.progress, unit="image")
            usable = self._usable(bar, skipped)
            parts = [self._block(chunk, cache) for chunk in _batched(usable, self.batch_size)]
        return self._join(parts, skipped)

    def read_both(self, real: FeatureSource, fake: FeatureSource) -> tuple[FeatureSet, FeatureSet]:
        """Compute the features of two sources, each by itself.

        Args:
            real: as for :meth:`read`.
            fake: the same.
        """
        return self.read(real, "real"), self.read(fake, "fake")

    def read_pair(self, real: FeatureSource, fake: FeatureSource) -> tuple[FeatureSet, FeatureSet]:
        """Compute the features of two sources, row by row of the same image.

        Files pair by stem, everything else by order; a pair goes when one of its two is skipped.

        Args:
            real: as for :meth:`read`.
            fake: the same.

        Raises:
            OptionError: unmatched files (named), found before anything is decoded.
            ImageError: see :meth:`read`.
        """
        sides = _listed(real), _listed(fake)
        (real_names, real_keys), (fake_names, fake_keys) = map(_names_and_keys, sides)
        order = match(real_keys, fake_keys)
        pairs = [(name, fake_names[row]) for name, row in zip(real_names, order)]
        first, second = self.read_both(*sides)
        row_of_real = {name: row for row, name in enumerate(first.names)}
        row_of_fake = {name: row for row, name in enumerate(second.names)}
        kept = [(a, b) for a, b in pairs if a in row_of_real and b in row_of_fake]
        return (
            first.select([row_of_real[a] for a, _ in kept]),
            second.select([row_of_fake[b] for _, b in kept]),
        )

    def _open_cache(self) -> FeatureCache | nullcontext[None]:
        return (
            nullcontext() if self.cache is None else FeatureCache(self.cache, self.network.identity)
        )

    def _usable(self, loaded: Iterable[_Loaded], skipped: list[Skipped]) -> Iterator[_Loaded]:
        for item in loaded:
            if item.error is None:
                yield item
            elif self.on_error == "raise":
                raise item.error
            else:
                skipped.append(Skipped(item.image.name, str(item.error)))
                if self.on_skip is not None:
                    self.on_skip(skipped[-1])

    def _block(self, chunk: list[_Loaded], cache: FeatureCache | None) -> FeatureSet:
        device = self.network.device
        missing = [item for item in chunk if item.known is None]
        fresh = iter(self._features(missing, cache) if missing else ())
        rows = [
            next(fresh) if item.known is None else torch.from_numpy(item.known.values).to(device)
            for item in chunk
        ]
        return FeatureSet(
            torch.stack(rows),
            tuple(item.image.name for item in chunk),
            tuple(item.image.key for item in chunk),
            tuple(item.size for item in chunk),
        )

    def _features(self, chunk: list[_Loaded], cache: FeatureCache | None) -> Tensor:
        """``(len(chunk), d)``; neighbours of one size are resized together."""
        network = self.network
        runs = [[item.pixels for item in run] for _, run in groupby(chunk, lambda item: item.size)]
        prepared = [network.prepare(to_device(run, network.device)) for run in runs]
        if len({part.shape[1:] for part in prepared}) > 1:
            raise OptionError(
                "images of different sizes for an extractor that does not resize: "
                + listed([f"{item.image.name} {item.size}" for item in chunk])
            )
        features = network(torch.cat(prepared))
        if features.ndim != 2 or len(features) != len(chunk):
            raise OptionError(
                f"{network.identity}: {len(chunk)} images gave {tuple(features.shape)}; "
                "an extractor returns (N, d)"
            )
        if cache is not None:
            for item, values in zip(chunk, features.cpu().numpy()):
                if item.digest is not None:
                    cache.put(item.digest, CachedFeature(values, item.size))
        return features

    def _join(self, parts: list[FeatureSet], skipped: list[Skipped]) -> FeatureSet:
        if not parts:
            why = f": {skipped[0].reason}" if skipped else ""
            raise ImageError(f"not one of the images can be used{why}")
        return FeatureSet(
            torch.cat([part.values for part in parts]),
            tuple(name for part in parts for name in part.names),
            tuple(key for part in parts for key in part.keys),
            tuple(size for part in parts for size in part.sizes),
            self.network.identity,
            tuple(skipped),
        )


def to_device(images: Sequence[Tensor], device: torch.device) -> Tensor:
    """Stack images of one size to one batch on a device.

    Host memory on the way to CUDA is pinned and the copy does not block.

    Args:
        images: ``(3, H, W)`` uint8 each.
        device: where the batch goes.
    """
    if images[0].device.type != "cpu":
        return torch.stack(list(images)).to(device)
    _, height, width = images[0].shape
    shape = (len(images), height, width, 3)
    batch = torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=device.type == "cuda")
    for slot, image in zip(batch, images):
        slot.copy_(image.movedim(0, -1))
    return batch.to(device, non_blocking=True).movedim(-1, 1)


class _Loaded(NamedTuple):
    image: SourceImage
    pixels: Tensor = torch.empty(0)
    size: tuple[int, int] = (0, 0)
    digest: str | None = None
    known: CachedFeature | None = None
    error: ImageError | None = None


def _load(image: SourceImage, cache: FeatureCache | None) -> _Loaded:
    """In a worker thread: look up, else decode; errors travel back as values."""
    try:
        digest = None if cache is None else image.digest()
        known = cache.get(digest) if cache is not None and digest is not None else None
        if known is not None:
            return _Loaded(image, size=known.size, digest=digest, known=known)
        pixels = image.pixels()
        height, width = pixels.shape[1:]
        return _Loaded(image, pixels, (height, width), digest)
    except ImageError as error:
        return _Loaded(image, error=error)


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _with_arrays_as_sets(source: FeatureSource) -> FeatureSource:
    return FeatureSet.from_array(source) if is_feature_array(source) else source


def _listed(source: FeatureSource) -> FeatureSet | list[SourceImage]:
    source = _with_arrays_as_sets(source)
    return source if isinstance(source, FeatureSet) else list(open_images(source))


def _names_and_keys(
    source: FeatureSet | list[SourceImage],
) -> tuple[Sequence[str], Sequence[str | None]]:
    if isinstance(source, FeatureSet):
        return source.names, source.keys
    return [image.name for image in source], [image.key for image in source]
