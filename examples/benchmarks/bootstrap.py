"""How long the statistical comparison of models takes, beside a single FID.

Run with ``python examples/benchmarks/bootstrap.py``; ``--help`` shows what can be chosen. Features
are made up with ``--rank`` strong directions above a weak tail; the reduced basis holds all but a
millionth of the variance, and its size decides what a replicate costs (last lines).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import click
import numpy as np
import torch

from facemask_inpaint.metrics import FeatureReader, PairedFrechet, compare, fid
from facemask_inpaint.metrics.comparison.paired import influences

Result = TypeVar("Result")
QUIET = FeatureReader(progress=False)


def made_up(n: int, width: int, rank: int, seed: int, models: int = 2) -> tuple[np.ndarray, ...]:
    """Real features and the models' predictions, ``(n, width)`` float64 each."""
    rng = np.random.default_rng(seed)
    loading = np.random.default_rng(0).normal(size=(rank, width)) / np.sqrt(rank)
    common = rng.normal(size=(n, rank))
    noises = (0.0, *np.linspace(0.5, 0.4, models))
    sides = [common + noise * rng.normal(size=(n, rank)) for noise in noises]
    return tuple(side @ loading + 1e-4 * rng.normal(size=(n, width)) for side in sides)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """A result, with the seconds that it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def resampling(groups: int, n: int, width: int, rank: int, replicates: int, models: int) -> None:
    """Bootstrap and adjusted exchange tests of all groups."""
    names = [f"class {index}" for index in range(groups)]
    sides = zip(*(made_up(n, width, rank, index + 1, models) for index in range(groups)))
    real, *fakes = (dict(zip(names, side)) for side in sides)
    named = {f"model {index}": fake for index, fake in enumerate(fakes)}
    for exchanges in (1, 9_999):
        found, seconds = timed(
            lambda count=exchanges: compare(
                real, named, replicates=replicates, exchanges=count, reader=QUIET
            )
        )
        click.echo(
            f"{models} models, {groups} classes of {n}, {replicates} resamples, "
            f"{exchanges} exchanges: {seconds:.1f} s (basis of {found.differences[0].basis_size})"
        )


def standard_error(n: int, width: int) -> None:
    """Influence function of one model beside one FID of the same features."""
    rng = np.random.default_rng(0)
    real = np.maximum(rng.normal(size=(n, width)), 0)
    fake = np.maximum(real + 0.3 * rng.normal(size=(n, width)), 0)
    stacked = torch.from_numpy(np.stack([real, fake]))
    _, single = timed(lambda: fid(real, fake, reader=QUIET))
    _, influence = timed(lambda: influences(stacked))
    click.echo(
        f"n = {n}: one FID {single:.2f} s, FID with standard error {influence:.2f} s "
        f"(ratio {influence / single:.1f})"
    )


def replicate(n: int, width: int, rank: int) -> None:
    """What one paired replicate costs at this basis size."""
    real, a, b = map(torch.from_numpy, made_up(n, width, rank, 1))
    ready = PairedFrechet(real, torch.stack([a, b]))
    weights = torch.from_numpy(np.random.default_rng(0).standard_exponential((4, n)))
    _, seconds = timed(lambda: ready.resample(weights / weights.sum(1, keepdim=True)))
    click.echo(f"n = {n}, basis of {ready.basis_size}: {1e3 * seconds / 4:.1f} ms a replicate")


@click.command()
@click.option("--classes", default=12, show_default=True)
@click.option("--images", default=1000, show_default=True, help="Images per class.")
@click.option("--width", default=2048, show_default=True, help="Width of the features.")
@click.option("--rank", default=100, show_default=True, help="Strong directions.")
@click.option("--replicates", default=1000, show_default=True)
@click.option("--models", default=2, show_default=True)
def main(classes: int, images: int, width: int, rank: int, replicates: int, models: int) -> None:
    """Time the comparison, the standard error, and single replicates."""
    click.echo(f"width {width}, {torch.get_num_threads()} threads")
    resampling(classes, images, width, rank, replicates, models)
    for n in (width // 4, 3 * width):
        standard_error(n, width)
    for size in (rank // 2, 2 * rank, 4 * rank, images):
        replicate(images, width, size)


if __name__ == "__main__":
    main()
