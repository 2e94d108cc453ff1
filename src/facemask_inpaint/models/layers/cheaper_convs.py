"""Convolutions in forms that take a processor less time; for predictions on a CPU alone.

The sums are the same in another order. Gradients, exported graphs and GPUs get the plain form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models.layers import in_place
from facemask_inpaint.models.layers.float32 import upcast


def _stays_plain(x: Tensor) -> bool:
    return x.device.type != "cpu" or not in_place.is_possible()


class ImageConv2d(nn.Conv2d):
    """Convolution of stride 1 with few outputs, such as the three colours of an image.

    Processors compute many output channels at a time, so three of them waste most of the work.
    Here each row of the kernel has outputs of its own; those of all rows are computed together,
    and then added at their distances. From 64 channels, 7 x 7 takes a third of the time.
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``."""
        if _stays_plain(x):
            return super().forward(x)
        rows, border = self.kernel_size[0], self.kernel_size[0] // 2
        kernels = self.weight.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]
        if self.padding_mode == "reflect":
            x, border = F.pad(x, 4 * (border,), mode="reflect"), 0
        by_row = torch.split(F.conv2d(x, kernels, padding=border), self.out_channels, 1)
        height = by_row[0].shape[2] - rows + 1
        total, *others = (part[:, :, row : row + height] for row, part in enumerate(by_row))
        for part in others:
            total.add_(part)
        return total if self.bias is None else total + self.bias[:, None, None]


class DoublingConv2d(nn.Conv2d):
    """Repeats each pixel to twice the height and width, then convolves with 3 x 3 kernels.

    Args:
        inputs: channels in.
        outputs: channels out.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, 2H, 2W)``."""
        return doubled(x, self.weight, self.bias)


def doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return what :class:`DoublingConv2d` does for ``weight`` and ``bias``.

    Each output sees four different pixels only, so a transposed convolution with 4 x 4 kernels
    needs four ninths of the products. That pays wherever maps are not far smaller than weights.
    """
    if _stays_plain(x) or weight.numel() > 8 * x[0].numel():
        return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)
    kernels = F.pad(upcast(weight).flip(2, 3).transpose(0, 1), (0, 1, 0, 1))
    for axis in (2, 3):
        kernels = kernels + kernels.roll(1, axis)
    return F.conv_transpose2d(x, kernels.to(x.dtype), bias, stride=2, padding=1)
