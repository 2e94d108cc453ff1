"""Layers of StyleGAN2 (Karras et al., CVPR 2020) in plain PyTorch, without custom kernels.

Weights are stored as they are trained, of unit scale, and multiplied by ``1/sqrt(fan in)`` at run
time (equalised learning rate). A layer that ends in an activation ends in ``sqrt(2)`` times a
leaky ReLU of slope 0.2; the factor is folded into weight and bias, where it costs no extra pass.
All padding is with zeros. Images may be in any memory format; channels-last is the fastest. Where
no gradient is recorded, maps are changed in place: a new one costs as much as the arithmetic.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_exporting

from facemask_inpaint.models.layers import in_place
from facemask_inpaint.models.layers.fir import blur_kernel, upsample
from facemask_inpaint.models.layers.float32 import upcast
from facemask_inpaint.models.layers.memory_order import fast_weight


def leaky_relu(x: Tensor, clamp: float | None = None) -> Tensor:
    """Apply a leaky ReLU of slope 0.2 in place, then limit to ``[-clamp, clamp]`` if given.

    StyleGAN2's factor of ``sqrt(2)`` must already be in ``x``.
    """
    x = F.leaky_relu(x, 0.2, inplace=True)
    if clamp is None:
        return x
    return x.clamp_(-clamp, clamp) if in_place.is_possible() else x.clamp(-clamp, clamp)


class Blur(nn.Module):
    """Filter every channel with ``outer([1, 3, 3, 1])``, normalised to sum ``gain``.

    One depth-wise 4x4 convolution: in channels-last it is twice as fast on a CPU as two
    separable passes, and several times as fast as shifted sums or box filters.

    Args:
        padding: zeros added on every side; a side grows by ``2 * padding - 3``.
        gain: sum of the filter.
    """

    kernel: Tensor

    def __init__(self, *, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", blur_kernel(gain), persistent=False)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Filter ``(N, C, H, W)``, then add ``bias`` ``(C,)``, which costs no extra pass."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, bias, padding=self.padding, groups=channels)


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        activate: end in the activation described at the head of this module.
        lr_multiplier: factor on weight and bias; stored weights start at ``1 / lr_multiplier``.
        bias_init: initial bias.
        clamp: limit of the activation, or ``None``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.activate, self.clamp = activate, clamp
        self.bias_gain = lr_multiplier * (math.sqrt(2) if activate else 1.0)
        self.weight_gain = self.bias_gain / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        rows = x.reshape(-1, x.shape[-1])
        # The gains are applied inside the product: scaled weights would take as long as it does.
        product = torch.addmm(
            self.bias, rows, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain
        )
        x = product.view(*x.shape[:-1], -1)
        return leaky_relu(x, self.clamp) if self.activate else x


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate, optionally resampling by two.

    ``"down"`` blurs, then convolves with stride 2. ``"up"`` convolves the zero-interleaved input
    (a transposed convolution, whose kernel is stored as ``conv_transpose2d`` applies it), then
    blurs. Blurring apart from the convolution needs a quarter of the multiplications that one
    merged 6x6 kernel would.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: 1 or 3; resampling needs 3.
        resample: ``"down"`` halves height and width, ``"up"`` doubles them.
        bias: whether there is one.
        activate: end in the activation described at the head of this module.
        clamp: limit of the activation, or ``None``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        resample: Literal["up", "down"] | None = None,
        bias: bool = True,
        activate: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.kernel_size, self.resample, self.transposed = kernel_size, resample, resample == "up"
        self.activate, self.clamp = activate, clamp
        self.bias_gain = math.sqrt(2) if activate else 1.0
        self.weight_gain = self.bias_gain / math.sqrt(in_channels * kernel_size**2)
        if resample == "up":
            self.blur = Blur(padding=1, gain=4)
        elif resample == "down":
            self.blur = Blur(padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        weight = fast_weight(self.weight * self.weight_gain)
        bias = None if self.bias is None else self.bias * self.bias_gain
        if self.resample == "up":
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), bias)
        elif self.resample == "down":
            x = F.conv2d(self.blur(x), weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=self.kernel_size // 2)
        return leaky_relu(x, self.clamp) if self.activate else x


class StyledConv(nn.Module):
    """3x3 convolution whose weights are scaled per sample by a style, and normalised again.

    Modulation scales the input channels and demodulation the output channels of an ordinary
    convolution (Karras et al. 2020, equations 1 to 3). The factors are moved from the weights to
    the activations, except for a single image whose maps are larger than the weights. For
    several images, a kernel for each in a grouped convolution takes 1.6 to 4 times as long.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        style_dim: length of the style vector.
        up: double height and width; the kernel is stored as :class:`EqualConv2d` says.
        noise_side: side of the stored noise plane; ``None`` for a layer without noise.
        clamp: limit of the activation, or ``None``.
    """

    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style_dim: int,
        *,
        up: bool = False,
        noise_side: int | None = None,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.weight_gain, self.clamp = 1 / math.sqrt(9 * in_channels), clamp
        self.transposed = up
        self.blur = Blur(padding=1, gain=4) if up else None
        if noise_side is not None:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("noise_const", torch.randn(noise_side, noise_side))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        """Convolve ``x`` under ``style``, add noise and bias, activate.

        Args:
            x: ``(N, in_channels, H, W)``.
            style: ``(N, style_dim)``.
            noise: ``(H', W')`` or ``(N, 1, H', W')`` at the size of the output, or ``None``.
        """
        bias = self.bias * math.sqrt(2)
        scale_in, scale_out = self._scales(style)
        if not is_exporting() and len(x) == 1 and x.numel() >= self.weight.numel():
            weight = self.weight * torch.outer(scale_out[0], scale_in[0])[:, :, None, None]
            x = self._convolve(x, weight, bias)
        else:
            x = self._convolve(x * scale_in[:, :, None, None], self.weight, None)
            output = x if in_place.is_possible() else None
            scale, shift = scale_out[:, :, None, None], bias[:, None, None]
            x = torch.addcmul(shift, x, scale, out=output)
        if noise is not None:
            x = in_place.add(x, noise * (self.noise_strength * math.sqrt(2)))
        return leaky_relu(x, self.clamp)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        weight = fast_weight(weight)
        if self.blur is None:
            return F.conv2d(x, weight, bias, padding=1)
        output: Tensor = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), bias)
        return output

    def _scales(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Factors on input and output channels."""
        style = upcast(self.affine(style))
        # The largest style moves to the output side: half precision cannot overflow before.
        peak = style.abs().amax(1, keepdim=True).clamp_min(1e-8)
        power = self._squares() * self.weight_gain**2
        demodulate = torch.rsqrt(F.linear(style.square(), power) + 1e-8)
        scale_in, scale_out = style / peak * self.weight_gain, demodulate * peak * math.sqrt(2)
        return scale_in.to(self.weight.dtype), scale_out.to(self.weight.dtype)

    def _squares(self) -> Tensor:
        """Sums of squares over each kernel; in the order of the memory, which is far faster."""
        if not self.transposed:
            return upcast(self.weight).square().sum((2, 3))
        return upcast(self.weight.transpose(0, 1)).square().sum((2, 3)).T


