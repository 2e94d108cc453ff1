"""Where the predictions for the parts of an image's hole come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import Blend, LoadedImage, Match
from facemask_inpaint.images.pixels import Region
from facemask_inpaint.inpainting._plans import Part, Plan, region_of
from facemask_inpaint.inpainting.face_crop import FaceCrop
from facemask_inpaint.inpainting.strategies import Crop, NetworkCrop
from facemask_inpaint.parsing.faces import within


@dataclass(frozen=True)
class Border:
    """How predictions meet the known pixels.

    Attributes:
        blend: as the caller gave it; ``None`` is ``"poisson"`` for faces that were turned and
            scaled, and ``"none"`` for all else.
        width: of the feather in pixels.
        match: what predictions take over from the image around the hole.
    """

    blend: Blend | None
    width: int
    match: Match | None

    def of(self, part: Part) -> Blend:
        """Return the blend of a part of the hole."""
        return self.blend or ("poisson" if isinstance(part.crop, FaceCrop) else "none")

    @property
    def reach(self) -> int:
        """How far beyond the hole pixels take part, in pixels."""
        around = images.tone.AROUND if self.match else 1
        return max(around, self.width + 1 if self.blend == "feather" else 1)


class Canvas:
    """An image whose hole is filled part by part.

    Args:
        plan: of the image.
        border: how predictions meet the known pixels.
        seed: of the random draws for this sample of the image.

    Attributes:
        unknown: ``(H, W)`` bool, what networks do not see of the image.
    """

    def __init__(self, plan: Plan, border: Border, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.border = border
        self.unknown = plan.hole
        self._region = _grown(region_of(plan.hole), border.reach, plan.hole.shape)
        self._content = plan.image.part(self._region).clone()

    def seen_in(self, crop: NetworkCrop) -> tuple[Tensor, Tensor]:
        """Return what a network gets to see: ``(3, h, w)`` and the hole ``(1, h, w)``."""
        if isinstance(crop, Crop):
            return crop.crop_from(self._part, self.unknown)
        region = crop.region(self.plan.image.size)
        return crop.within(region).crop(self._part(region), self.unknown[region])

    def fill(self, part: Part, prediction: Tensor) -> None:
        """Put a network's prediction for a part of the hole in place."""
        region = _grown(part.region, self.border.reach, self.unknown.shape)
        rgb = self._part(region)
        filled = part.crop.within(region).uncrop(prediction, rgb)
        if self.border.match == "tone":
            filled = images.match_tone(rgb, filled, self.unknown[region], seed=self.seed)
        blend = self.border.of(part)
        if blend == "poisson":
            filled = images.poisson_blend(rgb, filled, self.unknown[region])
        changed = torch.zeros_like(self.unknown[region])
        changed[within(part.region, region)] = part.hole
        if blend == "feather":
            changed = images.feather_alpha(changed, self.border.width) > 0
        self._content[:, *within(region, self._region)][:, changed] = filled[:, changed]

    def show_filled(self) -> None:
        """Let networks see what has been filled so far, beside what was known."""
        self.unknown = self.unknown.clone()
        for part in self.plan.parts:
            self.unknown[part.region] &= ~part.hole

    def _part(self, region: Region) -> Tensor:
        """A region of the image, with what has been filled where networks may see it."""
        rgb = self.plan.image.part(region)
        if self.unknown is self.plan.hole:
            return rgb
        ours, theirs = _shared(region, self._region)
        rgb = rgb.clone()
        rgb[:, *ours] = self._content[:, *theirs]
        return rgb

    def result(self) -> LoadedImage:
        """Return the caller's type of image with the hole filled."""
        hole = self.plan.hole[self._region]
        feathered = self.border.blend == "feather"
        alpha = images.feather_alpha(hole, self.border.width) if feathered else None
        return self.plan.image.compose(self._content, hole, alpha, self._region)


def _grown(region: Region, reach: int, size: Sequence[int]) -> Region:
    """A region with so many more rows and columns on each side as there are."""
    rows, columns = (
        slice(max(span.start - reach, 0), min(span.stop + reach, extent))
        for span, extent in zip(region, size)
    )
    return rows, columns


def _shared(first: Region, second: Region) -> tuple[Region, Region]:
    """What two regions of an image share, counted from the start of each."""
    rows, columns = (
        slice(max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start))
        for a, b in zip(first, second)
    )
    return within((rows, columns), first), within((rows, columns), second)
