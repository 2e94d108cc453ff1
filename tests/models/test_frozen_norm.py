"""A frozen batch norm inside its convolution, against the two one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from facemask_inpaint.models.layers.frozen_norm import conv_norm

CONVS = {
    "mirrored": nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect", bias=False),
    "strided": nn.Conv2d(3, 5, 3, stride=2),
    "transposed": nn.ConvTranspose2d(3, 5, 3, stride=2, padding=1, output_padding=1),
}


def trained_norm(channels: int) -> nn.BatchNorm2d:
    """A norm whose parameters and statistics are all its own, in inference mode."""
    norm = nn.BatchNorm2d(channels).double().eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("side", [4, 16])
def test_equals_the_norm_of_the_convolution(name: str, side: int) -> None:
    torch.manual_seed(0)
    conv, norm = copy.deepcopy(CONVS[name]).double(), trained_norm(5)
    stored = copy.deepcopy(conv.state_dict())
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(conv_norm(conv, norm, x), norm(conv(x)))
    assert all(torch.equal(stored[key], value) for key, value in conv.state_dict().items())


def test_half_precision_rounds_the_folded_weights_only_once() -> None:
    torch.manual_seed(0)
    conv, norm = copy.deepcopy(CONVS["mirrored"]).double(), trained_norm(5)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    exact = norm(conv(x))
    rounded = conv_norm(conv.bfloat16(), norm.bfloat16(), x.bfloat16())
    assert (rounded - exact).abs().mean() < 2e-2 * exact.abs().mean()


def test_training_updates_the_statistics() -> None:
    conv, norm = copy.deepcopy(CONVS["strided"]), nn.BatchNorm2d(5)
    conv_norm(conv, norm, torch.randn(2, 3, 32, 32))
    assert norm.num_batches_tracked == 1


def test_a_network_is_traced_by_torchscript() -> None:
    conv, norm, x = CONVS["mirrored"], trained_norm(5).float(), torch.randn(1, 3, 32, 32)
    both = nn.ModuleList([conv, norm])
    both.forward = lambda x: conv_norm(conv, norm, x)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.trace(both, x)(x), norm(conv(x)))
