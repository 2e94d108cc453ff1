"""Flaws of one prediction as numbers: seam, colour shift, asymmetry, agreement."""

from facemask_inpaint.benchmark.diagnostics.flaws import (
    DIAGNOSTICS,
    PAIRS,
    agreement,
    asymmetry,
    colour_shift,
    diagnose,
    seam,
)

__all__ = ["DIAGNOSTICS", "PAIRS", "agreement", "asymmetry", "colour_shift", "diagnose", "seam"]
