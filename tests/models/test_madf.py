"""MADF's own parts: dynamic filtering, stages, memory, checkpoints that do not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, SizeError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.madf import MADF, MaskAwareConv, all_kernels
from tests.models.reduced import build
from tests.parity import recipe

WRAPPER = "module.model."
UNUSED_PARAMETERS = {f"enc_conv_{i}.bn.{name}" for i in range(1, 8) for name in ("weight", "bias")}


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(6, 4, 7), (3, 8, 5), (5, 2, 3)])
def test_filtering_equals_kernels_made_at_every_position(
    inputs: int, outputs: int, side: int
) -> None:
    features, taps = 4, inputs * side * side
    weight = torch.randn(taps * outputs, features, 1, 1, dtype=torch.float64)
    bias = torch.randn(taps * outputs, dtype=torch.float64)
    x = torch.randn(2, inputs, 12, 20, dtype=torch.float64)
    mask = torch.rand(2, features, 6, 10, dtype=torch.float64)
    layer = MaskAwareConv(inputs, outputs, features, side).double()
    layer.load_state_dict({"kernels": all_kernels(weight, bias, outputs=outputs, side=side)})
    expected = filtered_by_position(x, F.conv2d(mask, weight, bias), side)
    torch.testing.assert_close(layer(x, mask), expected)


def filtered_by_position(x: Tensor, kernels: Tensor, side: int) -> Tensor:
    """The definition: each patch times its own kernel, whose output channels vary fastest."""
    patches = F.unfold(x, side, stride=2, padding=side // 2)
    kernels = rearrange(kernels, "n (t o) y x -> n t o (y x)", t=patches.shape[1])
    answer = einsum(patches, kernels, "n t p, n t o p -> n o p")
    return rearrange(answer, "n o (y x) -> n o y x", y=x.shape[2] // 2)


def test_the_last_of_three_stages_is_the_answer() -> None:
    network = build("madf")
    image, hole = torch.rand(1, 3, 128, 256) * 2 - 1, torch.zeros(1, 1, 128, 256)
    hole[..., 30:70, 50:90] = 1
    with torch.inference_mode():
        coarse, refined, final = network.stages(image * (1 - hole), hole)
        assert torch.equal(network(image, hole), final)
    assert coarse.shape == refined.shape == image.shape
    assert not torch.allclose(coarse, refined)
    assert not torch.allclose(refined, final)


def test_sides_must_be_multiples_of_128() -> None:
    with pytest.raises(SizeError, match="multiples of 128, got 128x192"):
        build("madf")(torch.zeros(1, 3, 128, 192), torch.ones(1, 1, 128, 192))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of the peak differs by system")
def test_a_512_picture_takes_less_than_half_the_memory_of_the_kernels() -> None:
    """Made explicitly, the kernels drive the peak to 4.6 GB."""
    probe = """
import resource
import torch
from facemask_inpaint import models

network = models.create("madf")
with torch.inference_mode():
    network(torch.zeros(1, 3, 512, 512), torch.ones(1, 1, 512, 512))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 2.3e9


def test_training_checkpoints_load_with_and_without_their_wrapper() -> None:
    wrapped = official_tensors()
    plain = {key.removeprefix(WRAPPER): tensor for key, tensor in wrapped.items()}
    assert MADF.official_options(plain) == {"width": 64, "mask_features": 16}
    network = _registry.from_official("madf", plain)
    _registry.from_official("madf", wrapped | {"module.extractor.enc_1.0.weight": nothing()})
    unused = sum(t.numel() for k, t in plain.items() if k in UNUSED_PARAMETERS)
    assert sum(p.numel() for p in network.parameters()) == 85_141_214 - unused


def test_batch_norms_of_the_encoder_may_be_there_or_not() -> None:
    tensors = {key.removeprefix(WRAPPER): t for key, t in official_tensors().items()}
    fewer = {key: tensor for key, tensor in tensors.items() if "enc_conv_" not in key}
    assert len(tensors) - len(fewer) == 35
    assert MADF.translate_official(fewer).keys() == MADF.translate_official(tensors).keys()


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    tensors = official_tensors()
    with pytest.raises(CheckpointError, match=r"enc_up_1\.0\.weight"):
        refused({})
    with pytest.raises(CheckpointError, match=r"filter_gen_3\.conv1\.0\.bias"):
        refused(without(tensors, "filter_gen_3.conv1.0.bias"))
    with pytest.raises(CheckpointError, match=r"missing recovery\.steps\.4\.norm\.running_var"):
        refused(without(tensors, "deconv_3.1.running_var"))
    with pytest.raises(CheckpointError, match="discriminator"):
        refused({**tensors, f"{WRAPPER}discriminator.w": nothing()})
    with pytest.raises(CheckpointError, match="kernel generator of 1 channels"):
        refused({**tensors, f"{WRAPPER}filter_gen_1.conv1.0.bias": nothing()})


def refused(tensors: dict[str, Tensor]) -> None:
    _registry.from_official("madf", tensors)


def official_tensors() -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("madf", "manifest.json")
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def without(tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != WRAPPER + key}


def nothing() -> Tensor:
    return torch.zeros(1)
