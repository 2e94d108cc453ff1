"""Flaws of one filled picture as numbers: what the eye sees first, measured beside its original.

Each is undefined for some pictures and then ``None``. They find the worst cases of a run and say
which flaw is there; none of them is a measure of quality on its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics.colour import ciede2000, to_lab
from facemask_inpaint.errors import ImageError, MaskError
from facemask_inpaint.labels import LABEL_IDS, LABEL_NAMES
from facemask_inpaint.masks import morphology
from facemask_inpaint.masks.label_maps import LabelMapLike, open_label_map
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.metrics import ImageMetric, ImagePair
from facemask_inpaint.metrics.metric import ImageFunction, Need

Picture = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 sRGB."""

PAIRS = {"eyes": ("l_eye", "r_eye"), "brows": ("l_brow", "r_brow"), "ears": ("l_ear", "r_ear")}
"""Components that come left and right. Parsers mix the sides up, so both count as one."""

_CELLS = 32
"""Cells to a side; each holds one stretch of border."""

_MOST = (_CELLS + 1) ** 2

_BAND = 0.012
"""Width of the bands along a border, as a share of the side."""

_PATCH = 8
_SAMPLES = 4
"""Paired components are compared in this many cells a side, of this many samples a side each."""

_Frame = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, kw_only=True)
class LabelledPair(ImagePair):
    """An image, its prediction and its label map, as diagnostics get them.

    Attributes:
        original: the image, ``(H, W, 3)`` uint8.
        filled: the prediction, likewise.
        mask: the hole, ``(H, W)`` bool.
        label_map: of the original.
        label_ids: ids that the mask class covers.
        parser: makes a label map of the prediction; ``None`` without one.
    """

    original: Picture
    filled: Picture
    mask: Hole
    label_map: LabelMapLike
    label_ids: Sequence[int]
    parser: Parser | None = None

    @classmethod
    def of(
        cls,
        original: Picture,
        filled: Picture,
        hole: Hole,
        label_map: LabelMapLike,
        label_ids: Sequence[int],
        parser: Parser | None = None,
    ) -> LabelledPair:
        """Check and collect what belongs to one prediction.

        Args:
            original: ``(H, W, 3)`` uint8.
            filled: likewise, the hole filled.
            hole: ``(H, W)`` bool, True = hole.
            label_map: of the original, of any size.
            label_ids: ids that the hole is meant to hide.
            parser: makes a label map of the prediction.

        Raises:
            ImageError: an image is not ``(H, W, 3)`` uint8, or the two differ in size.
            MaskError: the hole is not bool, or of another size.
        """
        _require_same_frame(original, filled, hole)
        real, fake = (torch.from_numpy(image / 255).movedim(-1, 0) for image in (original, filled))
        return cls(
            real=real,
            fake=fake,
            hole=torch.from_numpy(hole.copy()),
            original=original,
            filled=filled,
            mask=hole,
            label_map=open_label_map(label_map),
            label_ids=label_ids,
            parser=parser,
        )


def diagnose(
    original: Picture,
    filled: Picture,
    hole: Hole,
    labels: LabelMapLike,
    mask_class_label_ids: Sequence[int],
    parser: Parser | None = None,
) -> dict[str, float]:
    """Compute all diagnostics of one prediction that are defined for it.

    Args:
        original: ``(H, W, 3)`` uint8.
        filled: likewise, the hole filled.
        hole: ``(H, W)`` bool, True = hole.
        labels: the original's labels, of any size.
        mask_class_label_ids: labels that the hole is meant to hide.
        parser: makes a label map of the prediction; without one there is no ``agreement``.

    Returns:
        Those of ``seam``, ``colour_shift``, ``asymmetry`` and ``agreement`` that are defined.

    Raises:
        ImageError: an image is not ``(H, W, 3)`` uint8, or the two differ in size.
        MaskError: the hole is not bool, or of another size.
    """
    pair = LabelledPair.of(original, filled, hole, labels, mask_class_label_ids, parser)
    values = {name: metric(pair) for name, metric in DIAGNOSTICS.items()}
    return {name: value for name, value in values.items() if value is not None}


