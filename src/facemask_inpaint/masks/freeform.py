"""Random free-form holes after the published recipes.

A generator is a function of ``(size, rng)`` that gives ``(size, size)`` bool, True = hole. It is
pure: the same :class:`numpy.random.Generator` state gives the same hole. Distributions are those
of the papers' own code. The draws come in another order: a shape's numbers are drawn in one call
and then used as plain Python floats, since a NumPy call costs more than the arithmetic here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks._canvas import Canvas, Point
from facemask_inpaint.masks.morphology import Hole

HoleGenerator: TypeAlias = Callable[[int, np.random.Generator], Hole]
"""``(size, rng)`` to ``(size, size)`` bool, True = hole."""

ATTEMPTS = 1000
"""Draws after which a hole-ratio window is given up as out of reach."""

_MEAN_ANGLE = 2 * math.pi / 5
_ANGLE_RANGE = 2 * math.pi / 15


@dataclass(frozen=True)
class _Counts:
    """How many shapes a MAT-like hole has at most, exclusively."""

    small_boxes: int
    large_boxes: int
    strokes: int

    def scaled(self, share: float) -> _Counts:
        """Return fewer shapes for smaller holes, at least one of a kind to draw none of."""
        counts = (self.small_boxes, self.large_boxes, self.strokes)
        return _Counts(*(max(1, math.floor(share * count)) for count in counts))


_MAT_512, _MAT_256 = _Counts(5, 3, 9), _Counts(4, 2, 8)
_MAT_512_SMALL, _MAT_256_SMALL = _Counts(3, 2, 4), _Counts(2, 2, 3)
_COMODGAN = _Counts(10, 5, 20)


def mat(
    size: int,
    rng: np.random.Generator,
    *,
    hole_range: tuple[float, float] = (0.0, 1.0),
    small: bool = False,
) -> Hole:
    """Draw boxes and zig-zag brush strokes, as MAT is trained with (Li et al., CVPR 2022).

    Up to a resolution of 256 the counts are those of MAT's 256 data set, above those of its 512
    one. Stroke widths are in pixels, whatever the size.

    Args:
        size: resolution in pixels.
        rng: source of all draws.
        hole_range: the covered share of the image lies strictly between these; draws outside
            are repeated. A range with a sum below 1 also lowers the counts.
        small: the variant for small holes.

    Raises:
        OptionError: No hole within ``hole_range`` was found in :data:`ATTEMPTS` draws.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import freeform
        >>> freeform.mat(256, np.random.default_rng(0)).shape
        (256, 256)
    """
    if size > 256:
        counts = _MAT_512_SMALL if small else _MAT_512
    else:
        counts = _MAT_256_SMALL if small else _MAT_256
    counts = counts.scaled(min(sum(hole_range), 1))
    return _within(lambda: _boxes_and_strokes(size, rng, counts), hole_range)


def comodgan(size: int, rng: np.random.Generator) -> Hole:
    """Draw MAT's shapes in Co-Mod-GAN's numbers (Zhao et al., ICLR 2021), MI-GAN's too.

    Up to 9 boxes with sides below ``size / 2``, 4 below ``size``, and 19 strokes.
    """
    return _within(lambda: _boxes_and_strokes(size, rng, _COMODGAN), (0.0, 1.0))


def deepfill(size: int, rng: np.random.Generator) -> Hole:
    """Draw one box and one to three strokes, as DeepFill v2 is trained with (Yu et al., ICCV 2019).

    The box has half the side, less up to a sixteenth of it at each of its four edges.
    """
    return _within(lambda: _box_and_strokes(size, rng), (0.0, 1.0))


@dataclass(frozen=True)
class _LaMaPreset:
    """Limits of LaMa's generators at a reference side; ranges of counts and sides are inclusive.

    Attributes:
        side: reference resolution in pixels; lengths scale with the actual one.
        strokes: fewest and most strokes.
        length: longest segment beyond the first 10 px.
        width: widest segment beyond the first 5 px.
        boxes: fewest and most boxes; (0, 0) for a preset without.
        box_sides: shortest and longest box side.
        margin: distance of boxes from the border.
        box_probability: chance of boxes instead of strokes.
        most: bound of the covered share of the image.
    """

    side: int
    strokes: tuple[int, int]
    length: int
    width: int
    boxes: tuple[int, int] = (0, 0)
    box_sides: tuple[int, int] = (0, 0)
    margin: int = 0
    box_probability: float = 0.0
    most: float = 1.0


# The published evaluation presets weigh boxes 0.3 against strokes 1 and keep holes below a half.
_BOXES = 0.3 / 1.3
_LAMA_TRAINING = _LaMaPreset(256, (1, 6), 200, 100, (1, 4), (30, 150), 10, 0.5)
_LAMA = {
    "thin": (
        _LaMaPreset(256, (4, 51), 40, 10, most=0.5),
        _LaMaPreset(512, (4, 71), 100, 20, most=0.5),
    ),
    "medium": (
        _LaMaPreset(256, (4, 6), 100, 50, (1, 5), (10, 50), 0, _BOXES, 0.5),
        _LaMaPreset(512, (4, 11), 200, 100, (1, 5), (30, 150), 0, _BOXES, 0.5),
    ),
    "thick": (
        _LaMaPreset(256, (1, 6), 200, 100, (1, 3), (30, 150), 10, _BOXES, 0.5),
        _LaMaPreset(512, (1, 6), 450, 250, (1, 4), (30, 300), 10, _BOXES, 0.5),
    ),
}


def lama(size: int, rng: np.random.Generator) -> Hole:
    """Draw strokes or boxes with equal chance, as LaMa is trained with (Suvorov et al., WACV 2022).

    The recipe is for 256 pixels; its lengths scale with the size.
    """
    return _lama(size, rng, _LAMA_TRAINING)


def lama_thin(size: int, rng: np.random.Generator) -> Hole:
    """Draw LaMa's evaluation preset of many narrow strokes, less than half of the image."""
    return _lama(size, rng, _LAMA["thin"][size > 256])


