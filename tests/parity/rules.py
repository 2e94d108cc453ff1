"""Reading the rules that ``cases.json`` writes out in words: seeds, shapes, factors, ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def seed(rule: str) -> int:
    """Seed of the first ``RandomState(…)`` in a rule."""
    return int(_found(r"RandomState\((\d+)\)", rule)[1])


def shape(rule: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Shape behind the first ``standard_normal(…)`` in a rule."""
    match = re.search(r"standard_normal\(\(([\d, ]+)\)\)", rule)
    if match is None and default is not None:
        return default
    assert match is not None, f"no shape in {rule!r}"
    return tuple(int(number) for number in match[1].split(","))


def factor(rule: str) -> float:
    """Number that a rule multiplies its draws by; 1 if there is none."""
    match = re.search(r"(?:^|[^\w.])([\d.]+(?:e-?\d+)?) ?\* ?float32", rule)
    return float(match[1]) if match else 1.0


def timestep(rule: str) -> int:
    """Timestep ``t=…`` in a rule."""
    return int(_found(r"\bt ?= ?(\d+)", rule)[1])


def id_rows(rule: str) -> Tensor:
    """Ranges ``0..9; 10..19`` as rows of whole numbers, ``(N, L)``."""
    ranges = re.findall(r"(\d+)\.\.(\d+)", rule)
    return torch.tensor([list(range(int(first), int(last) + 1)) for first, last in ranges])


class Stream:
    """Standard normal draws in order from one seed, as float32 tensors."""

    def __init__(self, number: int) -> None:
        self._stream = np.random.RandomState(number)

    def draw(self, size: Sequence[int], scale: float = 1.0) -> Tensor:
        """The next draw of a shape."""
        return torch.from_numpy((scale * self._stream.standard_normal(size)).astype(np.float32))


def drawn(rule: str) -> Tensor:
    """The one draw that a rule describes, times its factor."""
    return np.float32(factor(rule)) * Stream(seed(rule)).draw(shape(rule))


def _found(pattern: str, rule: str) -> re.Match[str]:
    match = re.search(pattern, rule)
    assert match is not None, f"no {pattern} in {rule!r}"
    return match
