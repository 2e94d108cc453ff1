"""What RePaint's presets cost, and how far each departs from the official schedule.

Run with ``python examples/benchmarks/repaint_presets.py``; ``--help`` shows what can be chosen.

Time is measured on a U-Net with random weights: a narrow one on a CPU, the published one on a GPU.
Nothing but its calls takes noticeable time, so a few moves of a run tell the whole.

Departure is measured where the right answer is known exactly: on images from a normal
distribution, smooth ones or faces with the statistics of a folder's images. Their best denoiser
and their best predictions are formulas; the denoiser takes the U-Net's place, the sampler is the
library's own. Many predictions of one hole are compared, as sets, with those of the official
schedule and with exact ones by the Fréchet distance of their hidden pixels; and one by one, by
distance and structure, with official ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint import metrics
from facemask_inpaint.images import folders
from facemask_inpaint.models.layers.diffusion import alphas_cumprod, linear_betas
from facemask_inpaint.models.repaint import PRESETS, RePaint
from facemask_inpaint.models.repaint.schedule import Levels

NARROW = {"width": 32}
TIMED_MOVES = 24
SMALL = 12
"""Side of the normal images, whose denoiser multiplies by a matrix of all pixels."""

FLOOR = 0.002
"""Variance that images have in every direction, since few faces do not span all."""


class NormalImages:
    """Images from a normal distribution.

    Args:
        mean: ``(3, side, side)`` float64.
        covariance: ``(d, d)`` float64 of the ``d = 3 * side**2`` numbers of an image.
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance
        self.variances, self.directions = torch.linalg.eigh(covariance)

    @classmethod
    def smooth(cls, side: int) -> NormalImages:
        """Grey on average; colours are alike where pixels are near one another."""
        at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
        near = torch.exp(-torch.cdist(at, at) * 4 / side)
        colours = torch.full((3, 3), 0.8, dtype=torch.float64).fill_diagonal_(1.0)
        covariance = 0.2 * torch.kron(colours, near)
        return cls(torch.zeros(3, side, side, dtype=torch.float64), covariance)

    @classmethod
    def like(cls, folder: Path, side: int) -> NormalImages:
        """With mean and covariance of a folder's images, shrunk to ``side``."""
        shrunk = [
            np.asarray(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BOX))
            for path in folders.list_images(folder)
        ]
        images = torch.from_numpy(np.stack(shrunk)).permute(0, 3, 1, 2).double() / 127.5 - 1
        rows = images.flatten(1)
        covariance = torch.cov(rows.T) + FLOOR * torch.eye(rows.shape[1])
        return cls(images.mean(0), covariance)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """``(n, 3, side, side)`` float64."""
        noise = torch.randn(n, len(self.variances), generator=generator, dtype=torch.float64)
        rows = (noise * self.variances.clamp(min=0).sqrt()) @ self.directions.T
        return self.mean + rows.unflatten(1, self.mean.shape)

    def hidden(self, image: Tensor, hole: Tensor) -> NormalPrediction:
        """Distribution of hidden numbers, given the known ones of ``image``."""
        inside = hole.expand_as(self.mean).flatten() > 0
        known = self.covariance[~inside][:, ~inside]
        across = self.covariance[~inside][:, inside]
        weights = torch.linalg.solve(known, across).T
        apart = (image - self.mean).flatten()[~inside]
        mean = self.mean.flatten()[inside] + weights @ apart
        return NormalPrediction(mean, self.covariance[inside][:, inside] - weights @ across)


class NormalPrediction:
    """Hidden numbers of one image: normal with ``mean`` ``(k,)`` and ``covariance``."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """``(n, k)`` float64."""
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=torch.float64)
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).T


class BestDenoiser(nn.Module):
    """The best denoiser there can be of normal images, in the form of RePaint's U-Net.

    Args:
        images: their distribution.
        levels: noise levels of the run; the learned variance is a place between two of theirs.
    """

    def __init__(self, images: NormalImages, levels: Levels) -> None:
        super().__init__()
        self._images, self._levels = images, levels
        self._level = {int(time): level for level, time in enumerate(levels.timesteps)}
        self._shares = alphas_cumprod(linear_betas())
        self._mean, self._axes = images.mean.float(), images.directions.float()

    def forward(self, x: Tensor, time: int) -> Tensor:
        """State ``(N, 3, h, w)`` to noise and variance logit ``(N, 6, h, w)``."""
        share, variances = float(self._shares[time]), self._images.variances
        total = share * variances + 1 - share
        apart = (x - math.sqrt(share) * self._mean).flatten(1)
        gain = (math.sqrt(share) * variances / total).float()
        clean = self._mean + ((apart @ self._axes * gain) @ self._axes.T).view(x.shape)
        epsilon = (x - math.sqrt(share) * clean) / math.sqrt(1 - share)
        doubt = self._axes.square() @ (variances * (1 - share) / total).float()
        logit = self._logit(doubt.view_as(self._mean), self._level[time])
        return torch.cat([epsilon, logit.expand_as(x)], 1)

    def _logit(self, doubt: Tensor, level: int) -> Tensor:
        if level == 0:
            return torch.zeros_like(doubt)
        least, largest = self._levels.log_variances(level)
        of_clean, _ = self._levels.posterior(level)
        wanted = torch.log(math.exp(least) + of_clean**2 * doubt)
        return 2 * (wanted - least) / (largest - least) - 1


def predictions(
    images: NormalImages, image: Tensor, hole: Tensor, preset: str, n: int, seed: int
) -> Tensor:
    """``n`` predictions ``(n, 3, side, side)`` of one image's hole by a preset."""
    network = RePaint(width=NARROW["width"], multipliers=[1], sampling=preset)
    network.unet = BestDenoiser(images, network.sampling.levels)
    image = image.float().expand(n, -1, -1, -1)
    with torch.inference_mode():
        answer = network(
            image, hole.expand(n, -1, -1, -1), generator=torch.Generator().manual_seed(seed)
        )
    return torch.lerp(image, answer, hole)


