"""Landmark layouts: which points outline which part of a face.

Two layouts are common: the 68 points of iBUG's 300-W (C. Sagonas et al., "300 Faces in-the-Wild
Challenge", ICCVW 2013; dlib's, face-alignment's) and the 468 or 478 of MediaPipe's face mesh (Y.
Kartynnik et al., 2019). ``l_`` and ``r_`` are the person's own sides in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facemask_inpaint.errors import OptionError, unknown_name

Outline = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """A numbering of landmarks.

    Attributes:
        counts: how many points there may be.
        oval: outline of the face; where ``forehead`` is set, from ear to ear below the brows.
        parts: label name to the outline of the part.
        strips: label name to a line of points, for brows of which only the ridge is marked.
        eye_corners: the outer corners of the eyes, the person's right one first.
        forehead: whether the outline must be closed above the brows by this library.
    """

    counts: tuple[int, ...]
    oval: Outline
    parts: Mapping[str, Outline]
    strips: Mapping[str, Outline]
    eye_corners: tuple[int, int]
    forehead: bool


_IBUG68 = Layout(
    counts=(68,),
    oval=tuple(range(17)),
    parts={
        "nose": (27, 31, 32, 33, 34, 35),
        "r_eye": tuple(range(36, 42)),
        "l_eye": tuple(range(42, 48)),
        "mouth": tuple(range(60, 68)),
        "u_lip": (*range(48, 55), *range(64, 59, -1)),
        "l_lip": (*range(54, 60), 48, 60, *range(67, 63, -1)),
    },
    strips={"r_brow": tuple(range(17, 22)), "l_brow": tuple(range(22, 27))},
    eye_corners=(36, 45),
    forehead=True,
)

_UPPER_OUTSIDE = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_UPPER_INSIDE = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LOWER_OUTSIDE = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_LOWER_INSIDE = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

_MEDIAPIPE = Layout(
    counts=(468, 478),
    oval=(
        *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
        *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    ),
    parts={
        "nose": (
            *(168, 122, 174, 198, 49, 48, 64, 98, 97),
            *(2, 326, 327, 294, 278, 279, 420, 399, 351),
        ),
        "r_eye": (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        "l_eye": (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
        "r_brow": (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
        "l_brow": (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
        "mouth": (*_UPPER_INSIDE, *reversed(_LOWER_INSIDE)),
        "u_lip": (*_UPPER_OUTSIDE, *reversed(_UPPER_INSIDE)),
        "l_lip": (*_LOWER_OUTSIDE, *reversed(_LOWER_INSIDE)),
    },
    strips={},
    eye_corners=(33, 263),
    forehead=False,
)

LAYOUTS: Mapping[str, Layout] = {"ibug-68": _IBUG68, "mediapipe": _MEDIAPIPE}
"""The layouts by name."""


def layout_of(name: str | None, count: int) -> Layout:
    """Return a layout by its name, or by the number of points when ``name`` is ``None``.

    Raises:
        UnknownNameError: No layout has this name.
        OptionError: The layout, or any, has not as many points.
    """
    if name is not None and name not in LAYOUTS:
        raise unknown_name("landmark layout", name, LAYOUTS)
    for known, layout in LAYOUTS.items():
        if name in (None, known) and count in layout.counts:
            return layout
    expected = "; ".join(
        f"{known}: {' or '.join(map(str, layout.counts))}"
        for known, layout in LAYOUTS.items()
        if name in (None, known)
    )
    raise OptionError(f"{count} landmarks were given; expected for {expected}")
