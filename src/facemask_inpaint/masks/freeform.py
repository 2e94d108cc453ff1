"""Random free-form holes after the published recipes, in one pass of vectorised draws.

A generator is a function of ``(size, rng)`` that gives ``(size, size)`` bool, True = hole. It is
pure: the same :class:`numpy.random.Generator` state gives the same hole. Distributions are those
of the papers' own code; the draws come in another order, since all of a kind are drawn at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.morphology import Hole

HoleGenerator: TypeAlias = Callable[[int, np.random.Generator], Hole]
"""``(size, rng)`` to ``(size, size)`` bool, True = hole."""

Canvas: TypeAlias = ImageDraw.ImageDraw
Point: TypeAlias = tuple[int, int]

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
        """Fewer shapes for smaller holes, at least one of a kind to draw none of."""
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
    """Boxes and zig-zag brush strokes as MAT is trained with (Li et al., CVPR 2022).

    Sizes up to 256 draw the counts of MAT's 256 data set, larger ones those of its 512 one.
    Stroke widths are in pixels, whatever the size.

    Args:
        size: side in pixels.
        rng: source of all draws.
        hole_range: the covered share of the picture lies strictly between these; draws outside
            are repeated. A range with a sum below 1 also lowers the counts.
        small: the variant for small holes.

    Raises:
        OptionError: no hole within ``hole_range`` was found in :data:`ATTEMPTS` draws.
    """
    if size > 256:
        counts = _MAT_512_SMALL if small else _MAT_512
    else:
        counts = _MAT_256_SMALL if small else _MAT_256
    counts = counts.scaled(min(sum(hole_range), 1))
    return _within(lambda: _boxes_and_strokes(size, rng, counts), hole_range)


def comodgan(size: int, rng: np.random.Generator) -> Hole:
    """The same shapes in Co-Mod-GAN's numbers (Zhao et al., ICLR 2021), which MI-GAN uses too.

    Up to 9 boxes with sides below ``size / 2``, 4 below ``size``, and 19 strokes.
    """
    return _within(lambda: _boxes_and_strokes(size, rng, _COMODGAN), (0.0, 1.0))


def deepfill(size: int, rng: np.random.Generator) -> Hole:
    """One box and one to three strokes, as DeepFill v2 is trained with (Yu et al., ICCV 2019).

    The box has half the side, less up to a sixteenth of it at each of its four edges.
    """
    image, canvas = _blank(size)
    side, shrink = size // 2, max(1, size // 16)
    left, top = rng.integers(size - side, size=2).tolist()
    dx, dy = rng.integers(shrink + 1, size=2).tolist()
    _box(canvas, left + dx, top + dy, side - 2 * dx, side - 2 * dy)
    count = int(rng.integers(1, 4))
    _zigzags(canvas, size, rng, rng.integers(4, 12, size=count), (12, 40))
    return _hole(image)


@dataclass(frozen=True)
class _LaMaPreset:
    """Limits of LaMa's generators at a reference side, all inclusive.

    Attributes:
        side: reference side in pixels; lengths scale with the actual one.
        strokes: fewest and most strokes.
        length: longest segment beyond the first 10 px.
        width: widest segment beyond the first 5 px.
        boxes: fewest and most boxes; (0, 0) for a preset without.
        box_sides: shortest and longest box side.
        margin: distance of boxes from the border.
        box_probability: chance of boxes instead of strokes.
        most: largest covered share of the picture.
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


# The published evaluation presets weigh boxes 0.3 against strokes 1 and cover at most one half.
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
    """Strokes or boxes with equal chance, as LaMa is trained with (Suvorov et al., WACV 2022).

    The recipe is for 256 pixels; its lengths scale with the size.
    """
    return _lama(size, rng, _LAMA_TRAINING)


def lama_thin(size: int, rng: np.random.Generator) -> Hole:
    """LaMa's evaluation preset of many narrow strokes, at most half of the picture."""
    return _lama(size, rng, _LAMA["thin"][size > 256])


