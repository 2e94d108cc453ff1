"""MAT's discriminator: one network for each stage's image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from facemask_inpaint.models.layers.fir import downsample
from facemask_inpaint.models.layers.stylegan2 import EqualConv2d, EqualLinear, minibatch_stddev
from facemask_inpaint.models.mat import official


class Discriminator(nn.Module):
    """Judges final and coarse image apart; the part for the coarse one is half as wide.

    Args:
        resolution: side of the images, a power of two of at least 8.
        channel_base: there are ``channel_base / side`` channels at each scale, ...
        channel_max: ... but not more than this.
        group_size: images per group of the minibatch statistics; the batch must be a multiple
            of it, or smaller.

    Example:
        >>> import torch
        >>> from facemask_inpaint.models.mat import Discriminator
        >>> network = Discriminator(resolution=16, channel_base=128, channel_max=8)
        >>> image, hole = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
        >>> [tuple(logits.shape) for logits in network(image, image, hole)]
        [(1, 1), (1, 1)]
    """

    def __init__(
        self,
        *,
        resolution: int = 512,
        channel_base: int = 32768,
        channel_max: int = 512,
        group_size: int = 8,
    ) -> None:
        super().__init__()
        sides = [2**level for level in range(resolution.bit_length() - 1, 1, -1)]
        channels = [min(channel_base // side, channel_max) for side in sides]
        self.final = StageDiscriminator(channels, group_size)
        self.coarse = StageDiscriminator([c // 2 for c in channels], group_size)

    def forward(self, final: Tensor, coarse: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits ``(N, 1)`` of both images, higher for what looks real.

        Args:
            final: ``(N, 3, R, R)`` in [-1, 1].
            coarse: the same, of the first stage.
            hole: ``(N, 1, R, R)``, 1 = filled.

        Raises:
            ValueError: the batch cannot be split into groups.
        """
        return self.final(final, hole), self.coarse(coarse, hole)

    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        """Return the constructor arguments that an official ``D``'s shapes tell."""
        return official.discriminator_options(tensors)

    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this class's state dict from tensors under the keys of an official ``D``."""
        return official.translate_discriminator(tensors)


class StageDiscriminator(nn.Module):
    """Residual discriminator of StyleGAN2 that also sees the mask.

    Args:
        channels: channels by scale, from full size down to 4 x 4.
        group_size: images per group of the minibatch statistics.
    """

    def __init__(self, channels: Sequence[int], group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        last = channels[-1]
        self.enter = EqualConv2d(4, channels[0], kernel_size=1)
        self.blocks = nn.Sequential(*(ResidualBlock(c, out) for c, out in pairwise(channels)))
        self.merge = EqualConv2d(last + 1, last)
        self.hidden = EqualLinear(16 * last, last, activate=True)
        self.logit = EqualLinear(last, 1)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Return logits ``(N, 1)`` of images ``(N, 3, R, R)`` with holes ``(N, 1, R, R)``."""
        x = torch.cat([0.5 - hole, image], 1).contiguous(memory_format=torch.channels_last)
        x = minibatch_stddev(self.blocks(self.enter(x)), self.group_size)
        output: Tensor = self.logit(self.hidden(self.merge(x).flatten(1)))
        return output


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut, halving the scale; the sum keeps unit variance."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv0 = EqualConv2d(in_channels, in_channels)
        self.conv1 = EqualConv2d(in_channels, channels, resample="down")
        self.skip = EqualConv2d(in_channels, channels, kernel_size=1, bias=False, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, channels, H / 2, W / 2)``."""
        x = (self.conv1(self.conv0(x)) + self.skip(downsample(x))) * math.sqrt(0.5)
        return x
