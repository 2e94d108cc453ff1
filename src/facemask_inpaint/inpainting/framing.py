"""How faces lie in the images that networks were trained on, and the crop that puts one there.

The images of CelebA-HQ and of FFHQ were cut out of photos by the same rule (T. Karras et al.,
"Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, appendix C;
T. Karras, S. Laine and T. Aila, "A Style-Based Generator Architecture for Generative Adversarial
Networks", CVPR 2019, section 5 and ``download_ffhq.py``): with e the vector from the right eye to
the left, d that from the middle of the eyes to the middle of the corners of the mouth, and d' the
latter turned by 90 degrees onto the direction of the former,

- the horizontal axis of the square is that of e + d';
- its side is the larger of 4 |e| and 3.6 |d|;
- its middle lies 0.1 d below the middle of the eyes.

What differs is where the points come from: CelebA's annotation has one point in each eye, while for
FFHQ an eye is the mean of dlib's six points around it. Either is the middle of what a label map
calls an eye, to within a few hundredths of the distance of the eyes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from facemask_inpaint._internal.types import Size
from facemask_inpaint.models import Card
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.five_landmarks import FiveLandmarks


@dataclass(frozen=True)
class Framing:
    """A rule from five landmarks to a square crop.

    Attributes:
        eyes: side of the square over the distance of the eyes, where that is decisive.
        mouth: side of the square over the distance from the eyes to the mouth, likewise.
        below: how far the middle of the square lies below the eyes, as a share of the distance from
            the eyes to the mouth.

    Example:
        >>> from facemask_inpaint import data, parsing
        >>> landmarks = parsing.read_landmarks(data.sample(256).label_map)
        >>> crop = FRAMINGS["ffhq"].crop(landmarks)
        >>> round(crop.width / 256, 1)
        0.7
    """

    eyes: float
    mouth: float
    below: float

    def crop(self, landmarks: FiveLandmarks) -> Crop:
        """Return the square in the image that the rule cuts out around a face."""
        right, left, _, *corners = (complex(x, y) for x, y in landmarks.points)
        middle = (right + left) / 2
        across, down = left - right, sum(corners) / 2 - middle
        axis = across - 1j * down
        side = max(self.eyes * abs(across), self.mouth * abs(down))
        centre = middle + self.below * down
        roll = math.atan2(axis.imag, axis.real)
        return Crop(centre.real, centre.imag, side, side, roll)


_PUBLISHED = Framing(eyes=4.0, mouth=3.6, below=0.1)

FRAMINGS: Mapping[str, Framing] = {
    "celebahq": _PUBLISHED,
    "ffhq": _PUBLISHED,
    "portraits": Framing(eyes=4.3, mouth=3.87, below=0.16),
}
"""The rules by data set. That of ``portraits``, which were cropped at one width around the eyes, is
the one that gives their square on average."""


def framing_of(card: Card | None) -> Framing:
    """Return the rule of the data that a network was trained on.

    Args:
        card: of the network. Without one, or where the data show no faces, or faces as they come,
            CelebA-HQ's rule is meant.

    Example:
        >>> from facemask_inpaint import models
        >>> framing_of(models.card("mat-ffhq-512")) is FRAMINGS["ffhq"]
        True
    """
    if card is None:
        return FRAMINGS["celebahq"]
    return FRAMINGS.get(card.data) or FRAMINGS.get(card.framing, FRAMINGS["celebahq"])


_SAME_SIZE = 1.3
_SAME_PLACE = 0.12
_SAME_ROLL = 0.2


def fills_image(frame: Crop, size: Size) -> bool:
    """Return whether an image of ``size`` (height, width) is framed already.

    That is so where the square around it differs from the face's frame by no more than portraits of
    one data set differ among each other.

    Example:
        >>> fills_image(Crop(x=130, y=126, width=240, height=240), (256, 256))
        True
    """
    height, width = size
    whole = Crop.square_around((width, height))
    ratio = max(frame.width / whole.width, whole.width / frame.width)
    roll = abs(math.remainder(frame.roll, math.tau))
    return ratio < _SAME_SIZE and frame.distance(whole) < _SAME_PLACE and roll < _SAME_ROLL