def lama_medium(size: int, rng: np.random.Generator) -> Hole:
    """LaMa's evaluation preset between thin and thick, at most half of the picture."""
    return _lama(size, rng, _LAMA["medium"][size > 256])


def lama_thick(size: int, rng: np.random.Generator) -> Hole:
    """LaMa's evaluation preset of few wide strokes or boxes, at most half of the picture."""
    return _lama(size, rng, _LAMA["thick"][size > 256])


def rectangle(size: int, rng: np.random.Generator) -> Hole:
    """One box whose sides are a quarter to a half of the picture's, anywhere within it."""
    width, height = rng.integers(max(1, size // 4), max(1, size // 2) + 1, size=2).tolist()
    left, top = int(rng.integers(size - width + 1)), int(rng.integers(size - height + 1))
    hole = np.zeros((size, size), dtype=bool)
    hole[top : top + height, left : left + width] = True
    return hole


def half(size: int, rng: np.random.Generator) -> Hole:
    """The left, right, upper or lower half of the picture."""
    hole = np.zeros((size, size), dtype=bool)
    hole[:, : size // 2] = True
    return np.ascontiguousarray(np.rot90(hole, rng.integers(4)))


GENERATORS: dict[str, HoleGenerator] = {
    "mat": mat,
    "comodgan": comodgan,
    "deepfill": deepfill,
    "lama": lama,
    "lama_thin": lama_thin,
    "lama_medium": lama_medium,
    "lama_thick": lama_thick,
    "rectangle": rectangle,
    "half": half,
}
"""The generators by name."""


@dataclass(frozen=True)
class HoleRatioWindow:
    """A generator whose holes cover a share of the picture within a window; see
    :func:`with_hole_ratio`."""

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
        low: lower bound of the covered share of the picture, at least 0.
        high: upper bound, at most 1.

    Returns:
        A generator that draws again until the hole fits. It raises ``OptionError`` when
        :data:`ATTEMPTS` draws do not.

    Raises:
        OptionError: the bounds are not ``0 <= low < high <= 1``.
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
        f"none of {ATTEMPTS} holes covered between {low:.1%} and {high:.1%} of the picture; "
        "widen the window or take another generator"
    )


def _boxes_and_strokes(size: int, rng: np.random.Generator, counts: _Counts) -> Hole:
    image, canvas = _blank(size)
    strokes = int(rng.integers(counts.strokes))
    _zigzags(canvas, size, rng, rng.integers(4, 18, size=strokes), (12, 48))
    # The recipe mirrors the strokes only; boxes are as likely on either side anyway.
    for flip in (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT):
        if rng.random() < 0.5:
            image = image.transpose(flip)
    canvas = ImageDraw.Draw(image)
    _overhanging_boxes(canvas, size, rng, int(rng.integers(counts.small_boxes)), size // 2)
    _overhanging_boxes(canvas, size, rng, int(rng.integers(counts.large_boxes)), size)
    return _hole(image)


def _overhanging_boxes(
    canvas: Canvas, size: int, rng: np.random.Generator, count: int, below: int
) -> None:
    """Boxes with sides under ``below`` that may stick out of the picture by half."""
    sides = rng.integers(below, size=(count, 2))
    corners = rng.integers(-(sides // 2), size - sides + sides // 2)
    for (width, height), (left, top) in zip(sides.tolist(), corners.tolist()):
        _box(canvas, left, top, width, height)


def _zigzags(
    canvas: Canvas,
    size: int,
    rng: np.random.Generator,
    segments: Sequence[int] | np.ndarray,
    widths: tuple[int, int],
) -> None:
    """Brush strokes that zig-zag to the right, one per entry of ``segments``.

    Segment lengths are normal around an eighth of the diagonal, clipped to twice that; angles
    lie around 72 degrees, alternately up and down, within bounds that each stroke draws.
    """
    strokes, total = len(segments), int(np.sum(segments))
    mean = math.sqrt(2) * size / 8
    low = _MEAN_ANGLE - rng.uniform(0, _ANGLE_RANGE, strokes)
    high = _MEAN_ANGLE + rng.uniform(0, _ANGLE_RANGE, strokes)
    owner = np.repeat(np.arange(strokes), segments)
    angles = rng.uniform(low[owner], high[owner])
    lengths = np.clip(rng.normal(mean, mean // 2, total), 0, 2 * mean)
    right = (lengths * np.cos(angles)).tolist()
    down = (lengths * np.sin(angles)).tolist()
    starts = rng.integers(size, size=(strokes, 2)).tolist()
    brushes = rng.uniform(*widths, strokes).astype(int).tolist()
    first = 0
    for (x, y), count, width in zip(starts, segments, brushes):
        path = [(x, y)]
        for index in range(count):
            x = int(min(max(x + right[first + index], 0), size))
            rise = down[first + index] if index % 2 else -down[first + index]
            y = int(min(max(y + rise, 0), size))
            path.append((x, y))
        first += count
        _stroke(canvas, path, width)


def _lama(size: int, rng: np.random.Generator, preset: _LaMaPreset) -> Hole:
    scale = size / preset.side

    def draw() -> Hole:
        image, canvas = _blank(size)
        if rng.random() < preset.box_probability:
            _inner_boxes(canvas, size, rng, preset, scale)
        else:
            _wandering_strokes(canvas, size, rng, preset, scale)
        return _hole(image)

    most = np.nextafter(preset.most, 2)  # a full half is still allowed
    return _within(draw, (0.0, most))


def _inner_boxes(
    canvas: Canvas, size: int, rng: np.random.Generator, preset: _LaMaPreset, scale: float
) -> None:
    """Boxes that keep a margin to the border."""
    fewest, most = preset.boxes
    margin = round(preset.margin * scale)
    room = max(1, size - 2 * margin)
    shortest, longest = (min(room, max(1, round(side * scale))) for side in preset.box_sides)
    sides = rng.integers(shortest, longest + 1, size=(int(rng.integers(fewest, most + 1)), 2))
    corners = margin + rng.integers(room - sides + 1)
    for (width, height), (left, top) in zip(sides.tolist(), corners.tolist()):
        _box(canvas, left, top, width, height)


def _wandering_strokes(
    canvas: Canvas, size: int, rng: np.random.Generator, preset: _LaMaPreset, scale: float
) -> None:
    """Strokes of one to five segments, each with one of four angles and a width of its own."""
    fewest, most = preset.strokes
    segments = rng.integers(1, 6, size=int(rng.integers(fewest, most + 1))).tolist()
    total = sum(segments)
    owner = np.repeat(np.arange(len(segments)), segments)
    angles = 0.01 + rng.integers(4, size=total)
    angles = np.where(owner % 2 == 0, 2 * math.pi - angles, angles)
    lengths = (10 + rng.integers(preset.length, size=total)) * scale
    right = (lengths * np.sin(angles)).tolist()
    down = (lengths * np.cos(angles)).tolist()
    widths = ((5 + rng.integers(preset.width, size=total)) * scale).astype(int).tolist()
    starts = rng.integers(size, size=(len(segments), 2)).tolist()
    step = 0
    for (x, y), count in zip(starts, segments):
        for _ in range(count):
            ahead = (_clipped(x + right[step], size), _clipped(y + down[step], size))
            _stroke(canvas, [(x, y), ahead], max(1, widths[step]))
            (x, y), step = ahead, step + 1


def _clipped(position: float, size: int) -> int:
    return int(min(max(position, 0), size))


def _blank(size: int) -> tuple[Image.Image, Canvas]:
    if size < 1:
        raise OptionError(f"size must be positive, not {size!r}")
    image = Image.new("L", (size, size))
    return image, ImageDraw.Draw(image)


def _box(canvas: Canvas, left: int, top: int, width: int, height: int) -> None:
    if width > 0 and height > 0:
        canvas.rectangle((left, top, left + width - 1, top + height - 1), fill=1)


def _stroke(canvas: Canvas, path: Sequence[Point], width: int) -> None:
    """A thick polyline with a disc at every vertex."""
    canvas.line(path, fill=1, width=width)
    radius = width // 2
    for x, y in path:
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)


def _hole(image: Image.Image) -> Hole:
    return np.array(image).view(bool)
