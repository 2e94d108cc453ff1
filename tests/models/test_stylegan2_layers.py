"""StyleGAN2's layers against their definitions, step by step and in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models.layers.skip_decoder import SkipDecoder
from facemask_inpaint.models.layers.stylegan2 import (
    Blur,
    EqualConv2d,
    EqualLinear,
    MappingNetwork,
    StyledConv,
    ToRGB,
    minibatch_stddev,
)

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
FIR = torch.outer(TAPS, TAPS) / 64


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def activated(x: Tensor) -> Tensor:
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def filtered(x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Each channel with the filter."""
    n, c, h, w = x.shape
    x = F.conv2d(x.reshape(n * c, 1, h, w), gain * FIR[None, None], padding=padding)
    return x.unflatten(0, (n, c))[:, :, 0]


def spread(x: Tensor) -> Tensor:
    """Zeros between the pixels: sides of 2H - 1."""
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    out[..., ::2, ::2] = x
    return out


def randomised(module: nn.Module) -> nn.Module:
    """Every parameter random, biases and strengths too."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


@pytest.mark.parametrize(("padding", "gain"), [(1, 4.0), (2, 1.0)])
def test_blur_filters_each_channel(padding: int, gain: float) -> None:
    x = randn(2, 3, 6, 9)
    blur = Blur(padding=padding, gain=gain).double()
    torch.testing.assert_close(blur(x), filtered(x, padding, gain))


@pytest.mark.parametrize("activate", [True, False])
def test_linear_scales_weights_and_biases(activate: bool) -> None:
    layer = randomised(EqualLinear(12, 5, activate=activate, lr_multiplier=0.01))
    x = randn(3, 12)
    expected = x @ layer.weight.T * 0.01 / math.sqrt(12) + layer.bias * 0.01
    torch.testing.assert_close(layer(x), activated(expected) if activate else expected)


def test_linear_starts_at_unit_scale_and_with_the_wanted_bias() -> None:
    layer = EqualLinear(256, 256, lr_multiplier=0.01, bias_init=1.0)
    x = torch.randn(512, 256)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.02)
    assert layer(x).mean().item() == pytest.approx(1, abs=0.1)
    assert layer(x).std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_plain_convolution(kernel_size: int) -> None:
    layer = randomised(EqualConv2d(4, 5, kernel_size=kernel_size))
    x, gain = randn(2, 4, 6, 7), 1 / math.sqrt(4 * kernel_size**2)
    expected = F.conv2d(x, layer.weight * gain, layer.bias, padding=kernel_size // 2)
    torch.testing.assert_close(layer(x), activated(expected))


def test_downward_convolution_filters_first() -> None:
    layer = randomised(EqualConv2d(4, 5, resample="down"))
    x = randn(2, 4, 8, 6)
    expected = F.conv2d(filtered(x, 2), layer.weight / 6, layer.bias, stride=2)
    assert expected.shape[2:] == (4, 3)
    torch.testing.assert_close(layer(x), activated(expected))


def test_upward_convolution_filters_last() -> None:
    layer = randomised(EqualConv2d(4, 5, resample="up"))
    x = randn(2, 4, 3, 5)
    correlated = F.conv2d(spread(x), layer.weight.flip(2, 3) / 6, padding=2)
    expected = filtered(correlated, 1, gain=4) + layer.bias[:, None, None]
    assert expected.shape[2:] == (6, 10)
    torch.testing.assert_close(layer(x), activated(expected))


def test_convolution_without_bias_and_activation_is_linear() -> None:
    layer = EqualConv2d(4, 5, bias=False, activate=False).double()
    x = randn(1, 4, 5, 5)
    torch.testing.assert_close(layer(-3 * x), -3 * layer(x))


@pytest.mark.parametrize(
    "layer", [EqualConv2d(2, 2, clamp=1.5), EqualLinear(4, 2, activate=True, clamp=1.5)]
)
def test_activations_are_clamped_on_both_sides(layer: nn.Module) -> None:
    out = layer(1e4 * torch.randn(64, 2, 4, 4))
    assert (out.min().item(), out.max().item()) == (-1.5, 1.5)


@pytest.mark.parametrize("up", [False, True])
def test_styled_convolution_equals_one_kernel_per_sample(up: bool) -> None:
    layer = randomised(StyledConv(4, 5, 6, up=up, noise_side=8))
    x, style = randn(3, 4, *((4, 4) if up else (8, 8))), randn(3, 6)
    out = layer(x, style, layer.noise_const)
    for i, (sample, scale) in enumerate(zip(x, layer.affine(style))):
        kernel = layer.weight / 6 * scale[:, None, None]
        kernel = kernel * torch.rsqrt(kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        if up:
            y = filtered(F.conv2d(spread(sample[None]), kernel.flip(2, 3), padding=2), 1, gain=4)
        else:
            y = F.conv2d(sample[None], kernel, padding=1)
        y = y + layer.noise_const * layer.noise_strength + layer.bias[:, None, None]
        torch.testing.assert_close(out[i : i + 1], activated(y))


def test_styled_convolution_takes_noise_per_sample_or_none() -> None:
    layer = randomised(StyledConv(4, 5, 6, noise_side=8))
    x, style, noise = randn(2, 4, 8, 8), randn(2, 6), randn(2, 1, 8, 8)
    out = layer(x, style, noise)
    for i in range(2):
        alone = layer(x[i : i + 1], style[i : i + 1], noise[i, 0])
        torch.testing.assert_close(out[i : i + 1], alone)
    torch.testing.assert_close(layer(x, style), layer(x, style, torch.zeros_like(noise)))


def test_large_styles_do_not_overflow_half_precision() -> None:
    layer = StyledConv(8, 8, 4).half()
    x, style = torch.full((1, 8, 4, 4), 2000.0).half(), torch.full((1, 4), 1000.0).half()
    out = layer(x, style)
    assert torch.isfinite(out).all()
    expected = layer.float()(x.float(), style.float())
    torch.testing.assert_close(out.float(), expected, rtol=2e-2, atol=20)


def test_zero_style_gives_bias_only() -> None:
    layer = StyledConv(4, 5, 6)
    nn.init.zeros_(layer.affine.bias)
    nn.init.ones_(layer.bias)
    out = layer(torch.randn(1, 4, 4, 4), torch.zeros(1, 6))
    torch.testing.assert_close(out, torch.full_like(out, math.sqrt(2)))


def test_to_rgb_is_not_demodulated_and_adds_the_doubled_picture() -> None:
    layer = randomised(ToRGB(4, 6))
    x, style, picture = randn(2, 4, 6, 6), randn(2, 6), randn(2, 3, 3, 3)
    kernel = layer.weight / 2 * layer.affine(style)[:, None, :, None, None]
    alone = torch.stack([F.conv2d(a, k, layer.bias) for a, k in zip(x, kernel)])
    torch.testing.assert_close(layer(x, style), alone)
    doubled = F.conv2d(
        F.pad(spread(picture), (2, 2, 2, 2)).reshape(6, 1, 9, 9), 4 * FIR[None, None]
    ).reshape(2, 3, 6, 6)
    torch.testing.assert_close(layer(x, style, picture), alone + doubled)


def test_mapping_ignores_the_length_of_z_and_truncates_towards_the_average() -> None:
    mapping = randomised(MappingNetwork(16, layers=2))
    mapping.w_avg.normal_()
    z = randn(3, 16)
    w = mapping(z)
    torch.testing.assert_close(mapping(7 * z), w)
    torch.testing.assert_close(mapping(z, 0.3), mapping.w_avg + 0.3 * (w - mapping.w_avg))
    assert torch.equal(mapping(z, 0.0), mapping.w_avg.expand(3, -1))


def test_minibatch_stddev_groups_every_so_manieth_sample() -> None:
    x = randn(6, 4, 3, 3)
    out = minibatch_stddev(x, 2)
    assert out.shape == (6, 5, 3, 3)
    assert torch.equal(out[:, :4], x)
    for i in range(3):
        pair = x[[i, i + 3]]
        expected = ((pair[0] - pair[1]).square() / 4 + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[[i, i + 3], 4], expected.expand(2, 3, 3))


def test_minibatch_stddev_takes_small_batches_and_refuses_odd_ones() -> None:
    assert minibatch_stddev(torch.randn(3, 2, 4, 4), 8).shape == (3, 3, 4, 4)
    with pytest.raises(ValueError, match="batch of 6 cannot be split into groups of 4"):
        minibatch_stddev(torch.randn(6, 2, 4, 4), 4)


def test_second_derivatives_survive_the_in_place_activation() -> None:
    layer = EqualConv2d(2, 3, resample="down").double()
    x = randn(1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


@pytest.fixture
def decoder() -> SkipDecoder:
    return SkipDecoder([8, 6, 4], 5 + 3, inner_side=4)


def test_decoder_names_one_plane_per_noisy_layer(decoder: SkipDecoder) -> None:
    sides = {f"noise_{i}": side for i, side in enumerate([4, 8, 8, 16, 16])}
    assert decoder.noise_spec(2, 4, 4) == {name: (2, 1, s, s) for name, s in sides.items()}
    assert [plane.shape[0] for plane in decoder.noise("const", {})] == list(sides.values())
    drawn = {name: torch.zeros(2, 1, side, side) for name, side in sides.items()}
    assert all(a is b for a, b in zip(decoder.noise("random", drawn), drawn.values()))
    assert decoder.noise("none", {}) == [None] * 5


def test_decoder_refuses_other_noise_modes(decoder: SkipDecoder) -> None:
    with pytest.raises(OptionError, match="'const', 'random', 'none'"):
        decoder.noise("fixed", {})  # type: ignore[arg-type]


def test_decoder_shares_a_row_between_a_picture_and_the_next_level(decoder: SkipDecoder) -> None:
    """Row 1 feeds both, row 5 only the last picture layer."""
    decoder = randomised(decoder)
    x, code = randn(1, 8, 4, 4), randn(1, 3)
    skips, ws = [randn(1, 6, 8, 8), randn(1, 4, 16, 16)], randn(1, decoder.rows, 5)
    ws.requires_grad_()
    inner = decoder.inner(x, torch.cat([ws[:, 0], code], 1))
    styles = [torch.cat([w, code], 1) for w in ws.unbind(1)]
    picture = decoder.inner_to_rgb(inner, styles[1])
    first, picture = decoder.blocks[0](inner, skips[0], picture, styles[1:4])
    _, picture = decoder.blocks[1](first, skips[1], picture, styles[3:6])
    out = decoder(x, skips, ws, code, [None] * 5)
    torch.testing.assert_close(out, picture)
    (gradient,) = torch.autograd.grad(out.sum(), ws)
    assert (gradient.abs().amax((0, 2)) > 0).all()


@pytest.mark.parametrize("up", [False, True])
def test_single_large_map_is_convolved_as_in_a_batch(up: bool) -> None:
    layer = randomised(StyledConv(3, 4, 5, up=up, noise_side=32 if up else 16, clamp=2.0))
    x, style = randn(2, 3, 16, 16), randn(2, 5)
    noise = layer.noise_const
    batch = layer(x, style, noise)
    singles = [layer(x[i : i + 1], style[i : i + 1], noise) for i in range(2)]
    torch.testing.assert_close(torch.cat(singles), batch)


@pytest.mark.parametrize("n", [1, 2])
def test_numbers_in_inference_mode_are_those_of_training(n: int) -> None:
    layer = randomised(StyledConv(16, 4, 5, clamp=2.0))
    x, style = randn(n, 16, 2, 2), randn(n, 5)
    with torch.inference_mode():
        answer = layer(x, style)
    torch.testing.assert_close(answer, layer(x, style))
