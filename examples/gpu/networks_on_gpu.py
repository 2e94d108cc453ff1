"""Every network's forward pass on a GPU: milliseconds an image, memory, and how far it is off.

Run with ``python examples/gpu/networks_on_gpu.py``; ``--help`` shows what can be chosen. Weights
are random: speed does not depend on them. Each precision and memory layout is compared with the
same network in float32 on the processor, on the same image and draws. Compiled rows come last, for
compilation takes longest; what is not done within ``--seconds`` is left out. Rows are printed as
they come.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click
import torch
from torch import Tensor

from facemask_inpaint import Inpainter, models
from facemask_inpaint.models import InpaintingNetwork

NETWORKS: Mapping[str, tuple[str, dict[str, int], int]] = {
    "harmonic": ("harmonic", {}, 256),
    "lite": ("lite", {}, 256),
    "migan": ("migan", {"resolution": 512}, 512),
    "lama": ("lama", {}, 512),
    "lama-big": ("lama", {"blocks": 18}, 512),
    "aotgan": ("aotgan", {}, 512),
    "madf": ("madf", {}, 512),
    "deepfillv2": ("deepfillv2", {}, 512),
    "tformer": ("tformer", {}, 256),
    "cmt": ("cmt", {}, 256),
    "comodgan": ("comodgan", {"resolution": 512}, 512),
    "mat": ("mat", {"resolution": 512}, 512),
}
"""Architecture, its options and the resolution, by the name in the table."""

REPEATS = 15


@dataclass(frozen=True)
class Variant:
    """A way to run a network."""

    name: str
    dtype: torch.dtype
    channels_last: bool = False
    compiled: bool = False


EAGER = (
    Variant("float32", torch.float32),
    Variant("float32, channels last", torch.float32, channels_last=True),
    Variant("bfloat16", torch.bfloat16),
    Variant("bfloat16, channels last", torch.bfloat16, channels_last=True),
)
COMPILED = (Variant("bfloat16, compiled", torch.bfloat16, channels_last=True, compiled=True),)


@dataclass(frozen=True)
class Inputs:
    """A batch of random images with a square hole, and the draws."""

    image: Tensor
    mask: Tensor
    latents: Mapping[str, Tensor]

    @classmethod
    def draw(cls, network: InpaintingNetwork, batch: int, resolution: int) -> Inputs:
        """Draw them on the processor."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(batch, 3, resolution, resolution, generator=generator) * 2 - 1
        mask = torch.zeros_like(image[:, :1])
        quarter, half = resolution // 4, resolution // 2
        mask[..., quarter:half, quarter:half] = 1
        latents = network.draw_latents(batch, resolution, resolution, generator=generator)
        return cls(image, mask, latents)

    def on(self, device: torch.device, variant: Variant) -> Inputs:
        """Copy them to a device, in the precision and layout of a variant."""
        layout = torch.channels_last if variant.channels_last else torch.contiguous_format
        image, mask = (
            part.to(device, variant.dtype, memory_format=layout) for part in (self.image, self.mask)
        )
        latents = {
            name: value.to(device, variant.dtype if value.is_floating_point() else value.dtype)
            for name, value in self.latents.items()
        }
        return Inputs(image, mask, latents)


def milliseconds(network: InpaintingNetwork, inputs: Inputs, device: torch.device) -> float:
    """Return the median time of one forward pass, by the device's own clock where it has one."""
    times = []
    for _ in range(REPEATS):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            network(inputs.image, inputs.mask, latents=inputs.latents)
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end))
        else:
            began = time.perf_counter()
            network(inputs.image, inputs.mask, latents=inputs.latents)
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def rows(
    name: str, variants: tuple[Variant, ...], batches: tuple[int, ...], device: torch.device
) -> Iterator[str]:
    """Measure one network in several variants."""
    architecture, options, resolution = NETWORKS[name]
    torch.manual_seed(0)
    network = models.create(architecture, **options).eval()
    one = Inputs.draw(network, 1, resolution)
    expected = network(one.image, one.mask, latents=one.latents)
    for variant in variants:
        layout = torch.channels_last if variant.channels_last else torch.contiguous_format
        network = network.to(device, variant.dtype, memory_format=layout)
        if variant.compiled:
            Inpainter(network, device=device, dtype=variant.dtype).compile()
        for batch in batches:
            inputs = Inputs.draw(network, batch, resolution).on(device, variant)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            for _ in range(3):
                network(inputs.image, inputs.mask, latents=inputs.latents)
            taken = milliseconds(network, inputs, device)
            peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0
            off = ""
            if batch == 1:
                answer = network(inputs.image, inputs.mask, latents=inputs.latents)
                apart = (answer.float().cpu() - expected).abs().max()
                off = f"{apart / expected.abs().max():.1e}"
            yield (
                f"| {name} | {resolution} | {batch} | {variant.name} | {taken / batch:.2f} | "
                f"{peak:.0f} | {off} |"
            )


@click.command()
@click.option("--network", "names", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 8), show_default=True)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option("--seconds", default=120.0, show_default=True, help="Begin no row after these.")
@torch.inference_mode()
def main(names: tuple[str, ...], batches: tuple[int, ...], device: str, seconds: float) -> None:
    """Print a table in Markdown, row by row."""
    end = time.monotonic() + seconds
    click.echo("| network | resolution | batch | how | ms/image | MiB | relative difference |")
    click.echo("| --- | --- | --- | --- | --- | --- | --- |")
    for variants in (EAGER, COMPILED):
        for name in names or NETWORKS:
            if variants is COMPILED and name == "harmonic":
                continue  # it is solved on the processor
            try:
                for row in rows(name, variants, batches, torch.device(device)):
                    click.echo(row)
                    if time.monotonic() > end:
                        return
            except (RuntimeError, TypeError, ImportError) as error:
                click.echo(
                    f"| {name} | | | {variants[0].name} … | failed: {str(error)[:80]!r} | | |"
                )


if __name__ == "__main__":
    main()
