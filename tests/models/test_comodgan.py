"""Co-Mod-GAN's own parts: three key layouts of one network, its options, the 1024 network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError, OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.comodgan import CoModGAN, official
from facemask_inpaint.models.layers.stylegan2 import StyledConv
from tests.models import comodgan_layouts as layouts
from tests.parity import recipe

TINY = Path(__file__).parents[1] / "checkpoints" / "tiny_tf.pkl"
SMALL = {
    "resolution": 16,
    "channel_base": 128,
    "channel_max": 8,
    "latent_dim": 8,
    "code_dim": 12,
}

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def tensorflow() -> Tensors:
    """All variables of a small network in the original's container."""
    return dict(checkpoints.read(TINY).tensors)


@pytest.fixture(scope="module")
def teacher(tensorflow: Tensors) -> Tensors:
    """The same under the keys of the MI-GAN authors' teacher, by the manifest's rules."""
    return layouts.teacher(tensorflow, side=32) | {
        "synthesis.b8.conv0.resample_filter": torch.zeros(4, 4)
    }


@pytest.fixture(scope="module")
def conversion(tensorflow: Tensors) -> Tensors:
    """The same under the keys of the PyTorch conversion, by the manifest's rules."""
    return layouts.conversion(tensorflow, side=32) | {
        "G_synthesis.G_8x8.ToRGB.upsample.kernel": torch.zeros(4, 4)
    }


@pytest.fixture(scope="module")
def golden() -> Tensors:
    """Input and answers of the original's own functions."""
    with np.load(recipe.DATA / "comodgan" / "tiny_tf.npz") as archive:
        return {name: torch.tensor(archive[name]) for name in archive.files}


@torch.inference_mode()
def composited(network: CoModGAN, golden: Tensors, **draws: Tensor) -> Tensor:
    image = golden["image"].permute(2, 0, 1)[None] * (2 / 255) - 1
    mask = golden["mask"][None, None] / 255
    out = network(image, mask, latents={"z": golden["z"], **draws})
    return (out * mask + image * (1 - mask))[0]


def loaded(tensors: Tensors, **options: object) -> CoModGAN:
    network = _registry.from_official("comodgan", tensors, **options)
    assert isinstance(network, CoModGAN)
    return network


def test_the_original_is_answered_alike(tensorflow: Tensors, golden: Tensors) -> None:
    network = loaded(tensorflow)
    torch.testing.assert_close(composited(network, golden), golden["out"], atol=1e-5, rtol=0)
    network.truncation = 0.5
    truncated = composited(network, golden)
    torch.testing.assert_close(truncated, golden["out_psi05"], atol=1e-5, rtol=0)
    network.truncation, network.code_dropout = 1.0, True
    dropped = composited(network, golden, dropout_keep=golden["dropout_keep"].float())
    torch.testing.assert_close(dropped, golden["out_dropout"], atol=1e-5, rtol=0)
    assert (dropped - golden["out"]).abs().max() > 1e-3


def test_sizes_are_read_off_the_tensors(
    tensorflow: Tensors, teacher: Tensors, conversion: Tensors
) -> None:
    sizes = {
        "resolution": 32,
        "channel_base": 256,
        "channel_max": 16,
        "latent_dim": 32,
        "code_dim": 32,
    }
    assert official.options(tensorflow) == {**sizes, "activation_clamp": None}
    assert official.options(conversion) == {**sizes, "activation_clamp": None}
    assert official.options(teacher) == {**sizes, "activation_clamp": 256.0}


def test_teacher_keys_mean_the_same_network(tensorflow: Tensors, teacher: Tensors) -> None:
    expected, ours = loaded(tensorflow).state_dict(), loaded(teacher).state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in ours)


def test_conversion_keys_mean_the_same_network_but_for_what_it_lost(
    tensorflow: Tensors, conversion: Tensors, golden: Tensors
) -> None:
    network, expected = loaded(conversion), loaded(tensorflow).state_dict()
    ours = network.state_dict()
    assert ours.keys() == expected.keys()
    lost = {key for key in ours if key.endswith(("w_avg", "noise_const"))}
    assert len(lost) == 8
    assert all(torch.equal(ours[key], expected[key]) for key in ours.keys() - lost)
    again = official.translate(conversion)
    assert all(torch.equal(ours[key], again[key]) for key in lost)
    w = network.mapping(torch.randn(8192, 32, generator=torch.Generator().manual_seed(1)))
    error = (network.mapping.w_avg - w.mean(0)).abs() / w.std(0)
    assert error.max() < 5 * (1 / 4096 + 1 / 8192) ** 0.5


