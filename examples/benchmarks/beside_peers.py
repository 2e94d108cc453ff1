"""This library beside packages that people use for the same: CPU time of both sides in one run.

Install the packages into a folder of their own, since they disagree about what they need, and run
``OMP_NUM_THREADS=1 python examples/benchmarks/beside_peers.py --packages FOLDER``::

    pip install --target FOLDER --no-deps torchmetrics==1.9.0 torch-fidelity==0.4.0 \\
        lightning-utilities iopaint==1.6.0 loguru pydantic==2.11.7 pydantic-core==2.33.2 \\
        annotated-types typing-inspection simple-lama-inpainting==0.1.2 kornia==0.9.0 kornia-rs \\
        albumentations==2.0.8 albucore==0.0.24 simsimd stringzilla opencv-python-headless

Weights are made up, and the same on both sides: LaMa goes to the others as TorchScript, which is
how they ship it, traced from this library's network, so that what is compared is all around it.
torchvision, which torch-fidelity imports and does not need for this, is replaced by a stand-in.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from itertools import count
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import click
import numpy as np
import torch
from metrics_extraction import random_weights, smooth_noise
from PIL import Image
from torch import Tensor, nn

import facemask_inpaint as fmi
from facemask_inpaint import metrics, models

SIDE, BATCH = 512, 8
CORNER, HOLE = (1400, 1100), 256
"""Where the hole of the large photo is, and its side; with margins, both crops have 512 pixels."""

Work = Callable[[], object]
Sides = tuple[Work, Work]
"""The other package's work, and this library's."""


class Traceable(nn.Module):
    """LaMa from an image in [0, 1] and its mask to an image in [0, 1], as its TorchScript is."""

    def __init__(self, network: models.InpaintingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Inpaint ``(N, 3, H, W)`` under ``(N, 1, H, W)``."""
        hole = mask.to(image.dtype)
        prediction = (self.network.fill((image * 2 - 1) * (1 - hole), hole, {}) + 1) / 2
        return prediction * hole + image * (1 - hole)


def made_up_lama(folder: Path) -> fmi.Inpainter:
    """LaMa in this library; its TorchScript is where the other packages look for it."""
    path = folder / "lama.pt"
    torch.manual_seed(0)
    inpainter = fmi.Inpainter(models.create("lama"), device="cpu")
    if not path.exists():
        example = torch.rand(1, 3, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
        with torch.inference_mode():
            torch.jit.trace(Traceable(inpainter.network.eval()), example).save(str(path))
    os.environ |= {"LAMA_MODEL": str(path), "LAMA_MODEL_URL": str(path), "LAMA_MODEL_MD5": ""}
    return inpainter


def simple_lama(folder: Path) -> Sides:
    """simple-lama-inpainting: pads to a multiple of eight and runs the network on all of it."""
    inpainter = made_up_lama(folder)
    from simple_lama_inpainting import SimpleLama

    sample = fmi.data.sample(SIDE)
    hole = Image.fromarray(fmi.SemanticMasker()(sample.label_map, "eyes"))
    lama, mask = SimpleLama(torch.device("cpu")), hole.convert("L")
    return lambda: lama(sample.image, mask), lambda: inpainter(sample.image, mask)


def iopaint(folder: Path) -> Sides:
    """IOPaint with its default: it crops around each hole of a photo of twelve megapixels."""
    inpainter = made_up_lama(folder)
    import iopaint

    package = ModuleType("iopaint.model")  # whose __init__ imports diffusers and much more
    package.__path__ = [f"{iopaint.__path__[0]}/model"]
    sys.modules["iopaint.model"] = package
    from iopaint.model.lama import LaMa
    from iopaint.schema import InpaintRequest
    from loguru import logger

    logger.remove()
    photo = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    mask = np.zeros(photo.shape[:2], dtype=np.uint8)
    mask[CORNER[1] : CORNER[1] + HOLE, CORNER[0] : CORNER[0] + HOLE] = 255
    lama, request = LaMa(torch.device("cpu")), InpaintRequest()
    # It pastes into the array that it gets, so it gets a copy, as in its server.
    return (
        lambda: lama(photo.copy(), mask, request),
        lambda: inpainter(photo, mask, strategy="crop"),
    )


def stand_in_for_torchvision() -> None:
    """Let torch-fidelity import what it needs for other extractors only."""
    for name in ("", ".datasets", ".models", ".ops", ".transforms", ".transforms.functional"):
        stand_in = MagicMock()
        stand_in.__spec__ = ModuleSpec(f"torchvision{name}", None)
        sys.modules.setdefault(f"torchvision{name}", stand_in)


def made_up_inception(folder: Path) -> tuple[metrics.InceptionExtractor, str]:
    """The extractor behind torch-fidelity's front end, and the file of its weights."""
    path = folder / "inception.pth"
    torch.save(random_weights(), path)
    return metrics.InceptionExtractor("torch_fidelity", weights=path, device="cpu"), str(path)


def torch_fidelity(folder: Path) -> Sides:
    """torch-fidelity: features of a batch."""
    extractor, weights = made_up_inception(folder)
    stand_in_for_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    images = smooth_noise(BATCH, 256)
    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights
    )
    return (
        torch.inference_mode()(lambda: peer(images)),
        lambda: extractor(extractor.prepare(images)),
    )


