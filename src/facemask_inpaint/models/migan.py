"""MI-GAN: a small inpainting generator of depth-wise separable convolutions.

Sargsyan et al., "MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices", ICCV 2023.
Official code and weights: github.com/Picsart-AI-Research/MI-GAN, MIT.

A U-Net between the full resolution and 4 x 4: the encoder's map of each resolution is added in
the decoder, which sums up an image from one RGB increment per resolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.checks import require_power_of_two
from facemask_inpaint.models.layers.fir import downsample, upsample
from facemask_inpaint.models.layers.official import OfficialTensors

ACTIVATION_LIMIT = 256.0


class MIGAN(InpaintingNetwork):
    """MI-GAN generator, in the fused form that is used for inference and fine-tuning.

    Deterministic: its noise planes belong to the weights, and fix the size of the images.

    Args:
        resolution: side of the images, a power of two of at least 8.
        channel_base: ``channel_base / r`` channels at resolution ``r``, ...
        channel_max: ... but not more than this.

    Raises:
        OptionError: ``resolution`` is not such a power of two.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("migan", resolution=64, channel_base=1024, channel_max=32)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("encoder.b4.conv1.conv1.bias",)
    optional = ("noise", "noise_strength")
    any_size = False

    def __init__(
        self, *, resolution: int = 256, channel_base: int = 32768, channel_max: int = 512
    ) -> None:
        super().__init__()
        require_power_of_two("resolution", resolution, 8)
        self.native_resolution = resolution
        sides = [2**k for k in range(2, resolution.bit_length())]  # 4, 8, …, resolution
        channels = [min(channel_base // side, channel_max) for side in sides]
        self.from_rgb = nn.Conv2d(4, channels[-1], 1)
        narrowing = zip(channels[:0:-1], channels[-2::-1])
        self.encoder = nn.ModuleList(EncoderBlock(c, out, resample="down") for c, out in narrowing)
        self.encoder.append(EncoderBlock(channels[0], channels[0], resample=None))
        self.decoder = nn.ModuleList([DecoderBlock(channels[0], channels[0], side=None)])
        for c, out, side in zip(channels, channels[1:], sides[1:]):
            self.decoder.append(DecoderBlock(c, out, side=side))

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        x = torch.cat([0.5 - hole, masked_image], dim=1)
        # Depth-wise convolutions are up to three times as fast on channels-last maps.
        x = x.contiguous(memory_format=torch.channels_last)
        x = activate(self.from_rgb(x))
        skips = []
        for encode in self.encoder:
            x, skip = encode(x)
            skips.append(skip)
        image = x.new_zeros(x.shape[0], 3, 2, 2)
        for decode in self.decoder:
            x, increment = decode(x, skips.pop())
            image = upsample(image) + increment
        return image

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        resolution = _resolution(tensors)
        official = OfficialTensors(tensors, cls.__name__)
        first, last = (
            official.take(f"encoder.b{side}.conv1.conv1.bias").numel() for side in (resolution, 4)
        )
        return {"resolution": resolution, "channel_base": first * resolution, "channel_max": last}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        resolution = _resolution(tensors)
        official = OfficialTensors(fused(tensors), cls.__name__)
        state = _moved(official, f"encoder.b{resolution}.fromrgb", "from_rgb")
        levels = resolution.bit_length() - 2
        for level in range(levels):
            side = 4 << level
            theirs, ours = f"encoder.b{side}", f"encoder.{levels - 1 - level}"
            state |= _moved(official, f"{theirs}.conv1", f"{ours}.conv1")
            state |= _moved(official, f"{theirs}.conv2", f"{ours}.conv2")
            theirs, ours = f"synthesis.b{side}", f"decoder.{level}"
            state |= _moved(official, f"{theirs}.conv1", f"{ours}.enter")
            state |= _moved(official, f"{theirs}.conv2", f"{ours}.merge")
            state |= _moved(official, f"{theirs}.torgb", f"{ours}.to_rgb")
        official.finish()
        return state


class SeparableUnit(nn.Module):
    """Depth-wise 3 x 3 and point-wise convolution, each activated, with resampling between.

    Args:
        inputs: channels in.
        outputs: channels out.
        resample: ``"down"`` halves the scale before the point-wise convolution, ``"up"``
            doubles it afterwards.
        noise_side: side of the stored noise plane, added before the last activation.
    """

    noise: Tensor
    noise_strength: nn.Parameter | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        resample: Literal["down", "up"] | None = None,
        noise_side: int | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.noise_strength = None
        if noise_side is not None:
            self.register_buffer("noise", torch.randn(noise_side, noise_side))
            self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H', W')``."""
        x = activate(self.depthwise(x))
        if self.resample == "down":
            x = downsample(x)
        x = self.pointwise(x)
        if self.resample == "up":
            x = upsample(x)
        if self.noise_strength is not None:
            x += self.noise * self.noise_strength
        return activate(x)


class EncoderBlock(nn.Module):
    """Gives the map for the next block, and the one that the decoder adds."""

    def __init__(self, channels: int, outputs: int, *, resample: Literal["down"] | None) -> None:
        super().__init__()
        self.conv1 = SeparableUnit(channels, channels)
        self.conv2 = SeparableUnit(channels, outputs, resample=resample)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map for the next block and the one that the decoder adds."""
        skip = self.conv1(x)
        return self.conv2(skip), skip


class DecoderBlock(nn.Module):
    """Upsamples (but at 4 x 4, where ``side`` is None), adds the encoder's map, gives RGB."""

    def __init__(self, inputs: int, channels: int, *, side: int | None) -> None:
        super().__init__()
        resample: Literal["up"] | None = None if side is None else "up"
        self.enter = SeparableUnit(inputs, channels, resample=resample, noise_side=side)
        self.merge = SeparableUnit(channels, channels, noise_side=side)
        self.to_rgb = nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map for the next block and this block's part of the image."""
        x = self.merge(self.enter(x) + skip)
        return x, self.to_rgb(x)


def activate(x: Tensor) -> Tensor:
    """Apply a leaky ReLU of slope 0.2, bring it back to unit variance, and limit it."""
    scaled = F.leaky_relu(x, 0.2).mul_(math.sqrt(2))
    return scaled.clamp_(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)


def fused(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under the official inference keys, from those or a training checkpoint's.

    In training each convolution is the sum of n branches ``w0 … wn`` over sqrt(n), normalised to
    unit length per output filter (section 3.2 of the paper); the noise belongs to the point-wise
    convolution. Constant filters, which both forms store, are left out.
    """
    kept = {key: tensor for key, tensor in tensors.items() if not _CONSTANT.search(key)}
    if not any(key.endswith(".w0") for key in kept):
        return kept
    branches: dict[str, list[Tensor]] = {}
    plain: dict[str, Tensor] = {}
    for key, tensor in kept.items():
        stem, _, name = key.rpartition(".")
        if name == "weight" or re.fullmatch(r"w\d+", name):
            branches.setdefault(f"{stem}.weight", []).append(tensor)
        else:
            plain[key.replace(".conv2.noise_", ".noise_")] = tensor
    return plain | {key: _fused_weight(parts) for key, parts in branches.items()}


_CONSTANT = re.compile(r"(filter\.weight|filter_const|resample_filter)$")


def _fused_weight(branches: list[Tensor]) -> Tensor:
    total = torch.stack(branches).sum(0) / math.sqrt(len(branches))
    return total * torch.rsqrt(total.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)


def _resolution(tensors: Mapping[str, Tensor]) -> int:
    sides = [re.match(r"encoder\.b(\d+)\.", key) for key in tensors]
    return max((int(side[1]) for side in sides if side), default=0)


def _moved(official: OfficialTensors, theirs: str, ours: str) -> dict[str, Tensor]:
    """A unit's tensors: convolutions and noise under our names, all else unchanged."""
    names = {"conv1": "depthwise", "conv2": "pointwise", "noise_const": "noise"}
    moved = {}
    for key, tensor in official.take_all(f"{theirs}.").items():
        first, dot, rest = key.partition(".")
        moved[f"{ours}.{names.get(first, first)}{dot}{rest}"] = tensor
    return moved