def lama_medium(size: int, rng: np.random.Generator) -> Hole:
    """Draw LaMa's evaluation preset between thin and thick, less than half of the image."""
    return _lama(size, rng, _LAMA["medium"][size > 256])


def lama_thick(size: int, rng: np.random.Generator) -> Hole:
    """Draw LaMa's evaluation preset of few wide strokes or boxes, less than half of the image."""
    return _lama(size, rng, _LAMA["thick"][size > 256])


def rectangle(size: int, rng: np.random.Generator) -> Hole:
    """Draw one box with sides of a quarter to a half of the image's, anywhere within it."""
    width, height = rng.integers(max(1, size // 4), max(1, size // 2) + 1, size=2).tolist()
    left, top = int(rng.integers(size - width + 1)), int(rng.integers(size - height + 1))
    hole = np.zeros((size, size), dtype=bool)
    hole[top : top + height, left : left + width] = True
    return hole


def half(size: int, rng: np.random.Generator) -> Hole:
    """Cover the left, right, upper or lower half of the image."""
    hole = np.zeros((size, size), dtype=bool)
    hole[:, : size // 2] = True
    return np.ascontiguousarray(np.rot90(hole, int(rng.integers(4))))


def centre(size: int, rng: np.random.Generator) -> Hole:
    """Cover a centred square of half the resolution, AOT-GAN's alternative training mask."""
    inset = size // 4
    hole = np.zeros((size, size), dtype=bool)
    hole[inset : inset + size // 2, inset : inset + size // 2] = True
    return hole


GENERATORS: dict[str, HoleGenerator] = {
    "mat": mat,
    "mat_small": partial(mat, small=True),
    "comodgan": comodgan,
    "deepfill": deepfill,
    "lama": lama,
    "lama_thin": lama_thin,
    "lama_medium": lama_medium,
    "lama_thick": lama_thick,
    "rectangle": rectangle,
    "half": half,
    "centre": centre,
}
"""The generators by name."""


@dataclass(frozen=True)
class HoleRatioWindow:
    """A generator whose holes cover a share of the image within a window.

    :func:`with_hole_ratio` makes one after checking its bounds.

    Attributes:
        generator: any hole generator.
        low: lower bound of the covered share, exclusive.
        high: upper bound, exclusive.
    """

    generator: HoleGenerator
    low: float
    high: float

    def __call__(self, size: int, rng: np.random.Generator) -> Hole:
        """Draw holes until one fits; ``(size, size)`` bool, True = hole."""
        return _within(lambda: self.generator(size, rng), (self.low, self.high))


def with_hole_ratio(generator: HoleGenerator, low: float, high: float) -> HoleGenerator:
    """Restrict a generator to holes that cover more than ``low`` and less than ``high``.

    Args:
        generator: any hole generator; the result pickles if it does.
        low: lower bound of the covered share of the image, at least 0.
        high: upper bound, at most 1.

    Returns:
        A generator that draws again until the hole fits. It raises ``OptionError`` when
        :data:`ATTEMPTS` draws do not.

    Raises:
        OptionError: The bounds are not ``0 <= low < high <= 1``.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint.masks import freeform
        >>> small = freeform.with_hole_ratio(freeform.mat, 0.1, 0.2)
        >>> bool(0.1 < small(256, np.random.default_rng(0)).mean() < 0.2)
        True
    """
    if not 0 <= low < high <= 1:
        raise OptionError(f"a hole ratio needs 0 <= low < high <= 1, not ({low}, {high})")
    return HoleRatioWindow(generator, low, high)


def _within(draw: Callable[[], Hole], ratio: tuple[float, float]) -> Hole:
    """First drawn hole that covers a share strictly between the two."""
    low, high = ratio
    for _ in range(ATTEMPTS):
        hole = draw()
        if low < np.count_nonzero(hole) / hole.size < high:
            return hole
    raise OptionError(
        f"none of {ATTEMPTS} holes covered between {low:.1%} and {high:.1%} of the image; "
        "widen the window or take another generator"
    )


def _box_and_strokes(size: int, rng: np.random.Generator) -> Hole:
    canvas = Canvas(size)
    side, shrink = size // 2, max(1, size // 16)
    left, top = rng.integers(size - side, size=2).tolist()
    dx, dy = rng.integers(shrink + 1, size=2).tolist()
    canvas.box(left + dx, top + dy, side - 2 * dx, side - 2 * dy)
    for _ in range(int(rng.integers(1, 4))):
        path, width = _zigzag(size, rng, (4, 11), (12, 40))
        canvas.stroke(path, width)
    return canvas.hole


def _boxes_and_strokes(size: int, rng: np.random.Generator, counts: _Counts) -> Hole:
    canvas = Canvas(size)
    small, large, strokes, flip_x, flip_y = rng.random(5).tolist()
    _overhanging_boxes(canvas, rng, int(small * counts.small_boxes), size // 2)
    _overhanging_boxes(canvas, rng, int(large * counts.large_boxes), size)
    for _ in range(int(strokes * counts.strokes)):
        path, width = _zigzag(size, rng, (4, 17), (12, 48))
        # All strokes of a hole are mirrored alike.
        canvas.stroke(_mirrored(path, size - 1, flip_x < 0.5, flip_y < 0.5), width)
    return canvas.hole


def _mirrored(path: list[Point], last: int, flip_x: bool, flip_y: bool) -> list[Point]:
    return [(last - x if flip_x else x, last - y if flip_y else y) for x, y in path]


def _overhanging_boxes(canvas: Canvas, rng: np.random.Generator, count: int, below: int) -> None:
    """Boxes with sides under ``below`` that may stick out of the image by half."""
    for width, height, left, top in rng.random((count, 4)).tolist():
        width, height = int(width * below), int(height * below)
        canvas.box(
            int(left * (canvas.size - width + width // 2 * 2)) - width // 2,
            int(top * (canvas.size - height + height // 2 * 2)) - height // 2,
            width,
            height,
        )


def _zigzag(
    size: int, rng: np.random.Generator, segments: tuple[int, int], widths: tuple[int, int]
) -> tuple[list[Point], int]:
    """Vertices and width of a brush stroke that zig-zags to the right.

    Segment lengths are normal around an eighth of the diagonal, clipped to twice that; angles
    lie around 72 degrees, alternately up and down, within bounds that the stroke draws.
    """
    count = int(rng.integers(segments[0], segments[1] + 1))
    steepest, flattest, x, y, width, *angles = rng.random(5 + count).tolist()
    low, high = _MEAN_ANGLE - flattest * _ANGLE_RANGE, _MEAN_ANGLE + steepest * _ANGLE_RANGE
    mean = math.sqrt(2) * size / 8
    direction, steps = -1, []
    for share, length in zip(angles, rng.normal(mean, mean // 2, count).tolist()):
        angle = low + share * (high - low)
        length = min(max(length, 0), 2 * mean)
        steps.append((length * math.cos(angle), direction * length * math.sin(angle)))
        direction = -direction
    path = _walk(int(x * size), int(y * size), steps, size)
    return path, int(widths[0] + width * (widths[1] - widths[0]))


def _walk(x: int, y: int, steps: Iterable[tuple[float, float]], size: int) -> list[Point]:
    """Vertices of a path that is clipped to the image at every step."""
    path = [(x, y)]
    for right, down in steps:
        x, y = int(min(max(x + right, 0), size)), int(min(max(y + down, 0), size))
        path.append((x, y))
    return path


def _lama(size: int, rng: np.random.Generator, preset: _LaMaPreset) -> Hole:
    scale = size / preset.side

    def draw() -> Hole:
        canvas = Canvas(size)
        if rng.random() < preset.box_probability:
            _inner_boxes(canvas, rng, preset, scale)
        else:
            _wandering_strokes(canvas, rng, preset, scale)
        return canvas.hole

    return _within(draw, (0.0, preset.most))


def _inner_boxes(
    canvas: Canvas, rng: np.random.Generator, preset: _LaMaPreset, scale: float
) -> None:
    """Boxes that keep a margin to the border."""
    margin = round(preset.margin * scale)
    room = max(1, canvas.size - 2 * margin)
    shortest, longest = (min(room, max(1, round(side * scale))) for side in preset.box_sides)
    count = int(rng.integers(preset.boxes[0], preset.boxes[1] + 1))
    for width, height, left, top in rng.random((count, 4)).tolist():
        width = shortest + int(width * (longest - shortest + 1))
        height = shortest + int(height * (longest - shortest + 1))
        canvas.box(
            margin + int(left * (room - width + 1)),
            margin + int(top * (room - height + 1)),
            width,
            height,
        )


def _wandering_strokes(
    canvas: Canvas, rng: np.random.Generator, preset: _LaMaPreset, scale: float
) -> None:
    """Strokes of one to five segments, each with one of four angles and a width of its own."""
    strokes = int(rng.integers(preset.strokes[0], preset.strokes[1] + 1))
    for stroke, (x, y, segments) in enumerate(rng.random((strokes, 3)).tolist()):
        steps, widths = [], []
        for angle, length, width in rng.random((1 + int(segments * 5), 3)).tolist():
            angle = 0.01 + int(angle * 4)
            angle = 2 * math.pi - angle if stroke % 2 == 0 else angle
            length = (10 + int(length * preset.length)) * scale
            steps.append((length * math.sin(angle), length * math.cos(angle)))
            widths.append(max(1, int((5 + int(width * preset.width)) * scale)))
        path = _walk(int(x * canvas.size), int(y * canvas.size), steps, canvas.size)
        for segment, width in zip(pairwise(path), widths):
            canvas.stroke(segment, width)
