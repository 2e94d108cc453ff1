"""Flaws of one prediction as numbers: what the eye sees first, measured beside the original.

Each is undefined for some images and then ``None``. They find the worst cases of a run and say
which flaw is there; none of them is a measure of quality on its own.
"""

from facemask_inpaint.benchmark.diagnostics.border import colour_shift, seam
from facemask_inpaint.benchmark.diagnostics.components import PAIRS, agreement, asymmetry
from facemask_inpaint.benchmark.diagnostics.table import DIAGNOSTICS, LabelledPair, diagnose

__all__ = [
    "DIAGNOSTICS",
    "PAIRS",
    "LabelledPair",
    "agreement",
    "asymmetry",
    "colour_shift",
    "diagnose",
    "seam",
]
