"""Flaws along the border of a hole: a visible seam, and a shift of colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics.colour import Pixels, ciede2000, to_lab
from facemask_inpaint.masks import morphology
from facemask_inpaint.masks.morphology import Hole

_CELLS = 32
"""Cells to a side; each holds one stretch of border."""

_MOST = (_CELLS + 1) ** 2

_BAND = 0.012
"""Width of the bands along a border, as a share of the side."""


def seam(original: Pixels, prediction: Pixels, hole: Hole) -> float | None:
    """Return how much sharper an edge runs along the hole's border than in the original.

    Four pixels in a row, two known (0, 1) and two filled (2, 3), cross the border. Their step is
    the gradient across it less the mean of those on either side,
    ``(c2 - c1) - ((c1 - c0) + (c3 - c2)) / 2`` in CIELAB: nothing for a flat or evenly graded
    surface. Steps are averaged *as vectors* over each stretch of border (a cell of 1/32 of the
    side), so that texture averages out and a line that the eye follows remains. The seam is the
    excess of a stretch's step over that of the original, averaged over the border.

    Example:
        >>> import numpy as np
        >>> original = np.full((64, 64, 3), 128, np.uint8)
        >>> hole = np.zeros((64, 64), bool)
        >>> hole[20:40, 20:40] = True
        >>> seam(original, np.where(hole[..., None], original + 20, original), hole) > 5
        True

    Args:
        original: ``(H, W, 3)`` uint8 sRGB.
        prediction: likewise, the hole filled.
        hole: ``(H, W)`` bool, True = hole.

    Returns:
        CIELAB units, at least 0; ``None`` where no known pixels adjoin the hole.
    """
    crossings = _crossings(hole)
    if not len(crossings):
        return None
    stretches = _stretches(crossings[:, 1], hole.shape)

    def step_sizes(image: Pixels) -> NDArray[np.float64]:
        colours = to_lab(image.reshape(-1, 3)[crossings])
        steps = 1.5 * (colours[:, 2] - colours[:, 1]) - 0.5 * (colours[:, 3] - colours[:, 0])
        sizes: NDArray[np.float64] = np.linalg.norm(_means(steps, stretches), axis=-1)
        return sizes

    weights = np.bincount(stretches, minlength=_MOST)
    return _mean_excess(step_sizes(original), step_sizes(prediction), weights)


def colour_shift(original: Pixels, prediction: Pixels, hole: Hole) -> float | None:
    """Return how much the tone changes across the hole's border beyond the original's own change.

    Along the border lie two bands of 1.2 % of the side, one in the hole and one outside. Per
    stretch of border the mean colours of the two bands are compared by CIEDE2000; the shift is
    the excess over the same difference in the original, averaged over the border.

    Example:
        >>> import numpy as np
        >>> original = np.full((64, 64, 3), 128, np.uint8)
        >>> hole = np.zeros((64, 64), bool)
        >>> hole[20:40, 20:40] = True
        >>> colour_shift(original, np.where(hole[..., None], original + 20, original), hole) > 5
        True

    Args:
        original: as for :func:`seam`.
        prediction: likewise.
        hole: likewise.

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

    def differences(image: Pixels) -> NDArray[np.float64]:
        colours = [to_lab(image.reshape(-1, 3)[band]) for band in bands]
        tones = zip(*(map(_means, colours, grid) for grid in grids))
        return ciede2000(*map(np.concatenate, tones))

    return _mean_excess(differences(original), differences(prediction), weights)


def _mean_excess(
    original: NDArray[np.float64], prediction: NDArray[np.float64], weights: NDArray[np.intp]
) -> float:
    return float(np.average(np.maximum(prediction - original, 0), weights=weights))


def _crossings(hole: Hole) -> NDArray[np.intp]:
    """Return ``(n, 4)`` flat indices of pixels in a row: two known, then two of the hole."""
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
    """Return the number of the cell that each pixel, given by its flat index, is in.

    Two bands on either side of a border that runs between two cells have none in common; the grid
    that is shifted by half a cell has them then.
    """
    cell = max(4, -(-max(shape) // _CELLS))
    rows, columns = np.divmod(pixels, shape[1])
    offset = int(shift * cell)
    numbers: NDArray[np.intp] = (rows + offset) // cell * (_CELLS + 1) + (columns + offset) // cell
    return numbers


def _means(values: NDArray[np.float64], stretches: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the ``(_MOST, 3)`` mean of ``(n, 3)`` values per stretch; 0 where there is none."""
    counts = np.bincount(stretches, minlength=_MOST)
    sums = [np.bincount(stretches, weights=values[:, k], minlength=_MOST) for k in range(3)]
    return np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None]
