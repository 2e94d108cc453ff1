"""MI-GAN's own parts: resolutions, the training form, checkpoints that do not fit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.migan import activate
from tests.parity import recipe

BRANCHES = 3


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return recipe.official_tensors("migan", "manifest.json")


@pytest.mark.parametrize("resolution", [4, 96, 0])
def test_resolution_must_be_a_power_of_two(resolution: int) -> None:
    with pytest.raises(OptionError, match="power of two"):
        _registry.create("migan", resolution=resolution)


def test_the_resolution_is_the_only_size() -> None:
    network = _registry.create("migan", resolution=32, channel_base=256, channel_max=16)
    assert (network.native_resolution, network.any_size) == (32, False)


def test_activation_follows_its_formula() -> None:
    x = torch.tensor([-1e6, -1.0, 0.0, 2.0, 1e6])
    expected = torch.tensor([-256.0, -0.2 * math.sqrt(2), 0.0, 2 * math.sqrt(2), 256.0])
    torch.testing.assert_close(activate(x), expected)


def test_a_training_checkpoint_gives_the_network_it_is_fused_to(
    published: dict[str, Tensor],
) -> None:
    plain, expanded = as_trained(published)
    ours = _registry.from_official("migan", expanded).state_dict()
    expected = _registry.from_official("migan", plain).state_dict()
    assert ours.keys() == expected.keys()
    for key, tensor in ours.items():
        torch.testing.assert_close(tensor, expected[key])


def test_checkpoints_that_do_not_fit_are_refused_by_key(published: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="MIGAN"):
        _registry.from_official("migan", {})
    missing = "synthesis.b64.conv1.noise_const"
    with pytest.raises(CheckpointError, match=r"missing decoder\.4\.enter\.noise"):
        _registry.from_official("migan", {k: v for k, v in published.items() if k != missing})
    with pytest.raises(CheckpointError, match="mapping"):
        _registry.from_official("migan", {**published, "mapping.fc0.weight": torch.zeros(1)})


def as_trained(published: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of unit filters in the inference form, and a training form that amounts to them."""
    plain, expanded = dict(published), {}
    for key, tensor in published.items():
        if key.endswith(("filter.weight", "filter_const")):
            continue
        if not key.endswith(".weight"):
            expanded[key.replace(".noise_", ".conv2.noise_")] = tensor
            continue
        plain[key] = tensor / tensor.flatten(1).norm(dim=1)[:, None, None, None]
        if key.endswith("fromrgb.weight"):
            expanded[key] = tensor
        else:
            expanded |= branches(key, tensor)
    return plain, expanded


def branches(key: str, tensor: Tensor) -> dict[str, Tensor]:
    """Branches of which each differs, and whose sum points along ``tensor``."""
    shift = torch.linspace(-1, 1, BRANCHES)
    stem = key.removesuffix(".weight")
    return {f"{stem}.w{i}": tensor * (1 + shift[i]) for i in range(BRANCHES)}
