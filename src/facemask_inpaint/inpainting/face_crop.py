"""What a network sees of a face: a turned square of the photo, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facemask_inpaint._internal.types import Size
from facemask_inpaint.images.pixels import Region
from facemask_inpaint.images.warping import Similarity, warp
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.parsing.crops import Crop

_KNOWN = 0.5
"""A pixel is known if at least this share of what it is interpolated from is. The border of the
hole stays where it is then; a larger share would hide known pixels around it, which a network needs
most where the photo has few of them."""

_LEAST_WEIGHT = 0.1
_MOST_WITHOUT_NATIVE = 512
"""Largest side in pixels at which a network sees a face that has no resolution of its own."""


@dataclass(frozen=True)
class FaceCrop:
    """A square around a face, turned with it, as a network sees it.

    Attributes:
        frame: the square in the photo.
        resolution: side in pixels at which the network sees it.

    Example:
        >>> from facemask_inpaint.parsing.crops import Crop
        >>> crop = FaceCrop(Crop(x=300, y=200, width=128, height=128, roll=0.2), 256)
        >>> visible, hole = crop.crop(torch.zeros(3, 400, 600), torch.ones(400, 600) < 0)
        >>> visible.shape, hole.any().item()
        (torch.Size([3, 256, 256]), False)
    """

    frame: Crop
    resolution: int

    @property
    def padded(self) -> Size:
        """Height and width of what the network gets."""
        return self.resolution, self.resolution

    @property
    def to_photo(self) -> Similarity:
        """From positions in what the network sees to those in the photo."""
        scale, half = self.frame.width / self.resolution, self.resolution / 2
        turn = Similarity(scale, self.frame.roll, 0.0, 0.0)
        x, y = turn(half, half)
        return turn.shifted(self.frame.x - x, self.frame.y - y)

    def crop(self, rgb: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the network's input out of a photo and its mask; see ``Crop.crop``.

        A pixel is hole if most of what it is interpolated from is, or if the middle of a pixel of
        the photo's hole lies in it, so that none is lost. What is seen beside the hole comes from
        known pixels only. Beyond the photo's border both go on by mirroring, as in the data sets.
        """
        known = (~hole).to(rgb)[None]
        seen = torch.cat([rgb.masked_fill(hole, 0), known])
        total = warp(seen, self.to_photo, self.padded)
        unseen = warp(known, self.to_photo, self.padded, soft=True) < _KNOWN
        unseen |= self._containing(hole)
        visible = (total[:3] / total[3:].clamp_min(_LEAST_WEIGHT)).clamp(-1, 1)
        return visible.masked_fill(unseen, 0), unseen

    def _containing(self, hole: Tensor) -> Tensor:
        """Which pixels of what the network sees contain the middle of one of the hole's."""
        y, x = (places + 0.5 for places in hole.nonzero(as_tuple=True))
        column, row = (places.floor().long() for places in self.to_photo.inverse(x, y))
        inside = (column >= 0) & (column < self.resolution) & (row >= 0) & (row < self.resolution)
        containing = torch.zeros(1, *self.padded, dtype=torch.bool, device=hole.device)
        containing[0, row[inside], column[inside]] = True
        return containing

    def uncrop(self, prediction: Tensor, rgb: Tensor) -> Tensor:
        """Return a copy of an image, or of a region, with the prediction where the square is."""
        size = (rgb.shape[1], rgb.shape[2])
        placed = warp(prediction.to(rgb), self.to_photo.inverse, size)
        return torch.where(self.covers(size).to(rgb.device), placed, rgb)

    def covers(self, size: Size) -> Tensor:
        """Return which pixels ``(H, W)`` of an image have their middle in the square, as bool."""
        y, x = (torch.arange(length) + 0.5 for length in size)
        across, along = self.to_photo.inverse(x[None, :], y[:, None])
        inside = (across >= 0) & (across < self.resolution)
        return inside & (along >= 0) & (along < self.resolution)

    def region(self, size: Size) -> Region:
        """Return the rows and columns that it needs of a photo of ``size`` (height, width)."""
        return self.to_photo.window(self.padded, size)

    def within(self, region: Region) -> FaceCrop:
        """Return the same crop of a photo of which there is only a region."""
        x, y = self.frame.x - region[1].start, self.frame.y - region[0].start
        return replace(self, frame=replace(self.frame, x=x, y=y))


def face_crop(frame: Crop, network: InpaintingNetwork) -> FaceCrop:
    """Return the crop of a face at the resolution of a network.

    That is its native resolution, or the larger one that it has where that is nearer to the size
    of the face in the photo. A network without one sees the face at its own scale, up to a limit.
    """
    side, native, larger = frame.width, network.native_resolution, network.larger_resolution
    if native is None:
        least = max(round(min(side, _MOST_WITHOUT_NATIVE)), network.smallest_size)
        return FaceCrop(frame, -(-least // network.size_multiple) * network.size_multiple)
    return FaceCrop(frame, larger if larger and side**2 >= native * larger else native)
