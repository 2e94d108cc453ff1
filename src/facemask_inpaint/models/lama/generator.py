"""LaMa: large-mask inpainting with Fourier convolutions.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022
(arXiv 2109.07161). Official code and weights: github.com/advimman/lama, Apache-2.0.

An encoder downsamples the image eight times, residual blocks of fast Fourier convolutions (FFC)
mix it, a decoder upsamples it again. In the blocks three quarters of the channels are *global*:
they pass through the spectrum, so that each output sees the whole image.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.models._conditions import BatchConditions, Condition, ConditionSpec
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.lama.refinement import Refinement, refine
from facemask_inpaint.models.layers.cheaper_convs import ImageConv2d
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.frozen_norm import conv_norm
from facemask_inpaint.models.layers.in_place import add
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.official import OfficialTensors, prefixed

GLOBAL_SHARE = 0.75
"""Share of the channels that pass through the Fourier units."""


class LaMa(InpaintingNetwork):
    """LaMa generator; deterministic, for any height and width that are multiples of 8.

    The published networks have 9 blocks (``lama-fourier``) or 18 (``big-lama``); both were
    trained on 256 x 256 images. The Fourier units always compute in float32.

    Args:
        width: channels after the first convolution; the blocks have eight times as many.
        blocks: number of residual FFC blocks.

    Attributes:
        refinement: how to refine predictions for large images, at the price of many more
            passes; ``None`` (the default) does not. Set it on a network in inference mode:
            ``network.refinement = Refinement()``.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("lama", width=8, blocks=1)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("model.1.ffc.convl2l.weight",)
    native_resolution = 256
    size_multiple = 8
    smallest_size = 16
    refinement: Refinement | None = None

    def __init__(self, *, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.stem = ConvUnit(4, width, kernel_size=7)
        self.down = nn.Sequential(*map(DownUnit, widths[:-1], widths[1:]))
        self.blocks = nn.Sequential(*(FourierBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.Sequential(*map(UpUnit, widths[:0:-1], widths[-2::-1]))
        self.head = ImageConv2d(width, 3, 7, padding=3, padding_mode="reflect")

    @override
    def condition_spec(self) -> ConditionSpec:
        return {"refine": Condition(value_type=bool, meaning="whether to refine large images")}

    @override
    def under(self, conditions: BatchConditions) -> LaMa:
        if conditions["refine"] is None:
            return self
        other = copy.copy(self)
        other.refinement = (self.refinement or Refinement()) if conditions["refine"] else None
        return other

    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        """Fill the hole, with refinement if it is set; see :meth:`InpaintingNetwork.fill`."""
        black_hole = (masked_image + 1) / 2 * (1 - hole)
        if self.refinement is None or self.training:
            image = self.decode(self.blocks(self.encode(black_hole, hole)))
        else:
            image = refine(self, black_hole, hole, self.refinement)
        return 2 * image - 1

    def encode(self, image: Tensor, hole: Tensor) -> Tensor:
        """Map ``(N, 8 * width, H / 8, W / 8)`` that the blocks take.

        Args:
            image: ``(N, 3, H, W)`` in [0, 1], 0 in the hole.
            hole: ``(N, 1, H, W)`` in {0, 1}, 1 = fill.
        """
        x = fast_maps(torch.cat([image, hole], dim=1))
        # The transforms of the blocks work on planes; channels-last maps would be copied for them.
        output: Tensor = self.down(self.stem(x)).contiguous()
        return output

    def decode(self, features: Tensor) -> Tensor:
        """Return the image ``(N, 3, H, W)`` in [0, 1] of the blocks' output."""
        return torch.sigmoid(self.head(self.up(fast_maps(features))))

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        stem = OfficialTensors(tensors, cls.__name__).take("model.1.ffc.convl2l.weight")
        return {"width": stem.shape[0], "blocks": _count_blocks(tensors)}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        official = OfficialTensors(tensors, cls.__name__)
        blocks = _count_blocks(tensors)
        state = prefixed("stem.", _local_unit(official, "model.1"))
        state |= prefixed("down.0.", _local_unit(official, "model.2"))
        state |= prefixed("down.1.", _local_unit(official, "model.3"))
        state |= prefixed("down.2.", _splitting_unit(official, "model.4"))
        for i in range(blocks):
            for ours, theirs in (("first", "conv1"), ("second", "conv2")):
                unit = _fourier_unit(official, f"model.{5 + i}.{theirs}")
                state |= prefixed(f"blocks.{i}.{ours}.", unit)
        for i in range(3):
            at = 6 + blocks + 3 * i
            state |= official.move(f"model.{at}", f"up.{i}.conv")
            state |= official.move(f"model.{at + 1}", f"up.{i}.norm")
        state |= official.move(f"model.{16 + blocks}", "head")
        official.finish()
        return state


class ConvUnit(nn.Module):
    """Convolution with mirrored borders, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            padding_mode="reflect",
            bias=False,
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        return F.relu(conv_norm(self.conv, self.norm, x), inplace=True)


class DownUnit(ConvUnit):
    """Halves height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, stride=2)


class UpUnit(nn.Module):
    """Transposed convolution that doubles height and width, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, 2H, 2W)``."""
        return F.relu(conv_norm(self.conv, self.norm, x), inplace=True)


class FourierBlock(nn.Module):
    """Two FFC units and a shortcut, without activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = FourierConvUnit(channels)
        self.second = FourierConvUnit(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        x = add(self.second(self.first(x)), x)
        return x


class FourierConvUnit(nn.Module):
    """FFC, batch norm, ReLU on a map whose first quarter of channels is local, the rest global.

    Local outputs see both parts through one 3 x 3 convolution. Global outputs see the local part
    through another, and the global part through its spectrum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.global_channels = int(channels * GLOBAL_SHARE)
        self.local_channels = channels - self.global_channels
        self.to_local = nn.Conv2d(channels, self.local_channels, 3, bias=False)
        self.to_global = nn.Conv2d(self.local_channels, self.global_channels, 3, bias=False)
        self.spectral = SpectralTransform(self.global_channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)``, local channels first, to the same shape."""
        bordered = F.pad(x, (1, 1, 1, 1), mode="reflect")
        to_local = self.to_local(bordered)
        to_global = self.to_global(bordered[:, : self.local_channels])
        to_global = add(to_global, self.spectral(x[:, self.local_channels :]))
        return F.relu(self.norm(torch.cat([to_local, to_global], dim=1)), inplace=True)


class SpectralTransform(nn.Module):
    """Fourier unit with a shortcut, on half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels // 2)
        self.fourier = FourierUnit(channels // 2)
        self.expand = nn.Conv2d(channels // 2, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        x = F.relu(conv_norm(self.reduce, self.norm, x), inplace=True)
        x = self.expand(add(self.fourier(x), x))
        return x


class FourierUnit(Float32Module):
    """1 x 1 convolution, batch norm and ReLU on the spectrum; float32 inside.

    Real and imaginary parts are interleaved channels: those of channel c at 2c and 2c + 1.
    Half precision is left aside here because a spectrum's range overflows float16, whose
    transforms moreover want powers of two, and bfloat16 has no transform at all.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    @override
    def forward_float32(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        parts = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        parts = rearrange(parts, "n c h w part -> n (c part) h w")
        parts = F.relu(conv_norm(self.mix, self.norm, parts), inplace=True)
        real, imaginary = rearrange(parts, "n (c part) h w -> part n c h w", part=2)
        return inverse_rfft2(torch.complex(real, imaginary), h, w)


def inverse_rfft2(spectrum: Tensor, h: int, w: int) -> Tensor:
    """Return the orthonormal inverse of ``rfft2``, with one meaning on every device.

    A processed spectrum lacks the conjugate symmetry of a real image's, and two-dimensional
    complex-to-real transforms of such input differ between libraries. In two steps they agree:
    a complex transform along the height, then a real one along the width, for which the
    imaginary parts at zero and at the Nyquist frequency have no meaning and are dropped.

    Args:
        spectrum: ``(..., h, w // 2 + 1)`` complex.
        h: height of the output.
        w: width of the output.

    Returns:
        ``(..., h, w)`` real.
    """
    columns = torch.fft.ifft(spectrum, dim=-2, norm="ortho")
    kept = torch.ones(w // 2 + 1, dtype=columns.real.dtype, device=columns.device)
    kept[0] = 0
    if w % 2 == 0:
        kept[-1] = 0
    columns = torch.complex(columns.real, columns.imag * kept)
    output: Tensor = torch.fft.irfft(columns, n=w, dim=-1, norm="ortho")
    return output


def _count_blocks(tensors: Mapping[str, Tensor]) -> int:
    return len({key.split(".")[1] for key in tensors if ".conv1.ffc." in key})


def _local_unit(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    norm = official.move(f"{at}.bn_l", "norm")
    return {"conv.weight": official.take(f"{at}.ffc.convl2l.weight"), **norm}


def _splitting_unit(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    """The last downsampling unit: its local and global outputs side by side are one convolution."""
    weights = [official.take(f"{at}.ffc.{name}.weight") for name in ("convl2l", "convl2g")]
    return {"conv.weight": torch.cat(weights), **_joint_norm(official, at)}


def _fourier_unit(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    spectral = f"{at}.ffc.convg2g"
    to_local = [official.take(f"{at}.ffc.{name}.weight") for name in ("convl2l", "convg2l")]
    return {
        "to_local.weight": torch.cat(to_local, dim=1),
        "to_global.weight": official.take(f"{at}.ffc.convl2g.weight"),
        "spectral.reduce.weight": official.take(f"{spectral}.conv1.0.weight"),
        **official.move(f"{spectral}.conv1.1", "spectral.norm"),
        "spectral.fourier.mix.weight": official.take(f"{spectral}.fu.conv_layer.weight"),
        **official.move(f"{spectral}.fu.bn", "spectral.fourier.norm"),
        "spectral.expand.weight": official.take(f"{spectral}.conv2.weight"),
        **_joint_norm(official, at),
    }


def _joint_norm(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    """Local and global batch norms as one; channels are normalised alone, so nothing changes."""
    joint = {
        key: torch.cat([official.take(f"{at}.{norm}.{key}") for norm in ("bn_l", "bn_g")])
        for key in ("weight", "bias", "running_mean", "running_var")
    }
    counts = [official.take(f"{at}.{norm}.num_batches_tracked") for norm in ("bn_l", "bn_g")]
    return prefixed("norm.", joint | {"num_batches_tracked": counts[0]})
