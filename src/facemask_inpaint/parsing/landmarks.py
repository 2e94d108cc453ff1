"""Label maps drawn from facial landmarks, whatever tool found them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from facemask_inpaint._internal.types import FaceChoice, ImageLike
from facemask_inpaint.errors import ImageError, MissingDependencyError, OptionError
from facemask_inpaint.images import to_rgb
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES, LabelIds
from facemask_inpaint.parsing.landmark_layouts import Layout, layout_of
from facemask_inpaint.parsing.photos import check_face, choose_faces

Points = NDArray[np.float64]
"""``(n, 2)`` x and y in pixels."""

Finder = Callable[[Image.Image], Sequence[ArrayLike]]
"""From an upright RGB image to the landmarks ``(n, 2)`` of every face in it, in pixels."""

_ORDER = ("skin", "nose", "l_brow", "r_brow", "l_eye", "r_eye", "mouth", "u_lip", "l_lip")
"""What is drawn, later parts over earlier ones."""

_BROW_WIDTH = 0.075
"""Thickness of a brow of which only the ridge is marked, as a share of the eyes' distance."""

_FOREHEAD = 0.75
"""How far the forehead is taken to rise above the brows, as a share of the eyes' distance."""

_SMOOTH = 4
"""Parts are drawn this many times larger, then the pixels that are mostly covered are taken."""


class LandmarkParser:
    """Face parser that draws eyes, brows, nose, lips, mouth and facial skin from landmarks.

    It knows neither ears nor hair, neck, clothes or glasses: nothing marks them. Skin is what is
    left of the face's oval.

    Args:
        find: gives the landmarks of every face in an image; by default MediaPipe, if installed.
        layout: ``"ibug-68"`` or ``"mediapipe"``; by default it follows from how many points
            there are.
        face: ``"largest"``, ``"all"``, or the number of a face, 0 being the largest.

    Raises:
        OptionError: ``face`` is none of these.
        MissingDependencyError: No ``find`` is given, and MediaPipe is not installed or has no
            face mesh.

    Example:
        >>> import numpy as np
        >>> parser = LandmarkParser(lambda image: [np.load("face.npy")])  # doctest: +SKIP
    """

    labels = tuple(name for name in LABEL_NAMES if name in _ORDER)

    def __init__(
        self,
        find: Finder | None = None,
        *,
        layout: str | None = None,
        face: FaceChoice = "largest",
    ) -> None:
        self.find = find or mediapipe_finder()
        self.layout = layout
        self.face = check_face(face)

    def __call__(self, image: ImageLike) -> LabelIds:
        """Return the label map of a photo; see :class:`~facemask_inpaint.parsing.FaceParser`.

        Raises:
            ImageError: This is no image; no face is in it; or none has the chosen number.
        """
        photo = to_rgb(image)
        faces = sorted(map(_points, self.find(photo)), key=lambda points: -_extent(points))
        if not faces:
            raise ImageError("no face was found in this image: its landmarks are empty")
        result = np.zeros(photo.size[::-1], dtype=np.uint8)
        for index in reversed(choose_faces(self.face, len(faces))):
            labels = label_map_from_landmarks(faces[index], result.shape, layout=self.layout)
            result = np.where(labels > 0, labels, result)
        return result


def label_map_from_landmarks(
    points: ArrayLike, shape: tuple[int, ...], *, layout: str | None = None
) -> LabelIds:
    """Draw the label map of one face from its landmarks.

    Args:
        points: ``(n, 2)``, x and y in pixels; further columns, such as a depth, are ignored.
        shape: height and width of the image.
        layout: ``"ibug-68"`` or ``"mediapipe"``; by default it follows from ``n``.

    Returns:
        ``(H, W)`` uint8 with skin, nose, eyes, brows, mouth and lips, and background elsewhere.

    Raises:
        OptionError: These are no landmarks of a known layout.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import parsing
        >>> points = np.random.default_rng(0).random((68, 2)) * 64
        >>> parsing.label_map_from_landmarks(points, (64, 64)).shape
        (64, 64)
    """
    points = _points(points)
    known = layout_of(layout, len(points))
    labels = np.zeros(shape[:2], dtype=np.uint8)
    for name in _ORDER:
        inside = _draw(points, known, name, (shape[0], shape[1]))
        labels[inside] = LABEL_IDS[name]
    return labels


