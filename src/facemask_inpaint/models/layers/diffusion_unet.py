"""The U-Net of guided-diffusion and latent-diffusion, by the parts of ``diffusers``.

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis", 2021 (arXiv 2105.05233).
``diffusers.UNet2DModel`` has the same layers under other names; what its configuration cannot
express, or does less precisely than the authors, is set right here after it is built.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import MissingDependencyError
from facemask_inpaint.models.layers.cheaper_convs import DoublingConv2d
from facemask_inpaint.models.layers.float32 import Float32Module
from facemask_inpaint.models.layers.official import OfficialTensors

GROUPS = 32
BLOCKS = 2
"""Residual blocks of a level on the way down; on the way up there is one more."""

_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "op": "conv",
    "conv": "conv",
}
_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)|middle_block()()\.(\d)\.(.+)")


def diffusers() -> ModuleType:
    """Import and return the optional package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise MissingDependencyError(
            "diffusion models are built from parts of diffusers: "
            "pip install 'facemask-inpaint[diffusion]'"
        ) from error


class SteadyGroupNorm(Float32Module, nn.GroupNorm):
    """Group normalisation in float32 at every precision, and precise in any memory format.

    With channels last, PyTorch on a CPU takes the variance as a difference of two sums of
    squares, which loses two to three digits.
    """

    @override
    def forward_float32(self, x: Tensor) -> Tensor:
        x = x if x.is_cuda else x.contiguous()
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def steady_norms(module: nn.Module) -> None:
    """Replace every group normalisation inside ``module`` by a :class:`SteadyGroupNorm`."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.GroupNorm:
                steady = SteadyGroupNorm(child.num_groups, child.num_channels, child.eps)
                steady.load_state_dict(child.state_dict())
                setattr(parent, name, steady)


class ConvAfterRepetition(DoublingConv2d):
    """Convolution of a map in which each pixel has been repeated already."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., ::2, ::2])


