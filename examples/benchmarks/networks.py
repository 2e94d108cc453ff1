"""Seconds per image and peak memory of every network, at several sizes and batches.

Run with ``python examples/benchmarks/networks.py``; ``--help`` shows what can be chosen. The
weights are random: speed does not depend on them. Each row is measured in a process of its own,
because a process never forgets its memory peak.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import click
import torch

from facemask_inpaint import Inpainter, models
from facemask_inpaint.errors import SizeError
from facemask_inpaint.models.lama import Refinement

MEBIBYTE = 2**20

VARIANTS: dict[str, tuple[str, dict[str, int]]] = {
    "comodgan-256": ("comodgan", {"resolution": 256}),
    "comodgan-1024": ("comodgan", {"resolution": 1024}),
    "lama-big": ("lama", {"blocks": 18}),
    "lama-refined": ("lama", {}),
    "mat-256": ("mat", {"resolution": 256}),
    "migan-512": ("migan", {"resolution": 512}),
}
"""Published networks, and ways of running them, that an architecture's defaults do not give."""


@dataclass(frozen=True)
class Setting:
    """What one row measures."""

    network: str
    side: int
    batch: int
    device: str
    dtype: str
    compiled: bool
    repeats: int


@dataclass(frozen=True)
class Row:
    """What was measured: seconds per image (best round) and mebibytes beyond an idle process."""

    parameters: int
    seconds: float
    mebibytes: float


def measure(setting: Setting) -> Row | None:
    """Time forward passes on random images; ``None`` if the network cannot take the size."""
    architecture, options = VARIANTS.get(setting.network, (setting.network, {}))
    device, dtype = torch.device(setting.device), getattr(torch, setting.dtype)
    idle = peak_memory(device)
    inpainter = Inpainter(models.create(architecture, **options), device=device, dtype=dtype)
    network = inpainter.network
    try:
        network.check_size(setting.side, setting.side)
    except SizeError:
        return None
    if setting.compiled:
        inpainter.compile()
    shape = (setting.batch, 3, setting.side, setting.side)
    image = torch.rand(shape, device=device, dtype=dtype) * 2 - 1
    mask = torch.zeros_like(image[:, :1])
    mask[..., setting.side // 4 : setting.side // 2, setting.side // 4 : setting.side // 2] = 1
    seconds_of(network, image, mask)  # the warm-up; unrefined, since a refined pass is forty others
    if setting.network == "lama-refined":
        network.refinement = Refinement()
    rounds = [seconds_of(network, image, mask) for _ in range(setting.repeats)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    used = (peak_memory(device) - idle) / MEBIBYTE
    return Row(parameters, min(rounds) / setting.batch, used)


@torch.inference_mode()
def seconds_of(network: models.InpaintingNetwork, image: torch.Tensor, mask: torch.Tensor) -> float:
    """Seconds of one forward pass."""
    start = time.perf_counter()
    network(image, mask, generator=torch.Generator().manual_seed(0))
    if image.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak so far: of the device's tensors, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@click.command()
@click.option(
    "--network", "chosen", multiple=True, help="Architecture or variant; may be given repeatedly."
)
@click.option("--side", "sides", type=int, multiple=True, default=[256, 512], show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=[1, 8], show_default=True)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32")
@click.option("--compiled", is_flag=True, help="Measure the networks under torch.compile.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(
    chosen: tuple[str, ...],
    sides: tuple[int, ...],
    batches: tuple[int, ...],
    device: str,
    dtype: str,
    compiled: bool,
    repeats: int,
) -> None:
    """Print a table: one row per network, size and batch."""
    names = chosen or (*models.list_architectures(), *VARIANTS)
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} cores"
    how = f"{dtype}, compiled" if compiled else dtype
    click.echo(f"{device} ({where}), {how}, best of {repeats} after a warm-up")
    click.echo(f"{'network':<14}{'side':>6}{'batch':>6}{'M params':>10}{'s/image':>11}{'MiB':>8}")
    settings = [
        Setting(name, side, batch, device, dtype, compiled, repeats)
        for name in names
        for side in sides
        for batch in batches
    ]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for setting, row in zip(settings, processes.map(measure, settings)):
            if row is not None:
                click.echo(
                    f"{setting.network:<14}{setting.side:>6}{setting.batch:>6}"
                    f"{row.parameters / 1e6:>10.1f}{row.seconds:>11.3f}{row.mebibytes:>8.0f}"
                )


if __name__ == "__main__":
    main()
