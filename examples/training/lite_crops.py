"""Portraits with holes for ``lite`` to fill, and the square crops of them that its losses see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from facemask_inpaint import SemanticMasker, data
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.masks import GENERATORS, LABEL_IDS
from facemask_inpaint.training.dataset import read_square

RESOLUTION = 256
CROP = 128
MARGIN = 8
"""What the detail stage sees around a crop, so that no crop ends in the padding of convolutions."""

STEP = 8
"""Crops lie on a grid of the coarse stage's positions."""

LARGE = 112
"""Extent in pixels from which a hole does not fit a crop with some of its surroundings."""

CLASS_WEIGHTS: Mapping[str, float] = {
    "eyes": 4,
    "eyebrows": 3,
    "full_mouth": 2,
    "nose": 1.5,
    "mouth_and_nose": 1.5,
    "ears": 3,
    "hair": 2,
    "eyes_and_eyebrows": 4,
    "face": 2,
    "lips": 1,
    "face_oval": 2,
    "head": 2.5,
}
FREE_FORM = 0.1
"""Share of holes that are no component."""

KINDS = len(CLASS_WEIGHTS) + 1
"""Kinds of holes: the classes in their order, and free-form."""


@dataclass(frozen=True)
class Holes:
    """A batch of portraits with holes.

    Attributes:
        image: ``(N, 3, RESOLUTION, RESOLUTION)`` in [-1, 1].
        hole: ``(N, 1, RESOLUTION, RESOLUTION)``, 1 = fill.
        boxes: ``(N, 3)``: top, left and side of each image's crop.
        kinds: ``(N,)``: which of ``KINDS`` each hole is.
        whole: crops of any size over the whole image, downsampled; otherwise pixel by pixel.
    """

    image: Tensor
    hole: Tensor
    boxes: Tensor
    kinds: Tensor
    whole: bool

    def to(self, device: torch.device) -> Holes:
        """The same on a device."""
        names = ("image", "hole", "boxes", "kinds")
        moved = {name: getattr(self, name).to(device) for name in names}
        return replace(self, **moved)


class HoleStream(IterableDataset[Holes]):
    """Endless batches.

    Args:
        faces: portraits with label maps, ``RESOLUTION`` x ``RESOLUTION``.
        batch: images in each.
        whole: share of batches with crops over the whole image.
        seed: of everything drawn, different for each process and each start.
    """

    def __init__(self, faces: data.Faces, batch: int, whole: float, seed: tuple[int, ...]) -> None:
        self.portraits = [read_square(face, RESOLUTION) for face in faces]
        self.masker = SemanticMasker(dilate=0.01)
        self.batch, self.whole, self.seed = batch, whole, seed
        self.names = list(CLASS_WEIGHTS)
        weights = np.array(list(CLASS_WEIGHTS.values()))
        self.chances = weights / weights.sum()

    def __iter__(self) -> Iterator[Holes]:
        worker = torch.utils.data.get_worker_info()
        number = worker.id if worker is not None else 0
        rng = np.random.default_rng((*self.seed, number))
        shared = np.random.default_rng((*self.seed[1:], number))  # equal work in all processes
        while True:
            yield self.draw(rng, bool(shared.random() < self.whole))

    def draw(self, rng: np.random.Generator, whole: bool) -> Holes:
        """Draw one batch."""
        images, holes, boxes, kinds = [], [], [], []
        side = int(rng.integers(160, RESOLUTION + 1)) if whole else CROP
        while len(images) < self.batch:
            pixels, labels = self.portraits[rng.integers(len(self.portraits))]
            hole, kind = self._hole(labels, rng)
            if hole is None:
                continue
            if rng.random() < 0.5:
                pixels, labels, hole = pixels.flip(-1), labels[:, ::-1], hole[:, ::-1]
            image, hole = shaken(toned(pixels, labels, rng), hole, rng)
            if not hole.any() or hole.all() or (whole and extent(hole) < LARGE):
                continue
            images.append(image)
            holes.append(torch.from_numpy(hole)[None].float())
            boxes.append(box_of(hole, side, rng))
            kinds.append(kind)
        stacked = torch.stack(images), torch.stack(holes)
        return Holes(*stacked, torch.tensor(boxes), torch.tensor(kinds), whole)

    def _hole(
        self, labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_] | None, int]:
        kind = len(self.names)
        if rng.random() < FREE_FORM:
            hole = np.asarray(GENERATORS["mat"](RESOLUTION, rng)) > 0
        else:
            kind = int(rng.choice(kind, p=self.chances))
            try:
                hole = np.asarray(self.masker(labels, self.names[kind])) > 0
            except ComponentAbsentError:
                return None, kind
        return hole if hole.any() and not hole.all() else None, kind


