"""The report of a benchmark run: tables as text, and one HTML page with images and warnings."""

from facemask_inpaint.benchmark.report.latex import PaperStyle
from facemask_inpaint.benchmark.report.page import write_report
from facemask_inpaint.benchmark.report.paper_tables import PaperTable, paper_table
from facemask_inpaint.benchmark.report.selection import Selection

__all__ = ["PaperStyle", "PaperTable", "Selection", "paper_table", "write_report"]
