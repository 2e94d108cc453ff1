"""Filling in unknown codes, the most certain cells first.

The schedule is that of Chang et al., "MaskGIT: Masked Generative Image Transformer", CVPR 2022
(arXiv 2202.04200): few cells at first, when little is known, then ever more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

ANNEALING = 0.9
"""Factor on the temperature from round to round."""

_LEAST = 1e-8
"""Lower limit of the exponential draws: half precision rounds the smallest to 0."""

Predictor = Callable[[Tensor, Tensor], Tensor]
"""Codes ``(N, cells)`` and which are known, to logits ``(N, cells, codes)``."""


def schedule(unknown: int, rounds: int) -> list[int]:
    """Return how many of ``unknown`` cells each round fills: at least one until none is left.

    After round s there remain ``unknown * cos(pi/2 * s/rounds)``, rounded down.
    """
    left = [math.trunc(unknown * math.cos(math.pi * s / (2 * rounds))) for s in range(rounds)]
    counts, remaining = [], unknown
    for now, after in zip(left, [*left[1:], 0]):
        counts.append(min(max(now - after, 1), remaining))
        remaining -= counts[-1]
    return counts


def complete(
    predict: Predictor,
    codes: Tensor,
    known: Tensor,
    race: Tensor,
    *,
    rounds: int,
    temperature: float,
) -> Tensor:
    """Fill in all unknown codes.

    In each round the cells with the largest probability of any code are filled for good. A code
    is drawn by an exponential race: the largest ``probability / race`` wins, which for standard
    exponential numbers happens to each code with its probability; equal numbers let the
    likeliest win. An image's codes do not depend on the others in the batch.

    Args:
        predict: the transformer.
        codes: ``(N, cells)`` int64; ignored where not known.
        known: ``(N, cells)`` bool.
        race: ``(N, cells, codes)`` standard exponential; row i is for the i-th cell to be filled.
        rounds: number of rounds, so of calls to ``predict``; fewer for small holes.
        temperature: of the first round; 0.9 times as much in each further one.

    Returns:
        ``(N, cells)`` int64; known ones unchanged.
    """
    counts = torch.tensor([schedule(unknown, rounds) for unknown in (~known).sum(1).tolist()])
    filled = torch.zeros(len(codes), dtype=torch.int64)
    for step in range(rounds):
        busy = counts[:, step].nonzero()[:, 0]
        if len(busy) == 0:
            break
        at = busy.to(codes.device)
        logits = predict(codes[at], known[at]).float() / (temperature * ANNEALING**step)
        codes, known = codes.clone(), known.clone()
        codes[at], known[at] = _fill_round(
            logits.softmax(-1), codes[at], known[at], race[at], filled[busy], counts[busy, step]
        )
        filled += counts[:, step]
    return codes


def _fill_round(
    probability: Tensor,
    codes: Tensor,
    known: Tensor,
    race: Tensor,
    filled: Tensor,
    count: Tensor,
) -> tuple[Tensor, Tensor]:
    """Codes and what is known after one round, which fills ``count`` ``(N,)`` cells each."""
    certainty = probability.amax(-1).masked_fill(known, -1)
    turn = torch.arange(int(count.max()))
    # A stable order: cells of equal certainty are filled in reading order on every device.
    cells = certainty.argsort(dim=1, descending=True, stable=True)[:, : len(turn)]
    rows = (filled[:, None] + turn).clamp(max=race.shape[1] - 1).to(cells.device)
    chosen = (turn < count[:, None]).to(cells.device)
    speed = _rows(probability, cells) / _rows(race, rows).float().clamp(min=_LEAST)
    drawn = torch.where(chosen, speed.argmax(-1), codes.gather(1, cells))
    known_now = chosen | known.gather(1, cells)
    return codes.scatter(1, cells, drawn), known.scatter(1, cells, known_now)


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    """Rows ``(N, k)`` of ``(N, cells, codes)``."""
    return table.gather(1, rows[..., None].expand(-1, -1, table.shape[-1]))
