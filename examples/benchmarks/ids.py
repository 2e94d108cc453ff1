"""P-IDS and U-IDS: the exact solver beside scikit-learn's ``LinearSVC(dual=False)``.

Run with ``python examples/benchmarks/ids.py``; ``--help`` shows what can be chosen. Features are
made up: non-negative, correlated, and fakes near their reals (``paired``) or independent of them
(``same law``). Both solvers get the same float32 features; conversions count for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import click
import numpy as np
import torch
from sklearn.svm import LinearSVC

from facemask_inpaint.metrics import DiscriminativeScores, discriminative_scores

Result = TypeVar("Result")
RANK = 32


def made_up_pair(n: int, width: int, paired: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets ``(n, width)`` float32 that look like Inception features."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=(RANK, width)) / np.sqrt(RANK)

    def sample() -> np.ndarray:
        common = 0.3 * rng.normal(size=(n, RANK)) @ loading
        return np.maximum(0.35 + common + 0.15 * rng.normal(size=(n, width)), 0)

    real = sample()
    fake = np.maximum(real + 0.09 * rng.normal(size=real.shape), 0) if paired else sample()
    return real.astype(np.float32), fake.astype(np.float32)


def timed(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """A result, with the wall and CPU seconds that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def objective(classifier: LinearSVC, rows: np.ndarray, signs: np.ndarray) -> float:
    """The published objective where scikit-learn stopped."""
    weights = np.append(classifier.coef_[0], classifier.intercept_)
    decisions = rows.astype(np.float64) @ weights[:-1] + weights[-1]
    slack = np.maximum(0, 1 - signs * decisions)
    return float(0.5 * weights @ weights + slack @ slack)


def compare(n: int, width: int, paired: bool) -> None:
    """One line: both solvers on the same features."""
    real, fake = made_up_pair(n, width, paired, seed=n)
    rows, signs = np.concatenate([real, fake]), np.repeat([1.0, -1.0], n)

    def ours() -> DiscriminativeScores:
        return discriminative_scores(real, fake)

    exact, wall, cpu = timed(ours)
    classifier, other_wall, other_cpu = timed(lambda: LinearSVC(dual=False).fit(rows, signs > 0))
    excess = objective(classifier, rows, signs) - exact.plane.objective
    click.echo(
        f"{'paired' if paired else 'same law':9} {n:6} {exact.plane.form:7} "
        f"{wall:8.2f} {other_wall:9.2f} {other_wall / wall:7.1f} {other_cpu / cpu:7.1f} "
        f"{excess:+10.1e}  {100 * float(exact.pids):6.2f} {100 * float(exact.uids):6.2f}"
    )


@click.command()
@click.option("--width", default=2048, show_default=True, help="Width of the features.")
@click.option("--large", default=6000, show_default=True, help="Pairs of the large case.")
def main(width: int, large: int) -> None:
    """Time both solvers at the large size and at sizes that separate whatever the images."""
    click.echo(f"width {width}, {torch.get_num_threads()} threads; seconds of wall clock")
    click.echo(
        "features       n form        exact   sklearn   ratio  CPU r. their excess   P-IDS  U-IDS"
    )
    discriminative_scores(*made_up_pair(50, 16, True, 0))  # loads libraries
    for n, paired in ((200, True), (600, False), (1000, False), (1000, True), (large, True)):
        compare(n, width, paired)


if __name__ == "__main__":
    main()
