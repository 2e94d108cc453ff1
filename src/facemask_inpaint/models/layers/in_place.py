"""Arithmetic on maps that nothing else holds: in place, unless a gradient is recorded.

On a CPU, the memory of a new map costs about as much as the arithmetic. The numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x + other``, which takes the place of ``x``."""
    return x + other if torch.is_grad_enabled() else x.add_(other)


def multiply(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x * other``, which takes the place of ``x``."""
    return x * other if torch.is_grad_enabled() else x.mul_(other)
