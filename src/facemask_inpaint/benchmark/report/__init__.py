"""The report of a benchmark run: tables as text, and one HTML page with images and warnings."""

from facemask_inpaint.benchmark.report.page import write_report
from facemask_inpaint.benchmark.report.selection import Selection

__all__ = ["Selection", "write_report"]
