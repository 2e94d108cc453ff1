"""Shared layers against their definitions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models.layers.fir import downsample, upsample
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.official import OfficialTensors

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
FIR = torch.outer(TAPS, TAPS) / 64


def filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of a bordered map with the kernel, without further border."""
    return torch.stack([F.conv2d(c[:, None], kernel[None, None])[:, 0] for c in x.unbind(1)], 1)


def test_double_is_zero_insertion_and_filter() -> None:
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spread = torch.zeros(2, 3, 10, 14, dtype=torch.float64)
    spread[..., ::2, ::2] = x
    expected = filtered(F.pad(spread, (2, 1, 2, 1)), 4 * FIR)
    torch.testing.assert_close(upsample(x), expected)


def test_halve_is_filter_and_every_second_pixel() -> None:
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = filtered(F.pad(x, (1, 1, 1, 1)), FIR)[..., ::2, ::2]
    torch.testing.assert_close(downsample(x), expected)


class Doubling(Float32Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 2.0))
        self.seen: list[torch.dtype] = []

    def forward_float32(self, x: Tensor) -> Tensor:
        self.seen.append((x @ x).dtype)
        return x * self.weight


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_float32_module_ignores_half_precision(half: torch.dtype) -> None:
    module = Doubling().to(half)
    assert module.weight.dtype == torch.float32
    assert module(torch.ones(2, 2, dtype=half)).dtype == half
    assert module.seen == [torch.float32]


def test_float32_module_switches_autocast_off_and_lets_float64_through() -> None:
    module = Doubling()
    with torch.autocast("cpu", torch.bfloat16):
        assert module(torch.ones(2, 2)).dtype == torch.float32
    module.double()(torch.ones(2, 2, dtype=torch.float64))
    assert module.seen == [torch.float32, torch.float64]


def test_official_tensors_name_what_is_missing_and_what_is_left() -> None:
    official = OfficialTensors({"a.x": torch.ones(1), "a.y": torch.ones(2)}, "Toy")
    assert official.take("a.x").shape == (1,)
    with pytest.raises(CheckpointError, match=r"Toy: 'a\.x' is missing"):
        official.take("a.x")
    with pytest.raises(CheckpointError, match=r"no place in Toy: a\.y"):
        official.finish()
    assert official.take_all("a.").keys() == {"y"}
    official.finish()
