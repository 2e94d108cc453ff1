"""FID from features: this library beside the published tools' formulas, in one run.

Run with ``python examples/benchmarks/fid.py``; ``--help`` shows what can be chosen. Every method
starts from the two feature arrays, so covariances are included. Rounds take turns.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import click
import numpy as np
import scipy.linalg
import torch

from facemask_inpaint.metrics import fid
from facemask_inpaint.metrics.features.statistics import FeatureStatistics

Method = Callable[[np.ndarray, np.ndarray], float]


def ours(x: np.ndarray, y: np.ndarray) -> float:
    """This library."""
    return float(fid(x, y))


def ours_streamed(x: np.ndarray, y: np.ndarray) -> float:
    """This library, fed with batches of 64."""
    sides = []
    for rows in (x, y):
        side = FeatureStatistics()
        for start in range(0, len(rows), 64):
            side.update(rows[start : start + 64])
        sides.append(side)
    return float(fid(*sides))


def by_square_root(x: np.ndarray, y: np.ndarray) -> float:
    """scipy's square root of the product (pytorch-fid, clean-fid, StyleGAN2-ADA, MAT)."""
    s1, s2 = (np.cov(side.astype(np.float64), rowvar=False) for side in (x, y))
    step = x.mean(0, np.float64) - y.mean(0, np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(s1 @ s2)
    return float(step @ step + np.trace(s1) + np.trace(s2) - 2 * np.trace(root.real))


def by_eigenvalues(x: np.ndarray, y: np.ndarray) -> float:
    """General eigenvalues of the product (torch-fidelity; torchmetrics likewise)."""
    s1, s2 = (np.cov(side.astype(np.float64), rowvar=False) for side in (x, y))
    step = x.mean(0, np.float64) - y.mean(0, np.float64)
    root = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
    return float(step @ step + np.trace(s1) + np.trace(s2) - 2 * root)


METHODS: dict[str, Method] = {
    "scipy sqrtm": by_square_root,
    "general eigenvalues": by_eigenvalues,
    "ours": ours,
    "ours, streamed": ours_streamed,
}


def features(n: int, d: int, seed: int) -> np.ndarray:
    """float32 ``(n, d)``, non-negative and of low rank plus noise, like pooled activations."""
    random = np.random.default_rng(seed)
    loading = np.random.default_rng(0).standard_normal((32, d)) / 32**0.5
    values = 0.35 + 0.3 * random.standard_normal((n, 32)) @ loading
    return np.maximum(values + 0.15 * random.standard_normal((n, d)), 0).astype(np.float32)


def ill_conditioned(n: int, d: int, seed: int) -> np.ndarray:
    """The same with channels whose scales differ by up to a hundred."""
    scales = np.random.default_rng(0).permutation(np.logspace(0, -2, d))
    return features(n, d, seed) * scales.astype(np.float32)


def rank_deficient(n: int, d: int, seed: int) -> np.ndarray:
    """The same with a tenth of the channels dead and another tenth repeated."""
    values = features(n, d, seed)
    tenth = d // 10
    values[:, :tenth] = 0
    values[:, tenth : 2 * tenth] = values[:, -tenth:]
    return values


def power_law(n: int, d: int, seed: int) -> np.ndarray:
    """Standard deviations from 1 down to 1e-5, in directions that no channel follows."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))
    return ((random.standard_normal((n, d)) * np.logspace(0, -5, d)) @ turn).astype(np.float32)


KINDS = {
    "easy": features,
    "ill-conditioned": ill_conditioned,
    "rank-deficient": rank_deficient,
    "power-law": power_law,
}


@click.command()
@click.option("--images", default=6000, show_default=True, help="Per side.")
@click.option("--dimensions", default=2048, show_default=True)
@click.option(
    "--features",
    "kinds",
    multiple=True,
    type=click.Choice(list(KINDS)),
    default=list(KINDS),
    help="Which made-up features; all unless said.",
)
@click.option("--rounds", default=1, show_default=True, help="The median counts.")
@click.option(
    "--threads", default=1, show_default=True, help="For PyTorch; see also OMP_NUM_THREADS."
)
def main(images: int, dimensions: int, kinds: tuple[str, ...], rounds: int, threads: int) -> None:
    """Print FID, seconds and ratios of CPU time."""
    torch.set_num_threads(threads)
    ours(*(features(200, dimensions, seed) for seed in (1, 2)))
    click.echo(f"{'':22}{'FID':>18}{'wall s':>9}{'CPU s':>9}{'ratio':>8}")
    for kind in kinds:
        click.echo(kind)
        measure(*(KINDS[kind](images, dimensions, seed) for seed in (1, 2)), rounds)


def measure(x: np.ndarray, y: np.ndarray, rounds: int) -> None:
    """Print a line for each method."""
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    for _ in range(rounds):
        for name, method in METHODS.items():
            wall, cpu = time.perf_counter(), time.process_time()
            value = method(x, y)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            runs[name].append((value, *spent))
    slowest = statistics.median(run[2] for run in runs["scipy sqrtm"])
    for name, measured in runs.items():
        value, wall, cpu = (statistics.median(column) for column in zip(*measured))
        click.echo(f"  {name:20}{value:18.12f}{wall:9.2f}{cpu:9.2f}{slowest / cpu:8.1f}")


if __name__ == "__main__":
    main()
