"""From an ordinary photo to a label map: find the faces, crop and parse each, uncrop it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from facemask_inpaint._internal.types import FaceChoice, ImageLike
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.decoding import shared_rgb
from facemask_inpaint.labels import LABEL_IDS, OVAL, LabelIds
from facemask_inpaint.parsing._face_crops import find_faces
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.faces import LabelledFace, Region, everything, owners, within
from facemask_inpaint.parsing.label_network import LabelNetwork
from facemask_inpaint.parsing.left_right import assign_left_right

_REFINEMENTS = 4
"""How often a crop is set anew after what was found in it."""

_SLACK = 2.0
"""How much more than usual a crop that was set anew so often may still move."""

_SAME_FACE = 0.3
"""Crops whose centres are closer than this share of a width show one face."""

_QUARTERS = (math.pi / 2, -math.pi / 2, math.pi)
"""Angles in radians by which a photo may lie on its side or upside down."""

_SHARES = (1 / 2, 1 / 4)
_SEARCHES = (
    *((share, 0.0) for share in _SHARES),
    *((share, roll) for share in _SHARES for roll in _QUARTERS),
)
"""Windows in which smaller faces are searched, as shares of the photo's longer side, and how they
are turned: the first always, each of the others where no face has been found by then."""

NO_FACE = (
    "no face was found in this image: it takes one whose eyes, nose or mouth are visible and whose "
    "size is at least a twentieth of the image's"
)

_SURE = 0.9
"""Confidence in a face's labels below which it is also parsed turned by quarters."""

CREDIBLE = 0.82
"""Share of the surest face's confidence below which another is none: on photos of others, faces
have 0.86 to 0.94, patterns that were taken for faces 0.61 to 0.71."""

_WIDER = 2.5
"""How much larger than a face's crop the crop is in which hair and clothes around it are found."""

_BEYOND_CROP = [LABEL_IDS[name] for name in ("hair", "hat", "ear_r", "neck_l", "neck", "cloth")]
"""Labels that go on outside a face's crop; skin there is a hand's."""

_STRIP = 256
"""Rows of a photo that are hashed at a time."""

_OWN = [LABEL_IDS[name] for name in OVAL]


@dataclass(frozen=True)
class ScoredCrop:
    """A crop of a photo, and a network's label scores ``(K, h, w)`` for it."""

    crop: Crop
    scores: NDArray[np.float32]