def seam(original: Picture, filled: Picture, hole: Hole) -> float | None:
    """How much sharper an edge runs along the hole's border than in the original.

    Four pixels in a row, two known (0, 1) and two filled (2, 3), cross the border. Their step is
    the gradient across it less the mean of those on either side,
    ``(c2 - c1) - ((c1 - c0) + (c3 - c2)) / 2`` in CIELAB: nothing for a flat or evenly graded
    surface. Steps are averaged *as vectors* over each stretch of border (a cell of 1/32 of the
    side), so that texture averages out and a line that the eye follows remains. The seam is the
    excess of a stretch's step over that of the original, averaged over the border.

    Returns:
        CIELAB units, at least 0; ``None`` where no known pixels adjoin the hole.
    """
    crossings = _crossings(hole)
    if not len(crossings):
        return None
    stretches = _stretches(crossings[:, 1], hole.shape)
    sizes = []
    for picture in (original, filled):
        colours = to_lab(picture.reshape(-1, 3)[crossings])
        steps = 1.5 * (colours[:, 2] - colours[:, 1]) - 0.5 * (colours[:, 3] - colours[:, 0])
        sizes.append(np.linalg.norm(_means(steps, stretches), axis=-1))
    excess = np.maximum(sizes[1] - sizes[0], 0)
    return float(np.average(excess, weights=np.bincount(stretches, minlength=_MOST)))


def colour_shift(original: Picture, filled: Picture, hole: Hole) -> float | None:
    """How much the tone changes across the hole's border beyond what it does in the original.

    Along the border lie two bands of 1.2 % of the side, one in the hole and one outside. Per
    stretch of border the mean colours of the two bands are compared by CIEDE2000; the shift is
    the excess over the same difference in the original, averaged over the border.

    Returns:
        CIEDE2000 units, at least 0; ``None`` where no known pixels adjoin the hole.
    """
    width = max(2, round(_BAND * max(hole.shape)))
    inside = hole & morphology.dilate(~hole, width)
    outside = morphology.dilate(hole, width) & ~hole
    bands = [np.flatnonzero(band) for band in (inside, outside)]
    grids = [[_stretches(band, hole.shape, shift) for band in bands] for shift in (0, 0.5)]
    weights = np.concatenate(
        [np.minimum(*(np.bincount(band, minlength=_MOST) for band in grid)) for grid in grids]
    )
    if not weights.any():
        return None
    differences = []
    for picture in (original, filled):
        colours = [to_lab(picture.reshape(-1, 3)[band]) for band in bands]
        tones = zip(*(map(_means, colours, grid) for grid in grids))
        differences.append(ciede2000(*map(np.concatenate, tones)))
    excess = np.maximum(differences[1] - differences[0], 0)
    return float(np.average(excess, weights=weights))


def asymmetry(
    original: Picture, filled: Picture, labels: LabelMapLike, label_ids: Sequence[int]
) -> float | None:
    """How unlike the left and right eyes, brows or ears are, beyond what the original's own are.

    Both components are cut out of the picture where the *original* has them, in frames of one
    size, reduced to 8 x 8, and the mirrored right is subtracted from the left: D. With the D of
    the original as the measure of what pose and light account for, the asymmetry is the root mean
    square of ``D(filled) - t D(original)`` at the best t between 0 and 1. A filling that is
    symmetric (t = 0) or as asymmetric as the original (t = 1) therefore has none.

    Args:
        original: ``(H, W, 3)`` uint8.
        filled: likewise.
        labels: the original's labels, of any size.
        label_ids: labels that were hidden; only pairs of which both sides were are looked at.

    Returns:
        CIELAB units, at least 0, of the worst pair; ``None`` where no pair was hidden, or a side
        of it is not visible in the original.
    """
    source = open_label_map(labels)
    found = []
    for pair in PAIRS.values():
        ids = [LABEL_IDS[name] for name in pair]
        if set(ids) <= set(label_ids) and all(source.areas[label] for label in ids):
            masks = [_nearest(source.select((label,)), original.shape[:2]) for label in ids]
            if all(mask.any() for mask in masks):
                found.append(_pair_asymmetry(original, filled, masks))
    return max(found) if found else None


