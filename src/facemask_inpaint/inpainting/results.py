"""What an inpainter returns beside the images: which faces it found, and which it filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint._internal.types import LoadedImages
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.five_landmarks import FiveLandmarks


@dataclass(frozen=True)
class FoundFace:
    """A face that was found in an image.

    Attributes:
        image: index of the image among those of the call; 0 for a single one.
        frame: the square that the network saw or would have seen, in pixels of the image.
        landmarks: eyes, nose and corners of the mouth, in pixels of the image.
        score: how sure the parser is of it, from 0 to 1; 1 where a label map was given.
        filled: whether some of the hole lay in it.

    Example:
        >>> import facemask_inpaint as fmi
        >>> result = fmi.fill(fmi.data.sample(256).image, "eyes", device="cpu")
        >>> result.faces[0].filled
        True
    """

    image: int
    frame: Crop
    landmarks: FiveLandmarks
    score: float
    filled: bool

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Corners of the frame in pixels of the image, clockwise from the face's upper left."""
        return [self.frame.to_photo(x, y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]


@dataclass(frozen=True, eq=False)
class Inpainted:
    """The images of a call, and what was done to them.

    Attributes:
        images: what the call itself returns.
        masks: ``(H, W)`` bool per image, True = hole: the mask given, or the one that was made.
        faces: the faces that were found, image by image, the largest first; empty where no face
            was looked for.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
        >>> result = inpainter.inpaint(sample.image, mask_class="eyes", label_map=sample.label_map)
        >>> print(result)
        1 face, filled
    """

    images: LoadedImages | list[LoadedImages]
    masks: tuple[NDArray[np.bool_], ...]
    faces: tuple[FoundFace, ...]

    def __str__(self) -> str:
        filled = [face for face in self.faces if face.filled]
        if not self.faces:
            return "no face was looked for"
        count = "1 face" if len(self.faces) == 1 else f"{len(self.faces)} faces"
        if len(filled) == len(self.faces):
            return f"{count}, filled"
        where = ", ".join(f"({face.frame.x:.0f}, {face.frame.y:.0f})" for face in filled)
        return f"{count}, filled {len(filled)}" + (f": at {where}" if filled else "")
