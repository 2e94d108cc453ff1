"""Flaws of one prediction as numbers: seam, colour shift, asymmetry, agreement."""

from facemask_inpaint.benchmark.diagnostics.flaws import (
    DIAGNOSTICS,
    PAIRS,
    LabelledPair,
    agreement,
    asymmetry,
    colour_shift,
    diagnose,
    seam,
)

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
