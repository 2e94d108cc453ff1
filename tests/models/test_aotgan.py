"""AOT-GAN's own parts: the gates' normalisation, sizes, wrapped and unfit checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError, SizeError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.aotgan import AOTGAN, GateNorm
from tests.models.reduced import build
from tests.parity import recipe


def test_gate_normalisation_follows_its_formula() -> None:
    q = torch.randn(2, 3, 5, 7, dtype=torch.float64) * 4 + 2
    mean = q.numpy().mean(axis=(2, 3), keepdims=True)
    deviation = q.numpy().std(axis=(2, 3), keepdims=True, ddof=1)
    expected = 10 * (q.numpy() - mean) / (deviation + 1e-9) - 5
    np.testing.assert_allclose(GateNorm()(q).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gate_normalisation_survives_flat_channels(dtype: torch.dtype) -> None:
    out = GateNorm()(torch.full((1, 2, 4, 4), 0.75, dtype=dtype))
    assert out.dtype == dtype
    assert torch.equal(out, torch.full_like(out, -5))


def test_the_largest_dilation_sets_the_smallest_side() -> None:
    network = build("aotgan")
    assert network(torch.zeros(1, 3, 36, 40), torch.ones(1, 1, 36, 40)).shape == (1, 3, 36, 40)
    with pytest.raises(SizeError, match="at least 36, got 32x64"):
        network(torch.zeros(1, 3, 32, 64), torch.ones(1, 1, 32, 64))
    with pytest.raises(SizeError, match="multiples of 4"):
        network(torch.zeros(1, 3, 38, 64), torch.ones(1, 1, 38, 64))
    nearer = _registry.create("aotgan", width=8, blocks=1, dilations=[1, 2])
    assert nearer(torch.zeros(1, 3, 12, 12), torch.ones(1, 1, 12, 12)).shape == (1, 3, 12, 12)


def test_training_starts_from_small_weights_and_no_bias() -> None:
    parameters = dict(_registry.create("aotgan", width=16, blocks=2).named_parameters())
    weights = torch.cat([p.flatten() for name, p in parameters.items() if name.endswith("weight")])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(p.any() for name, p in parameters.items() if name.endswith("bias"))


@pytest.mark.parametrize("wrapper", ["", "module.", "model.generator."])
def test_files_load_whatever_wrapper_wrote_their_keys(wrapper: str, tmp_path: Path) -> None:
    tensors = narrow_tensors()
    torch.save({wrapper + key: tensor for key, tensor in tensors.items()}, tmp_path / "model.bin")
    read = checkpoints.read(tmp_path / "model.bin", "torch").tensors
    network = _registry.from_official("aotgan", read)
    assert network.options == {"width": 8, "blocks": 8}
    expected = AOTGAN.translate_official(tensors)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


def test_the_published_size_is_read_off_the_keys() -> None:
    shapes = recipe.official_shapes("aotgan", "manifest.json")
    tensors = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    network = _registry.from_official("aotgan", tensors)
    assert network.options == {"width": 64, "blocks": 8}
    assert sum(p.numel() for p in network.parameters()) == 15_200_835


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    tensors = narrow_tensors()
    with pytest.raises(CheckpointError, match=r"encoder\.1\.weight"):
        _registry.from_official("aotgan", {})
    with pytest.raises(CheckpointError, match=r"middle\.3\.fuse\.1\.bias"):
        _registry.from_official("aotgan", without(tensors, "middle.3.fuse.1.bias"))
    with pytest.raises(CheckpointError, match=r"middle\.5\.block02\.1\.weight"):
        _registry.from_official("aotgan", without(tensors, "middle.5.block02.1.weight"))
    with pytest.raises(CheckpointError, match="discriminator"):
        _registry.from_official("aotgan", {**tensors, "discriminator.w": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="needed"):
        _registry.from_official("aotgan", tensors, width=16)


def narrow_tensors() -> dict[str, Tensor]:
    """Numbered tensors under the official keys, with an eighth of the official channels."""
    shapes = recipe.official_shapes("aotgan", "manifest.json")
    narrow = {
        key: tuple(size // 8 if size >= 64 else size for size in shape)
        for key, shape in shapes.items()
    }
    return {key: torch.full(shape, float(i)) for i, (key, shape) in enumerate(narrow.items())}


def without(tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != key}
