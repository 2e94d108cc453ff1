"""Export every network at full size with made-up weights, and measure the graphs.

Prints the table of docs/export.md: nodes, megabytes, the largest difference from PyTorch at the
sizes that were compared, and seconds of processor time for one image on one thread, in onnxruntime
and in PyTorch. Weights do not change size or speed; those of ``lite`` are the shipped ones.

    python examples/benchmarks/onnx_export.py
    python examples/benchmarks/onnx_export.py lama migan --out exported
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from torch import Tensor, nn

from facemask_inpaint import Inpainter, models
from facemask_inpaint.errors import ExportError, OptionError
from facemask_inpaint.export import ExportConfig, OnnxNetwork

NETWORKS = (
    "lite",
    "migan",
    "lama",
    "aotgan",
    "madf",
    "deepfillv2",
    "tformer",
    "comodgan",
    "mat",
    "cmt",
)
REPEATS = 3

HEADER = (
    "| network | size | nodes | MB | largest difference | onnxruntime, s | PyTorch, s |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
)


class Row(NamedTuple):
    """One line of the table."""

    name: str
    size: str
    nodes: int
    megabytes: float
    difference: float
    runtime_seconds: float
    torch_seconds: float

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.size} | {self.nodes:,} | {self.megabytes:.0f} "
            f"| {self.difference:.0e} | {self.runtime_seconds:.2f} | {self.torch_seconds:.2f} |"
        )


def made_up(name: str) -> Inpainter:
    """Return a network of full size; the same weights for every run."""
    if name == "lite":
        return Inpainter.from_pretrained("lite", device="cpu")
    torch.manual_seed(0)
    network = models.create(name).eval()
    keep_in_range(network, network.native_resolution or 256)
    return Inpainter(network, device="cpu")


@torch.inference_mode()
def keep_in_range(network: models.InpaintingNetwork, side: int) -> None:
    """Scale down weights whose outputs have a deviation above 1 (Mishkin and Matas, 2016).

    PyTorch's initial weights let some networks reach values of ten thousand, whose rounding alone
    is more than an export may differ by.
    """

    def scale_down(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        deviation = output.std().clamp(min=1)
        for parameter in module.parameters(recurse=False):
            parameter /= deviation
        return output / deviation

    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(scale_down) for layer in layers]
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    network(torch.rand(1, 3, side, side) * 2 - 1, mask)
    for handle in handles:
        handle.remove()


def measure(name: str, folder: Path) -> Row:
    """Export one network into a folder and time both forms of it."""
    inpainter = made_up(name)
    inpainter.export(folder)
    config, path = ExportConfig.read(folder), folder / "model.onnx"
    side = config.native_resolution or 256
    image = torch.rand(1, 3, side, side) * 2 - 1
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    latents = inpainter.network.draw_latents(1, side, side)
    exported = OnnxNetwork(folder, threads=1)
    return Row(
        name,
        "free" if config.size is None else f"{side}",
        len(onnx.load(path, load_external_data=False).graph.node),
        path.stat().st_size / 1e6,
        config.largest_difference["network"],
        seconds(lambda: exported(image, mask, latents=latents)),
        seconds(lambda: inpainter.network(image, mask, latents=latents)),
    )


@torch.inference_mode()
def seconds(work: Callable[[], object]) -> float:
    """Return the least processor time of a few runs, which others on the machine change little."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--out", type=Path, help="folder to keep the exports in")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(HEADER, flush=True)
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                print(measure(name, (arguments.out or Path(temporary)) / name), flush=True)
            except (ExportError, OptionError) as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
