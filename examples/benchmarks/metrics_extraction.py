"""Inception features per second, beside the published extractors, in one run.

Run with ``python examples/benchmarks/metrics_extraction.py``; ``--help`` shows what can be chosen.
The weights are random (speed does not depend on them) and the same for all, so features are
compared too. Peers that cannot be imported are replaced by their pipeline rebuilt from this
library's network with its batch norms unfolded, and named so. Rounds take turns, so that other
load on the machine meets everyone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.metrics import InceptionExtractor, fid
from facemask_inpaint.metrics.features.inception import (
    BATCH_NORM_EPS,
    STATE_DICT_NAMES,
    Inception2015,
)

Extract = Callable[[Tensor], Tensor]
"""``(N, 3, H, W)`` uint8 to ``(N, 2048)``."""


def random_weights() -> dict[str, Tensor]:
    """Under pytorch-fid's keys, scaled so that activations neither vanish nor explode."""
    torch.manual_seed(0)
    tensors = {}
    for name, layer in zip(STATE_DICT_NAMES, Inception2015().convolutions()):
        width = layer.out_channels
        tensors[f"{name}.conv.weight"] = nn.init.kaiming_normal_(torch.empty_like(layer.weight))
        tensors[f"{name}.bn.weight"] = torch.ones(width)
        tensors[f"{name}.bn.bias"] = torch.randn(width) * 0.1
        tensors[f"{name}.bn.running_mean"] = torch.randn(width) * 0.1
        tensors[f"{name}.bn.running_var"] = torch.rand(width) + 0.5
    return tensors | {"fc.weight": torch.randn(1008, 2048) * 0.01, "fc.bias": torch.zeros(1008)}


def plain_pytorch_fid(tensors: dict[str, Tensor], device: torch.device) -> Extract:
    """pytorch-fid's pipeline: convolution, batch norm and ReLU apart, channels first."""
    network = Inception2015().eval()
    owners = {
        child: (owner, name)
        for owner in network.modules()
        for name, child in owner.named_children()
    }
    for key, layer in zip(STATE_DICT_NAMES, list(network.convolutions())):
        convolution = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            bias=False,
        )
        norm = nn.BatchNorm2d(layer.out_channels, eps=BATCH_NORM_EPS)
        convolution.load_state_dict({"weight": tensors[f"{key}.conv.weight"]})
        parts = ("weight", "bias", "running_mean", "running_var")
        norm.load_state_dict({part: tensors[f"{key}.bn.{part}"] for part in parts}, strict=False)
        owner, name = owners[layer]
        setattr(owner, name, nn.Sequential(convolution, norm, nn.ReLU(inplace=True)))
    network.to(device).eval()

    @torch.no_grad()
    def extract(images: Tensor) -> Tensor:
        x = F.interpolate(images / 255, (299, 299), mode="bilinear", align_corners=False)
        return network(2 * x - 1)

    return extract


def installed_pytorch_fid(tensors: dict[str, Tensor], device: torch.device) -> Extract:
    """The package itself, given these weights instead of its download."""
    from pytorch_fid import inception

    inception.load_state_dict_from_url = lambda *_, **__: tensors
    network = inception.InceptionV3([3]).to(device).eval()

    @torch.no_grad()
    def extract(images: Tensor) -> Tensor:
        return network(images / 255)[0].flatten(1)

    return extract


def installed_torch_fidelity(weights: Path, device: torch.device) -> Extract:
    """The package itself."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    ).to(device)

    @torch.no_grad()
    def extract(images: Tensor) -> Tensor:
        return network(images)[0]

    return extract


def ours(front_end: str, weights: Path, device: torch.device, dtype: str = "float32") -> Extract:
    """This library's extractor."""
    extractor = InceptionExtractor(front_end, weights=weights, device=device, dtype=dtype)
    return lambda images: extractor(extractor.prepare(images))


def contestants(folder: Path, device: torch.device, half: str) -> dict[str, Extract]:
    """Everyone by name; this library behind the front end of each peer."""
    tensors, weights = random_weights(), folder / "weights.pth"
    torch.save(tensors, weights)
    found: dict[str, Extract] = {}
    try:
        found["pytorch-fid"] = installed_pytorch_fid(tensors, device)
    except (ImportError, RuntimeError):
        found["pytorch-fid (rebuilt)"] = plain_pytorch_fid(tensors, device)
    found["ours, as pytorch-fid"] = ours("pytorch_fid", weights, device)
    try:
        found["torch-fidelity"] = installed_torch_fidelity(weights, device)
    except (ImportError, RuntimeError) as error:
        click.echo(f"torch-fidelity cannot be used here: {error}")
    found["ours, as torch-fidelity"] = ours("torch_fidelity", weights, device)
    found[f"ours, {half}"] = ours("torch_fidelity", weights, device, half)
    return found


def timed(extract: Extract, images: Tensor, batch: int) -> tuple[float, float, Tensor]:
    """Wall seconds and CPU seconds of one pass over the images, and the features."""
    wall, cpu = time.perf_counter(), time.process_time()
    features = torch.cat([extract(part) for part in images.split(batch)])
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu, features.cpu()


def smooth_noise(count: int, side: int) -> Tensor:
    """``(count, 3, side, side)`` uint8 images with some structure."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return (F.interpolate(coarse, (side, side), mode="bicubic") * 255).clamp(0, 255).byte()


@click.command()
@click.option("--images", default=32, show_default=True)
@click.option("--side", default=256, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="The best one counts.")
@click.option("--threads", type=int, help="CPU threads (default: PyTorch's).")
@click.option("--device", default="cpu", show_default=True)
def main(images: int, side: int, batch: int, rounds: int, threads: int | None, device: str) -> None:
    """Print images per second and the distance of the features."""
    torch.set_num_threads(threads or torch.get_num_threads())
    data = smooth_noise(images, side).to(device)
    half = "bfloat16" if device == "cpu" else "float16"
    with tempfile.TemporaryDirectory() as folder:
        entrants = contestants(Path(folder), torch.device(device), half)
    for extract in entrants.values():
        extract(data[:batch])
    runs = {name: [] for name in entrants}
    for _ in range(rounds):
        for name, extract in entrants.items():
            runs[name].append(timed(extract, data, batch))
    click.echo(f"{'':26}{'wall/s':>10}{'per CPU s':>12}{'max |d|':>12}   {images} of {side}²")
    reference: Tensor | None = None
    for name, measured in runs.items():
        wall, cpu = (images / min(run[part] for run in measured) for part in (0, 1))
        features = measured[0][2]
        if not name.startswith("ours"):
            reference = features
        distance = float((features - reference).abs().max())
        click.echo(f"{name:26}{wall:10.2f}{cpu:12.2f}{distance:12.1e}")
    exact, reduced = (runs[name][0][2] for name in list(runs)[-2:])
    click.echo(f"feature deviation {float(exact.std()):.2f}; FID of the two halves of the images:")
    for name, features in (("float32", exact), (half, reduced)):
        first, second = features.chunk(2)
        click.echo(f"  {name:10}{float(fid(first, second)):.6f}")


if __name__ == "__main__":
    main()
