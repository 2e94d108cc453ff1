"""``facemask-inpaint report``: page, tables and figures of runs, from what the runs left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.benchmark import Run
    from facemask_inpaint.benchmark.report.samples import Pick


class ReportOptions(TypedDict):
    """Values of the options that say what is written and how."""

    rows: int
    extremes: int
    image_size: int
    megabytes: float
    figure: str | None
    keys: str | None
    pick: Pick
    seed: int
    zoom: float
    plot: str | None
    table: str | None
    intervals: bool
    two_columns: bool
    width: float
    size: int | None
    methods: str | None
    bibtex: bool
    eval_results: str | None
    hub_dataset: str


@click.command()
@click.argument("runs", type=options.existing, nargs=-1, required=True, metavar="RUN…")
@click.option("--out", type=options.new_file, help="File to write (default: RUN/report.html).")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Portraits per mask class, on the page and in a figure, each with all predictions.",
)
@click.option(
    "--extremes",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Worst and best predictions per method, mask class and metric.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=32),
    default=256,
    show_default=True,
    help="Shrink images of the page to this many pixels.",
)
@click.option(
    "--megabytes",
    type=click.FloatRange(min=0),
    default=12.0,
    show_default=True,
    help="Leave images out of the page beyond this; it says how many.",
)
@click.option(
    "--figure", metavar="CLASSES", help="Write images of these classes: eyes,hair (PDF, PNG, SVG)."
)
@click.option("--keys", help="Portraits of the figure, between commas, in place of --pick.")
@click.option(
    "--pick",
    type=click.Choice(["random", "worst", "median", "best"]),
    default="random",
    show_default=True,
    help="Portraits of the figure: at random, or by LPIPS or PSNR, the mean over its methods.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random picks."
)
@click.option(
    "--zoom",
    type=click.FloatRange(1, 16),
    default=1.0,
    show_default=True,
    help="Magnify the figure's images around the hole.",
)
@click.option("--plot", metavar="METRIC", help="Write scores with intervals (PDF, PNG, SVG).")
@click.option(
    "--table", metavar="METRICS", help="Write a LaTeX table of one or several runs: fid,pids."
)
@click.option("--intervals", is_flag=True, help="Show ± half of the 95 % intervals in the table.")
@click.option("--two-columns", is_flag=True, help="Let the table span both columns: table*.")
@click.option(
    "--width",
    type=click.FloatRange(min=150),
    default=345.0,
    show_default=True,
    help=r"Width of table, figure or plot in points, as \the\columnwidth says.",
)
@click.option("--size", type=int, help="Resolution in pixels (default: the run's largest).")
@click.option("--methods", help="Methods to show, between commas, in this order (default: all).")
@click.option("--bibtex", is_flag=True, help="Write BibTeX of every method of the runs.")
@click.option(
    "--eval-results",
    metavar="METHOD",
    help="Write a method's scores as the hub reads them, to .eval_results/NAME.yaml of its model.",
)
@click.option(
    "--hub-dataset", default="", metavar="OWNER/NAME", help="Benchmark on the hub for these scores."
)
def report(runs: tuple[Path, ...], out: Path | None, **given: Unpack[ReportOptions]) -> None:
    """Write the page of a benchmark run again, or tables and figures for a paper.

    \b
    Examples:
        facemask-inpaint report runs/faces-256
        facemask-inpaint report runs/faces-512 --image-size 512 --rows 8 --megabytes 40
        facemask-inpaint report runs/faces-512 --figure eyes,hair --pick worst --rows 2 \\
            --methods lama,mat --out worst.pdf
        facemask-inpaint report runs/faces-512 --plot fid --out fid.pdf
        facemask-inpaint report runs/a runs/b --table fid,pids --intervals --out scores.tex
        facemask-inpaint report runs/faces-512 --bibtex --out methods.bib
    """
    from facemask_inpaint.benchmark import Run

    chosen = [name for name in _WRITERS if given.get(name)]
    if len(chosen) > 1:
        raise click.UsageError(f"{_spelled(chosen[0])} and {_spelled(chosen[1])}: one at a time")
    kind = chosen[0] if chosen else "page"
    if kind not in _OF_SEVERAL and len(runs) > 1:
        raise click.UsageError("only --table and --bibtex take several runs")
    opened = [Run.open(run) for run in runs]
    if chosen and out is None:
        raise click.UsageError(f"{_spelled(kind)} needs --out FILE")
    _WRITERS[kind](opened, out or opened[0].layout.report, given)


def _write_page(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import Selection, write_report

    selection = Selection(given["rows"], given["extremes"], given["image_size"], given["megabytes"])
    target = write_report(runs[0], out, selection=selection)
    click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB, open it in a browser")


def _write_figure(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import Samples, image_figure

    samples = Samples(
        _listed(given["figure"]) or (),
        _listed(given["keys"]) or (),
        given["pick"],
        given["rows"],
        seed=given["seed"],
        resolution=given["size"],
    )
    methods, zoom, width = _listed(given["methods"]), given["zoom"], given["width"]
    image_figure(runs[0], out, samples, methods=methods, zoom=zoom, width=width)
    click.echo(f"written to {out}")


def _write_plot(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import score_figure

    metric, size = str(given["plot"]), given["size"] or max(runs[0].resolutions)
    methods, width = _listed(given["methods"]), given["width"]
    score_figure(runs[0], out, metric, size, methods=methods, width=width)
    click.echo(f"written to {out}")


def _write_table(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import PaperStyle, paper_table
    from facemask_inpaint.benchmark.report.latex import PACKAGES

    style = PaperStyle(given["width"], given["two_columns"], given["intervals"])
    size, methods = given["size"] or max(runs[0].resolutions), _listed(given["methods"])
    tables = [
        paper_table(runs, metric, size, style, methods=methods)
        for metric in _listed(given["table"]) or ()
    ]
    for text in dict.fromkeys(text for table in tables for text in table.warnings):
        click.echo(f"warning: {text}", err=True)
    _write(out, "\n".join([PACKAGES, *(table.text for table in tables)]))


def _write_bibtex(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import bibtex

    _write(out, bibtex(runs))


def _write_eval_results(runs: list[Run], out: Path, given: ReportOptions) -> None:
    from facemask_inpaint.benchmark.report import eval_results

    _write(out, eval_results(runs[0], str(given["eval_results"]), given["hub_dataset"]))


def _write(out: Path, text: str) -> None:
    from facemask_inpaint._internal.files import atomic_path

    with atomic_path(out) as path:
        path.write_text(text, encoding="utf-8")
    click.echo(f"written to {out}")


_WRITERS: dict[str, Callable[[list[Run], Path, ReportOptions], None]] = {
    "figure": _write_figure,
    "plot": _write_plot,
    "table": _write_table,
    "bibtex": _write_bibtex,
    "eval_results": _write_eval_results,
    "page": _write_page,
}
_OF_SEVERAL = ("table", "bibtex")


def _spelled(option: str) -> str:
    return "--" + option.replace("_", "-")


def _listed(text: str | None) -> tuple[str, ...] | None:
    """Return the parts of a text between commas; ``None`` where nothing was given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
