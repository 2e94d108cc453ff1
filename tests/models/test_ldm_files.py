"""Latent diffusion's published files: what counts in them, and what is refused."""

from __future__ import annotations

import json
import lzma
import sys
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import CheckpointError, MissingDependencyError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.ldm import LDM
from tests.models.reduced import REDUCED
from tests.parity import recipe

MANIFESTS = {
    "manifest.json": (True, 256, 128, 8192),
    "manifest.small.json": (True, 32, 32, 512),
    "manifest.celeba256.json": (False, 224, 128, 8192),
    "manifest.celeba256.small.json": (False, 32, 32, 512),
}
SMALL = [name for name in MANIFESTS if "small" in name]
FORMER = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def faces() -> LDM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {**REDUCED["ldm"].options, "conditioned": False}
        return cast(LDM, _registry.create("ldm", **options))


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_options_are_read_off_the_tensors(manifest: str) -> None:
    names = ("conditioned", "width", "autoencoder_width", "codes")
    assert LDM.official_options(shapes_only(manifest)) == dict(zip(names, MANIFESTS[manifest]))


def test_default_options_are_those_of_the_published_inpainting_model() -> None:
    with torch.device("meta"):
        network = LDM()
    state = LDM.translate_official(shapes_only("manifest.json"))
    own = network.state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in own.items()}


@pytest.mark.parametrize("manifest", SMALL)
def test_the_averaged_network_counts_and_the_other_is_the_last_resort(manifest: str) -> None:
    averaged, trained = both_networks(manifest)
    first_stage = {k: v for k, v in averaged.items() if k.startswith("first_stage_model.")}
    extras = {
        "model_ema.decay": torch.zeros(()),
        "model_ema.num_updates": torch.zeros(()),
        "betas": torch.zeros(1000),
        "first_stage_model.loss.discriminator.weight": torch.zeros(2),
        **{k.replace("first_stage", "cond_stage"): v + 1 for k, v in first_stage.items()},
    }
    whole, plain = (
        LDM.translate_official(tensors) for tensors in ({**averaged, **trained, **extras}, averaged)
    )
    same(whole, plain)
    with pytest.warns(UserWarning, match="model_ema"):
        last = LDM.translate_official({**trained, **first_stage})
    assert last.keys() == plain.keys()
    assert not torch.equal(last["unet.net.conv_in.weight"], plain["unet.net.conv_in.weight"])


def test_files_that_do_not_fit_are_refused_by_key() -> None:
    tensors = recipe.official_tensors("ldm", "manifest.small.json")
    key = "model_ema.diffusion_modelmiddle_block1qkvweight"
    with pytest.raises(CheckpointError, match=r"mid_block\.attentions\.0\.to_q\.weight"):
        _registry.from_official("ldm", {k: v for k, v in tensors.items() if k != key})
    with pytest.raises(CheckpointError, match="block99"):
        _registry.from_official(
            "ldm", {**tensors, "model_ema.diffusion_modelblock99": tensors[key]}
        )
    key = "first_stage_model.decoder.up.1.block.0.conv1.weight"
    with pytest.raises(CheckpointError, match=r"decoder\.up_blocks\.1\.resnets\.0\.conv1"):
        _registry.from_official("ldm", {k: v for k, v in tensors.items() if k != key})
    with pytest.raises(CheckpointError, match="has no first stage"):
        _registry.from_official(
            "ldm", {k: v for k, v in tensors.items() if not k.startswith("first_stage")}
        )
    with pytest.raises(CheckpointError, match="has no U-Net"):
        _registry.from_official(
            "ldm", {k: v for k, v in tensors.items() if k.startswith("first_stage")}
        )


@pytest.mark.parametrize("former", [False, True])
def test_files_converted_for_diffusers_load_too(faces: LDM, former: bool) -> None:
    tensors = {}
    for key, tensor in faces.state_dict().items():
        key = key.replace("autoencoder.codebook.vectors", "vqvae/quantize.embedding")
        key = key.replace("autoencoder.net.", "vqvae/").replace("unet.net.", "unet/")
        for now, then in FORMER.items() if former else ():
            key = key.replace(now, then)
        tensors[key] = tensor
    assert any("query" in key for key in tensors) == former
    loaded = _registry.from_official("ldm", tensors)
    assert loaded.options["conditioned"] is False
    same(loaded.state_dict(), faces.state_dict())


def test_official_checkpoint_and_its_folder_answer_alike(tmp_path: Path) -> None:
    tensors = recipe.official_tensors("ldm", "manifest.celeba256.small.json")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "model.ckpt")
    inpainter = fmi.Inpainter.from_checkpoint(tmp_path / "model.ckpt", "ldm-celebahq-256", steps=2)
    again = fmi.Inpainter.from_pretrained(inpainter.save_pretrained(tmp_path / "folder"))
    image, mask = np.full((50, 40, 3), 90, np.uint8), np.zeros((50, 40), bool)
    mask[20:30, 10:30] = True
    ours, theirs = (one(image, mask, seed=3, strategy="pad") for one in (inpainter, again))
    assert np.array_equal(ours, theirs)
    assert (ours[mask] != 90).any()


@pytest.mark.parametrize("name", ["ldm-celebahq-256-diffusers", "latentpaint"])
def test_the_two_files_of_the_hub_load(faces: LDM, name: str, tmp_path: Path) -> None:
    state = faces.state_dict()
    unet = {k.removeprefix("unet.net."): v for k, v in state.items() if k.startswith("unet.")}
    words = "autoencoder.codebook.vectors.weight"
    vqvae = {k.removeprefix("autoencoder.net."): v for k, v in state.items() if "coder.net" in k}
    parts = {"unet": unet, "vqvae": {**vqvae, "quantize.embedding.weight": state[words]}}
    files = {role: tmp_path / f"{role}.bin" for role in parts}
    for role, path in files.items():
        torch.save(parts[role], path)
    loaded = fmi.Inpainter.from_checkpoint(files, name).network
    same(loaded.state_dict(), state)


def test_without_diffusers_the_error_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[diffusion\]"):
        _registry.create("ldm", **REDUCED["ldm"].options)


def test_loading_an_averaged_network_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LDM.translate_official(shapes_only("manifest.json"))


def shapes_only(manifest: str) -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("ldm", manifest)
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def both_networks(manifest: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What counts of a published file, and the U-Net that does not."""
    packed = json.loads(lzma.decompress(recipe.manifest_path("ldm", manifest).read_bytes()))
    trained = {key: torch.randn(entry["shape"]) for key, entry in packed["decoy_tensors"].items()}
    return recipe.official_tensors("ldm", manifest), trained


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
