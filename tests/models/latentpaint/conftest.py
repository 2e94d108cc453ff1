"""A narrow LatentPaint without propagation, a picture and a hole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facemask_inpaint.models.latentpaint import LatentPaint
from tests.models.small_latentpaint import SIDE, made


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def network() -> LatentPaint:
    return made(propagation=False)


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE) * 2 - 1


@pytest.fixture
def hole() -> Tensor:
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., 16:48, 22:48] = 1
    return hole
