"""From an ordinary photo to a label map: find the faces, look closely at each, put it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images import to_rgb
from facemask_inpaint.labels import LABEL_IDS
from facemask_inpaint.parsing._face_crops import find_faces
from facemask_inpaint.parsing.crops import View
from facemask_inpaint.parsing.label_network import LabelNetwork
from facemask_inpaint.parsing.left_right import assign_left_right
from facemask_inpaint.parsing.protocol import Labels

FaceChoice = int | str
"""Which faces of a photo: ``"largest"``, ``"all"``, or one by its number, 0 being the largest."""

_LOOKS = 4
"""How often a crop is set anew after what was seen in it."""

_SLACK = 2.0
"""How much more than usual a crop that was set anew so often may still wander."""

_SAME_FACE = 0.3
"""Crops whose middles are closer than this share of their width show one face."""

_WIDER = 2.5
"""How much larger than a face's crop the view is in which hair and clothes around it are seen."""

_BEYOND_CROP = [LABEL_IDS[name] for name in ("hair", "hat", "ear_r", "neck_l", "neck", "cloth")]
"""Labels that go on outside a face's crop; skin there is a hand's."""


@dataclass(frozen=True)
class Look:
    """A network's answer to one view of a photo."""

    view: View
    scores: NDArray[np.float32]


