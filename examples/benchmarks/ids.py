"""P-IDS and U-IDS: the exact solver beside scikit-learn's ``LinearSVC(dual=False)``.

Run with ``python examples/benchmarks/ids.py``; ``--help`` shows what can be chosen. Features are
made up: non-negative, correlated, and fakes near their reals (``paired``), independent of them
(``same law``), or moved so far that they are separable at any number (``apart``). Both solvers get
the same float32 features, in turn; conversions count for both. Ratios are medians of the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import click
import numpy as np
import torch
from sklearn.svm import LinearSVC

from facemask_inpaint.metrics import DiscriminativeScores, discriminative_scores, pids, uids

Result = TypeVar("Result")
Seconds = tuple[float, float]
RANK = 32


def made_up_pair(n: int, width: int, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets ``(n, width)`` float32 that look like Inception features."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=(RANK, width)) / np.sqrt(RANK)

    def sample() -> np.ndarray:
        common = 0.3 * rng.normal(size=(n, RANK)) @ loading
        return np.maximum(0.35 + common + 0.15 * rng.normal(size=(n, width)), 0)

    real = sample()
    fake = sample() if kind == "same law" else real + 0.09 * rng.normal(size=real.shape)
    if kind == "apart":
        fake += 0.02 * rng.choice([-1, 1], size=width)
    return real.astype(np.float32), np.maximum(fake, 0).astype(np.float32)


def timed(work: Callable[[], Result]) -> tuple[Result, Seconds]:
    """A result, with the wall and CPU seconds that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def objective(classifier: LinearSVC, rows: np.ndarray, signs: np.ndarray) -> float:
    """The published objective where scikit-learn stopped."""
    weights = np.append(classifier.coef_[0], classifier.intercept_)
    decisions = rows.astype(np.float64) @ weights[:-1] + weights[-1]
    slack = np.maximum(0, 1 - signs * decisions)
    return float(0.5 * weights @ weights + slack @ slack)


def one_round(
    n: int, width: int, kind: str, seed: int
) -> tuple[DiscriminativeScores, float, Seconds, Seconds]:
    """Scores, the excess of scikit-learn's objective, our seconds and scikit-learn's."""
    real, fake = made_up_pair(n, width, kind, seed)
    rows, signs = np.concatenate([real, fake]), np.repeat([1.0, -1.0], n)
    exact, ours = timed(lambda: discriminative_scores(real, fake))
    classifier, theirs = timed(lambda: LinearSVC(dual=False).fit(rows, signs > 0))
    return exact, objective(classifier, rows, signs) - exact.plane.objective, ours, theirs


def compare(n: int, width: int, kind: str, rounds: int) -> None:
    """One line: both solvers on the same features."""
    results = [one_round(n, width, kind, 1000 * n + seed) for seed in range(rounds)]
    exact, excess, _, _ = results[0]
    wall, cpu, their_cpu = (
        median(values)
        for values in (
            [theirs[0] / ours[0] for _, _, ours, theirs in results],
            [ours[1] for _, _, ours, _ in results],
            [theirs[1] for _, _, _, theirs in results],
        )
    )
    click.echo(
        f"{kind:9} {n:6} {exact.plane.form:7} {cpu:8.3f} {their_cpu:9.2f} "
        f"{their_cpu / cpu:6.1f} {wall:6.1f} {excess:+9.1e} "
        f"{100 * float(exact.pids):6.2f} {100 * float(exact.uids):6.2f}"
    )


def both_scores(n: int, width: int) -> None:
    """One line: ``pids``, and ``uids`` of the same features after it."""
    real, fake = made_up_pair(n, width, "paired", 1)
    (_, first), (_, second) = timed(lambda: pids(real, fake)), timed(lambda: uids(real, fake))
    click.echo(f"pids of {n} pairs: {first[1]:.3f} CPU seconds; uids after it: {second[1]:.3f}")


@click.command()
@click.option("--width", default=2048, show_default=True, help="Width of the features.")
@click.option("--large", default=6000, show_default=True, help="Pairs of the large cases.")
@click.option("--rounds", default=3, show_default=True, help="Of each case; medians are shown.")
def main(width: int, large: int, rounds: int) -> None:
    """Time both solvers at the large size and at sizes that separate whatever the images."""
    click.echo(f"width {width}, {torch.get_num_threads()} threads; seconds of CPU time")
    click.echo("features       n form       exact   sklearn  ratio   wall    excess  P-IDS  U-IDS")
    discriminative_scores(*made_up_pair(50, 16, "paired", 0))  # loads libraries
    cases = [(n, kind) for n in (200, 600, 1000) for kind in ("paired", "same law")]
    for n, kind in [*cases, (large, "paired"), (large, "apart")]:
        compare(n, width, kind, rounds)
    both_scores(1000, width)


if __name__ == "__main__":
    main()
