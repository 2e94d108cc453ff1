"""``facemask-inpaint privacy``: which mask class of a run hides whom from which recogniser."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options
from facemask_inpaint.metrics.faces.cards import face_networks


@click.command()
@click.argument("run", type=options.existing)
@click.option(
    "--identity",
    "embedders",
    type=click.Choice(face_networks("embedding")),
    multiple=True,
    default=face_networks("embedding")[:1],
    show_default=True,
    help="Face recogniser; may be repeated.",
)
@click.option("--out", type=options.new_file, help="File to write (default: RUN/privacy.md).")
def privacy(run: Path, embedders: tuple[str, ...], out: Path | None) -> None:
    """Say which mask class hides whom from which face recogniser, in the folder of a benchmark.

    It compares the originals in RUN with every method's predictions. The text says what such
    figures cannot show: they never prove that an image is anonymous.

    \b
    Example:
        facemask-inpaint benchmark --data faces --model lama --out runs/faces
        facemask-inpaint privacy runs/faces
    """
    from facemask_inpaint._internal.files import atomic_path
    from facemask_inpaint.benchmark import Run
    from facemask_inpaint.benchmark.report.privacy import PrivacyReport

    text = str(PrivacyReport.of_run(Run.open(run), embedders))
    click.echo(text)
    target = out or run / "privacy.md"
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")
    click.echo(f"written to {target}")
