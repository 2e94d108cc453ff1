"""How well a network fills each mask class of pictures it does not train on."""

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
from facemask_inpaint.masks import GENERATORS, SemanticMasker
from facemask_inpaint.masks.adaptive import RANDOM
from facemask_inpaint.metrics.table import HOLE, image_metrics
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.training.dataset import from_bytes, read_square
from facemask_inpaint.training.recipes import Masks

_PER_CALL = 8


@dataclass(frozen=True)
class _Group:
    """Pictures with a hole of one class: uint8 ``(N, 3, S, S)`` and bool ``(N, 1, S, S)``."""

    name: str
    image: Tensor
    hole: Tensor


class Validation:
    """Held-out pictures with a hole of every class, and with a random one, made once.

    Args:
        faces: portraits with label maps.
        side: of the pictures in pixels.
        masks: the recipe's; all of its classes and its free-form generator are tried.
        limit: at most so many pictures.
        reader: makes features for FID; ``None`` leaves FID out.
    """

    def __init__(
        self,
        faces: Faces,
        side: int,
        masks: Masks,
        *,
        limit: int = 32,
        reader: metrics.FeatureReader | None = None,
    ) -> None:
        masker = SemanticMasker(dilate=masks.dilate, missing="empty")
        pairs = [read_square(face, side) for face in faces[:limit]]
        images = torch.stack([image for image, _ in pairs])
        self.reader = reader
        self.groups: list[_Group] = []
        for name in masker.select(masks.classes):
            holes = torch.from_numpy(np.stack([masker(labels, name) for _, labels in pairs]))
            self._add(str(name), images, holes)
        draws = [
            GENERATORS[masks.random](side, np.random.default_rng(i)) for i in range(len(pairs))
        ]
        self._add(RANDOM, images, torch.from_numpy(np.stack(draws)))

    def _add(self, name: str, images: Tensor, holes: Tensor) -> None:
        usable = holes.flatten(1).any(1) & ~holes.flatten(1).all(1)
        if usable.any():
            self.groups.append(_Group(name, images[usable], holes[usable][:, None]))

    def measure(self, network: InpaintingNetwork) -> dict[str, dict[str, float]]:
        """Metrics by mask class, over the hole (FID: over the picture), with ``n``."""
        return {group.name: self._scores(group, filled(network, group)) for group in self.groups}

    def _scores(self, group: _Group, answer: Tensor) -> dict[str, float]:
        names = [name for name, row in image_metrics().items() if row.default]
        wanted = [f"{name}{HOLE}" for name in names]
        if self.reader is not None:
            wanted.append("fid")
        reader = self.reader or metrics.FeatureReader(progress=False)
        holes = list(group.hole[:, 0].numpy())
        results = metrics.evaluate(
            list(group.image), list(answer), wanted, mask=holes, reader=reader
        )
        kept = {name: float(results[f"{name}{HOLE}"]) for name in names}
        if self.reader is not None:
            kept["fid"] = float(results["fid"])
        return {"n": len(holes), **kept}

    def sheet(self, network: InpaintingNetwork, title: str, each: int = 2) -> Image.Image:
        """Contact sheet: original, hole and filling of a few pictures of every class."""
        cells = []
        for group in self.groups:
            few = _Group(group.name, group.image[:each], group.hole[:each])
            for original, hole, answer in zip(few.image, few.hole, filled(network, few)):
                first, last = _picture(original), _picture(answer)
                cut = contact_sheets.paint_hole(first, hole[0].numpy())
                cells.append(contact_sheets.SheetEntry(group.name, (first, cut, last)))
        return contact_sheets.contact_sheet(cells, columns=each * 2, title=title)


@torch.inference_mode()
def filled(network: InpaintingNetwork, group: _Group) -> Tensor:
    """The group's pictures with their holes filled, uint8 on the CPU."""
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(group.image), _PER_CALL):
        image = group.image[start : start + _PER_CALL].to(device)
        hole = group.hole[start : start + _PER_CALL].to(device)
        draws = [torch.Generator().manual_seed(start + row) for row in range(len(image))]
        answer = network(from_bytes(image), hole.float(), generator=draws)
        levels = ((answer.float().clamp(-1, 1) + 1) * 127.5).round().byte()
        parts.append(torch.where(hole, levels, image).cpu())
    return torch.cat(parts)


def errors(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean absolute difference over the hole by class: what an adaptive sampler follows."""
    return {name: max(values["l1"], 1e-9) for name, values in scores.items()}


def lines(scores: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """The scores for people, a line per class."""
    return [
        f"{name:<18} n={values['n']:<4.0f} "
        + "  ".join(f"{key} {value:.4g}" for key, value in values.items() if key != "n")
        for name, values in scores.items()
    ]


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
