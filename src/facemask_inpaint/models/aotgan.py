"""AOT-GAN: inpainting with aggregated contextual transformations.

Zeng et al., "Aggregated Contextual Transformations for High-Resolution Image Inpainting",
arXiv 2104.01431. Official code and weights: github.com/researchmm/AOT-GAN-for-Inpainting,
Apache-2.0.

An encoder downsamples the image to a quarter, blocks of parallel dilated convolutions (AOT blocks)
see it at four distances at once, a decoder upsamples it again. A gate per position decides
how much of its input each block replaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.cheaper_convs import ImageConv2d
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.in_place import is_possible
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.official import OfficialTensors


class AOTGAN(InpaintingNetwork):
    """AOT-GAN generator; deterministic, for heights and widths that are multiples of 4.

    It was trained on 512 x 512 images. The gates follow statistics of the whole frame, so the
    prediction for a crop is not a crop of the prediction. The gates' normalisation computes in
    float32.

    Args:
        width: channels after the first convolution; the blocks have four times as many.
        blocks: number of AOT blocks.
        dilations: of the parallel convolutions in each block, whose number must divide
            ``4 * width``; the largest sets the smallest side that can be taken.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("aotgan", width=8, blocks=1)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("encoder.1.weight",)
    native_resolution = 512
    preferred_strategy = "resize"
    size_multiple = 4

    def __init__(
        self, *, width: int = 64, blocks: int = 8, dilations: Sequence[int] = (1, 2, 4, 8)
    ) -> None:
        super().__init__()
        channels = 4 * width
        self.smallest_size = 4 * (max(dilations) + 1)
        self.stem = nn.Conv2d(4, width, 7, padding=3, padding_mode="reflect")
        self.down = nn.ModuleList(
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1) for c in (width, 2 * width)
        )
        self.blocks = nn.Sequential(*(AOTBlock(channels, dilations) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Conv2d(c, c // 2, 3, padding=1) for c in (channels, channels // 2)
        )
        self.head = ImageConv2d(width, 3, 3, padding=1)
        self.apply(_initialise)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        white_hole = masked_image + hole
        x = F.relu(self.stem(torch.cat([white_hole, hole], dim=1)), inplace=True)
        for conv in self.down:
            x = F.relu(conv(x), inplace=True)
        # Only from here on: the gates of the blocks amplify whatever rounds differently.
        x = fast_maps(self.blocks(x))
        for conv in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = F.relu(conv(x), inplace=True)
        return torch.tanh(self.head(x))

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        stem = OfficialTensors(tensors, cls.__name__).take("encoder.1.weight")
        return {"width": stem.shape[0], "blocks": _count_blocks(tensors)}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = {
            "encoder.1": "stem",
            "encoder.3": "down.0",
            "encoder.5": "down.1",
            "decoder.0.conv": "up.0",
            "decoder.2.conv": "up.1",
            "decoder.4": "head",
        }
        for i in range(_count_blocks(tensors)):
            names |= {f"middle.{i}.{part}.1": f"blocks.{i}.{part}" for part in ("fuse", "gate")}
            for j in range(_count_branches(tensors)):
                names[f"middle.{i}.block{j:02}.1"] = f"blocks.{i}.branches.{j}"
        official = OfficialTensors(tensors, cls.__name__)
        state = {
            f"{ours}.{parameter}": official.take(f"{theirs}.{parameter}")
            for theirs, ours in names.items()
            for parameter in ("weight", "bias")
        }
        official.finish()
        return state


class AOTBlock(nn.Module):
    """Replaces, where its gate is open, the input by what several dilated convolutions see."""

    def __init__(self, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _mirrored_conv(channels, channels // len(dilations), dilation) for dilation in dilations
        )
        self.fuse = _mirrored_conv(channels, channels)
        self.gate = _mirrored_conv(channels, channels)
        self.gate_norm = GateNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        context = torch.cat([F.relu(branch(x), inplace=True) for branch in self.branches], dim=1)
        opening = torch.sigmoid(self.gate_norm(self.gate(x)))
        return torch.lerp(x, self.fuse(context), opening)


class GateNorm(Float32Module):
    """Standardises each channel over the frame, then maps z to 5 (2z - 1); float32 inside.

    The guard against division by zero, 1e-9, vanishes in half precision. The steep map (about
    a third of a channel's positions end up open) amplifies rounding from block to block.
    """

    @override
    def forward_float32(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        if is_possible():
            # From the centred map, which is several times as fast as std().
            length = torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True)
            deviation = length / math.sqrt(x[0, 0].numel() - 1) + 1e-9
            return centred.mul_(10 / deviation).sub_(5)
        deviation = x.std(dim=(2, 3), keepdim=True) + 1e-9
        return (2 * centred / deviation - 1) * 5


def _mirrored_conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        inputs, outputs, 3, padding=dilation, dilation=dilation, padding_mode="reflect"
    )


def _initialise(module: nn.Module) -> None:
    """Starting point of the authors' training: weights N(0, 0.02 squared), biases 0."""
    if isinstance(module, nn.Conv2d) and module.bias is not None:
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


def _count_blocks(tensors: Mapping[str, Tensor]) -> int:
    return sum(key.endswith(".gate.1.weight") for key in tensors)


def _count_branches(tensors: Mapping[str, Tensor]) -> int:
    return sum(key.startswith("middle.0.block") and key.endswith(".weight") for key in tensors)
