"""SegFormer (MiT-B5) as trained for faces on CelebAMask-HQ.

E. Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", NeurIPS 2021. Published weights: hub repository jonathandinu/face-parsing; no
licence is stated there, the base nvidia/mit-b5 and the data are for non-commercial use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.checkpoints import Source
from facemask_inpaint.labels import LABEL_NAMES
from facemask_inpaint.parsing.label_network import PublishedParser, load_tensors

CHANNELS = LABEL_NAMES
"""Label of each channel: CelebAMask-HQ's own order. The hub's ``config.json`` named another one
until January 2024 and copies of it still do, so it is not read."""

RESOLUTION = 512
"""Side in pixels of the square images that the published weights are for."""

ANCHORS = ("segformer.encoder.patch_embeddings.0.proj.weight",)
"""Key by which the network is found behind whatever a wrapper puts in front of its keys."""

SOURCES = (Source("hf", "jonathandinu/face-parsing", "model.safetensors"),)
"""Where the published file is; no hash of it is known."""

REDUCTIONS = (8, 4, 2, 1)
"""Ratio at which each stage shrinks the map that keys and values come from (section 3.1)."""

EXPANSION = 4


class SegFormer(nn.Module):
    """Hierarchical transformer encoder and a decoder of linear layers.

    Args:
        depths: blocks of each of the four stages.
        widths: channels of each stage.
        heads: attention heads of each stage.
        head_width: channels of the decoder.
        labels: number of channels of the scores.
    """

    def __init__(
        self,
        *,
        depths: Sequence[int] = (3, 6, 40, 3),
        widths: Sequence[int] = (64, 128, 320, 512),
        heads: Sequence[int] = (1, 2, 5, 8),
        head_width: int = 768,
        labels: int = len(CHANNELS),
    ) -> None:
        super().__init__()
        channels = pairwise((3, *widths))
        plan = zip(channels, depths, heads, REDUCTIONS)
        self.stages = nn.ModuleList(
            Stage(inputs, outputs, depth, head_count, reduction, first=inputs == 3)
            for (inputs, outputs), depth, head_count, reduction in plan
        )
        self.head = Head(widths, head_width, labels)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return scores ``(N, labels, H / 4, W / 4)``, before the softmax.

        Args:
            rgb: ``(N, 3, H, W)`` normalised by ImageNet's mean and standard deviation; sides
                multiples of 32, made for 512.
        """
        maps, x = [], rgb
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        result: Tensor = self.head(maps)
        return result


class Stage(nn.Module):
    """Overlapping patches, then blocks of attention (figure 2)."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, heads: int, reduction: int, *, first: bool
    ) -> None:
        super().__init__()
        kernel, stride = (7, 4) if first else (3, 2)
        self.embed = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.embed_norm = nn.LayerNorm(outputs)
        self.blocks = nn.ModuleList(Block(outputs, heads, reduction) for _ in range(depth))
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        x = self.embed(x)
        shape = (x.shape[2], x.shape[3])
        tokens = self.embed_norm(_to_tokens(x))
        for block in self.blocks:
            tokens = block(tokens, shape)
        return _to_map(self.norm(tokens), shape)


class Block(nn.Module):
    """Attention and a mixing network, each around an identity."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads, reduction)
        self.mixing_norm = nn.LayerNorm(channels)
        self.mixing = Mixing(channels)

    def forward(self, tokens: Tensor, shape: tuple[int, int]) -> Tensor:
        """Map ``(N, H W, C)`` to the same shape; ``shape`` is (H, W)."""
        tokens = tokens + self.attention(self.attention_norm(tokens), shape)
        result: Tensor = tokens + self.mixing(self.mixing_norm(tokens), shape)
        return result


