"""The numbers of a run: what each means, which way is better, and how an image's own are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS, diagnose
from facemask_inpaint.benchmark.store.records import rounded
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.metrics import evaluation, pairs, pixel

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]

_IN_HOLE: Mapping[str, pairs.Measure] = {
    "l1_hole": pixel.absolute_difference,
    "psnr_hole": pixel.peak_signal_to_noise,
    "ssim_hole": pixel.structural_similarity,
}
IMAGE_MEASURES = (*_IN_HOLE, *DIAGNOSTICS)
"""What :func:`measure_image` computes."""


@dataclass(frozen=True)
class Measure:
    """One number that tables and plots show.

    Attributes:
        name: as in records, ``"fid"``.
        label: as in tables, ``"FID"``.
        better: which way is better.
        per_image: whether every image has its own, of which the score is the mean; else the
            score is of the whole set of images, from features.
        meaning: one line for people.
    """

    name: str
    label: str
    better: Literal["lower", "higher"]
    per_image: bool
    meaning: str

    @property
    def arrow(self) -> str:
        """↓ where lower is better, ↑ where higher is."""
        return "↓" if self.better == "lower" else "↑"

    @property
    def ranks(self) -> bool:
        """Whether it says which method is better; diagnostics only say where to look."""
        return self.name not in DIAGNOSTICS

    def rank_key(self, value: float) -> float:
        """Number by which to sort, best first."""
        return value if self.better == "lower" else -value


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("fid", "FID", "lower", False, "Fréchet distance of features; biased at small n"),
        Measure(
            "pids", "P-IDS", "higher", False, "share of pairs whose prediction looks more real"
        ),
        Measure("uids", "U-IDS", "higher", False, "error of a linear real-or-filled classifier"),
        Measure("kid", "KID", "lower", False, "kernel distance of features; unbiased"),
        Measure("l1_hole", "L1 (hole)", "lower", True, "mean absolute difference, samples 0 to 1"),
        Measure("psnr_hole", "PSNR (hole)", "higher", True, "dB over the hole"),
        Measure("ssim_hole", "SSIM (hole)", "higher", True, "structural similarity over the hole"),
        Measure("seam", "seam", "lower", True, "visibility of the hole's border"),
        Measure("colour_shift", "colour shift", "lower", True, "CIEDE2000 across the border"),
        Measure("asymmetry", "asymmetry", "lower", True, "left against right of paired components"),
        Measure("agreement", "agreement", "higher", True, "re-parsing against the label map"),
    )
}
"""Every measure, in the order of the tables."""

FEATURE_METRICS = tuple(one.name for one in MEASURES.values() if not one.per_image)
DEFAULT_METRICS = ("fid", "pids", "uids", "kid", "l1_hole", "psnr_hole", "ssim_hole")
"""Names of the metrics that a benchmark computes unless told otherwise."""


def checked_metrics(metrics: str | Sequence[str], parser: bool) -> tuple[str, ...]:
    """Names of measures that a run can compute, each once.

    Args:
        metrics: names out of :data:`MEASURES`; a string is one name, or several between commas.
        parser: whether filled images are parsed.

    Raises:
        UnknownNameError: there is no such measure.
        OptionError: nothing computes it, or it needs a parser.
    """
    names = evaluation.metric_names(metrics, MEASURES)
    computed = {*evaluation.FEATURE_METRICS, *IMAGE_MEASURES}
    if without := [name for name in names if name not in computed]:
        raise OptionError(f"{', '.join(without)}: listed as a measure, but nothing computes it")
    if "agreement" in names and not parser:
        raise OptionError("agreement needs a parser: give parser=, such as 'small'")
    return names


def measure_image(
    original: Pixels,
    filled: Pixels,
    hole: Hole,
    labels: NDArray[np.uint8],
    label_ids: tuple[int, ...],
    parser: Parser | None = None,
) -> dict[str, float]:
    """Every measure that is defined for this image, by name; see ``benchmark.measures``.

    Args:
        original: ``(H, W, 3)`` uint8.
        filled: the same with the hole filled.
        hole: ``(H, W)`` bool with at least one pixel.
        labels: ``(H, W)`` uint8 label ids of the original.
        label_ids: ids that the hole's class covers.
        parser: labels the filled image, for its agreement with ``labels``.
    """
    found = _in_hole(original, filled, hole)
    found |= diagnose(original, filled, hole, labels, label_ids, parser)
    return {name: rounded(value) for name, value in found.items() if math.isfinite(value)}


def _in_hole(original: Pixels, filled: Pixels, hole: Hole) -> dict[str, float]:
    """L1, PSNR and SSIM over the hole; as ``metrics`` computes them from the whole image."""
    window = _around(hole, pixel.SSIM_WINDOW)
    first, second = (
        torch.from_numpy(image[window] / 255).movedim(-1, 0) for image in (original, filled)
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
