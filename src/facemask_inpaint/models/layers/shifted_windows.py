"""Attention windows that are shifted against the grid, as in the Swin transformer."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor


def regions_apart(h: int, w: int, window: int, shift: int) -> Tensor:
    """Return pairs of tokens that share a window only because the grid was rolled.

    Args:
        h: height of the grid in tokens.
        w: width of the grid in tokens.
        window: side of the windows.
        shift: how far windows are moved against the grid.

    Returns:
        ``(windows, n, n)`` bool with n tokens per window (Liu et al., "Swin Transformer", ICCV
        2021, section 3.2).
    """

    def labels(size: int) -> Tensor:
        index = torch.arange(size)
        return (index >= size - window).int() + (index >= size - shift).int()

    grid = 3 * labels(h)[:, None] + labels(w)
    regions = rearrange(grid, "(i p) (j q) -> (i j) (p q)", p=window, q=window)
    return regions[:, :, None] != regions[:, None, :]