def torchmetrics(folder: Path) -> Sides:
    """torchmetrics: its FID takes a batch."""
    extractor, weights = made_up_inception(folder)
    stand_in_for_torchvision()
    from torchmetrics.image.fid import FrechetInceptionDistance

    images = smooth_noise(BATCH, 256)
    peer = FrechetInceptionDistance(feature_extractor_weights_path=weights)
    score = metrics.FeatureScore("fid", reader=metrics.FeatureReader(extractor, progress=False))
    return lambda: peer.update(images, real=True), lambda: score.update(images, real=True)


def sampler(share: float) -> Work:
    """Black out what a mask hides, the next mask at each call."""
    draw, sample, index = fmi.MixedMaskSampler(SIDE, share), fmi.data.sample(SIDE), count()
    image = np.asarray(sample.image)

    def work() -> np.ndarray:
        hole = draw(sample.label_map, index=next(index)).mask
        return image * ~hole[..., None]

    return work


def albumentations_mask_dropout(_: Path) -> Sides:
    """albumentations: one labelled object of the image is blacked out."""
    import albumentations

    sample = fmi.data.sample(SIDE)
    image, labels = np.asarray(sample.image), np.asarray(sample.label_map)
    drop = albumentations.MaskDropout(max_objects=1, p=1)
    return lambda: drop(image=image, mask=labels), sampler(1.0)


def albumentations_coarse_dropout(_: Path) -> Sides:
    """albumentations: a few boxes are blacked out."""
    import albumentations

    image = np.asarray(fmi.data.sample(SIDE).image)
    drop = albumentations.CoarseDropout(
        num_holes_range=(1, 5), hole_height_range=(0.1, 0.5), hole_width_range=(0.1, 0.5), p=1
    )
    return lambda: drop(image=image), sampler(0.0)


def kornia_random_erasing(_: Path) -> Sides:
    """kornia: one box is blacked out, in a tensor."""
    from kornia.augmentation import RandomErasing

    image = torch.from_numpy(np.array(fmi.data.sample(SIDE).image)).movedim(-1, 0)[None] / 255
    erase = RandomErasing(scale=(0.02, 0.3), p=1.0)
    return lambda: erase(image), sampler(0.5)


ROWS: dict[str, Callable[[Path], Sides]] = {
    f"torchmetrics, FID takes {BATCH} images of 256": torchmetrics,
    f"torch-fidelity, features of {BATCH} images of 256": torch_fidelity,
    "simple-lama-inpainting, portrait of 512": simple_lama,
    "IOPaint, LaMa, hole of 256 in 4000 x 3000": iopaint,
    "albumentations MaskDropout, sampler semantic": albumentations_mask_dropout,
    "albumentations CoarseDropout, sampler free-form": albumentations_coarse_dropout,
    "kornia RandomErasing, sampler half and half": kornia_random_erasing,
}


def seconds(work: Work, repeats: int) -> float:
    """CPU time of one of several calls."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def compare(name: str, sides: Sides, rounds: int) -> None:
    """Print the medians of both sides, which take turns, and their ratio."""
    once = max(seconds(work, 1) for work in sides)
    repeats = max(1, round(0.2 / once))
    taken = [[seconds(work, repeats) for work in sides] for _ in range(rounds)]
    theirs, ours = (1e3 * statistics.median(column) for column in zip(*taken))
    ratio = statistics.median(peer / own for peer, own in taken)
    click.echo(f"{name:50}{theirs:10.2f}{ours:10.2f}{ratio:8.2f}")


@click.command()
@click.option(
    "--packages",
    type=click.Path(exists=True, file_okay=False),
    help="Folder with the other packages, unless they are installed here.",
)
@click.option("--rounds", default=5, show_default=True)
def main(packages: str | None, rounds: int) -> None:
    """Print CPU milliseconds of the other package and of this library, and their ratio."""
    torch.set_num_threads(1)
    sys.path += [packages] if packages else []
    click.echo(f"{'':50}{'theirs':>10}{'ours':>10}{'ratio':>8}")
    for name, prepare in ROWS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                sides = prepare(Path(folder))
            except ImportError as error:
                click.echo(f"{name:50} not installed: {error}")
                continue
            compare(name, sides, rounds)


if __name__ == "__main__":
    main()