class PhotoParser:
    """Face parser for ordinary photos around a network that knows aligned portraits.

    The photo is parsed as a whole, in a square around it, to find the faces; then each face is
    cropped with the margin that portraits of CelebA-HQ have, turned upright, parsed, and uncropped.
    Hair, neck and clothes that go on beyond the crop come from a wider one. An image that is an
    aligned portrait already is parsed as it is; in all others overlapping windows of half the
    photo's side are searched too, and smaller and turned ones where no face has been found. Left
    and right follow from geometry.

    In a photo of several faces every pixel belongs to the face that is nearest in units of its
    own size, and what belongs to a face that was not chosen is background.

    Args:
        network: what labels square images.
        face: ``"largest"``, ``"all"``, or the number of a face, 0 being the largest.
        align: ``False`` takes every image for an aligned portrait: it is squeezed into the
            network's square as it is, as the networks' authors do.

    Raises:
        OptionError: ``face`` is none of these.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> parser = parsing.PhotoParser(parsing.load_parser("small").network, face="all")
        >>> len(parser.find_faces(data.sample().image))
        1
    """

    def __init__(
        self, network: LabelNetwork, *, face: FaceChoice = "largest", align: bool = True
    ) -> None:
        self.network = network
        self.face = check_face(face)
        self.align = align
        self._last: tuple[LabelNetwork, tuple[int, int], bytes, list[LabelledFace]] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that can come out."""
        return self.network.labels

    def __call__(self, image: ImageLike) -> LabelIds:
        """Return the label map of a photo; see :class:`~facemask_inpaint.parsing.FaceParser`.

        Raises:
            ImageError: This is no image; no face is in it; or none has the chosen number.
        """
        photo = shared_rgb(image)
        if not self.align:
            scored = self._score(photo, Crop.whole(photo.size))
            return assign_left_right(self._labels(scored, everything(photo.size[::-1])))
        faces = self.labelled_faces(photo)
        if not faces:
            raise ImageError(
                f"{NO_FACE}; a portrait that is aligned already is parsed as it is with "
                "load_parser(…, align=False) in Python"
            )
        label_map = np.zeros(photo.size[::-1], dtype=np.uint8)
        for index in choose_faces(self.face, len(faces)):
            label_map[faces[index].region] |= faces[index].label_map
        return label_map

    def labelled_faces(self, image: ImageLike) -> list[LabelledFace]:
        """Return every face of a photo with the labels around it, the largest first.

        The faces of the last photo are kept, for the next call with the same pixels.

        Args:
            image: the photo.

        Returns:
            Faces, whose label maps are read-only; none where none was found.
        """
        photo = shared_rgb(image)
        content = _digest(photo)
        last = self._last
        if last is None or last[:3] != (self.network, photo.size, content):
            last = self._last = (self.network, photo.size, content, self._labelled_faces(photo))
        return list(last[3])

    def _labelled_faces(self, photo: Image.Image) -> list[LabelledFace]:
        faces = self._scored_faces(photo)
        crops = [face.crop for face in faces]
        return [
            self._labelled(photo, face, owners(crops, self._region(photo, face)) == index)
            for index, face in enumerate(faces)
        ]

    def find_faces(self, image: ImageLike) -> list[Crop]:
        """Return the crops of the faces in a photo, in the order of their numbers.

        Args:
            image: the photo.

        Returns:
            Crops, the largest face first.
        """
        return [face.crop for face in self._scored_faces(shared_rgb(image))]

    def _score(self, photo: Image.Image, crop: Crop) -> ScoredCrop:
        return ScoredCrop(crop, self.network.scores(crop.extract(photo, self.network.resolution)))

    def _crops_in(self, scored: ScoredCrop) -> list[Crop]:
        return find_faces(self.network.ids[scored.scores.argmax(axis=0)], scored.crop)

    def _scored_faces(self, photo: Image.Image) -> list[ScoredCrop]:
        """The best crop of each face with its scores, the largest first."""
        whole = self._score(photo, Crop.square_around(photo.size))
        faces = self._refined(photo, self._crops_in(whole), whole, [])
        if any(face is whole for face in faces):
            return faces
        for share, roll in _SEARCHES:
            windows = [
                self._score(photo, replace(crop, roll=roll))
                for crop in Crop.cover(photo.size, share)
            ]
            crops = [crop for window in windows for crop in self._crops_in(window)]
            faces = self._refined(photo, crops, whole, faces)
            if faces:
                break
        return sorted(self._credible(faces), key=lambda face: -face.crop.width)

    def _credible(self, faces: list[ScoredCrop]) -> list[ScoredCrop]:
        """The faces without patterns of clothes and backgrounds that resemble one."""
        scores = [self._confidence(face) for face in faces]
        least = CREDIBLE * max(scores, default=0.0)
        return [face for face, score in zip(faces, scores) if score >= least]

    def _refined(
        self,
        photo: Image.Image,
        crops: list[Crop],
        whole: ScoredCrop,
        known: list[ScoredCrop],
    ) -> list[ScoredCrop]:
        """The known faces and the best crops of those that also look like one from close by."""
        faces = list(known)
        for crop in sorted(crops, key=lambda crop: -crop.width):
            if _is_new(crop, faces):
                scored = self._turned(photo, self._refine(photo, crop, whole))
                if scored and _is_new(scored.crop, faces):
                    faces.append(scored)
        return faces

    def _refine(self, photo: Image.Image, crop: Crop, whole: ScoredCrop) -> ScoredCrop | None:
        """Set a crop anew until it fits its face; ``None`` if it never does: then it was none."""
        scored = whole if crop.is_close(whole.crop) else self._score(photo, crop)
        for _ in range(_REFINEMENTS):
            crops = self._crops_in(scored)
            if not crops:
                return None
            crop = min(crops, key=scored.crop.distance)
            if crop.is_close(scored.crop):
                return scored
            previous, scored = scored, self._score(photo, crop)
        return scored if scored.crop.is_close(previous.crop, _SLACK) else None

    def _turned(self, photo: Image.Image, face: ScoredCrop | None) -> ScoredCrop | None:
        """The face, or the same turned by quarters where its labels are more certain then."""
        if face is None or self._confidence(face) >= _SURE:
            return face
        turned = [
            self._refine(photo, replace(face.crop, roll=face.crop.roll + roll), face)
            for roll in _QUARTERS
        ]
        return max([face, *filter(None, turned)], key=self._confidence)

    def _confidence(self, face: ScoredCrop) -> float:
        """Mean probability of the labels of a face's own pixels."""
        shares = np.exp(face.scores - face.scores.max(axis=0))
        inside = np.isin(self.network.ids[face.scores.argmax(axis=0)], _OWN)
        return float((1 / shares.sum(axis=0))[inside].mean()) if inside.any() else 0.0

    def _labelled(
        self, photo: Image.Image, face: ScoredCrop, own: NDArray[np.bool_]
    ) -> LabelledFace:
        """One face with the pixels of its region that are its ``own``."""
        region = self._region(photo, face)
        ids = np.where(own, self._compose(photo, face, region), 0).astype(np.uint8)
        label_map = assign_left_right(ids)
        label_map.flags.writeable = False
        return LabelledFace(face.crop, region, label_map, self._confidence(face))

    def _region(self, photo: Image.Image, face: ScoredCrop) -> Region:
        return face.crop.scaled(_WIDER).region(photo.size)

    def _labels(self, scored: ScoredCrop, region: Region) -> LabelIds:
        """Label map of a region of a photo around a scored crop; background beyond the crop."""
        rows, columns = region
        best = scored.crop.uncrop(scored.scores, (columns.stop, rows.stop))
        label_map = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
        label_map[within(best.region, region)] = np.where(
            best.inside, self.network.ids[best.channels], 0
        )
        return label_map

    def _compose(self, photo: Image.Image, face: ScoredCrop, region: Region) -> LabelIds:
        """Label map of a face's region: its crop, and what goes on from there beyond the crop."""
        best = face.crop.uncrop(face.scores, photo.size)
        if best.inside.size == photo.width * photo.height and best.inside.all():
            return self._labels(face, region)
        wide = self._labels(self._score(photo, face.crop.scaled(_WIDER)), region)
        label_map = np.where(np.isin(wide, _BEYOND_CROP), wide, 0)
        inner = within(best.region, region)
        label_map[inner][best.inside] = self.network.ids[best.channels[best.inside]]
        patches, count = ndimage.label(label_map > 0)
        connected = np.zeros(count + 1, dtype=bool)
        connected[patches[inner][best.inside]] = True
        return np.where(connected[patches], label_map, 0)


