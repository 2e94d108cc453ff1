"""From the keys of MAT's official snapshots to those of the modules here."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from facemask_inpaint.models.layers.official import OfficialTensors

_DERIVED = re.compile(r"(^|\.)(resample_filter|attn_mask|relative_position_index|avg_weight)$")
"""Constants that every network can compute, and leftovers of older versions."""

_STYLED = {"upsample": "conv0", "merge": "conv1", "to_rgb": "toRGB"}
"""Styled layers of a decoder block: our names to theirs."""


def generator_options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``MAT`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a MAT generator.
    """
    official = OfficialTensors(tensors, "MAT")
    sides = _numbers(tensors, r"synthesis\.enc\.EncConv_Block_(\d+)x")
    resolution = max(sides, default=512)
    outer = official.take(f"synthesis.enc.EncConv_Block_{resolution}x{resolution}.conv0.weight")
    inner = official.take("synthesis.enc.EncConv_Block_16x16.conv0.weight")
    return {
        "resolution": resolution,
        "width": official.take("synthesis.first_stage.conv_first.conv.weight").shape[0],
        "channel_base": outer.shape[0] * resolution,
        "channel_max": inner.shape[0],
        "latent_dim": official.take("mapping.w_avg").shape[0],
    }


def discriminator_options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``Discriminator`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a MAT discriminator.
    """
    official = OfficialTensors(tensors, "MAT's discriminator")
    blocks = len(_numbers(tensors, r"Dis\.(\d+)\.skip\."))
    outer = official.take("Dis.0.conv.weight").shape[0]
    return {
        "resolution": 4 << blocks,
        "channel_base": outer * (4 << blocks),
        "channel_max": official.take(f"Dis.{blocks + 2}.weight").shape[0],
    }


def translate_generator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``MAT`` from tensors under the keys of ``G_ema``.

    Raises:
        CheckpointError: these are no tensors of a MAT generator.
    """
    sides = sorted(_numbers(tensors, r"synthesis\.enc\.EncConv_Block_(\d+)x"))
    move = _Translation(tensors, "MAT")
    move.module("mapping.w_avg", "mapping.w_avg")
    for i in sorted(_numbers(tensors, r"mapping\.fc(\d+)\.")):
        move.module(f"mapping.fc{i}", f"mapping.layers.{i}")
    _coarse(move)
    for i, side in enumerate(reversed(sides)):
        for layer in (0, 1):
            theirs = f"synthesis.enc.EncConv_Block_{side}x{side}.conv{layer}"
            move.module(theirs, f"refinement.encoder.{i}.{layer}")
    move.module("synthesis.to_square", "refinement.style.to_square")
    move.module("synthesis.to_style.conv", "refinement.style.down")
    move.module("synthesis.to_style.fc", "refinement.style.to_style")
    move.module("synthesis.dec.Dec_16x16.conv0", "refinement.inner")
    move.styled("synthesis.dec.Dec_16x16.conv1", "refinement.decoder.inner")
    move.styled("synthesis.dec.Dec_16x16.toRGB", "refinement.decoder.inner_to_rgb")
    for i, side in enumerate(sides[1:]):
        move.decoder_block(f"synthesis.dec.Dec_{side}x{side}", f"refinement.decoder.blocks.{i}")
    return move.finish()


def translate_discriminator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``Discriminator`` from tensors under the keys of ``D``.

    Raises:
        CheckpointError: these are no tensors of a MAT discriminator.
    """
    move = _Translation(tensors, "MAT's discriminator")
    blocks = len(_numbers(tensors, r"Dis\.(\d+)\.skip\."))
    for suffix, ours in (("", "final"), ("_stg1", "coarse")):
        move.module(f"Dis{suffix}.0.conv", f"{ours}.enter")
        for i in range(blocks):
            move.module(f"Dis{suffix}.{i + 1}", f"{ours}.blocks.{i}")
        move.module(f"Dis{suffix}.{blocks + 2}", f"{ours}.merge")
        move.module(f"fc0{suffix}", f"{ours}.hidden")
        move.module(f"fc1{suffix}", f"{ours}.logit")
    return move.finish()


def _coarse(move: _Translation) -> None:
    theirs, ours = "synthesis.first_stage", "coarse"
    move.module(f"{theirs}.conv_first", f"{ours}.head")
    move.module(f"{theirs}.enc_conv", f"{ours}.encoder")
    for group in range(5):
        _transformer_group(move, f"{theirs}.tran.{group}", f"{ours}.groups.{group}")
    move.module(f"{theirs}.down_conv", f"{ours}.style.down")
    move.module(f"{theirs}.to_style", f"{ours}.style.to_style")
    move.module(f"{theirs}.ws_style", f"{ours}.style.from_w")
    move.module(f"{theirs}.to_square", f"{ours}.style.to_square")
    for i in move.numbers(rf"{theirs}\.dec_conv\.(\d+)\."):
        move.decoder_block(f"{theirs}.dec_conv.{i}", f"{ours}.decoder.{i}")


def _transformer_group(move: _Translation, theirs: str, ours: str) -> None:
    move.module(f"{theirs}.downsample.conv", f"{ours}.entry", flip=ours[-1] in "34")
    for i in move.numbers(rf"{theirs}\.blocks\.(\d+)\."):
        block, own = f"{theirs}.blocks.{i}", f"{ours}.blocks.{i}"
        for part in ("weight", "bias"):
            pair = [move.official.take(f"{block}.attn.{name}.{part}") for name in "qk"]
            move.state[f"{own}.attention.query_key.{part}"] = torch.cat(pair)
        move.module(f"{block}.attn.v", f"{own}.attention.value")
        move.module(f"{block}.attn.proj", f"{own}.attention.proj")
        move.module(f"{block}.fuse", f"{own}.fuse")
        move.module(f"{block}.mlp.fc1", f"{own}.expand")
        move.module(f"{block}.mlp.fc2", f"{own}.contract")
    move.module(f"{theirs}.conv", f"{ours}.conv")


class _Translation:
    """Moves modules from their official place to ours, each tensor once.

    Attributes:
        official: what has not been moved yet.
        state: what has.
    """

    def __init__(self, tensors: Mapping[str, Tensor], network: str) -> None:
        kept = {key: value for key, value in tensors.items() if not _DERIVED.search(key)}
        self.official = OfficialTensors(kept, network)
        self.state: dict[str, Tensor] = {}
        self._keys = list(kept)

    def numbers(self, pattern: str) -> list[int]:
        """Return the numbers that the group in ``pattern`` matches at the start of keys, sorted."""
        return sorted(_numbers(self._keys, pattern))

    def module(self, theirs: str, ours: str, *, flip: bool = False) -> None:
        """Move a module and what is in it; ``flip`` its kernel, or move a single tensor."""
        if theirs in self.official:
            self.state[ours] = self.official.take(theirs)
            return
        for key, tensor in self.official.take_all(f"{theirs}.").items():
            self.state[f"{ours}.{key}"] = _flipped(tensor) if flip else tensor

    def styled(self, theirs: str, ours: str, *, flip: bool = False) -> None:
        """Move a modulated layer, whose kernel and style are one level deeper over there."""
        kernel = self.official.take(f"{theirs}.conv.weight")[0]
        self.state[f"{ours}.weight"] = _flipped(kernel) if flip else kernel
        self.module(f"{theirs}.conv.affine", f"{ours}.affine")
        self.module(theirs, ours)

    def decoder_block(self, theirs: str, ours: str) -> None:
        """Move an upsampling block of a decoder."""
        for layer, official in _STYLED.items():
            self.styled(f"{theirs}.{official}", f"{ours}.{layer}", flip=layer == "upsample")

    def finish(self) -> dict[str, Tensor]:
        """Return the state dict, once nothing is left over."""
        self.official.finish()
        return self.state


def _flipped(tensor: Tensor) -> Tensor:
    """A correlation kernel as ``conv_transpose2d`` takes it; anything else unchanged."""
    return tensor.flip(2, 3) if tensor.ndim == 4 else tensor


def _numbers(keys: Mapping[str, Tensor] | list[str], pattern: str) -> set[int]:
    matches = (re.match(pattern, key) for key in keys)
    return {int(match[1]) for match in matches if match}
