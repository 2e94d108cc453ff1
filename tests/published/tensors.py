"""Made-up weights under the official keys of every network, narrow where its loader allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from facemask_inpaint.models import Card, _registry
from tests.models import test_latentcode_files as latentcode
from tests.models.reduced import REDUCED
from tests.parity import recipe

Tensors = dict[str, Tensor]
Shape = list[int]

_STYLEGAN = {32: 1, 64: 2, 128: 4, 256: 8, 512: 16, 1024: 32, 1536: 48, 8192: 256}
_STYLEGAN |= {180: 12, 360: 24, 540: 36}
_MADF = {16: 2, 32: 4, 64: 8, 73: 17, 76: 20, 128: 16, 256: 32, 512: 64, 1024: 128}
_MADF |= {4704: 588, 12800: 200, 18432: 288, 73728: 1152, 147456: 2304}
"""Sides of the published tensors to those of a narrow network with the same keys."""


def official(architecture: str, named: Mapping[str, str]) -> dict[str, Tensors]:
    """Tensors of each part of a network, by role, under the keys of its authors.

    Args:
        architecture: of the network.
        named: what :func:`manifests` says of a card.
    """
    if architecture == "latentcode":
        faces = latentcode.parts()
        return latentcode.five_parts(faces) if "unet" in named else faces
    if architecture in LATENT_CATEGORIES:
        return dict(_latent_categories(architecture))
    return {role: dict(_part(architecture, name)) for role, name in named.items()}


@lru_cache(maxsize=2)
def _part(architecture: str, manifest: str) -> Mapping[str, Tensor]:
    if manifest.startswith("manifest.tf"):
        return comodgan_tensorflow(manifest)
    narrow = NARROW.get(architecture, lambda key, shape: shape)
    tensors = recipe.official_tensors(architecture, manifest, narrow=narrow)
    return {key.removeprefix(WRAPPERS.get(architecture, "")): t for key, t in tensors.items()}


LATENT_CATEGORIES = {"moebius": [32, 64, 96], "pixelhacker": [32, 64, 96, 96]}
"""Networks of two files, with widths that grow as those of the published ones do."""


@lru_cache(maxsize=2)
def _latent_categories(architecture: str) -> Mapping[str, Tensors]:
    """U-Net and autoencoder of a narrow network whose keys are the published ones."""
    options = {**REDUCED[architecture].options, "autoencoder_widths": [32, 64, 96, 96]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _registry.create(
            architecture, **{**options, "widths": LATENT_CATEGORIES[architecture]}
        )
    state = network.state_dict()
    unet = {
        key.replace("unet.", "diff_model.", 1): tensor
        for key, tensor in state.items()
        if not key.startswith("autoencoder.")
    }
    own = "autoencoder.net."
    vae = {k.removeprefix(own): tensor for k, tensor in state.items() if k.startswith(own)}
    assert unet.keys() == recipe.official_shapes(architecture, "manifest.json").keys()
    assert vae.keys() == recipe.official_shapes(architecture, "manifest.vae.json").keys()
    return {"unet": unet, "vae": vae}


def manifests(card: Card) -> dict[str, str]:
    """Lists of keys and shapes that a card's files follow, by role; of a small network if any."""
    if card.architecture == "latentcode":
        return dict.fromkeys([file.role for file in card.files], "manifest.small.json")
    if card.architecture in LATENT_CATEGORIES:
        return {"unet": "manifest.json", "vae": "manifest.vae.json"}
    chosen = {
        "comodgan": _comodgan_manifest(card),
        "deepfillv2": "manifest.pt.json" if "tuned" in card.name else "manifest.json",
        "lama": "manifest.big.json" if "big" in card.name else "manifest.json",
        "ldm": f"manifest{'' if card.data == 'places' else '.celeba256'}.small.json",
        "mat": "manifest.256.json" if card.resolution == 256 else "manifest.json",
        "migan": "manifest.512.json" if card.resolution == 512 else "manifest.json",
        "repaint": "manifest.small.json",
    }
    return {"network": chosen.get(card.architecture, "manifest.json")}


def full_shapes(card: Card) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of each part's tensors as published, by role."""
    wrapper = WRAPPERS.get(card.architecture, "")
    return {
        role: {
            key.removeprefix(wrapper): shape
            for key, shape in recipe.official_shapes(
                card.architecture, manifest.replace(".small", "")
            ).items()
        }
        for role, manifest in manifests(card).items()
    }


WRAPPERS = {"lama": "generator.", "madf": "module.model."}
"""What stands before every key of a manifest."""


def _comodgan_manifest(card: Card) -> str:
    if card.options:
        return "manifest.tf.1024.json" if card.resolution == 1024 else "manifest.tf.json"
    return "manifest.256.json" if card.resolution == 256 else "manifest.json"


def _eighth(key: str, shape: Shape) -> Shape:
    return [side // 8 if side >= 64 else side for side in shape]


def _stylegan(key: str, shape: Shape) -> Shape:
    if re.search(r"noise_const|noise\d+$|attn_mask|resample_filter", key):
        return shape
    small = [_STYLEGAN.get(side, side) for side in shape]
    return [256, *small[1:]] if ".to_square." in key else small


def _cmt(key: str, shape: Shape) -> Shape:
    if re.search(r"cpb_mlp|logit_scale", key):
        return shape
    if key.startswith("refine"):
        return [side // 2 if side >= 16 else side for side in shape]
    narrow = [side // 8 if side >= 64 else side for side in shape]
    fixed = {"to_patch.1.weight": (1, 1024), "mlp_head.1": (0, 768), "pos_embedding": (1, 482)}
    for part, (axis, side) in fixed.items():
        if part in key:
            narrow[axis] = side
    return narrow


NARROW: dict[str, Callable[[str, Shape], Shape]] = {
    "aotgan": _eighth,
    "cmt": _cmt,
    "comodgan": _stylegan,
    "lama": _eighth,
    "madf": lambda key, shape: [_MADF.get(side, side) for side in shape],
    "mat": _stylegan,
    "migan": lambda key, shape: shape if "_const" in key else _eighth(key, shape),
}
"""Shape to make of a published one; networks that are not here are small as they are published, or
have a manifest of a small one."""


def comodgan_tensorflow(manifest: str) -> Tensors:
    """Variables of a narrow network under the names of the TensorFlow original."""
    generator = torch.Generator().manual_seed(0)
    shapes = recipe.official_shapes("comodgan", manifest)
    return {
        name: _spread(name) * torch.randn(_stylegan(name, list(shape)), generator=generator)
        for name, shape in shapes.items()
    }


def _spread(name: str) -> float:
    if name == "lod":
        return 0.0
    return 0.1 if re.search(r"bias|strength|avg", name) else 1.0


def quicken(network: Any) -> None:
    """Let a sampler take few steps over a small picture."""
    if network.architecture == "repaint":
        network.sampling = {"steps": 3, "jump_length": 1, "jump_samples": 1}
    if network.architecture in ("ldm", *LATENT_CATEGORIES):
        network.steps = 2
    if network.architecture in ("ldm", "pixelhacker", "repaint"):
        network.native_resolution = 64
