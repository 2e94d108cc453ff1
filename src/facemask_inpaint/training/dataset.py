"""Training images with their holes, as a pure function of their position in the run."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facemask_inpaint.data import Face, Faces
from facemask_inpaint.data.checks import frame_problem
from facemask_inpaint.errors import DataSetError
from facemask_inpaint.labels import LABEL_ORDERS
from facemask_inpaint.masks import LabelMap, MaskSampler, Vocabulary
from facemask_inpaint.masks.vocabularies import VocabularyIds
from facemask_inpaint.training.augmentation import augment
from facemask_inpaint.training.readable import reading
from facemask_inpaint.training.recipes import Augmentation

CACHE_BYTES = 2**28
"""Decoded images that each process keeps in memory."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that end a run after its step."""

_AUGMENTATION = 1
"""Tells the draws of the augmentation from the sampler's, which begin with the same seed."""


@dataclass(frozen=True)
class Batch:
    """Images and holes of one pass.

    Attributes:
        image: ``(N, 3, S, S)`` in [-1, 1].
        hole: ``(N, 1, S, S)``, 1 = hole.
        positions: number of each image in the run; it determines all draws for the image.
        keys: names of the images.
        classes: mask class of each, empty for a free-form mask.
    """

    image: Tensor
    hole: Tensor
    positions: tuple[int, ...]
    keys: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.positions)

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device."""
        image, hole = (t.to(device, non_blocking=True) for t in (self.image, self.hole))
        return replace(self, image=image, hole=hole)


class TrainingImages(Dataset[Batch]):
    """The endless sequence of training images: epoch after epoch, each in an order of its own.

    Item ``p`` is a pure function of the seed and ``p``. A run that resumes at a position therefore
    continues as if it had never stopped, with any number of workers and processes.

    Args:
        faces: portraits, with label maps if masks are cut from them.
        resolution: side of the images; others are resized, but they must be square.
        sampler: draws the masks.
        augmentation: random changes of the images.
        seed: of order and augmentation.
        label_maps: whether the sampler needs them; else none is read, and it gets one of a single
            label.
    """

    def __init__(
        self,
        faces: Faces,
        resolution: int,
        sampler: MaskSampler,
        augmentation: Augmentation,
        seed: int,
        *,
        label_maps: bool = True,
    ) -> None:
        self.faces = faces
        self.resolution = resolution
        self.sampler = sampler
        self.augmentation = augmentation
        self.seed = seed
        self.label_maps = label_maps
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        self._cache: dict[int, tuple[Tensor, VocabularyIds]] = {}

    def __getitem__(self, position: int) -> Batch:
        """Return the image at a position of the run, as a batch of one."""
        epoch, rank = divmod(position, len(self.faces))
        index = self._index(epoch, rank)
        image, label_map = self._read(index)
        rng = np.random.default_rng((self.seed, epoch, index, _AUGMENTATION))
        image, label_map = augment(image, label_map, self.augmentation, rng, self.faces.vocabulary)
        sample = self.sampler(label_map, index=index, epoch=epoch)
        hole = torch.from_numpy(np.ascontiguousarray(sample.mask)).float()[None, None]
        keys, classes = (self.faces[index].key,), (str(sample.mask_class or ""),)
        return Batch(image[None], hole, (position,), keys, classes)

    def reading(self, *, progress: bool = False) -> AbstractContextManager[None]:
        """Name all unusable portraits where one is met; see :func:`~.readable.reading`."""
        return reading(self.faces, label_maps=self.label_maps, progress=progress)

    def first(self, count: int) -> Iterator[Tensor]:
        """Yield the first images ``(3, S, S)`` in [-1, 1] of the data set, unchanged."""
        return (self._read(index)[0] for index in range(min(count, len(self.faces))))

    def batches(
        self, positions: Sequence[list[int]], workers: int = 0
    ) -> Generator[Batch, None, None]:
        """Read the images at these positions ahead of their use, one batch for each list.

        Workers leave it to this process to answer a signal, and end when the generator is closed.
        """
        loader = DataLoader(
            self,
            batch_sampler=positions,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each iteration draws from the global one
            worker_init_fn=_ignore_stop_signals,
        )
        with _stop_signals_held():
            batches = iter(loader)
        try:
            yield from batches
        finally:
            if workers:  # at the exit of Python they would be sent the SIGTERM that they ignore
                batches._shutdown_workers()  # type: ignore[attr-defined]

    def _read(self, index: int) -> tuple[Tensor, VocabularyIds]:
        if index not in self._cache:
            pixels, label_map = self._read_files(self.faces[index])
            if len(self._cache) * 4 * self.resolution**2 >= CACHE_BYTES:
                return from_bytes(pixels), label_map
            self._cache[index] = pixels, label_map
        pixels, label_map = self._cache[index]
        return from_bytes(pixels), label_map

    def _read_files(self, face: Face) -> tuple[Tensor, VocabularyIds]:
        if self.label_maps:
            return read_square(face, self.resolution)
        vocabulary, size = self.faces.vocabulary, (self.resolution, self.resolution)
        blank = np.full(size, min(vocabulary.names), dtype=vocabulary.dtype)
        return read_square_portrait(face, self.resolution), blank

    def _index(self, epoch: int, rank: int) -> int:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._order = (epoch, rng.permutation(len(self.faces)))
        return int(self._order[1][rank])


def _ignore_stop_signals(worker: int) -> None:
    """Let a worker outlive what ends the run after its step: the whole group gets such signals."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _stop_signals_held() -> Iterator[None]:
    """Hold signals back while workers start, which inherit that, until they ignore them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def digest(faces: Faces) -> str:
    """Return the SHA-256 of the portraits' names in their order, as hex digits."""
    return _sha256("\n".join(face.key for face in faces))


