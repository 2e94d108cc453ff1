"""From the keys of the published files to those of the modules here.

A network's keys are ``<role>/<key in that role's file>``. The files also hold copies of the
networks that a part was trained against, and losses: only the parts below are taken from them,
and of these every tensor must fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from facemask_inpaint.models.latentcode.blocks import CELL, MULTIPLIERS
from facemask_inpaint.models.layers.official import OfficialTensors, prefixed

_NETWORK = "LatentCode"

_Renames = tuple[tuple[re.Pattern[str], str], ...]

_DERIVED = re.compile(r"(resample_filter|attn\.mask)$")
"""Constants that the files repeat for every layer."""

_CONVOLUTIONAL = (
    (re.compile(r"^conv_in\."), "enter."),
    (re.compile(r"^conv_out\."), "leave."),
    (re.compile(r"^norm_out\."), "norm."),
    (re.compile(r"^mid\.block_1\."), "middle.0."),
    (re.compile(r"^mid\.attn_1\."), "middle.1."),
    (re.compile(r"^mid\.block_2\."), "middle.2."),
    (re.compile(r"^(?:down|up)\.(\d+)\.block\."), r"levels.\1.blocks."),
    (re.compile(r"^(?:down|up)\.(\d+)\.attn\."), r"levels.\1.attention."),
    (re.compile(r"^(?:down|up)\.(\d+)\.(?:down|up)sample\."), r"levels.\1.resample."),
    (re.compile(r"\.nin_shortcut\."), ".shortcut."),
    (re.compile(r"\.proj_out\."), ".proj."),
)
_TRANSFORMER = (
    (re.compile(r"^tok_emb\."), "words."),
    (re.compile(r"^pos_emb$"), "places"),
    (re.compile(r"^ln_f\."), "norm."),
    (re.compile(r"\.ln(\d)\."), r".norm\1."),
    (re.compile(r"\.attn\."), "."),
    (re.compile(r"\.mlp\.0\."), ".expand."),
    (re.compile(r"\.mlp\.2\."), ".contract."),
)

_BLOCKS = "transformer/transformer.blocks."
_BOTTLENECK = ("bottleneck_conv", "post_bottleneck_conv")
_NESTED = ("decoder/first_stage_model.", "decoder/")
"""Where composing and refining network lie if they share a file."""


def network_options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``LatentCode`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a latent-code network.
    """
    official = OfficialTensors(tensors, _NETWORK)
    codes, code_dim = official.take("vqgan/quantize.embedding.weight").shape
    places = official.take("transformer/transformer.pos_emb")
    blocks = {key.split(".")[2] for key in tensors if key.startswith(_BLOCKS)}
    return {
        "resolution": CELL * math.isqrt(places.shape[1] - 1),
        "width": official.take("encoder/encoder.conv_in.conv.weight").shape[0],
        "codes": codes,
        "code_dim": code_dim,
        "transformer_width": places.shape[2],
        "depth": len(blocks),
    }


def vqgan_options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``VQGAN`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a VQGAN.
    """
    official = OfficialTensors(tensors, "VQGAN")
    codes, code_dim = official.take("quantize.embedding.weight").shape
    width = official.take("encoder.conv_in.weight").shape[0]
    return {"width": width, "codes": codes, "code_dim": code_dim}


def translate_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``LatentCode`` from tensors of its four files, or five.

    Of faces, the decoder's file holds the refining network, and the composing one inside it; of
    scenes, each has a file.

    Raises:
        CheckpointError: these are no tensors of a latent-code network.
    """
    official = OfficialTensors(_without_derived(tensors), _NETWORK)
    apart = any(key.startswith("unet/") for key in tensors)
    composer, refiner = ("decoder/", "unet/") if apart else _NESTED
    return {
        "codebook.weight": official.take("vqgan/quantize.embedding.weight"),
        **_convolutional(official, "encoder/encoder.", "encoder."),
        **prefixed("encoder.head.", official.take_all("encoder/cls_head.")),
        **prefixed("transformer.", _transformer(official)),
        **_autoencoder(official, composer, "composer.", _BOTTLENECK),
        **_autoencoder(official, refiner, "refiner.", _BOTTLENECK),
    }


def translate_vqgan(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``VQGAN`` from the tensors of its file.

    Raises:
        CheckpointError: these are no tensors of a VQGAN.
    """
    official = OfficialTensors(tensors, "VQGAN")
    return {
        "codebook.weight": official.take("quantize.embedding.weight"),
        **_autoencoder(official, "", "", ("quant_conv", "post_quant_conv")),
    }


def _without_derived(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if not _DERIVED.search(key)}


def _autoencoder(
    official: OfficialTensors, theirs: str, ours: str, bottleneck: tuple[str, str]
) -> dict[str, Tensor]:
    state = _convolutional(official, f"{theirs}encoder.", f"{ours}encoder.")
    state |= _convolutional(official, f"{theirs}decoder.", f"{ours}decoder.")
    for name, own in zip(bottleneck, ("squeeze", "stretch")):
        state |= prefixed(f"{ours}{own}.", official.take_all(f"{theirs}{name}."))
    return state


def _convolutional(official: OfficialTensors, theirs: str, ours: str) -> dict[str, Tensor]:
    """An encoder or decoder; the levels of a decoder are counted from the latent grid here."""
    state: dict[str, Tensor] = {}
    for key, tensor in official.take_all(theirs).items():
        if match := re.match(r"up\.(\d+)\.", key):
            level = len(MULTIPLIERS) - 1 - int(match[1])
            key = f"up.{level}.{key.removeprefix(match[0])}"
        state[_renamed(key, _CONVOLUTIONAL)] = tensor
    return prefixed(ours, _fused(state, ("q", "k", "v")))


def _transformer(official: OfficialTensors) -> dict[str, Tensor]:
    # Word 0, the unknown code, is never predicted.
    head = official.take("transformer/transformer.head.weight")[1:]
    part = official.take_all("transformer/transformer.")
    state = {_renamed(key, _TRANSFORMER): tensor for key, tensor in part.items()}
    return {"head.weight": head, **_fused(state, ("query", "key", "value"))}


def _fused(state: Mapping[str, Tensor], names: tuple[str, str, str]) -> dict[str, Tensor]:
    """Queries, keys and values of every attention as one layer."""
    parts = OfficialTensors(state, _NETWORK)
    fused = {}
    for key in state:
        if match := re.fullmatch(rf"(.*\.){names[0]}\.(weight|bias)", key):
            at, parameter = match.groups()
            trio = [parts.take(f"{at}{name}.{parameter}") for name in names]
            fused[f"{at}qkv.{parameter}"] = torch.cat(trio)
    return fused | parts.take_all("")


def _renamed(key: str, renames: _Renames) -> str:
    for pattern, replacement in renames:
        key = pattern.sub(replacement, key)
    return key
