"""Scores of a network on held-out portraits, for every mask class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint import metrics
from facemask_inpaint.data import Faces
from facemask_inpaint.images import contact_sheets
from facemask_inpaint.images.masks import allow_large_holes
from facemask_inpaint.masks import GENERATORS, RANDOM
from facemask_inpaint.metrics.metric import HOLE
from facemask_inpaint.metrics.table import image_metrics
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.training.dataset import from_bytes, read_square, read_square_portrait
from facemask_inpaint.training.readable import reading
from facemask_inpaint.training.recipes import Masks

_PER_CALL = 8


@dataclass(frozen=True)
class _Group:
    """Images with a hole of one class: uint8 ``(N, 3, S, S)`` and bool ``(N, 1, S, S)``."""

    name: str
    image: Tensor
    hole: Tensor


class Validation:
    """Held-out portraits with a hole of every class and a free-form one, made once.

    Where all masks of the recipe are free-form and not every portrait has a label map, holes are
    free-form only.

    Args:
        faces: portraits, with label maps.
        resolution: side of the images in pixels.
        masks: of the recipe; all of its classes and its free-form generator are tried.
        limit: largest number of portraits.
        reader: extracts features for FID; ``None`` leaves FID out.

    Raises:
        DataSetError: Portraits or label maps cannot be read; the message lists them.

    Example:
        >>> from facemask_inpaint import data, models
        >>> from facemask_inpaint.training import Masks, Validation
        >>> faces = data.open_faces("faces", "test")  # doctest: +SKIP
        >>> validation = Validation(faces, 256, Masks(classes="eyes"))  # doctest: +SKIP
        >>> validation.measure(models.create("harmonic"))["eyes"]["l1"]  # doctest: +SKIP
        0.081
    """

    def __init__(
        self,
        faces: Faces,
        resolution: int,
        masks: Masks,
        *,
        limit: int = 32,
        reader: metrics.FeatureReader | None = None,
    ) -> None:
        faces = faces[:limit]
        self.reader = reader
        self.groups: list[_Group] = []
        if masks.need_label_maps or all(face.label_files() for face in faces):
            images = self._add_classes(faces, resolution, masks)
        else:
            with reading(faces, label_maps=False):
                images = torch.stack([read_square_portrait(face, resolution) for face in faces])
        draw = GENERATORS[masks.random]
        drawn = [draw(resolution, np.random.default_rng(i)) for i in range(len(images))]
        self._add(RANDOM, images, torch.from_numpy(np.stack(drawn)))

    def _add_classes(self, faces: Faces, resolution: int, masks: Masks) -> Tensor:
        """Add the holes of every class, and return the images."""
        with reading(faces):
            pairs = [read_square(face, resolution) for face in faces]
        images = torch.stack([image for image, _ in pairs])
        masker = masks.masker(missing="empty")
        unavailable = faces.unavailable(masker.classes)
        for name in masker.select(masks.classes):
            if name in unavailable:
                continue
            holes = np.stack([masker(label_map, name) for _, label_map in pairs])
            self._add(str(name), images, torch.from_numpy(holes))
        return images

    def _add(self, name: str, images: Tensor, holes: Tensor) -> None:
        usable = holes.flatten(1).any(1) & ~holes.flatten(1).all(1)
        if usable.any():
            self.groups.append(_Group(name, images[usable], holes[usable][:, None]))

    def measure(self, network: InpaintingNetwork) -> dict[str, dict[str, float]]:
        """Return metrics by mask class, over the hole (FID: over the whole image), with ``n``."""
        return {
            group.name: self._scores(group, _composites(network, group)) for group in self.groups
        }

    def _scores(self, group: _Group, composites: Tensor) -> dict[str, float]:
        names = [name for name, row in image_metrics().items() if row.default]
        metric_names = [f"{name}{HOLE}" for name in names]
        if self.reader is not None:
            metric_names.append("fid")
        reader = self.reader or metrics.FeatureReader(progress=False)
        holes = list(group.hole[:, 0].numpy())
        with allow_large_holes():  # free-form masks may hide nearly everything
            results = metrics.evaluate(
                list(group.image), list(composites), metric_names, mask=holes, reader=reader
            )
        scores = {name.removesuffix(HOLE): float(score) for name, score in results.items()}
        return {"n": len(holes), **scores}

    def sheet(self, network: InpaintingNetwork, title: str, per_class: int = 2) -> Image.Image:
        """Draw a contact sheet: original, hole and composite of a few images of every class."""
        entries = []
        for group in self.groups:
            few = _Group(group.name, group.image[:per_class], group.hole[:per_class])
            for image, hole, composite in zip(few.image, few.hole, _composites(network, few)):
                original = _to_pil(image)
                masked = contact_sheets.paint_hole(original, hole[0].numpy())
                shown = (original, masked, _to_pil(composite))
                entries.append(contact_sheets.SheetEntry(group.name, shown))
        return contact_sheets.contact_sheet(entries, columns=per_class * 2, title=title)


@torch.inference_mode()
def _composites(network: InpaintingNetwork, group: _Group) -> Tensor:
    """The group's images with their holes filled, uint8 on the CPU."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(group.image), _PER_CALL):
        image = group.image[start : start + _PER_CALL].to(device)
        hole = group.hole[start : start + _PER_CALL].to(device)
        generators = [torch.Generator().manual_seed(start + row) for row in range(len(image))]
        prediction = network(from_bytes(image), hole.float(), generator=generators)
        levels = ((prediction.float().clamp(-1, 1) + 1) * 127.5).round().byte()
        parts.append(torch.where(hole, levels, image).cpu())
    return torch.cat(parts)


def hole_errors(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean absolute difference over the hole by class, which samplers may follow."""
    return {name: max(values["l1"], 1e-9) for name, values in scores.items()}


def score_lines(scores: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """Return the scores as text, one line for each class."""
    return [
        f"{name:<18} n={values['n']:<4.0f} "
        + "  ".join(f"{key} {value:.4g}" for key, value in values.items() if key != "n")
        for name, values in scores.items()
    ]


def _to_pil(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
