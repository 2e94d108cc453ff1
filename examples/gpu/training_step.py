"""Images a second of one training step of MAT at 512, by the recipe of the study.

The perceptual loss, whose VGG weights are a download, is left out. The study's training of 100
epochs implies 3.7 images a second.

Example: ``python examples/gpu/training_step.py --data portraits --steps 30``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import torch

from facemask_inpaint import data, training
from facemask_inpaint.training.shipped_recipes import RECIPES


@click.command()
@click.option("--data", "folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--recipe", default="study-mat-512", show_default=True)
@click.option("--steps", default=30, show_default=True, help="Of the shorter run.")
@click.option("--batch", default=8, show_default=True)
@click.option("--precision", default="float32", show_default=True)
@click.option("--workers", default=8, show_default=True)
def main(folder: Path, recipe: str, steps: int, batch: int, precision: str, workers: int) -> None:
    """Time a short and a twice as long run after a warm-up: start and last checkpoint cancel."""
    keys = (folder / "train.txt").read_text().split()[: 8 * batch]
    faces = data.labelled_folder(folder, keys=keys)
    chosen = RECIPES[recipe].changed(
        batch_size=batch,
        precision=precision,
        validate_every=0,
        save_every=10**6,
        **{"losses.perceptual": 0.0},
    )
    seconds = []
    for count in (1, steps, 2 * steps):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            training.train(
                chosen.changed(steps=count, minutes=None),
                faces,
                out=out,
                workers=workers,
                progress=False,
            )
            seconds.append(time.perf_counter() - start)
    each = (seconds[2] - seconds[1]) / steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    click.echo(
        f"{recipe}, batch {batch}, {precision}: {batch / each:.2f} images a second "
        f"({each:.3f} s a step), peak {peak:.1f} GiB"
    )


if __name__ == "__main__":
    main()
