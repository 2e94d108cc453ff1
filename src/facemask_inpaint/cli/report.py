"""``facemask-inpaint report``: the page of a benchmark run, made anew from what the run left."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options


@click.command()
@click.argument("run", type=options.existing)
@click.option("--out", type=options.anywhere, help="File to write (default: RUN/report.html).")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Portraits per mask class, each with every method's prediction.",
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
    help="Shrink images to this many pixels.",
)
@click.option(
    "--megabytes",
    type=click.FloatRange(min=0),
    default=12.0,
    show_default=True,
    help="Leave images out beyond this; the page says how many.",
)
def report(
    run: Path, out: Path | None, rows: int, extremes: int, image_size: int, megabytes: float
) -> None:
    """Write the page of a benchmark run again, without running anything again.

    \b
    Example:
        facemask-inpaint report runs/faces-256
        facemask-inpaint report runs/faces-512 --image-size 512 --rows 8 --megabytes 40
    """
    from facemask_inpaint.benchmark import Run
    from facemask_inpaint.benchmark.report import Selection, write_report

    selection = Selection(rows=rows, extremes=extremes, image_size=image_size, megabytes=megabytes)
    target = write_report(Run.open(run), out, selection=selection)
    click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB, open it in a browser")