def agreement(
    parsed: LabelMapLike, labels: LabelMapLike, label_ids: Sequence[int]
) -> dict[str, float]:
    """Whether a parser finds in the filled picture what was there: overlap per component.

    Args:
        parsed: label map that the parser made of the filled picture.
        labels: the original's labels; where the two differ in size, the parsed is rescaled.
        label_ids: labels that were hidden.

    Returns:
        Intersection over union by component, 0 where the component is missing or misplaced. Left
        and right count as one (``"eyes"``); what the original lacks has no entry.
    """
    source, found = open_label_map(labels), open_label_map(parsed)
    overlaps = {}
    for name, ids in _components(label_ids).items():
        expected = source.select(ids)
        if expected.any():
            got = _nearest(found.select(ids), expected.shape)
            overlaps[name] = float((expected & got).sum() / (expected | got).sum())
    return overlaps


def _mean_agreement(pair: LabelledPair) -> float | None:
    """Mean of :func:`agreement` over the components; ``None`` without a parser."""
    if pair.parser is None:
        return None
    overlaps = agreement(pair.parser(pair.filled), pair.label_map, pair.label_ids)
    return float(np.mean(list(overlaps.values()))) if overlaps else None


def _diagnostic(
    name: str,
    better: Literal["lower", "higher"],
    meaning: str,
    function: Callable[[LabelledPair], float | None],
    *needs: Need,
) -> ImageMetric:
    return ImageMetric(
        name=name,
        label=name.replace("_", " "),
        better=better,
        meaning=meaning,
        function=cast(ImageFunction, function),  # a benchmark's pairs have all that it needs
        needs=frozenset({"pairs", "mask", *needs}),
        over_hole=True,
        ranks=False,
    )


DIAGNOSTICS: Mapping[str, ImageMetric] = {
    metric.name: metric
    for metric in (
        _diagnostic(
            "seam",
            "lower",
            "visibility of the hole's border",
            lambda pair: seam(pair.original, pair.filled, pair.mask),
        ),
        _diagnostic(
            "colour_shift",
            "lower",
            "CIEDE2000 across the border",
            lambda pair: colour_shift(pair.original, pair.filled, pair.mask),
        ),
        _diagnostic(
            "asymmetry",
            "lower",
            "left against right of paired components",
            lambda pair: asymmetry(pair.original, pair.filled, pair.label_map, pair.label_ids),
            "label map",
        ),
        _diagnostic(
            "agreement",
            "higher",
            "re-parsing against the label map",
            _mean_agreement,
            "label map",
            "parser",
        ),
    )
}
"""Rows beside the table of metrics. A method that draws nothing has few flaws: they do not rank."""


def _require_same_frame(original: Picture, filled: Picture, hole: Hole) -> None:
    for name, picture in (("original", original), ("filled picture", filled)):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ImageError(
                f"the {name} must be (H, W, 3) uint8, not {picture.shape} {picture.dtype}"
            )
    if original.shape != filled.shape:
        raise ImageError(f"original {original.shape} and filled {filled.shape} differ in size")
    if hole.dtype != bool or hole.shape != original.shape[:2]:
        raise MaskError(
            f"the hole must be bool {original.shape[:2]} as the pictures, "
            f"not {hole.dtype} {hole.shape}"
        )


def _crossings(hole: Hole) -> NDArray[np.intp]:
    """``(n, 4)`` flat indices of pixels in a row: two known, then two of the hole."""
    width = hole.shape[1]
    flat = hole.reshape(-1)
    found = []
    for stride, columns in ((width, width), (1, width - 3)):  # downwards, to the right
        a, b, c, d = (flat[k * stride : max(0, flat.size - (3 - k) * stride)] for k in range(4))
        starts = np.flatnonzero((a == b) & (b != c) & (c == d))
        starts = starts[starts % width < columns]
        rows = starts[:, None] + stride * np.arange(4)
        found.append(np.where(flat[starts, None], rows[:, ::-1], rows))
    return np.concatenate(found)


