"""Training images with their holes, as a pure function of their position in the run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facemask_inpaint.data import Face, Faces
from facemask_inpaint.errors import DataSetError
from facemask_inpaint.masks import LabelMap, MaskSampler
from facemask_inpaint.masks.vocabularies import VocabularyIds
from facemask_inpaint.training.augmentation import augment
from facemask_inpaint.training.recipes import Augmentation

CACHE_BYTES = 2**28
"""Decoded images that each process keeps in memory."""

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
        faces: portraits with label maps.
        resolution: side of the images; others are resized, but they must be square.
        sampler: draws the masks.
        augmentation: random changes of the images.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        faces: Faces,
        resolution: int,
        sampler: MaskSampler,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.faces = faces
        self.resolution = resolution
        self.sampler = sampler
        self.augmentation = augmentation
        self.seed = seed
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

    def first(self, count: int) -> Iterator[Tensor]:
        """Yield the first images ``(3, S, S)`` in [-1, 1] of the data set, unchanged."""
        return (self._read(index)[0] for index in range(min(count, len(self.faces))))

    def batches(self, positions: Sequence[list[int]], workers: int = 0) -> Iterator[Batch]:
        """Read the images at these positions ahead of their use, one batch for each list."""
        loader = DataLoader(
            self,
            batch_sampler=positions,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each iteration draws from the global one
        )
        yield from loader

    def _read(self, index: int) -> tuple[Tensor, VocabularyIds]:
        if index not in self._cache:
            pixels, label_map = read_square(self.faces[index], self.resolution)
            if len(self._cache) * 4 * self.resolution**2 >= CACHE_BYTES:
                return from_bytes(pixels), label_map
            self._cache[index] = pixels, label_map
        pixels, label_map = self._cache[index]
        return from_bytes(pixels), label_map

    def _index(self, epoch: int, rank: int) -> int:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._order = (epoch, rng.permutation(len(self.faces)))
        return int(self._order[1][rank])


def digest(faces: Faces) -> str:
    """Return the SHA-256 of the portraits' names in their order, as hex digits."""
    return hashlib.sha256("\n".join(face.key for face in faces).encode()).hexdigest()


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
        DataSetError: The portrait is not square: how to crop it is not decided here.
        ImageError: A file is missing or damaged.
        LabelMapError: There is no label map.
    """
    image = face.read_image()
    if image.width != image.height:
        raise DataSetError(
            f"{face.image} is {image.width} x {image.height}; training takes square portraits"
        )
    if image.width != resolution:
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    source = face.read_label_map()
    ids = source.ids if isinstance(source, LabelMap) else source.merged()
    if ids.shape != (resolution, resolution):
        nearest = Image.Resampling.NEAREST
        ids = np.asarray(Image.fromarray(ids).resize((resolution, resolution), nearest))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), ids


def from_bytes(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1
