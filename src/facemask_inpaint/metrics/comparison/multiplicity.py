"""Exchange tests of many differences at once, with p-values adjusted for their number.

A test is of one group (mask class) and one pair of methods. Its statistic is a sum of scores, one
per image, whose signs change when the two methods' predictions of that image change places
(:meth:`~.paired.PairedFrechet.exchange_scores`); under the null every such change is as likely as
the other. All groups see the same exchanges, so the largest statistic over the groups of a pair has
a known law, however the groups depend on one another: Westfall and Young's (1993, algorithm 4.1)
step-down max-T costs no power where groups agree, and its smallest p-value is that of one test.
Pairs of methods share no exchanges; over them Holm (1979) adjusts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

EXCHANGES = 9_999
"""Random exchanges unless more pairs of methods need more."""

LARGEST_FLOOR = 0.01
"""The smallest adjusted p-value that a test can reach should not be above this."""

# Signs drawn at a time.
_BLOCK_NUMBERS = 2**22
# Sums that differ by this share of the scores' sum are equal but for rounding.
_ROUNDING = 1e-10


class PValues(NamedTuple):
    """P-values ``(groups, pairs)`` of all tests.

    Attributes:
        raw: of each test by itself.
        adjusted: over all of them; the probability of any false one below 0.05 is at most 0.05.
    """

    raw: np.ndarray
    adjusted: np.ndarray


def sufficient_exchanges(pairs: int) -> int:
    """Return how many exchanges let adjusted p-values get below 0.01.

    Args:
        pairs: number of pairs of methods.
    """
    return max(EXCHANGES, math.ceil(pairs / LARGEST_FLOOR) - 1)


def floors(exchanges: int, pairs: int) -> tuple[float, float]:
    """Return the smallest p-value, and the smallest adjusted one, that are possible.

    Args:
        exchanges: number of random exchanges.
        pairs: number of pairs of methods.
    """
    smallest = 1 / (1 + exchanges)
    return smallest, min(1.0, pairs * smallest)


def adjustment(groups: int, pairs: int) -> str:
    """Describe how p-values are adjusted.

    Args:
        groups: number of groups.
        pairs: number of pairs of methods.
    """
    parts = [f"Westfall-Young step-down max-T over {groups} classes"] if groups > 1 else []
    parts += [f"Holm over {pairs} pairs of methods"] if pairs > 1 else []
    return ", ".join(parts) or "not needed for one test"


def exchange_test(scores: np.ndarray, exchanges: int, rng: np.random.Generator) -> PValues:
    """Test every sum of scores, all by the same exchanges.

    Args:
        scores: ``(images, groups, pairs)``; 0 where a group does not contain an image.
        exchanges: random ones; ``(1 + #{reached}) / (1 + exchanges)`` is exact in finite samples.
        rng: draws a sign per exchange and image.
    """
    images, groups, pairs = scores.shape
    flat = scores.reshape(images, groups * pairs)
    blocks = _signs(exchanges, images, rng)
    sums = np.concatenate([np.abs(flat.sum(0))[None], *(np.abs(each @ flat) for each in blocks)])
    # The scale is of all exchanges with the observed one among them, so no exchange is special.
    scale = np.sqrt((sums**2).mean(0))
    scale[scale == 0] = 1
    statistics = (sums / scale).reshape(-1, groups, pairs)
    slack = (_ROUNDING * np.abs(flat).sum(0) / scale).reshape(groups, pairs)
    reached = statistics[1:] >= statistics[0] - slack
    stepped = [step_down(statistics[..., pair], slack[:, pair]) for pair in range(pairs)]
    return PValues(
        (1 + reached.sum(0)) / (1 + exchanges),
        np.stack(holm_over_families(stepped), axis=1),
    )


def step_down(statistics: np.ndarray, slack: np.ndarray | float = 0.0) -> np.ndarray:
    """Compute adjusted p-values of tests that share their exchanges.

    The k-th largest statistic is compared with the largest, in each exchange, of those that are
    not larger; p-values then never fall as statistics do.

    Args:
        statistics: ``(1 + exchanges, tests)``, the observed ones first; of one scale.
        slack: statistics that are smaller by no more than this count as equal; per test or one.
    """
    observed, exchanged = statistics[0] - slack, statistics[1:]
    order = np.argsort(-statistics[0], kind="stable")
    rest = np.maximum.accumulate(exchanged[:, order[::-1]], axis=1)[:, ::-1]
    reached = (rest >= observed[order]).sum(0)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate((1 + reached) / (1 + len(exchanged)))
    return adjusted


def holm_over_families(families: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Apply Holm's procedure to families that have adjusted p-values of their own.

    Each of m families starts with the level ``alpha / m``. Only one that is rejected as a whole
    passes its share on to the others (Goeman & Solari 2010): one that keeps a hypothesis still
    needs it.
    With families of one this is Holm's (1979) ``max_{j <= k} min(1, (m - j + 1) p_(j))``.

    Args:
        families: p-values of each family.
    """
    count = len(families)
    whole = np.sort([np.max(family) for family in families])
    # Level at which the first k families are rejected as a whole, and the others share it.
    passed = np.maximum.accumulate([0.0, *(np.arange(count, 0, -1) * whole)])[:count]
    shares = np.arange(count, 0, -1)
    return [
        np.minimum(1, np.maximum(passed, shares * np.asarray(family)[:, None]).min(1))
        for family in families
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's (1979) procedure: ``max_{j <= k} min(1, (m - j + 1) p_(j))``.

    Example:
        >>> from facemask_inpaint.metrics import holm
        >>> holm([0.01, 0.04])
        [0.02, 0.04]

    Args:
        p_values: of m tests, in any order.

    Returns:
        The adjusted p-values in the same order.
    """
    families = holm_over_families([np.array([p], dtype=float) for p in p_values])
    return [float(family[0]) for family in families]


def _signs(exchanges: int, images: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """``(exchanges, images)`` of -1.0 and 1.0, in blocks of rows."""
    step = max(1, _BLOCK_NUMBERS // images)
    for start in range(0, exchanges, step):
        rows = min(step, exchanges - start)
        yield np.where(rng.random((rows, images)) < 0.5, 1.0, -1.0)