class PhotoParser:
    """Face parser for ordinary photos around a network that knows aligned portraits.

    The photo is parsed as a whole, in a square around it, to find the faces; then each face is
    cut out with the margin that portraits of CelebA-HQ have, turned upright, parsed, and put back.
    Hair, neck and clothes that go on beyond the crop come from a wider one. Where no face is found
    in the whole, nine overlapping quarters are searched. A picture that is an aligned portrait
    already is parsed as it is. Left and right follow from geometry.

    In a photo of several faces every pixel belongs to the face that is nearest in units of its
    own size, and what belongs to a face that was not chosen is background.

    Args:
        network: what labels square pictures.
        face: ``"largest"``, ``"all"``, or the number of a face, 0 being the largest.
        align: ``False`` takes every picture for an aligned portrait: it is squeezed into the
            network's square as it is, as the networks' authors do.

    Raises:
        OptionError: ``face`` is none of these.
    """

    def __init__(
        self, network: LabelNetwork, *, face: FaceChoice = "largest", align: bool = True
    ) -> None:
        self.network = network
        self.face = check_face(face)
        self.align = align

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that can come out."""
        return self.network.labels

    def __call__(self, image: Any) -> Labels:
        """Label map of a photo; see :class:`~facemask_inpaint.parsing.protocol.FaceParser`.

        Raises:
            ImageError: this is no picture; no face is in it; or none has the chosen number.
        """
        photo = to_rgb(image)
        if not self.align:
            return assign_left_right(
                self._labels(self._look(photo, View.whole(photo.size)), photo.size)
            )
        first = self._look(photo, View.around(photo.size))
        faces = self._faces(photo, first)
        if not faces:
            raise ImageError(
                "no face was found in this picture: it takes one whose eyes, nose or mouth are "
                "seen and whose size is at least a twentieth of the picture's; a portrait that is "
                "aligned already is parsed as it is with load_parser(…, align=False) in Python"
            )
        result = np.zeros(photo.size[::-1], dtype=np.uint8)
        owner = _owners([face.view for face in faces], result.shape)
        for index in choose_faces(self.face, len(faces)):
            labels = np.where(owner == index, self._compose(photo, faces[index]), 0)
            result |= assign_left_right(labels.astype(np.uint8))
        return result

    def find(self, image: Any) -> list[View]:
        """Crops of the faces in a photo, the largest first: the order that numbers follow."""
        photo = to_rgb(image)
        found = self._faces(photo, self._look(photo, View.around(photo.size)))
        return [face.view for face in found]

    def _look(self, photo: Image.Image, view: View) -> Look:
        return Look(view, self.network.scores(view.extract(photo, self.network.side)))

    def _faces_in(self, look: Look) -> list[View]:
        return find_faces(self.network.ids[look.scores.argmax(axis=0)], look.view)

    def _faces(self, photo: Image.Image, first: Look) -> list[Look]:
        """The closest look at each face, the largest first."""
        found = self._settled(photo, self._faces_in(first), first)
        if not found:
            looks = [self._look(photo, tile) for tile in first.view.tiles()]
            crops = [crop for look in looks for crop in self._faces_in(look)]
            found = self._settled(photo, crops, first)
        return found

    def _settled(self, photo: Image.Image, crops: list[View], first: Look) -> list[Look]:
        """The closest look at each face that is one from close by, the largest first."""
        settled: list[Look] = []
        for crop in sorted(crops, key=lambda crop: -crop.width):
            look = self._settle(photo, crop, first)
            if look and all(look.view.distance(one.view) > _SAME_FACE for one in settled):
                settled.append(look)
        return sorted(settled, key=lambda look: -look.view.width)

    def _settle(self, photo: Image.Image, crop: View, first: Look) -> Look | None:
        """Look at a face until its crop fits; ``None`` if it never does: then it was none."""
        look = first if crop.is_near(first.view) else self._look(photo, crop)
        for _ in range(_LOOKS):
            faces = self._faces_in(look)
            if not faces:
                return None
            crop = min(faces, key=look.view.distance)
            if crop.is_near(look.view):
                return look
            previous, look = look, self._look(photo, crop)
        return look if look.view.is_near(previous.view, _SLACK) else None

    def _labels(self, look: Look, size: tuple[int, int]) -> Labels:
        """Label map of a photo of which one view was looked at; background elsewhere."""
        labels = np.zeros(size[::-1], dtype=np.uint8)
        seen = look.view.restore(look.scores, size)
        labels[seen.region] = np.where(seen.inside, self.network.ids[seen.channels], 0)
        return labels

    def _compose(self, photo: Image.Image, face: Look) -> Labels:
        """Labels of one face: its close look, and what goes on from there beyond the crop."""
        seen = face.view.restore(face.scores, photo.size)
        if seen.inside.size == photo.width * photo.height and seen.inside.all():
            return self._labels(face, photo.size)
        wide = self._labels(self._look(photo, face.view.wider(_WIDER)), photo.size)
        labels = np.where(np.isin(wide, _BEYOND_CROP), wide, 0)
        labels[seen.region][seen.inside] = self.network.ids[seen.channels[seen.inside]]
        patches, count = ndimage.label(labels > 0)
        connected = np.zeros(count + 1, dtype=bool)
        connected[patches[seen.region][seen.inside]] = True
        return np.where(connected[patches], labels, 0)


def choose_faces(face: FaceChoice, count: int) -> range:
    """Numbers of the chosen ones among ``count`` faces, of which 0 is the largest.

    Raises:
        ImageError: there are not as many faces.
    """
    if face == "all":
        return range(count)
    index = 0 if face == "largest" else int(face)
    if index >= count:
        raise ImageError(
            f"face {index} was asked for, but this picture has {count}; 0 is the largest"
        )
    return range(index, index + 1)


def check_face(face: FaceChoice) -> FaceChoice:
    """The same, if it means faces of a photo.

    Raises:
        OptionError: it does not.
    """
    is_number = isinstance(face, int) and not isinstance(face, bool) and face >= 0
    if face not in ("largest", "all") and not is_number:
        raise OptionError(
            f'face must be "largest", "all", or a number from 0 (the largest), not {face!r}'
        )
    return face


def _owners(crops: list[View], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Index of the crop that each pixel belongs to: the nearest in units of its width."""
    owner = np.zeros(shape, dtype=np.intp)
    if len(crops) == 1:
        return owner
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for index, crop in enumerate(crops):
        distance = np.hypot(rows + 0.5 - crop.y, columns + 0.5 - crop.x) / crop.width
        closer = distance < nearest
        owner[closer] = index
        nearest[closer] = distance[closer]
    return owner