class Attention(nn.Module):
    """Attention whose keys and values come from a smaller map (section 3.1)."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.reduce: nn.Conv2d | None = None
        if reduction > 1:
            self.reduce = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.reduce_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, shape: tuple[int, int]) -> Tensor:
        """Map ``(N, H W, C)`` to the same shape."""
        source = tokens
        if self.reduce is not None:
            source = self.reduce_norm(_to_tokens(self.reduce(_to_map(tokens, shape))))
        parts = (self.query(tokens), self.key(source), self.value(source))
        q, k, v = (rearrange(each, "n t (head c) -> n head t c", head=self.heads) for each in parts)
        mixed = F.scaled_dot_product_attention(q, k, v)
        result: Tensor = self.out(rearrange(mixed, "n head t c -> n t (head c)"))
        return result


class Mixing(nn.Module):
    """Two linear layers with a depthwise convolution between them, which also encodes positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.expand = nn.Linear(channels, wide)
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.project = nn.Linear(wide, channels)

    def forward(self, tokens: Tensor, shape: tuple[int, int]) -> Tensor:
        """Map ``(N, H W, C)`` to the same shape."""
        local = self.depthwise(_to_map(self.expand(tokens), shape))
        result: Tensor = self.project(F.gelu(_to_tokens(local)))
        return result


class Head(nn.Module):
    """Linear layers that join the four maps and score the labels (section 3.2)."""

    def __init__(self, widths: Sequence[int], width: int, labels: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(channels, width) for channels in widths)
        self.fuse = nn.Conv2d(len(widths) * width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.score = nn.Conv2d(width, labels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map the stages' maps, the finest first, to scores of the finest one's size."""
        shape = maps[0].shape[2:]
        projected = [
            _to_map(linear(_to_tokens(x)), (x.shape[2], x.shape[3]))
            for linear, x in zip(self.project, maps)
        ]
        upsampled = [F.interpolate(x, shape, mode="bilinear") for x in reversed(projected)]
        result: Tensor = self.score(F.relu(self.norm(self.fuse(torch.cat(upsampled, dim=1)))))
        return result


_KEYS = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"segformer\.encoder\.patch_embeddings\.(\d+)\.proj\.", r"stages.\1.embed."),
        (r"segformer\.encoder\.patch_embeddings\.(\d+)\.layer_norm\.", r"stages.\1.embed_norm."),
        (r"segformer\.encoder\.layer_norm\.(\d+)\.", r"stages.\1.norm."),
        (r"segformer\.encoder\.block\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
        (r"\.layer_norm_1\.", ".attention_norm."),
        (r"\.layer_norm_2\.", ".mixing_norm."),
        (r"\.attention\.self\.sr\.", ".attention.reduce."),
        (r"\.attention\.self\.layer_norm\.", ".attention.reduce_norm."),
        (r"\.attention\.self\.", ".attention."),
        (r"\.attention\.output\.dense\.", ".attention.out."),
        (r"\.mlp\.dense1\.", ".mixing.expand."),
        (r"\.mlp\.dwconv\.dwconv\.", ".mixing.depthwise."),
        (r"\.mlp\.dense2\.", ".mixing.project."),
        (r"decode_head\.linear_c\.(\d+)\.proj\.", r"head.project.\1."),
        (r"decode_head\.linear_fuse\.", "head.fuse."),
        (r"decode_head\.batch_norm\.", "head.norm."),
        (r"decode_head\.classifier\.", "head.score."),
    )
)
"""Published keys to those of this module, one replacement after another."""


def from_official(tensors: Mapping[str, Tensor], network: SegFormer | None = None) -> SegFormer:
    """Return the network with the tensors of a published file, in evaluation mode.

    Args:
        tensors: under the published keys.
        network: one of another size, to be filled in place of the published one's.

    Raises:
        CheckpointError: Keys or shapes are those of another network.
    """
    if network is None:
        with torch.device("meta"):
            network = SegFormer()
    renamed = {_our_key(key): tensor for key, tensor in tensors.items()}
    return load_tensors(network, renamed, "SegFormer for faces")


PARSER = PublishedParser("segformer", SOURCES, ANCHORS, from_official, RESOLUTION, CHANNELS)
load = PARSER.load
"""Returns the network with its published weights, or those of a file."""


def _our_key(key: str) -> str:
    for pattern, ours in _KEYS:
        key = pattern.sub(ours, key)
    return key


def _to_tokens(x: Tensor) -> Tensor:
    return rearrange(x, "n c h w -> n (h w) c")


def _to_map(tokens: Tensor, shape: tuple[int, int]) -> Tensor:
    return rearrange(tokens, "n (h w) c -> n c h w", h=shape[0])