def lighten_enlargements(module: nn.Module) -> None:
    """Use :class:`ConvAfterRepetition` in residual blocks inside ``module`` that enlarge."""
    for block in module.modules():
        conv = getattr(block, "conv1", None)
        if isinstance(conv, nn.Conv2d) and getattr(block, "up", False) is True:
            light = ConvAfterRepetition(conv.in_channels, conv.out_channels)
            light.weight, light.bias = conv.weight, conv.bias
            block.conv1 = light


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """Sizes and variants of a U-Net.

    Attributes:
        in_channels: of the input.
        out_channels: of the output.
        widths: channels of every level, full size first; multiples of 32. The first is also the
            length of the time embedding's sinusoids.
        attention_from: levels with this number (from 0) and later ones have attention.
        head_width: channels per head of attention; ignored where ``heads`` is given.
        heads: heads of attention, the same at every level.
        scale_shift: the time scales and shifts a block's second normalisation; otherwise it is
            added before it.
        residual_resampling: levels change by residual blocks, which pool or repeat; otherwise by
            a convolution.
    """

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    attention_from: int
    head_width: int = 64
    heads: int | None = None
    scale_shift: bool
    residual_resampling: bool

    def heads_at(self, channels: int) -> int:
        """Return the heads of an attention layer of so many channels."""
        return self.heads or channels // self.head_width

    def build(self) -> UNet:
        """Build an untrained network of this shape.

        Raises:
            MissingDependencyError: ``diffusers`` is not installed.
        """
        return UNet(self)

    def configuration(self) -> dict[str, object]:
        """Return the arguments of ``diffusers.UNet2DModel``."""
        attends = [level >= self.attention_from for level in range(len(self.widths))]
        down, up = (
            ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D")
            if self.residual_resampling
            else ("DownBlock2D", "UpBlock2D")
        )
        resampling = "resnet" if self.residual_resampling else "conv"
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": self.widths,
            "layers_per_block": BLOCKS,
            "down_block_types": tuple("AttnDownBlock2D" if a else down for a in attends),
            "up_block_types": tuple("AttnUpBlock2D" if a else up for a in reversed(attends)),
            "downsample_type": resampling,
            "upsample_type": resampling,
            "resnet_time_scale_shift": "scale_shift" if self.scale_shift else "default",
            "attention_head_dim": self.head_width,
            "attn_norm_num_groups": GROUPS,
            "norm_num_groups": GROUPS,
            "norm_eps": 1e-5,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
        }

    def translate(self, tensors: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
        """Return the state dict of :class:`UNet` from tensors under the authors' keys.

        Args:
            tensors: exactly those of the U-Net, without a prefix.
            network: name for error messages.

        Raises:
            CheckpointError: some tensors have no place.
        """
        official = OfficialTensors(tensors, network)
        state: dict[str, Tensor] = {}
        for key in tensors:
            layer, _, parameter = key.rpartition(".")
            ours = _ENDS.get(layer) or _block_layer(layer)
            if ours is None:
                continue
            tensor = official.take(key)
            if ours.endswith(".qkv"):
                heads = self.heads_at(tensor.shape[0] // 3)
                state |= _split_qkv(tensor, heads, f"net.{ours.removesuffix('qkv')}", parameter)
            else:
                flat = ".to_out." in ours and parameter == "weight"
                state[f"net.{ours}.{parameter}"] = tensor.squeeze(-1) if flat else tensor
        official.finish()
        return state


class UNet(nn.Module):
    """A denoising U-Net.

    Args:
        shape: its sizes and variants.
    """

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.net = diffusers().UNet2DModel(**shape.configuration())
        steady_norms(self.net)
        lighten_enlargements(self.net)
        for module in self.net.modules():
            if shape.heads and hasattr(module, "to_q"):
                module.heads = shape.heads

    def forward(self, x: Tensor, timestep: int | Tensor) -> Tensor:
        """Return the network's output: noise, and a variance where that is learned.

        Args:
            x: ``(N, in_channels, H, W)``; H and W multiples of ``2 ** (levels - 1)``.
            timestep: 0 … 999: one for all, or ``(N,)``.

        Returns:
            ``(N, out_channels, H, W)``.
        """
        timesteps = torch.as_tensor(timestep, device=x.device)
        x = self.net(x, timesteps, return_dict=False)[0]
        return x


def _block_layer(layer: str) -> str | None:
    """Our name of a layer inside the input, middle or output blocks; None if it is unknown."""
    match = _BLOCK.fullmatch(layer)
    if match is None:
        return None
    side, number, child, inner = match[1], match[2], match[3] or match[7], match[4] or match[8]
    attention = {"norm": "group_norm", "qkv": "qkv", "proj_out": "to_out.0"}.get(inner)
    own = attention or _RESIDUAL.get(inner)
    if own is None:
        return None
    if side is None:
        return f"mid_block.{_MIDDLE[child]}.{own}" if child in _MIDDLE else None
    return f"{_place(side, int(number), int(child), attention is not None)}.{own}"


def _place(side: str, number: int, child: int, is_attention: bool) -> str:
    if side == "input":
        level, block = divmod(number - 1, BLOCKS + 1)
        where, change = f"down_blocks.{level}", "downsamplers.0"
        changes = block == BLOCKS
    else:
        level, block = divmod(number, BLOCKS + 1)
        where, change = f"up_blocks.{level}", "upsamplers.0"
        changes = child > 0
    if is_attention:
        return f"{where}.attentions.{block}"
    return f"{where}.{change}" if changes else f"{where}.resnets.{block}"


def _split_qkv(tensor: Tensor, heads: int, prefix: str, parameter: str) -> dict[str, Tensor]:
    """Query, key and value layers from one whose channels are ordered head by head."""
    if parameter == "weight":
        tensor = tensor.squeeze(-1)
    parts = rearrange(tensor, "(heads part c) ... -> part (heads c) ...", heads=heads, part=3)
    return {
        f"{prefix}to_{name}.{parameter}": part.contiguous()
        for name, part in zip("qkv", parts.unbind())
    }
