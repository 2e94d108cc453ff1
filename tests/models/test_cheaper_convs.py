"""Convolutions in their cheaper forms, against the plain ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.models.layers.cheaper_convs import DoublingConv2d, ImageConv2d
from facemask_inpaint.models.layers.diffusion_unet import ConvAfterRepetition

FORMATS = (torch.contiguous_format, torch.channels_last)


def both(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The plain form, which gradients get, and the cheaper one."""
    plain = module(x).detach()
    with torch.inference_mode():
        return plain, module(x)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("padding_mode", ["reflect", "zeros"])
@pytest.mark.parametrize(("side", "bias"), [(3, True), (7, True), (7, False)])
def test_few_outputs(
    side: int, bias: bool, padding_mode: str, memory_format: torch.memory_format
) -> None:
    conv = ImageConv2d(8, 3, side, padding=side // 2, padding_mode=padding_mode, bias=bias)
    x = torch.randn(2, 8, 20, 15).contiguous(memory_format=memory_format)
    plain, cheaper = both(conv, x)
    torch.testing.assert_close(plain, nn.Conv2d.forward(conv, x))
    torch.testing.assert_close(cheaper, plain, rtol=0, atol=1e-5)
    assert not torch.equal(cheaper, plain), "both took the same way"


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("bias", [True, False])
def test_doubling(bias: bool, memory_format: torch.memory_format) -> None:
    conv = DoublingConv2d(6, 5, bias=bias)
    x = torch.randn(2, 6, 9, 14).contiguous(memory_format=memory_format)
    plain, cheaper = both(conv, x)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(plain, F.conv2d(repeated, conv.weight, conv.bias, padding=1))
    torch.testing.assert_close(cheaper, plain, rtol=0, atol=1e-5)
    assert not torch.equal(cheaper, plain), "both took the same way"


def test_small_maps_are_not_worth_the_sums_of_weights() -> None:
    plain, same = both(DoublingConv2d(64, 64), torch.randn(1, 64, 8, 8))
    assert torch.equal(plain, same)


def test_convolution_of_a_map_already_repeated() -> None:
    conv, x = ConvAfterRepetition(4, 4), torch.randn(1, 4, 12, 12)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(conv(repeated), nn.Conv2d.forward(conv, repeated))
