"""The faces of an image and the holes in them: found, framed and told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint import images
from facemask_inpaint._internal.types import FaceChoice, Size
from facemask_inpaint.errors import ComponentAbsentError, ImageError, LabelMapError
from facemask_inpaint.inpainting.framing import Framing, fills_image
from facemask_inpaint.masks import SemanticMasker, open_label_map
from facemask_inpaint.masks.components import ComponentLike
from facemask_inpaint.masks.label_maps import LabelMap, LabelMapLike
from facemask_inpaint.masks.parsers import Parser, parse_photo
from facemask_inpaint.masks.semantic import DILATE
from facemask_inpaint.parsing import LabelledFace, PhotoParser, labelled_faces, photos
from facemask_inpaint.parsing.crops import Crop

NO_FACE = f'{photos.NO_FACE}; a hole of another kind is filled with a mask and strategy="crop"'


@dataclass(frozen=True, eq=False)
class FramedFace:
    """A face of an image, and the square in which a network sees it."""

    face: LabelledFace
    frame: Crop


def find_faces(
    image: images.DecodedImage, framing: Framing, source: LabelMapLike | Parser
) -> list[FramedFace]:
    """Return the faces of an image that can be framed, the largest first.

    Args:
        image: that a parser is shown as RGB of 8 bits.
        framing: the rule of the network's training data.
        source: the image's label map, or a parser.

    Raises:
        LabelMapError: the label map is not of the image's size.
    """
    framed = []
    for face in _labelled(image, source):
        try:
            framed.append(FramedFace(face, framing.crop(face.landmarks)))
        except ComponentAbsentError:
            continue
    return framed


def _labelled(image: images.DecodedImage, source: LabelMapLike | Parser) -> list[LabelledFace]:
    if isinstance(source, PhotoParser):
        return source.labelled_faces(image.to_pil())
    if callable(source):
        source = cast(LabelMapLike, parse_photo(images.to_rgb(image.to_pil()), source))
    return labelled_faces(label_ids(source, image.size))


def label_ids(label_map: LabelMapLike, size: Size) -> NDArray[np.uint8]:
    """Return the label ids ``(H, W)`` of an image's label map.

    Raises:
        LabelMapError: it is not of the image's size, or its labels overlap.
    """
    opened = open_label_map(label_map)
    if opened.shape != size:
        raise LabelMapError(
            f"the label map is {opened.shape[0]} x {opened.shape[1]} and the image {size[0]} x "
            f"{size[1]} (height x width); they must be of one size"
        )
    if not isinstance(opened, LabelMap):
        raise LabelMapError("faces are found in a merged label map, not in an annotation's parts")
    return opened.ids.astype(np.uint8, copy=False)


def hole_of_faces(
    faces: Sequence[FramedFace], choice: FaceChoice, mask_class: ComponentLike, size: Size
) -> NDArray[np.bool_]:
    """Return the mask ``(H, W)`` of a mask class in the chosen faces of an image.

    Raises:
        ImageError: there is no face, or none of this number.
        ComponentAbsentError: no chosen face shows it.
    """
    if not faces:
        raise ImageError(NO_FACE)
    hole = np.zeros(size, dtype=bool)
    for index in photos.choose_faces(choice, len(faces)):
        face, frame = faces[index].face, faces[index].frame
        side = max(size) if fills_image(frame, size) else frame.width
        masker = SemanticMasker(max(1, round(DILATE * side)), missing="empty")
        hole[face.region] |= masker(face.label_map, mask_class)
    if not hole.any():
        raise ComponentAbsentError(
            f"{_spoken(mask_class)} does not occur in the faces of this image that were chosen"
        )
    return hole


def _spoken(mask_class: ComponentLike) -> str:
    if isinstance(mask_class, str | int):
        return str(mask_class)
    return " + ".join(map(str, mask_class)) if isinstance(mask_class, list | tuple) else "this"