def _stretches(
    pixels: NDArray[np.intp], shape: tuple[int, ...], shift: float = 0
) -> NDArray[np.intp]:
    """Number of the cell that each pixel, given by its flat index, is in.

    Two bands on either side of a border that runs between two cells have none in common; the grid
    that is shifted by half a cell has them then.
    """
    cell = max(4, -(-max(shape) // _CELLS))
    rows, columns = np.divmod(pixels, shape[1])
    offset = int(shift * cell)
    numbers: NDArray[np.intp] = (rows + offset) // cell * (_CELLS + 1) + (columns + offset) // cell
    return numbers


def _means(values: NDArray[np.float64], stretches: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(_MOST, 3)`` mean of ``(n, 3)`` values per stretch; 0 where there is none."""
    counts = np.bincount(stretches, minlength=_MOST)
    sums = [np.bincount(stretches, weights=values[:, k], minlength=_MOST) for k in range(3)]
    return np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None]


def _pair_asymmetry(original: Picture, filled: Picture, masks: Sequence[Hole]) -> float:
    frames = _frames(masks)
    left, right = (_reduced(mask[frame]) for mask, frame in zip(masks, frames))
    weights = np.maximum(left, right[:, ::-1])[..., None]
    own, found = (_difference(picture, frames) for picture in (original, filled))
    power = float((weights * own * own).sum())
    explained = float((weights * own * found).sum()) / power if power else 0.0
    rest = found - np.clip(explained, 0, 1) * own
    return math.sqrt((weights * rest * rest).sum() / weights.sum())


def _difference(picture: Picture, frames: Sequence[_Frame]) -> NDArray[np.float64]:
    """``(_PATCH, _PATCH, 3)`` CIELAB of the left frame less that of the mirrored right one."""
    left, right = (to_lab(np.rint(_reduced(picture[frame])).astype(np.uint8)) for frame in frames)
    return left - right[:, ::-1]


def _frames(masks: Sequence[Hole]) -> list[_Frame]:
    """Rows and columns that sample each of two components, in frames of the same size."""
    boxes = np.array([_box(mask) for mask in masks], dtype=float)
    reach = (boxes[..., 1] - boxes[..., 0]).max(axis=0) / 2
    offsets = np.linspace(-1, 1, _PATCH * _SAMPLES)
    frames = []
    for centre in boxes.mean(axis=2):
        rows, columns = (
            np.clip(np.rint(middle + extent * offsets), 0, length - 1).astype(np.intp)
            for middle, extent, length in zip(centre, reach, masks[0].shape)
        )
        frames.append(np.ix_(rows, columns))
    return frames


def _box(mask: Hole) -> list[tuple[int, int]]:
    """First and last row, first and last column."""
    used = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1))
    return [(int(where[0]), int(where[-1])) for where in used]


def _reduced(patch: NDArray[Any]) -> NDArray[np.float64]:
    """``(_PATCH, _PATCH, ...)`` means over blocks."""
    blocks = patch.reshape(_PATCH, _SAMPLES, _PATCH, _SAMPLES, *patch.shape[2:])
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means


def _components(label_ids: Sequence[int]) -> dict[str, list[int]]:
    """Labels by the name of their component, left and right together."""
    side = {label: name for name, pair in PAIRS.items() for label in pair}
    components: dict[str, list[int]] = {}
    for label in label_ids:
        name = LABEL_NAMES[label]
        components.setdefault(side.get(name, name), []).append(label)
    return components


def _nearest(mask: Hole, shape: tuple[int, ...]) -> Hole:
    if mask.shape == shape:
        return mask
    rows, columns = (
        (2 * np.arange(want) + 1) * have // (2 * want) for have, want in zip(mask.shape, shape)
    )
    return mask[np.ix_(rows, columns)]
