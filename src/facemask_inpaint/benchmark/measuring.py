"""Measures of one filled picture."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS, diagnose
from facemask_inpaint.masks.from_photos import Parser
from facemask_inpaint.metrics.pairs import Measure
from facemask_inpaint.metrics.pixel import (
    SSIM_WINDOW,
    absolute_difference,
    peak_signal_to_noise,
    structural_similarity,
)

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]

_DIGITS = 6
_IN_HOLE: Mapping[str, Measure] = {
    "l1_hole": absolute_difference,
    "psnr_hole": peak_signal_to_noise,
    "ssim_hole": structural_similarity,
}
PICTURE_MEASURES = (*_IN_HOLE, *DIAGNOSTICS)
"""What :func:`measure_picture` computes."""


def measure_picture(
    original: Pixels,
    filled: Pixels,
    hole: Hole,
    labels: NDArray[np.uint8],
    label_ids: tuple[int, ...],
    parser: Parser | None = None,
) -> dict[str, float]:
    """Every measure that is defined for this picture, by name; see ``benchmark.measures``.

    Args:
        original: ``(H, W, 3)`` uint8.
        filled: the same with the hole filled.
        hole: ``(H, W)`` bool with at least one pixel.
        labels: ``(H, W)`` uint8 label ids of the original.
        label_ids: ids that the hole's class covers.
        parser: labels the filled picture, for its agreement with ``labels``.
    """
    found = _in_hole(original, filled, hole)
    found |= diagnose(original, filled, hole, labels, label_ids, parser)
    return {name: rounded(value) for name, value in found.items() if math.isfinite(value)}


def rounded(value: float) -> float:
    """To six significant digits: the order of a sum, which threads decide, shows in none."""
    return float(f"{value:.{_DIGITS}g}")


def _in_hole(original: Pixels, filled: Pixels, hole: Hole) -> dict[str, float]:
    """L1, PSNR and SSIM over the hole; as ``metrics`` computes them from the whole picture."""
    window = _around(hole, SSIM_WINDOW)
    first, second = (
        torch.from_numpy(picture[window] / 255).movedim(-1, 0) for picture in (original, filled)
    )
    inside = torch.from_numpy(hole[window].copy())
    return {name: measure(first, second, inside) for name, measure in _IN_HOLE.items()}


def _around(hole: Hole, margin: int) -> tuple[slice, slice]:
    """The rectangle around the hole, and a margin that no SSIM window of a hole pixel leaves."""
    rows, columns = (
        slice(max(0, int(where[0]) - margin), int(where[-1]) + 1 + margin)
        for where in (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    )
    return rows, columns
