"""Training pictures with their holes, as a pure function of their position in the run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facemask_inpaint.data import Face, Faces
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import LabelMap, MixedMaskSampler, flip_label_map
from facemask_inpaint.training.recipes import Augmentation

KEPT_BYTES = 2**28
"""Pictures that each process keeps in memory once they are decoded."""

_AUGMENT = 1
"""Tells this module's draws from the sampler's, which begin with the same seed."""


@dataclass(frozen=True)
class Batch:
    """Pictures of one pass.

    Attributes:
        image: ``(N, 3, S, S)`` in [-1, 1].
        hole: ``(N, 1, S, S)``, 1 = fill.
        positions: number of each picture in the run; decides all of its draws.
        keys: names of the pictures.
        classes: mask class of each, empty for a random mask.
    """

    image: Tensor
    hole: Tensor
    positions: tuple[int, ...]
    keys: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        image, hole = (t.to(device, non_blocking=True) for t in (self.image, self.hole))
        return replace(self, image=image, hole=hole)


class TrainingImages(Dataset[Batch]):
    """The endless sequence of training pictures: epoch after epoch, each in an order of its own.

    Item ``p`` is a pure function of the seed and ``p``, so a run that resumes at a position goes on
    as if it had never stopped, with any number of workers and processes.

    Args:
        faces: portraits with label maps.
        side: of the pictures; other sizes are resized, but must be square.
        sampler: draws the holes.
        augmentation: what is done to the pictures.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        faces: Faces,
        side: int,
        sampler: MixedMaskSampler,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.faces = faces
        self.side = side
        self.sampler = sampler
        self.augmentation = augmentation
        self.seed = seed
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        self._kept: dict[int, tuple[Tensor, np.ndarray]] = {}

    def __getitem__(self, position: int) -> Batch:
        """The picture at a position of the run, as a batch of one."""
        epoch, place = divmod(position, len(self.faces))
        index = self._index(epoch, place)
        image, labels = self._read(index)
        rng = np.random.default_rng((self.seed, epoch, index, _AUGMENT))
        image, labels = augment(image, labels, self.augmentation, rng)
        sample = self.sampler(labels, index=index, epoch=epoch)
        hole = torch.from_numpy(np.ascontiguousarray(sample.mask)).float()[None, None]
        keys, classes = (self.faces[index].key,), (str(sample.mask_class or ""),)
        return Batch(image[None], hole, (position,), keys, classes)

    def first(self, count: int) -> Iterator[Tensor]:
        """The data set's first pictures ``(3, S, S)`` in [-1, 1], unchanged."""
        return (self._read(index)[0] for index in range(min(count, len(self.faces))))

    def passes(self, slices: Sequence[list[int]], workers: int = 0) -> Iterator[Batch]:
        """Read the pictures at these positions, one batch for each list, ahead of their use."""
        loader = DataLoader(
            self,
            batch_sampler=slices,
            num_workers=workers,
            collate_fn=join,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each iteration draws from the global one
        )
        return iter(loader)

    def _read(self, index: int) -> tuple[Tensor, np.ndarray]:
        """Picture and labels, from memory where they fit; pixels rest there as bytes."""
        if index not in self._kept:
            pixels, labels = read_square(self.faces[index], self.side)
            if len(self._kept) * 4 * self.side**2 >= KEPT_BYTES:
                return from_bytes(pixels), labels
            self._kept[index] = pixels, labels
        pixels, labels = self._kept[index]
        return from_bytes(pixels), labels

    def _index(self, epoch: int, place: int) -> int:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._order = (epoch, rng.permutation(len(self.faces)))
        return int(self._order[1][place])


def digest(faces: Faces) -> str:
    """SHA-256 of the portraits' names in their order, as hex digits."""
    return hashlib.sha256("\n".join(face.key for face in faces).encode()).hexdigest()


def join(batches: Sequence[Batch]) -> Batch:
    """One batch of several."""
    return Batch(
        torch.cat([batch.image for batch in batches]),
        torch.cat([batch.hole for batch in batches]),
        *(
            tuple(item for batch in batches for item in getattr(batch, name))
            for name in ("positions", "keys", "classes")
        ),
    )


def read_square(face: Face, side: int) -> tuple[Tensor, np.ndarray]:
    """A portrait ``(3, side, side)`` uint8 and its label ids ``(side, side)``.

    Raises:
        OptionError: the picture is not square: a crop is a choice that is not made here.
    """
    picture = face.read_image()
    if picture.width != picture.height:
        raise OptionError(
            f"{face.image} is {picture.width} x {picture.height}; training takes square portraits"
        )
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    source = face.read_label_map()
    ids = source.ids if isinstance(source, LabelMap) else source.merged()
    if ids.shape != (side, side):
        ids = np.asarray(Image.fromarray(ids).resize((side, side), Image.Resampling.NEAREST))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous(), ids


def from_bytes(pixels: Tensor) -> Tensor:
    """uint8 pixels as numbers in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def augment(
    image: Tensor, labels: np.ndarray, how: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """A picture and its label map, changed alike.

    Args:
        image: ``(3, S, S)`` in [-1, 1].
        labels: ``(S, S)`` label ids.
        how: which changes.
        rng: decides them; the same draws are taken whatever is switched on.
    """
    mirrored, angle = rng.random() < how.flip, rng.uniform(-1, 1) * how.rotation
    tones = rng.uniform(-1, 1, size=(3, 3)) * how.tone
    if mirrored:
        image, labels = image.flip(-1), flip_label_map(labels)
    if angle:
        image, labels = _rotated(image, labels, angle)
    if how.tone:
        image = _toned(image, tones)
    return image, labels


def _rotated(image: Tensor, labels: np.ndarray, degrees: float) -> tuple[Tensor, np.ndarray]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    grid = F.affine_grid(turn, [1, 1, *labels.shape], align_corners=False)

    def sampled(x: Tensor, mode: str) -> Tensor:
        return F.grid_sample(x[None], grid, mode, "reflection", align_corners=False)[0]

    ids = sampled(torch.from_numpy(np.array(labels))[None].float(), "nearest")
    return sampled(image, "bilinear"), ids[0].byte().numpy()


def _toned(image: Tensor, draws: np.ndarray) -> Tensor:
    """Brightness, contrast and each colour changed by the draws' rows."""
    brightness, contrast, colours = torch.from_numpy(draws).float()
    scaled = image * (1 + contrast[0]) + brightness[0]
    return (scaled + colours[:, None, None] / 2).clamp(-1, 1)