def test_the_innermost_addition_can_be_left_out(tensorflow: Tensors, golden: Tensors) -> None:
    network = loaded(tensorflow, skip_innermost=False)
    assert (composited(network, golden) - golden["out"]).abs().max() > 1e-3
    network.skip_innermost = True
    torch.testing.assert_close(composited(network, golden), golden["out"], atol=1e-5, rtol=0)


def test_checkpoints_that_do_not_fit_are_refused_by_key(
    tensorflow: Tensors, teacher: Tensors
) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint of CoModGAN"):
        loaded({"generator.weight": torch.zeros(1)})
    key = "synthesis.b8.torgb.affine.bias"
    with pytest.raises(CheckpointError, match=r"missing decoder\.blocks\.0\.to_rgb\.affine\.bias"):
        loaded({k: v for k, v in teacher.items() if k != key})
    with pytest.raises(CheckpointError, match="embed"):
        loaded({**teacher, "mapping.embed.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="LabelConcat"):
        loaded({**tensorflow, "G_synthesis/G_4x4/LabelConcat/weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="'progress' has no place"):
        loaded({**tensorflow, "progress": torch.zeros(1)})
    seven = {**tensorflow, "G_synthesis/E_32x32/FromRGB/weight": torch.zeros(1, 1, 7, 8)}
    with pytest.raises(CheckpointError, match=r"encoder\.enter\.weight is \(8, 7, 1, 1\)"):
        loaded(seven)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("resolution", 4, "at least 8"),
        ("resolution", 96, "power of two"),
        ("noise_mode", "fixed", "noise_mode is one of"),
    ],
)
def test_impossible_options_are_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _registry.create("comodgan", **{option: value})


def test_draws_follow_the_options() -> None:
    network = _registry.create("comodgan", **SMALL, code_dropout=True, noise_mode="random")
    assert isinstance(network, CoModGAN)
    noise = [f"noise_{i}" for i in range(5)]
    spec = network.latent_spec(2, 16, 16)
    assert list(spec) == ["z", "dropout_keep", *noise]
    assert (spec["z"], spec["dropout_keep"]) == ((2, 8), (2, 12))
    assert [spec[name][-1] for name in noise] == [4, 8, 8, 16, 16]
    network.noise_mode, network.code_dropout = "const", False
    assert network.latent_spec(2, 16, 16) == {"z": (2, 8)}
    drawn = network.draw("dropout_keep", (1, 4096), torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)


def test_the_clamp_reaches_every_activation() -> None:
    network = _registry.create("comodgan", **SMALL, activation_clamp=0.25)
    clamps = [
        module.clamp
        for module in network.modules()
        if isinstance(module, StyledConv) or getattr(module, "activate", False)
    ]
    assert len(clamps) == 8 + 7 + 1 + 5
    assert set(clamps) == {0.25}


def test_the_1024_network_takes_the_original_tensors() -> None:
    shapes = recipe.official_shapes("comodgan", "manifest.tf.1024.json")
    with torch.device("meta"):
        tensors = {key: torch.empty(shape) for key, shape in shapes.items()}
        network = CoModGAN(**official.options(tensors))
        state = official.translate(tensors)
    own = network.state_dict()
    assert network.native_resolution == 1024
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in state.items()}
    assert sum(p.numel() for p in network.parameters()) == 80_044_364


@pytest.mark.parametrize(
    "options",
    [
        {"channel_base": 8192, "channel_max": 8},
        pytest.param({}, marks=pytest.mark.slow, id="full width"),
    ],
)
def test_the_1024_network_runs(options: dict[str, int]) -> None:
    network = _registry.create("comodgan", resolution=1024, **options)
    image, mask = torch.zeros(1, 3, 1024, 1024), torch.zeros(1, 1, 1024, 1024)
    mask[..., 300:700, 300:700] = 1
    with torch.inference_mode():
        out = network(image, mask, generator=torch.Generator().manual_seed(0))
    assert out.shape == image.shape
    assert torch.isfinite(out).all()
    assert out.std() > 0.01
