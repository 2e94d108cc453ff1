"""Arithmetic on maps that nothing else holds: in place where that is possible.

On a CPU, the memory of a new map costs about as much as the arithmetic. The numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_exporting


def is_possible() -> bool:
    """Return whether maps may be overwritten: no gradient is recorded, and no graph is traced."""
    return not (torch.is_grad_enabled() or is_exporting())


def add(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x + other``, which takes the place of ``x``."""
    return x.add_(other) if is_possible() else x + other


def multiply(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x * other``, which takes the place of ``x``."""
    return x.mul_(other) if is_possible() else x * other