def _digest(photo: Image.Image) -> bytes:
    """SHA-256 of a photo's samples, read in strips: all bytes of a large one would be a copy."""
    digest = hashlib.sha256()
    for top in range(0, photo.height, _STRIP):
        strip = photo.crop((0, top, photo.width, min(top + _STRIP, photo.height)))
        digest.update(strip.tobytes())
    return digest.digest()


def _is_new(crop: Crop, faces: list[ScoredCrop]) -> bool:
    """Whether a crop shows none of the faces: they neither lie in its middle nor it in theirs."""
    return all(
        min(crop.distance(face.crop), face.crop.distance(crop)) > _SAME_FACE for face in faces
    )


def choose_faces(face: FaceChoice, count: int) -> range:
    """Return the numbers of the chosen ones among ``count`` faces, of which 0 is the largest.

    Raises:
        ImageError: There are not as many faces.
    """
    if face == "all":
        return range(count)
    index = 0 if face == "largest" else int(face)
    if index >= count:
        raise ImageError(
            f"face {index} was asked for, but this image has {count}; 0 is the largest"
        )
    return range(index, index + 1)


def check_face(face: FaceChoice, name: str = "face") -> FaceChoice:
    """Return a choice of faces as it is, if it is one.

    Args:
        face: the choice.
        name: what messages call it.

    Raises:
        OptionError: It is none.
    """
    is_number = isinstance(face, int) and not isinstance(face, bool) and face >= 0
    if face not in ("largest", "all") and not is_number:
        raise OptionError(
            f'{name} must be "largest", "all", or a number from 0 (the largest), not {face!r}'
        )
    return face
