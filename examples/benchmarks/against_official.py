"""CPU time and memory of the networks beside their authors' own code, on the same weights.

Clone the repositories of ``official_networks.py`` into one folder, each under its own name, and run
``python examples/benchmarks/against_official.py --official FOLDER``. Repositories that are not
there, or that do not import, give a row that says so; nothing of them is shipped here.

Each network is measured in a process of its own, on one thread: the official network gets made-up
weights, this library's network gets the same ones, and then both take turns. CUDA kernels of the
official code are replaced by the reference implementations that it brings along for CPUs. Peak
memory, weights included, is measured in two further processes, one for each side. Of RePaint, LDM
and Moebius one call of the U-Net is measured. Moebius needs ``timm`` and ``diffusers``; packages
that are imported but not needed may be missing. PixelHacker has no row: its attention is written
in Triton, for GPUs only. MAT draws which features to keep, so its predictions differ.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from official_networks import RIVALS, official_network
from torch import Tensor, nn

from facemask_inpaint import Inpainter, models

Pass = Callable[[], Tensor]
"""One forward pass, with the prediction ``(1, 3, H, W)`` in [-1, 1]."""

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Job:
    """What one process measures."""

    name: str
    clones: Path
    dtype: str
    compiled: bool
    repeats: int


@dataclass(frozen=True)
class Times:
    """What was measured.

    Attributes:
        official: median CPU seconds of the official network.
        ours: of this library's.
        ratio: median of the ratios of passes that followed each other.
        best: ratio of the fastest passes, which other processes disturb least.
        difference: mean absolute difference in the hole on the scale [-1, 1]; where untrained
            weights give predictions beyond it, as a share of the largest value.
        largest: the largest difference, likewise.
        options: constructor arguments of this library's network.
    """

    official: float
    ours: float
    ratio: float
    best: float
    difference: float
    largest: float
    options: Mapping[str, object]


def scene(side: int) -> tuple[Tensor, Tensor]:
    """Return an image of noise and a square hole."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, side, side, generator=generator) * 2 - 1
    hole = torch.zeros_like(image[:, :1])
    hole[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return image, hole


def our_pass(network: models.InpaintingNetwork, job: Job) -> Pass:
    """Return a forward pass of this library's network, as ``Inpainter`` runs it."""
    inpainter = Inpainter(network, device="cpu", dtype=job.dtype)
    rival, network = RIVALS[job.name], inpainter.network
    image, hole = (part.to(inpainter.dtype) for part in scene(rival.side))
    if job.compiled:
        inpainter.compile()
    if rival.ours is not None:
        return partial(rival.ours, network, image)
    shapes = network.latent_spec(1, *image.shape[2:])
    # The latent code that the official side gets, and the likeliest codes of a codebook.
    latents = {name: torch.ones(shapes[name]) for name in ("z", "race") if name in shapes}
    return partial(network, image, hole, latents=latents)


def official_pass(network: nn.Module, job: Job) -> Pass:
    """Return a forward pass of the official network."""
    rival = RIVALS[job.name]
    return partial(rival.call, network, *scene(rival.side))


@torch.inference_mode()
def times(job: Job) -> Times | str:
    """Let both sides take turns; what does not run gives the reason."""
    torch.set_num_threads(1)
    try:
        official = official_network(RIVALS[job.name], job.clones)
        network = models.from_official(RIVALS[job.name].architecture, official.state_dict())
        theirs, mine = official_pass(official, job), our_pass(network, job)
        expected, got = theirs(), mine().float()
    except Exception as error:
        return f"  {type(error).__name__}: {error}".splitlines()[0][:110]
    hole = F.interpolate(scene(RIVALS[job.name].side)[1], got.shape[2:]).expand_as(got) == 1
    apart = (expected - got)[hole].abs() / expected[hole].abs().max().clamp(min=1)
    rounds = [(seconds_of(theirs), seconds_of(mine)) for _ in range(job.repeats)]
    return Times(
        *(statistics.median(one) for one in zip(*rounds)),
        ratio=statistics.median(second / first for first, second in rounds),
        best=min(second for _, second in rounds) / min(first for first, _ in rounds),
        difference=float(apart.mean()),
        largest=float(apart.max()),
        options=dict(network.options),
    )


def seconds_of(forward: Pass) -> float:
    """Return the CPU seconds of one forward pass."""
    start = time.process_time()
    forward()
    return time.process_time() - start


@torch.inference_mode()
def peak(job: Job, options: Mapping[str, object] | None) -> float:
    """Return the mebibytes at the peak of a first pass, beyond a process without a network.

    Args:
        job: what is measured.
        options: of this library's network; ``None`` measures the official one.
    """
    torch.set_num_threads(1)
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rival = RIVALS[job.name]
    if options is None:
        official_pass(official_network(rival, job.clones), job)()
    else:
        our_pass(models.create(rival.architecture, **options), job)()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) * 1024 / MEBIBYTE


@click.command()
@click.option("--official", "clones", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--network", "chosen", type=click.Choice(list(RIVALS)), multiple=True)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32")
@click.option("--compiled", is_flag=True, help="Compile this library's networks.")
@click.option("--repeats", type=click.IntRange(1), default=7, show_default=True)
def main(clones: Path, chosen: tuple[str, ...], dtype: str, compiled: bool, repeats: int) -> None:
    """Print a table: one row per network."""
    click.echo(f"one thread, CPU seconds, medians of {repeats} interleaved passes; ours: {dtype}")
    header = f"{'network':<14}{'side':>5}{'official':>10}{'ours':>8}{'ratio':>7}{'best':>6}"
    click.echo(f"{header}{'mean |d|':>10}{'max |d|':>9}{'MiB':>7}{'ours':>7}{'load':>6}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for name in chosen or RIVALS:
            job = Job(name, clones.resolve(), dtype, compiled, repeats)
            click.echo(f"{name:<14}{RIVALS[name].side:>5}", nl=False)
            row = processes.submit(times, job).result()
            if isinstance(row, str):
                click.echo(row)
                continue
            click.echo(f"{row.official:>10.3f}{row.ours:>8.3f}{row.ratio:>7.2f}", nl=False)
            click.echo(f"{row.best:>6.2f}{row.difference:>10.1e}{row.largest:>9.1e}", nl=False)
            for options in (None, row.options):
                click.echo(f"{processes.submit(peak, job, options).result():>7.0f}", nl=False)
            click.echo(f"{os.getloadavg()[0]:>6.1f}")


if __name__ == "__main__":
    main()
