"""Gram matrices at half the cost."""

from __future__ import annotations

from torch import Tensor

_BLOCK = 256


def lower_gram(rows: Tensor) -> Tensor:
    """``(d, d)`` ``rows^T rows`` of ``(n, d)`` rows, right in its lower half only.

    The lower half is all that Cholesky factors and symmetric eigenvalue routines read.
    """
    width = rows.shape[1]
    gram = rows.new_zeros(width, width)
    for start in range(0, width, _BLOCK):
        block = slice(start, start + _BLOCK)
        gram[block, : block.stop] = rows[:, block].mT @ rows[:, : block.stop]
    return gram


def symmetric_gram(rows: Tensor) -> Tensor:
    """``(d, d)`` ``rows^T rows`` in full."""
    lower = lower_gram(rows).tril_()
    return lower + lower.tril(-1).mT