def lay_out_convolutions(network: nn.Module) -> None:
    """Let weights lie in memory as convolutions of channels-last maps read them.

    Where the maps of a network are channels-last, this saves a copy in each convolution.
    """
    for module in network.modules():
        if isinstance(module, EqualConv2d | StyledConv):
            weight = module.weight.data
            if module.transposed:
                weight = weight.transpose(0, 1)
            weight = weight.contiguous(memory_format=torch.channels_last)
            module.weight.data = weight.transpose(0, 1) if module.transposed else weight


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to an image: no normalisation, no noise, no activation.

    Args:
        in_channels: channels of the input.
        style_dim: length of the style vector.
    """

    def __init__(self, in_channels: int, style_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.affine = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, style: Tensor, image: Tensor | None = None) -> Tensor:
        """Return the image of ``x``, plus the previous level's ``image`` at double size.

        Args:
            x: ``(N, in_channels, H, W)``.
            style: ``(N, style_dim)``.
            image: ``(N, 3, H/2, W/2)``, or ``None`` at the first level.
        """
        weight = self.weight[:, :, 0, 0] * (self.affine(style) * self.weight_gain)[:, None]
        bias = self.bias.expand(len(x), -1)[:, :, None]
        rgb = torch.baddbmm(bias, weight, x.flatten(2)).reshape(len(x), 3, *x.shape[2:])
        return rgb if image is None else in_place.add(rgb, upsample(image))


class MappingNetwork(nn.Module):
    """Multilayer perceptron from the latent ``z`` to the intermediate latent ``w``.

    Args:
        latent_dim: length of ``z`` and of ``w``.
        layers: how many fully connected layers.
        clamp: limit of the activations, or ``None``.
    """

    w_avg: Tensor

    def __init__(self, latent_dim: int, *, layers: int = 8, clamp: float | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                EqualLinear(latent_dim, latent_dim, activate=True, lr_multiplier=0.01, clamp=clamp)
                for _ in range(layers)
            )
        )
        self.register_buffer("w_avg", torch.zeros(latent_dim))

    def forward(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Return ``w`` ``(N, latent_dim)``, drawn towards its average if ``truncation`` < 1."""
        z = upcast(z)
        z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        w = self.layers(z.to(self.w_avg.dtype))
        return w if truncation == 1 else self.w_avg.lerp(w, truncation)


def minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """Append one channel: the mean standard deviation over groups of the batch.

    Samples ``n, n + N/G, n + 2N/G, ...`` form a group of ``G = min(group_size, N)``.

    Raises:
        ValueError: the batch cannot be split into groups of ``G``.
    """
    n, _, h, w = x.shape
    group = min(group_size, n)
    if n % group:
        raise ValueError(f"a batch of {n} cannot be split into groups of {group}")
    variance = torch.unflatten(upcast(x), 0, (group, n // group)).var(0, unbiased=False)
    deviation = (variance + 1e-8).sqrt().mean((1, 2, 3)).to(x.dtype)
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(n, 1, h, w)], 1)
