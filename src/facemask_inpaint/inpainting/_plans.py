"""What is to be done with each image of a call: its hole, its faces, and what the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.types import FaceChoice, Size, Strategy
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.pixels import Region
from facemask_inpaint.inpainting._faces import (
    NO_FACE,
    FramedFace,
    find_faces,
    hole_of_faces,
    label_ids,
)
from facemask_inpaint.inpainting._requests import Request
from facemask_inpaint.inpainting.face_crop import face_crop
from facemask_inpaint.inpainting.framing import Framing, fills_image
from facemask_inpaint.inpainting.results import FoundFace
from facemask_inpaint.inpainting.strategies import NetworkCrop, choose_crop
from facemask_inpaint.masks import SemanticMasker
from facemask_inpaint.masks.label_maps import LabelMapLike
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.parsing.faces import owners
from facemask_inpaint.parsing.photos import choose_faces

_NO_HOLE_IN_FACES = (
    "the mask covers nothing of the faces that were found and chosen in this image; "
    'strategy="crop" fills a hole that is no face\'s'
)


@dataclass(frozen=True, eq=False)
class Rules:
    """What decides how the images of a call are seen.

    Attributes:
        network: says which sizes it takes.
        framing: how it knows faces.
        strategy: as the caller gave it.
        knows_faces: whether the network was trained on faces in one place.
        faces: which of them are framed.
        margin: of the strategy ``"crop"``.
    """

    network: InpaintingNetwork
    framing: Framing
    strategy: Strategy | None
    knows_faces: bool
    faces: FaceChoice
    margin: float

    @property
    def frames_faces(self) -> bool:
        """Whether faces that are found are seen as the network knows them."""
        return self.strategy == "face" or (self.strategy is None and self.knows_faces)


class Part(NamedTuple):
    """A part of an image's hole, and the crop in which the network fills it.

    Attributes:
        crop: what the network sees.
        region: rows and columns of the image around this part of the hole.
        hole: ``(h, w)`` bool, within the region.
    """

    crop: NetworkCrop
    region: Region
    hole: Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """One image of a call, its hole, and the crops in which the hole is filled.

    Attributes:
        image: the decoded image.
        hole: ``(H, W)`` bool.
        parts: of the hole, which the network fills first.
        rest: hole that none of them covers, filled once they are done.
        faces: those that were found.
    """

    image: images.DecodedImage
    hole: Tensor
    parts: list[Part]
    rest: list[Part]
    faces: list[FoundFace]


def plan_image(index: int, image: images.DecodedImage, request: Request, rules: Rules) -> Plan:
    """Find the hole and the faces of one image, and choose how the network sees them.

    Raises:
        ImageError: a face was asked for, and there is none.
        OptionError: there is neither a mask nor a mask class.
        ComponentAbsentError: no chosen face shows the mask class.
    """
    faces = _find(image, request, rules)
    hole = _hole(image, request, rules, faces)
    parts = _parts_of_faces(faces, hole, rules)
    found = [
        FoundFace(index, face.frame, face.face.landmarks, face.face.score, number in parts)
        for number, face in enumerate(faces)
    ]
    if rules.strategy == "face" and not parts:
        raise ImageError(_NO_HOLE_IN_FACES if faces else NO_FACE)
    ready = all(fills_image(faces[number].frame, image.size) for number in parts)
    if ready or not rules.frames_faces:
        strategy = None if rules.strategy == "face" else rules.strategy
        crop = choose_crop(strategy, rules.network, hole, rules.margin)
        return Plan(image, hole, [_part(crop, hole)], [], found)
    rest = hole.clone()
    for part in parts.values():
        rest[part.region] &= ~part.hole
    return Plan(image, hole, list(parts.values()), _rest(rest, rules), found)


def region_of(hole: Tensor) -> Region:
    """Return the rows and columns around a hole ``(H, W)`` of at least one pixel."""
    rows, columns = (hole.any(dim=axis).nonzero() for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _find(image: images.DecodedImage, request: Request, rules: Rules) -> list[FramedFace]:
    if request.source is None or not (request.hole is None or rules.frames_faces):
        return []
    return find_faces(image, rules.framing, request.source)


def _hole(
    image: images.DecodedImage, request: Request, rules: Rules, faces: list[FramedFace]
) -> Tensor:
    if request.hole is not None:
        return request.hole
    if request.mask_classes is None:
        raise OptionError('pass a mask, or what to hide, as in mask_class="eyes"')
    if not faces and not callable(request.source) and rules.strategy != "face":
        ids = label_ids(cast(LabelMapLike, request.source), image.size)
        hole = SemanticMasker()(ids, request.mask_classes)
    else:
        hole = hole_of_faces(faces, rules.faces, request.mask_classes, image.size)
    return torch.from_numpy(hole).to(image.pixels.device)


def _parts_of_faces(faces: list[FramedFace], hole: Tensor, rules: Rules) -> dict[int, Part]:
    """The part of the hole that each chosen face's frame covers, by the face's number."""
    frames = [face.frame for face in faces]
    parts = {}
    for number in choose_faces(rules.faces, len(faces)) if faces else ():
        crop = face_crop(frames[number], rules.network)
        region = crop.region(_size(hole))
        covered = crop.within(region).covers(_size(hole[region]))
        own = covered & torch.from_numpy(owners(frames, region) == number)
        own = hole[region] & own.to(hole.device)
        if own.any():
            tight = region_of(own)
            parts[number] = Part(crop, _moved(tight, region), own[tight])
    return parts


def _size(hole: Tensor) -> Size:
    return hole.shape[0], hole.shape[1]


def _moved(inner: Region, outer: Region) -> Region:
    """Rows and columns of an image from those within a region of it."""
    rows, columns = (
        slice(around.start + span.start, around.start + span.stop)
        for span, around in zip(inner, outer)
    )
    return rows, columns


def _part(crop: NetworkCrop, hole: Tensor) -> Part:
    """All of a hole."""
    region = region_of(hole)
    return Part(crop, region, hole[region])


def _rest(rest: Tensor, rules: Rules) -> list[Part]:
    if not rest.any():
        return []
    return [_part(choose_crop("crop", rules.network, rest, rules.margin), rest)]