def mediapipe_finder(*, confidence: float = 0.5, most: int = 8) -> Finder:
    """Return a finder by MediaPipe's face mesh, whose models ship in its package up to 0.10.21.

    Args:
        confidence: least confidence of a detection.
        most: most faces in an image.

    Raises:
        MissingDependencyError: MediaPipe is not installed, or is one without the face mesh.
    """
    try:
        from mediapipe import solutions  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(
            "landmarks need a tool that finds them: MediaPipe with its models inside "
            '(pip install "mediapipe>=0.10.9,<0.10.30"; most of these need numpy<2), or any other '
            "through LandmarkParser(find=...)"
        ) from error

    def find(image: Image.Image) -> list[Points]:
        with solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            refine_landmarks=True,
            max_num_faces=most,
            min_detection_confidence=confidence,
        ) as mesh:
            faces = mesh.process(np.asarray(image)).multi_face_landmarks or []
        points = [np.array([[mark.x, mark.y] for mark in face.landmark]) for face in faces]
        return [each * image.size for each in points]

    return find


def _points(points: ArrayLike) -> Points:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 2 or not np.isfinite(array).all():
        raise OptionError(
            f"landmarks are (n, 2) finite numbers, x and y in pixels, not {array.shape}"
        )
    return array[:, :2]


def _extent(points: Points) -> float:
    return float(np.ptp(points, axis=0).max())


def _draw(points: Points, layout: Layout, name: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """``(H, W)`` bool: the pixels of one part."""
    if name == "skin":
        outline = _with_forehead(points, layout) if layout.forehead else points[list(layout.oval)]
    elif name in layout.strips:
        outline = _thicken(points[list(layout.strips[name])], points, layout)
    else:
        outline = points[list(layout.parts[name])]
    return _filled(outline, shape)


def _filled(outline: Points, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of which at least half lies in a polygon."""
    inside = np.zeros(shape, dtype=bool)
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)).astype(int), shape[::-1])
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        return inside
    canvas = Image.new("L", (width * _SMOOTH, height * _SMOOTH))
    corners = (outline - (left, top)) * _SMOOTH - 0.5
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners], fill=255)
    coverage = np.asarray(canvas.reduce(_SMOOTH))
    inside[top:bottom, left:right] = coverage >= 128
    return inside


def _eye_distance(points: Points, layout: Layout) -> tuple[Points, float]:
    """Unit vector from the person's right eye to the left one, and their distance."""
    right, left = points[list(layout.eye_corners)]
    distance = max(float(np.hypot(*(left - right))), 1e-6)
    return (left - right) / distance, distance


def _thicken(ridge: Points, points: Points, layout: Layout) -> Points:
    """Outline of a strip around a line of points, across the line between the eyes."""
    (x, y), distance = _eye_distance(points, layout)
    below = np.array([-y, x]) * distance * _BROW_WIDTH
    return np.concatenate([ridge - below / 2, (ridge + below)[::-1]])


def _with_forehead(points: Points, layout: Layout) -> Points:
    """The jaw's outline closed by half an ellipse above the brows."""
    jaw = points[list(layout.oval)]
    (x, y), distance = _eye_distance(points, layout)
    above = np.array([y, -x]) * distance
    brows = [number for strip in layout.strips.values() for number in strip]
    middle, half = (jaw[0] + jaw[-1]) / 2, (jaw[-1] - jaw[0]) / 2
    rise = ((points[brows] - middle) @ above).max() / distance**2 + _FOREHEAD / 2
    angles = np.linspace(0, np.pi, 24)[1:-1, None]
    arc = middle + np.cos(angles) * half + np.sin(angles) * above * rise
    return np.concatenate([jaw, arc])