def departures(images: NormalImages, n: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """Rows of the table: the method, and its distances to official and to exact predictions."""
    generator = torch.Generator().manual_seed(seed)
    side = images.mean.shape[-1]
    image = images.draw(1, generator)[0]
    hole = torch.zeros(1, 1, side, side)
    hole[..., side * 3 // 8 : side * 3 // 4, side // 4 : side * 3 // 4] = 1
    exact = images.hidden(image, hole[0])
    inside = hole.expand(1, *image.shape)[0] > 0
    sets = {name: predictions(images, image, hole, name, n, seed) for name in PRESETS}
    sets["official, again"] = predictions(images, image, hole, "official", n, seed + 1)
    sets["exact"] = image.float().repeat(n, 1, 1, 1)
    sets["exact"][:, inside] = exact.draw(n, generator).float()
    reference = {"official": sets["official"], "exact": sets["exact"].clone()}
    reference["exact"][:, inside] = exact.draw(n, generator).float()
    for name, filled in sets.items():
        sides = [other[:, inside].double().numpy() for other in reference.values()]
        ours = filled[:, inside].double().numpy()
        frechet = [float(metrics.fid(side, ours)) for side in sides]
        pairs = as_bytes(reference["official"]), as_bytes(filled)
        scores = metrics.evaluate(
            *pairs,
            metrics=("l1", "psnr"),
            mask=hole[0, 0].numpy() > 0,
            reader=metrics.FeatureReader(progress=False),
        )
        yield name, [*frechet, float(scores["l1_hole"]), float(scores["psnr_hole"])]


def as_bytes(images: Tensor) -> Tensor:
    """``(N, 3, h, w)`` in [-1, 1] as 8-bit levels."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def seconds_per_image(preset: str, side: int, batch: int, device: str, dtype: torch.dtype) -> float:
    """Seconds of a run per image, from the first moves of one."""
    options = {} if device == "cuda" else NARROW
    network = RePaint(**options, sampling=preset).eval().to(device, dtype)
    hole = torch.zeros(batch, 1, side, side, device=device, dtype=dtype)
    hole[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    visible = torch.rand(batch, 3, side, side, device=device, dtype=dtype) * (1 - hole)
    latents = network.draw_latents(batch, side, side)
    latents["start"] = latents["start"].to(visible)
    states = network.states(visible, hole, latents)
    next(states)
    moves = network.sampling.moves[1 : TIMED_MOVES + 1]
    start = time.perf_counter()
    for state in islice(states, len(moves)):
        state[0, 0, 0, 0].item()
    calls = sum(move.denoises for move in moves)
    return (time.perf_counter() - start) / calls * network.evaluations / batch


@click.command()
@click.option("--side", type=int, help="Of timed images (default: 64 on a CPU, else 256).")
@click.option("--batch", type=int, default=1, show_default=True, help="Images timed together.")
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32")
@click.option("--faces", type=click.Path(path_type=Path), help="Folder to take statistics from.")
@click.option("--samples", type=int, default=256, show_default=True, help="Predictions compared.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    side: int | None,
    batch: int,
    device: str,
    dtype: str,
    faces: Path | None,
    samples: int,
    seed: int,
) -> None:
    """Print both tables."""
    side = side or (256 if device == "cuda" else 64)
    width = "published U-Net" if device == "cuda" else f"U-Net of width {NARROW['width']}"
    click.echo(f"{width}, {side} x {side}, batch {batch}, {dtype}, {device}")
    click.echo(f"{'preset':<18}{'moves':>8}{'evaluations':>13}{'s/image':>12}")
    for name, sampling in PRESETS.items():
        seconds = seconds_per_image(name, side, batch, device, getattr(torch, dtype))
        moves, evaluations = len(sampling.moves), sampling.evaluations
        click.echo(f"{name:<18}{moves:>8}{evaluations:>13}{seconds:>12.2f}")
    images = NormalImages.like(faces, SMALL) if faces else NormalImages.smooth(SMALL)
    click.echo(f"\n{samples} predictions of one hole in a normal image of {SMALL} x {SMALL}")
    click.echo(f"{'filled by':<18}{'Fréchet to':>12}{'Fréchet to':>12}{'L1 to':>10}{'PSNR to':>10}")
    click.echo(f"{'':<18}{'official':>12}{'exact':>12}{'official':>10}{'official':>10}")
    for name, values in departures(images, samples, seed):
        cells = "".join(f"{v:>{w}.{d}f}" for v, w, d in zip(values, (12, 12, 10, 10), (3, 3, 3, 1)))
        click.echo(f"{name:<18}{cells}")


if __name__ == "__main__":
    main()
