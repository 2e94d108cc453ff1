"""The page of a benchmark run: one HTML file with its pictures, scores and warnings in it."""

from facemask_inpaint.benchmark.report.assets import Selection
from facemask_inpaint.benchmark.report.page import write_report

__all__ = ["Selection", "write_report"]