def label_meaning(faces: Faces, vocabulary: Vocabulary) -> dict[str, str]:
    """Return a digest of each thing that decides what the ids in label maps mean, by its name.

    Args:
        faces: the data set.
        vocabulary: that masks are cut by: of the same labels, perhaps with classes of its own.
    """
    orders = dict.fromkeys(face.label_order or LABEL_ORDERS["celebamask-hq"] for face in faces)
    ids = [(order.names, dict(order.covers), order.ignored) for order in orders]
    return {
        "label order": _sha256(repr(ids)),
        "vocabulary": f"{faces.vocabulary.digest} {vocabulary.digest}",
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def collate(batches: Sequence[Batch]) -> Batch:
    """Return one batch made of several."""
    return Batch(
        torch.cat([batch.image for batch in batches]),
        torch.cat([batch.hole for batch in batches]),
        *(
            tuple(item for batch in batches for item in getattr(batch, name))
            for name in ("positions", "keys", "classes")
        ),
    )


def read_square(face: Face, resolution: int) -> tuple[Tensor, VocabularyIds]:
    """Read a portrait ``(3, S, S)`` uint8 and its label ids ``(S, S)`` at a resolution.

    Raises:
        DataSetError: The portrait is not square, or its label map is of another shape.
        ImageError: A file is missing or damaged.
        LabelMapError: There is no label map.
    """
    image = _square_image(face)
    source = face.read_label_map()
    if problem := frame_problem(face.image, image.size, source.shape[::-1]):
        raise DataSetError(problem)
    ids = source.ids if isinstance(source, LabelMap) else source.merged()
    if ids.shape != (resolution, resolution):
        nearest = Image.Resampling.NEAREST
        ids = np.asarray(Image.fromarray(ids).resize((resolution, resolution), nearest))
    return _resized(image, resolution), ids


def read_square_portrait(face: Face, resolution: int) -> Tensor:
    """Read a portrait alone, ``(3, S, S)`` uint8, as :func:`read_square` does."""
    return _resized(_square_image(face), resolution)


def _square_image(face: Face) -> Image.Image:
    """A portrait, if it is square: how to crop it is not decided here."""
    image = face.read_image()
    if image.width != image.height:
        raise DataSetError(
            f"{face.image} is {image.width} x {image.height}; training takes square portraits"
        )
    return image


def _resized(image: Image.Image, side: int) -> Tensor:
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def from_bytes(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1
