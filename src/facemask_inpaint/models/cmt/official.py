"""From the keys of CMT's official checkpoints to those of the modules here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from facemask_inpaint.models.cmt.coarse import HEAD_WIDTH, PATCH
from facemask_inpaint.models.layers.official import OfficialTensors

_DERIVED = re.compile(r"\.(relative_coords_table|relative_position_index|attn_mask|_float_tensor)$")
"""Constants that every network can compute."""

_MODULES = {
    "coarse.to_patch.1": "coarse.embed",
    "coarse.mlp_head.0": "coarse.norm",
    "coarse.mlp_head.1": "coarse.head",
    "refine.encoder_blocks.0.0": "refinement.stem",
    "refine.encoder_blocks.1.proj": "refinement.embed",
    "refine.encoder_blocks.1.norm": "refinement.embed_norm",
    **{f"refine.encoder_blocks.{2 + i}.downsample": f"refinement.down.{i}.1" for i in range(4)},
    "refine.encoder_blocks.6.1.norm": "refinement.bottom.norm",
    "refine.encoder_blocks.6.2": "refinement.bottom.summary.0",
    "refine.decoder_blocks.0.0": "refinement.bottom.summary.2",
    "refine.decoder_blocks.0.2": "refinement.bottom.spread",
    **{f"refine.decoder_blocks.{1 + i}.1": f"refinement.up.{i}.1" for i in range(5)},
    "refine.decoder_blocks.6.1.fc1": "refinement.head.0",
    "refine.decoder_blocks.6.1.fc2": "refinement.head.2",
}
"""Modules that occur once: official names to ours."""

_STAGES = {
    **{f"refine.encoder_blocks.{2 + i}": f"refinement.down.{i}.0" for i in range(4)},
    "refine.encoder_blocks.6.0": "refinement.bottom.blocks",
    **{f"refine.decoder_blocks.{1 + i}.0": f"refinement.up.{i}.0" for i in range(5)},
    "refine.decoder_blocks.6.0": "refinement.last",
}
"""Where window blocks are."""

_LAYER = {
    "0.norm": "attention.norm",
    "0.fn.to_qkv": "attention.to_qkv",
    "0.fn.to_out.0": "attention.project",
    "1.norm": "mlp.0",
    "1.fn.net.0": "mlp.1",
    "1.fn.net.3": "mlp.3",
}
"""Parts of a coarse layer."""

_BLOCK = {
    "attn.proj": "attention.project",
    "attn.cpb_mlp": "attention.bias",
    "norm1": "attention_norm",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
    "norm2": "mlp_norm",
}
"""Parts of a window block, but for queries, keys and values."""


def options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``CMT`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a CMT generator.
    """
    tensors = _without_derived(tensors)
    official = OfficialTensors(tensors, "CMT")
    layer = "coarse.transformer.layers.0"
    _, tokens, width = official.take("coarse.pos_embedding").shape
    # Both grids and the class token: tokens = side**2 + (side - 1)**2 + 1.
    side = (1 + math.isqrt(2 * tokens - 3)) // 2
    return {
        "resolution": side * PATCH,
        "width": width,
        "depth": _count(tensors, "coarse.transformer.layers"),
        "heads": official.take(f"{layer}.0.fn.to_out.0.weight").shape[1] // HEAD_WIDTH,
        "hidden": official.take(f"{layer}.1.fn.net.0.weight").shape[0],
        "refine_width": official.take("refine.encoder_blocks.1.proj.weight").shape[0],
    }


def translate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``CMT`` from tensors under the keys of ``state_dict``.

    Raises:
        CheckpointError: these are no tensors of a CMT generator.
    """
    tensors = _without_derived(tensors)
    official = OfficialTensors(tensors, "CMT")
    state = {
        "coarse.position": official.take("coarse.pos_embedding"),
        "coarse.class_token": official.take("coarse.cls_token"),
    }
    moves = dict(_MODULES)
    for i in range(_count(tensors, "coarse.transformer.layers")):
        theirs, ours = f"coarse.transformer.layers.{i}", f"coarse.layers.{i}"
        moves |= {f"{theirs}.{old}": f"{ours}.{new}" for old, new in _LAYER.items()}
    for stage, own_stage in _STAGES.items():
        for i in range(_count(tensors, f"{stage}.blocks")):
            theirs, ours = f"{stage}.blocks.{i}", f"{own_stage}.{i}"
            moves |= {f"{theirs}.{old}": f"{ours}.{new}" for old, new in _BLOCK.items()}
            attention = _attention(official, f"{theirs}.attn")
            state |= {f"{ours}.attention.{key}": tensor for key, tensor in attention.items()}
    state |= official.move_all(moves)
    official.finish()
    return state


def _attention(official: OfficialTensors, at: str) -> dict[str, Tensor]:
    """Queries, keys and values apart; keys have no bias."""
    query, key, value = official.take(f"{at}.qkv.weight").chunk(3)
    return {
        "query.weight": query,
        "query.bias": official.take(f"{at}.q_bias"),
        "key.weight": key,
        "value.weight": value,
        "value.bias": official.take(f"{at}.v_bias"),
        "log_scale": official.take(f"{at}.logit_scale"),
    }


def _without_derived(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if not _DERIVED.search(key)}


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbers follow ``prefix`` in the keys."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    return len({match[1] for key in tensors if (match := pattern.match(key))})
