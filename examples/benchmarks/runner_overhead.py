"""What the benchmark's runner adds to the bare time of a model.

Run with ``python examples/benchmarks/runner_overhead.py``. Both sides are taken in one process, in
turns: the network's forward passes alone, and ``benchmark.run`` from files to tables over the same
images in the same batches (reading, cutting masks, compositing, writing, measuring each image
and its flaws; without features and page, which do not belong to a model's time). MI-GAN is the
cheapest learned network at 512; its weights here are random, since speed does not depend on them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import torch
from PIL import Image

from facemask_inpaint import Inpainter, benchmark, data, models

CLASSES = ("eyes", "full_mouth", "hair", "face")
PIXEL_METRICS = ("l1_hole", "psnr_hole", "ssim_hole")


def write_portraits(folder: Path, count: int, side: int) -> data.Faces:
    """The bundled portrait under several names."""
    sample = data.sample(512)
    for name, image in (
        ("images", sample.image.resize((side, side))),
        (
            "labels",
            Image.fromarray(sample.label_map).resize((side, side), Image.Resampling.NEAREST),
        ),
    ):
        (folder / name).mkdir()
        for index in range(count):
            image.save(folder / name / f"{index:03d}.png")
    return data.open_faces(folder)


def bare(network: models.InpaintingNetwork, images: int, batch: int, side: int) -> None:
    """As many forward passes as the run needs, on tensors that are there already."""
    device = next(network.parameters()).device
    image = torch.rand((batch, 3, side, side), device=device) * 2 - 1
    hole = torch.zeros_like(image[:, :1])
    hole[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    with torch.inference_mode():
        for _ in range(0, images, batch):
            network(image, hole, generator=torch.Generator().manual_seed(0)).cpu()


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds and CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@click.command()
@click.option("--network", default="migan", show_default=True, help="Architecture.")
@click.option("--side", default=512, show_default=True)
@click.option("--portraits", default=8, show_default=True, help="Each with four holes.")
@click.option("--batch", default=4, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
def main(network: str, side: int, portraits: int, batch: int, rounds: int, device: str) -> None:
    """Print the median seconds per image of both sides, and their ratio."""
    options = {"resolution": side} if network == "migan" else {}
    inpainter = Inpainter(models.create(network, **options), device=device)
    images = portraits * len(CLASSES)
    sides: dict[str, list[tuple[float, float]]] = {"bare": [], "run": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "faces")
        folder.mkdir()
        faces = write_portraits(folder, portraits, side)
        bare(inpainter.network, batch, batch, side)
        for number in range(rounds):
            passes = partial(bare, inpainter.network, images, batch, side)
            sides["bare"].append(seconds_of(passes))
            whole = partial(
                benchmark.run,
                {network: inpainter},
                faces,
                out=Path(name, str(number)),
                classes=CLASSES,
                resolutions=(side,),
                metrics=PIXEL_METRICS,
                batch_size=batch,
                report=False,
                progress=False,
            )
            sides["run"].append(seconds_of(whole))
    threads = torch.get_num_threads()
    click.echo(f"{network} at {side} on {device}, {threads} threads, {images} images a round")
    for column, kind in enumerate(("wall", "CPU")):
        alone, run = (statistics.median(s[column] for s in sides[k]) for k in ("bare", "run"))
        ratios = [b[column] / a[column] - 1 for a, b in zip(sides["bare"], sides["run"])]
        click.echo(
            f"{kind}: forward passes {alone / images:.3f} s, run {run / images:.3f} s a "
            f"image; overhead {statistics.median(ratios):.1%} (median of {rounds} rounds: "
            f"{', '.join(f'{ratio:.1%}' for ratio in ratios)})"
        )


if __name__ == "__main__":
    main()
