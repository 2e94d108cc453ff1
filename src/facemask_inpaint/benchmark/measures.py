"""The numbers of a run by name: what each is, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.benchmark.measuring import PICTURE_MEASURES
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import evaluation


@dataclass(frozen=True)
class Measure:
    """One number that tables and plots show.

    Attributes:
        name: as in records, ``"fid"``.
        label: as in tables, ``"FID"``.
        better: which way is better.
        per_picture: whether every picture has its own, of which the score is the mean; else the
            score is of the whole set of pictures, from features.
        meaning: one line for people.
    """

    name: str
    label: str
    better: Literal["lower", "higher"]
    per_picture: bool
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
        Measure("pids", "P-IDS", "higher", False, "share of pairs whose filling looks more real"),
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

FEATURE_METRICS = tuple(one.name for one in MEASURES.values() if not one.per_picture)
DEFAULT_METRICS = ("fid", "pids", "uids", "kid", "l1_hole", "psnr_hole", "ssim_hole")


def checked_metrics(metrics: str | Sequence[str], parser: bool) -> tuple[str, ...]:
    """Names of measures that a run can compute, each once.

    Args:
        metrics: names out of :data:`MEASURES`; a string is one name, or several between commas.
        parser: whether filled pictures are parsed.

    Raises:
        UnknownNameError: there is no such measure.
        OptionError: nothing computes it, or it needs a parser.
    """
    names = evaluation.metric_names(metrics, MEASURES)
    computed = {*evaluation.FEATURE_METRICS, *PICTURE_MEASURES}
    if without := [name for name in names if name not in computed]:
        raise OptionError(f"{', '.join(without)}: listed as a measure, but nothing computes it")
    if "agreement" in names and not parser:
        raise OptionError("agreement needs a parser: give parser=, such as 'small'")
    return names
