"""Single faces in an image: where each is, its labels, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.labels import LabelIds
from facemask_inpaint.parsing._face_crops import find_faces
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.five_landmarks import FiveLandmarks, read_landmarks

Region = tuple[slice, slice]
"""Rows and columns of an image."""

_SEARCHED = 1024
"""Longer side in pixels of the copy of a label map in which faces are looked for."""

_STRIP = 256
"""Rows of an image whose distances from the faces are in memory at a time."""

_LEAST_SIZE, _GAP = 0.01, 0.003
"""What counts as a face there; less than in a parser's scores, for labels are exact."""

_MARGIN = 0.05
"""How much more than a face's labels its region holds, as a share of its crop: masks of the labels
are dilated by less."""


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """One face of an image with the labels around it.

    Attributes:
        crop: a square around the face with the margin of portraits, upright or turned with it.
        region: rows and columns of the image that ``label_map`` is for.
        label_map: ``(h, w)`` uint8 label ids; what belongs to other faces is background.
        score: how sure the parser is of the face's labels, from 0 to 1.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> (face,) = parsing.labelled_faces(data.sample(256).label_map)
        >>> face.score, face.label_map.shape
        (1.0, (249, 219))
    """

    crop: Crop
    region: Region
    label_map: LabelIds
    score: float = 1.0

    @cached_property
    def landmarks(self) -> FiveLandmarks:
        """Eyes, nose and corners of the mouth, in pixels of the image.

        Raises:
            ComponentAbsentError: too few of them are labelled.
        """
        rows, columns = self.region
        return read_landmarks(self.label_map).moved(columns.start, rows.start)


def labelled_faces(label_map: LabelIds) -> list[LabelledFace]:
    """Return the faces in a label map, the largest first.

    A face is a patch of facial skin with at least two of eyes, nose and mouth in it. Faces that
    touch are taken for one; each of the other pixels belongs to the nearest face.

    Args:
        label_map: ``(H, W)`` uint8 label ids of a whole image.

    Returns:
        Faces with a score of 1; none where there is no face.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> len(parsing.labelled_faces(data.sample(256).label_map))
        1
    """
    height, width = label_map.shape
    step = -(-max(height, width) // _SEARCHED)
    coarse, whole = label_map[::step, ::step], Crop.whole((width, height))
    crops = find_faces(coarse, whole, least=_LEAST_SIZE, gap=_GAP)
    owner = owners(crops, everything(label_map.shape))
    faces = []
    for index, crop in enumerate(crops):
        own = np.where(owner == index, label_map, 0).astype(np.uint8)
        if not own.any():
            continue
        region = _around(own > 0, round(_MARGIN * crop.width) + 1)
        faces.append(LabelledFace(crop, region, own[region].copy()))
    return faces


def _around(marked: NDArray[np.bool_], margin: int) -> Region:
    """Rows and columns around what is marked, and so many more as there are."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(marked.any(axis=axis))
        stop = min(int(places[-1]) + 1 + margin, marked.shape[1 - axis])
        spans.append(slice(max(int(places[0]) - margin, 0), stop))
    return spans[0], spans[1]


def everything(shape: tuple[int, ...]) -> Region:
    """Return all rows and columns of an image of a shape (height, width)."""
    return slice(0, shape[0]), slice(0, shape[1])


def within(inner: Region, outer: Region) -> Region:
    """Return the rows and columns of an image as counted from the start of a region around them."""
    rows, columns = (
        slice(span.start - around.start, span.stop - around.start)
        for span, around in zip(inner, outer)
    )
    return rows, columns


def owners(crops: list[Crop], region: Region) -> NDArray[np.uint16]:
    """Return the index of the crop that each pixel belongs to: the nearest in units of its width.

    Args:
        crops: of the faces of an image; at least one counts.
        region: rows and columns of the image.
    """
    rows, columns = (np.arange(span.start, span.stop) + 0.5 for span in region)
    owner = np.zeros((len(rows), len(columns)), dtype=np.uint16)
    if len(crops) < 2:
        return owner
    for top in range(0, len(rows), _STRIP):
        strip, y = owner[top : top + _STRIP], rows[top : top + _STRIP, None]
        nearest = np.full(strip.shape, np.inf, dtype=np.float32)
        for index, crop in enumerate(crops):
            distance = np.hypot(y - crop.y, columns - crop.x) / crop.width
            closer = distance < nearest
            strip[closer] = index
            nearest[closer] = distance[closer]
    return owner
