"""Small builds of every architecture, for tests that need no weights."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch

from facemask_inpaint.models import InpaintingNetwork, _registry


@dataclass(frozen=True)
class Reduced:
    """How to build a network small.

    Attributes:
        side: height and width of the pictures to try it on.
        options: constructor arguments that make it cheap.
        trainable: whether a gradient reaches its parameters, if it has any.
        gain: factor on the weights, for networks that start with hardly any contrast.
    """

    side: int
    options: dict[str, Any] = field(default_factory=dict)
    trainable: bool = True
    gain: float = 1.0


_ROWS = {
    "aotgan": Reduced(64, {"width": 8, "blocks": 2}, gain=4.0),
    "cmt": Reduced(
        128,
        {
            "resolution": 128,
            "width": 32,
            "depth": 2,
            "heads": 1,
            "hidden": 64,
            "refine_width": 16,
        },
    ),
    "comodgan": Reduced(
        64,
        {
            "resolution": 64,
            "channel_base": 512,
            "channel_max": 16,
            "latent_dim": 32,
            "code_dim": 32,
            "code_dropout": True,
            "noise_mode": "random",
        },
    ),
    "deepfillv2": Reduced(64, {"width": 8}, gain=3.0),
    "harmonic": Reduced(64, trainable=False),
    "lama": Reduced(64, {"width": 8, "blocks": 2}, gain=1.5),
    "latentcode": Reduced(
        64,
        {
            "resolution": 64,
            "width": 32,
            "codes": 64,
            "code_dim": 32,
            "transformer_width": 64,
            "depth": 2,
            "heads": 4,
        },
        # Codes are chosen: no gradient passes from the picture to what chose them.
        trainable=False,
    ),
    "latentpaint": Reduced(
        64,
        {"width": 32, "autoencoder_width": 32, "codes": 64, "steps": 3, "propagation": True},
        # A run passes no gradient; what is trained is a single step.
        trainable=False,
    ),
    "ldm": Reduced(
        64,
        {"width": 32, "autoencoder_width": 32, "codes": 64, "steps": 3},
        trainable=False,
    ),
    "lite": Reduced(64, {"resolution": 64, "widths": [8, 16, 64], "depth": 1, "detail": 8}),
    "madf": Reduced(128, {"width": 8, "mask_features": 4}),
    "mat": Reduced(
        128,
        {
            "resolution": 128,
            "width": 12,
            "channel_base": 1024,
            "channel_max": 16,
            "latent_dim": 32,
            "noise_mode": "random",
        },
    ),
    "migan": Reduced(64, {"resolution": 64, "channel_base": 1024, "channel_max": 32}),
    "moebius": Reduced(
        64,
        {
            "widths": [32, 64, 64],
            "grid": 8,
            "token_width": 16,
            "context_width": 8,
            "autoencoder_widths": [32, 32, 32, 32],
            "steps": 2,
        },
        # A run passes no gradient.
        trainable=False,
    ),
    "pixelhacker": Reduced(
        64,
        {
            "widths": [96, 96, 96, 96],
            "token_width": 16,
            "context_width": 8,
            "autoencoder_widths": [32, 32, 32, 32],
            "steps": 2,
            # The first rows are normalised to unit length however short they are: with narrow
            # keys, or pushed by guidance, rounding would show.
            "guidance_scale": 1.5,
        },
        trainable=False,
    ),
    "repaint": Reduced(
        32,
        {
            "width": 32,
            "multipliers": [1, 1, 2],
            "attention_from": 2,
            "sampling": {"steps": 40, "jump_length": 1, "jump_samples": 2, "first_guess": 2},
        },
        # A run passes no gradient.
        trainable=False,
    ),
    "tformer": Reduced(64, {"width": 8, "blocks": [1, 1, 1, 2]}, gain=3.0),
}

REDUCED: defaultdict[str, Reduced] = defaultdict(lambda: Reduced(64), _ROWS)
"""How to build every architecture; one without a row is tested as it is."""


def build(architecture: str, seed: int = 0) -> InpaintingNetwork:
    """An untrained small network; the same for the same seed."""
    reduced = REDUCED[architecture]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = _registry.create(architecture, **reduced.options)
        for parameter in network.parameters():
            parameter *= reduced.gain
    return network
