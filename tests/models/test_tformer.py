"""T-former's own parts: linear attention and its memory, revisions of the block, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from einops import einsum
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, SizeError, WeightsNotFoundError
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.models import _registry
from facemask_inpaint.models.tformer import TransformerBlock, taylor_attention
from tests.models.largest import LargestTensor
from tests.models.reduced import build
from tests.parity import recipe

BLOCKS = [1, 2, 3, 4]


def test_linear_attention_equals_its_definition_over_all_pairs() -> None:
    q, k, v = torch.rand(3, 2, 6, 35, dtype=torch.float64)
    scores = einsum(q, k, "b c i, b c j -> b i j") / 6**0.5
    expected = v + einsum(scores, v, "b i j, b c j -> b c i")
    expected /= 35 + scores.sum(2)[:, None]
    torch.testing.assert_close(taylor_attention(q, k, v), expected)


def test_linear_attention_makes_nothing_larger_than_its_input() -> None:
    q, k, v = (torch.rand(1, 48, 128 * 128) for _ in range(3))
    with torch.inference_mode(), LargestTensor() as largest:
        taylor_attention(q, k, v)
    assert largest.nbytes == q.nbytes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_linear_attention_in_half_precision_bears_more_positions_than_float16_counts(
    dtype: torch.dtype,
) -> None:
    inputs = torch.rand(3, 1, 4, 66_000).to(dtype)
    out = taylor_attention(*inputs)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), taylor_attention(*inputs.float()), rtol=1e-2, atol=1e-6)


def test_autocast_leaves_linear_attention_in_float32() -> None:
    inputs = torch.rand(3, 1, 4, 50)
    with torch.autocast("cpu", torch.bfloat16):
        out = taylor_attention(*inputs)
    assert torch.equal(out, taylor_attention(*inputs))


def test_the_older_block_adds_what_enters_its_feed_forward_once_more() -> None:
    x = torch.randn(1, 8, 6, 6)
    block = TransformerBlock(8, 2, outer_residual=True)
    older = block(x)
    block.outer_residual = False
    torch.testing.assert_close(older - block(x), x + block.attention(x))


def test_sides_are_multiples_of_8_from_16_on() -> None:
    network = build("tformer")
    assert network(torch.zeros(1, 3, 16, 24), torch.ones(1, 1, 16, 24)).shape == (1, 3, 16, 24)
    with pytest.raises(SizeError, match="at least 16, got 8x64"):
        network(torch.zeros(1, 3, 8, 64), torch.ones(1, 1, 8, 64))
    with pytest.raises(SizeError, match="multiples of 8, got 20x64"):
        network(torch.zeros(1, 3, 20, 64), torch.ones(1, 1, 20, 64))


def test_training_starts_from_small_weights_and_no_bias() -> None:
    parameters = dict(_registry.create("tformer", width=16).named_parameters())
    weights = torch.cat([p.flatten() for name, p in parameters.items() if name.endswith("weight")])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(p.any() for name, p in parameters.items() if name.endswith("bias"))


def test_the_published_size_is_read_off_the_keys() -> None:
    tensors = official_tensors()
    never_called = [key for key in tensors if key.startswith("module.trand2562.")]
    network = _registry.from_official("tformer", tensors)
    _registry.from_official("tformer", without(tensors, *never_called))
    assert network.options == {"width": 48, "blocks": BLOCKS}
    assert sum(tensor.numel() for tensor in tensors.values()) == 14_830_917
    assert sum(p.numel() for p in network.parameters()) == 14_830_917 - 37_038


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_files_open_with_and_without_their_wrapper(wrapper: str, tmp_path: Path) -> None:
    reference = _registry.create("tformer", width=4)
    tensors = narrow_tensors()
    torch.save({wrapper + key: t for key, t in tensors.items()}, tmp_path / "latest_net_G.pth")
    network = Inpainter.from_checkpoint(
        tmp_path / "latest_net_G.pth", "tformer", outer_residual=True
    ).network
    assert network.options == {"width": 4, "blocks": BLOCKS, "outer_residual": True}
    assert network.state_dict().keys() == reference.state_dict().keys()
    key = network.encoder[3][2].attention.key
    assert torch.equal(key.weight, tensors["trane32.2.attn.key.2.weight"])


def test_there_are_no_weights_to_fetch() -> None:
    with pytest.raises(WeightsNotFoundError, match="ask the authors"):
        Inpainter.from_pretrained("tformer")


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    tensors = official_tensors()
    with pytest.raises(CheckpointError, match=r"start\.1\.weight"):
        refused({})
    with pytest.raises(CheckpointError, match=r"trane64\.1\.attn\.value\.0\.bias"):
        refused(without(tensors, "module.trane64.1.attn.value.0.bias"))
    with pytest.raises(CheckpointError, match=r"missing fuse\.2\.bias"):
        refused(without(tensors, "module.fuse256.bias"))
    with pytest.raises(CheckpointError, match="netD"):
        refused({**tensors, "module.netD.w": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="needed"):
        _registry.from_official("tformer", tensors, width=24)


def refused(tensors: dict[str, Tensor]) -> None:
    _registry.from_official("tformer", tensors)


def official_tensors() -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("tformer", "manifest.json")
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def narrow_tensors() -> dict[str, Tensor]:
    """Numbered tensors under the official keys without prefix, of a network of width 4."""
    expanded = {2 * int(2.66 * 48 * 2**i): 2 * int(2.66 * 4 * 2**i) for i in range(4)}
    expanded |= {int(2.66 * 48 * 2**i): int(2.66 * 4 * 2**i) for i in range(4)}
    tensors = {}
    for i, (key, shape) in enumerate(recipe.official_shapes("tformer", "manifest.json").items()):
        narrow = [expanded.get(size, size // 12 if size >= 48 else size) for size in shape]
        tensors[key.removeprefix("module.")] = torch.full(narrow, float(i))
    return tensors


def without(tensors: dict[str, Tensor], *keys: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name not in keys}
