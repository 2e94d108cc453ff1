"""Flaws of whole components: left unlike right, and what a parser does not find again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics.colour import Pixels, to_lab
from facemask_inpaint.labels import LABEL_IDS
from facemask_inpaint.masks.label_maps import LabelMapLike, open_label_map
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.vocabularies import Vocabulary

PAIRS = {"eyes": ("l_eye", "r_eye"), "brows": ("l_brow", "r_brow"), "ears": ("l_ear", "r_ear")}
"""Components that come left and right. Parsers mix them up, so both count as one."""

_PATCH = 8
_SAMPLES = 4
"""Paired components are compared in this many cells a side, of this many samples a side each."""

_Frame = tuple[NDArray[np.intp], ...]
_Number = TypeVar("_Number", bound=np.generic)


def asymmetry(
    original: Pixels, prediction: Pixels, label_map: LabelMapLike, label_ids: Sequence[int]
) -> float | None:
    """Return how unlike left and right eyes, brows or ears are, beyond the original's own.

    Both components are cut out of the image where the *original* has them, in frames of one
    size, reduced to 8 x 8, and the mirrored right is subtracted from the left: D. With the D of
    the original as the measure of what pose and light account for, the asymmetry is the root mean
    square of ``D(prediction) - t D(original)`` at the best t between 0 and 1. A prediction that is
    symmetric (t = 0) or as asymmetric as the original (t = 1) therefore has none.

    Args:
        original: ``(H, W, 3)`` uint8.
        prediction: likewise.
        label_map: of the original, of any size.
        label_ids: labels that were hidden; only pairs of which both sides were are looked at.

    Returns:
        CIELAB units, at least 0, of the worst pair; ``None`` where no pair was hidden, or a side
        of it is not visible in the original; and of anything but faces.
    """
    source = open_label_map(label_map)
    if source.vocabulary.labels != LABEL_IDS:
        return None
    pairs = []
    for pair in PAIRS.values():
        ids = [LABEL_IDS[name] for name in pair]
        if set(ids) <= set(label_ids) and all(source.areas[label] for label in ids):
            masks = [_nearest(source.select((label,)), original.shape[:2]) for label in ids]
            if all(mask.any() for mask in masks):
                pairs.append(_pair_asymmetry(original, prediction, masks))
    return max(pairs) if pairs else None


def agreement(
    parsed: LabelMapLike, label_map: LabelMapLike, label_ids: Sequence[int]
) -> dict[str, float]:
    """Return how well a parser finds in the prediction what was there, by component.

    Example:
        >>> import numpy as np
        >>> label_map = np.zeros((64, 64), np.uint8)
        >>> label_map[20:30, 20:30] = 2
        >>> agreement(np.roll(label_map, 5, axis=1), label_map, label_ids=(2,))
        {'nose': 0.3333333333333333}

    Args:
        parsed: label map that the parser made of the prediction.
        label_map: of the original; where the two differ in size, the parsed is rescaled.
        label_ids: labels that were hidden.

    Returns:
        Intersection over union by component, 0 where the component is missing or misplaced. Left
        and right count as one (``"eyes"``); what the original lacks has no entry.
    """
    source = open_label_map(label_map)
    predicted = open_label_map(parsed, source.vocabulary)
    overlaps = {}
    for name, ids in _components(label_ids, source.vocabulary).items():
        expected = source.select(ids)
        if expected.any():
            got = _nearest(predicted.select(ids), expected.shape)
            overlaps[name] = float((expected & got).sum() / (expected | got).sum())
    return overlaps


def _pair_asymmetry(original: Pixels, prediction: Pixels, masks: Sequence[Hole]) -> float:
    frames = _frames(masks)
    left, right = (_reduced(mask[frame]) for mask, frame in zip(masks, frames))
    weights = np.maximum(left, right[:, ::-1])[..., None]
    own, predicted = (_difference(image, frames) for image in (original, prediction))
    power = float((weights * own * own).sum())
    explained = float((weights * own * predicted).sum()) / power if power else 0.0
    rest = predicted - np.clip(explained, 0, 1) * own
    return math.sqrt((weights * rest * rest).sum() / weights.sum())


def _difference(image: Pixels, frames: Sequence[_Frame]) -> NDArray[np.float64]:
    """Return ``(_PATCH, _PATCH, 3)`` CIELAB of the left frame less the mirrored right one."""
    left, right = (to_lab(np.rint(_reduced(image[frame])).astype(np.uint8)) for frame in frames)
    return left - right[:, ::-1]


def _frames(masks: Sequence[Hole]) -> list[_Frame]:
    """Return rows and columns that sample each of two components, in frames of the same size."""
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
    """Return first and last row, first and last column."""
    used = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1))
    return [(int(where[0]), int(where[-1])) for where in used]


def _reduced(patch: NDArray[_Number]) -> NDArray[np.float64]:
    """Return ``(_PATCH, _PATCH, ...)`` means over blocks."""
    blocks = patch.reshape(_PATCH, _SAMPLES, _PATCH, _SAMPLES, *patch.shape[2:])
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means


def _components(label_ids: Sequence[int], vocabulary: Vocabulary) -> dict[str, list[int]]:
    """Return labels by the name of their component, left and right together."""
    side = {label: name for name, pair in PAIRS.items() for label in pair}
    components: dict[str, list[int]] = {}
    for label in label_ids:
        name = vocabulary.names[label]
        components.setdefault(side.get(name, name), []).append(label)
    return components


def _nearest(mask: Hole, shape: tuple[int, ...]) -> Hole:
    if mask.shape == shape:
        return mask
    rows, columns = (
        (2 * np.arange(want) + 1) * have // (2 * want) for have, want in zip(mask.shape, shape)
    )
    return mask[np.ix_(rows, columns)]