def extent(hole: NDArray[np.bool_]) -> int:
    """Longer side of the box around a hole."""
    ys, xs = np.nonzero(hole)
    return int(max(np.ptp(ys), np.ptp(xs))) + 1


def box_of(hole: NDArray[np.bool_], side: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """Top, left and side of a crop: around the hole, or around some pixel of a large one."""
    ys, xs = np.nonzero(hole)
    middle = (ys.min() + ys.max()) // 2, (xs.min() + xs.max()) // 2
    if side > CROP:
        top, left = (int(np.clip(c - side // 2, 0, RESOLUTION - side)) for c in middle)
        return top, left, side
    if extent(hole) > LARGE:
        one = rng.integers(len(ys))
        middle = ys[one], xs[one]
    corners = [
        int(np.clip((c - CROP // 2 + rng.integers(-16, 17)) // STEP * STEP, 0, RESOLUTION - CROP))
        for c in middle
    ]
    return corners[0], corners[1], CROP


def toned(pixels: Tensor, labels: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Return an image in [-1, 1], in other light, before another background, or without colour."""
    x = pixels.float() / 255
    if rng.random() < 0.25:
        for name in ("background", "cloth"):
            x = recoloured(x, np.ascontiguousarray(labels) == LABEL_IDS[name], rng)
    if rng.random() < 0.25:  # darker and lighter skins and light
        x = x.clamp(min=1e-4) ** float(np.exp(0.4 * rng.normal()))
    x = 2 * x - 1
    colours = torch.from_numpy(rng.random((3, 1, 1))).float() * 0.2 + 0.9
    x = x * float(rng.uniform(0.85, 1.15)) * colours + float(rng.uniform(-0.1, 0.1))
    if rng.random() < 0.08:
        x = x.mean(dim=0, keepdim=True).expand(3, -1, -1)
    return x.clamp(-1, 1)


def shaken(
    image: Tensor, hole: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.bool_]]:
    """Two of three portraits a little turned, stretched and moved: none is quite aligned."""
    hole = np.ascontiguousarray(hole)
    if rng.random() < 1 / 3:
        return image, hole
    angle, scale = 0.08 * rng.normal(), np.exp(0.06 * rng.normal())
    wide, high = scale * np.exp(0.04 * rng.normal(size=2))
    right, down = 0.05 * rng.normal(size=2)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = torch.tensor(
        [[[wide * cos, -wide * sin, right], [high * sin, high * cos, down]]], dtype=torch.float32
    )
    grid = F.affine_grid(turn, [1, 1, RESOLUTION, RESOLUTION], align_corners=False)

    def sampled(x: Tensor, mode: str, beyond: str) -> Tensor:
        return F.grid_sample(x[None], grid, mode, beyond, align_corners=False)[0]

    mask = sampled(torch.from_numpy(hole)[None].float(), "nearest", "zeros")
    return sampled(image, "bilinear", "reflection"), mask[0].numpy() > 0


def recoloured(x: Tensor, region: NDArray[np.bool_], rng: np.random.Generator) -> Tensor:
    """A region's brightness in another colour, often a strong one; its rim passes softly."""
    soft = torch.from_numpy(region.astype(np.float32))[None, None]
    soft = F.avg_pool2d(F.pad(soft, (2, 2, 2, 2), mode="replicate"), 5, stride=1)[0]
    colour = torch.from_numpy(rng.random(3)).float()[:, None, None] ** float(2 * rng.random())
    light = x.mean(dim=0, keepdim=True) + 0.25 * float(rng.random())
    painted = light * colour / colour.max() * float(rng.uniform(0.5, 1.5))
    return x * (1 - soft) + soft * painted.clamp(0, 1)


def crop_of(x: Tensor, corners: Tensor, side: int, downsampled: int = 1) -> Tensor:
    """Squares of maps that are ``downsampled`` times smaller than the images ``corners`` are on."""
    within = torch.arange(side // downsampled, device=x.device)
    rows, columns = (corners[:, place, None] // downsampled + within for place in (0, 1))
    n, channels, _, width = x.shape
    x = x.gather(2, rows[:, None, :, None].expand(n, channels, -1, width))
    x = x.gather(3, columns[:, None, None, :].expand(n, channels, len(within), -1))
    return x.contiguous(memory_format=torch.channels_last)


def downsampled_crops(x: Tensor, boxes: Tensor) -> Tensor:
    """The boxes of images, all of one side, as ``CROP`` x ``CROP``."""
    squares = crop_of(x, boxes[:, :2], int(boxes[0, 2]))
    crops = F.interpolate(squares, (CROP, CROP), mode="bilinear", antialias=True)
    return crops.contiguous(memory_format=torch.channels_last)
