"""The report of a run: tables as text, one HTML page, and tables and figures for papers."""

from facemask_inpaint.benchmark.report.figures import image_figure, score_figure
from facemask_inpaint.benchmark.report.latex import PaperStyle
from facemask_inpaint.benchmark.report.page import write_report
from facemask_inpaint.benchmark.report.paper_tables import PaperTable, paper_table
from facemask_inpaint.benchmark.report.samples import Samples
from facemask_inpaint.benchmark.report.selection import Selection
from facemask_inpaint.benchmark.report.sharing import bibtex, eval_results

__all__ = [
    "PaperStyle",
    "PaperTable",
    "Samples",
    "Selection",
    "bibtex",
    "eval_results",
    "image_figure",
    "paper_table",
    "score_figure",
    "write_report",
]
