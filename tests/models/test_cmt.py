"""CMT's own parts: confidence, bridging, both patch grids, window constants, checkpoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from einops import einsum, rearrange
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.cmt import coarse, windows
from facemask_inpaint.models.cmt.coarse import CoarseStage, MaskedAttention
from facemask_inpaint.models.cmt.refinement import sinusoids
from facemask_inpaint.models.layers.shifted_windows import regions_apart
from tests.models.largest import LargestTensor
from tests.parity import recipe

LITERALS = np.load(recipe.DATA / "cmt" / "literals.npz")


def test_patches_of_both_grids_make_the_picture_again() -> None:
    picture = torch.randn(2, 3, 64, 64)
    patches = coarse.cut(picture)
    assert patches.shape == (2, 16 + 9, 768)
    assert torch.equal(coarse.assemble(patches[:, :16]), picture)
    assert torch.equal(coarse.assemble(patches[:, 16:]), picture[..., 8:-8, 8:-8])
    # Row, column, channel, the last one fastest: second patch of the first row, pixel (2, 5).
    assert torch.equal(patches[0, 1, (2 * 16 + 5) * 3 :][:3], picture[0, :, 2, 16 + 5])


def test_confidence_starts_from_the_known_pixels_through_absolute_weights() -> None:
    stage, keep = small_stage(), (torch.rand(2, 1, 64, 64, dtype=torch.float64) < 0.5).double()
    known = torch.cat([torch.ones(2, 1, 1024), coarse.cut(keep.expand(-1, 4, -1, -1))], dim=1)
    expected = known.double() @ stage.embed.weight.abs().T
    torch.testing.assert_close(stage._first_confidence(keep), expected)


def test_the_hole_fills_from_its_rim() -> None:
    stage, keep = small_stage(side=8, depth=3), torch.ones(1, 1, 128, 128, dtype=torch.float64)
    keep[..., 16:-16, 16:-16] = 0
    unknown = []
    for layer in stage.layers:
        layer.register_forward_hook(lambda _, given, out: unknown.append((out[1] == 0).any(2)))
    stage(torch.zeros(1, 3, 128, 128, dtype=torch.float64), keep)
    before = (stage._first_confidence(keep) == 0).any(2)
    counts = [int(step.sum()) for step in (before, *unknown)]
    # Of 36 + 25 tokens wholly in the hole each layer reaches one ring further, in both grids.
    assert counts == [36 + 25, 16 + 25, 16 + 9, 4 + 9]
    assert all((later <= earlier).all() for earlier, later in zip([before, *unknown], unknown))


def test_unknown_tokens_borrow_a_quarter_from_each_token_that_touches_them() -> None:
    attention = MaskedAttention(8, 1, 3)
    tokens, known = torch.randn(1, 1 + 9 + 4, 5), torch.rand(1, 1 + 9 + 4, 1) < 0.5
    known[:, 0] = True
    own = tokens * known
    regular, overlapping = own[0, 1:10].view(3, 3, 5), own[0, 10:].view(2, 2, 5)
    expected = own[0].clone()
    for r in range(3):
        for c in range(3):
            near = [(r - 1, c - 1), (r - 1, c), (r, c - 1), (r, c)]
            lent = sum(overlapping[i, j] for i, j in near if 0 <= i < 2 and 0 <= j < 2) / 4
            expected[1 + 3 * r + c] += ~known[0, 1 + 3 * r + c] * lent
    for r in range(2):
        for c in range(2):
            lent = regular[r : r + 2, c : c + 2].sum((0, 1)) / 4
            expected[10 + 2 * r + c] += ~known[0, 10 + 2 * r + c] * lent
    torch.testing.assert_close(attention._bridged(tokens, known)[0], expected)


def test_masked_attention_equals_its_definition() -> None:
    attention = MaskedAttention(24, 2, 3).double()
    x = torch.randn(1, 14, 24, dtype=torch.float64)
    confidence = torch.rand(1, 14, 24, dtype=torch.float64)
    weight = attention.to_qkv.weight
    features = attention.norm(x) @ weight.T
    trust = confidence @ weight.abs().T
    trust = trust / (trust.amax(1, keepdim=True) + 1e-6)
    q, k, v = (heads(part) for part in (features * trust).chunk(3, dim=-1))
    mixing = torch.softmax(einsum(q, k, "n h i c, n h j c -> n h i j") / 8, dim=-1)
    mixed = rearrange(mixing @ v, "n h t c -> n t (h c)")
    spread = rearrange(mixing @ heads(trust.chunk(3, dim=-1)[2]), "n h t c -> n t (h c)")
    added, after = attention(x, confidence)
    torch.testing.assert_close(added, attention.project(mixed))
    torch.testing.assert_close(after, spread @ attention.project.weight.abs().T)
    assert added.requires_grad
    assert not after.requires_grad


def heads(tokens: Tensor) -> Tensor:
    return rearrange(tokens, "n t (h c) -> n h t c", c=64)


def test_attention_at_256_never_holds_a_weight_per_pair_of_tokens() -> None:
    attention, tokens = MaskedAttention(768, 16, 16), 1 + 256 + 225
    with torch.inference_mode(), LargestTensor() as largest:
        attention(torch.randn(1, tokens, 768), torch.rand(1, tokens, 768))
    # The largest is a copy of a layer's weights.
    assert largest.nbytes == 4 * 3072 * 768 < 4 * 16 * tokens**2


def test_confidence_stays_in_float32_and_finite_in_half_precision() -> None:
    attention = MaskedAttention(768, 16, 3).to(torch.float16)
    x = torch.randn(1, 14, 768, dtype=torch.float16)
    added, after = attention(x, torch.full((1, 14, 768), 1e4))
    assert (added.dtype, after.dtype) == (torch.float16, torch.float32)
    assert torch.isfinite(added).all()
    assert torch.isfinite(after).all()


@pytest.mark.parametrize("window", [2, 4, 8])
def test_offsets_and_pairs_are_those_stored_in_the_checkpoints(window: int) -> None:
    side, tokens = 2 * window - 1, window**2
    table = LITERALS[f"relative_coords_table_1x{side}x{side}x2"].reshape(-1, 2)
    index = LITERALS[f"relative_position_index_{tokens}x{tokens}"]
    np.testing.assert_allclose(windows.log_offsets(window).numpy(), table, atol=1e-7)
    np.testing.assert_array_equal(windows.pair_index(window).numpy(), index)


@pytest.mark.parametrize(("side", "window"), [(4, 2), (8, 4), (16, 4), (32, 4), (64, 4), (256, 8)])
def test_regions_are_those_stored_in_the_checkpoints(side: int, window: int) -> None:
    apart = regions_apart(side, side, window, window // 2)
    count, tokens = (side // window) ** 2, window**2
    stored = LITERALS[f"attn_mask_{count}x{tokens}x{tokens}"]
    np.testing.assert_array_equal(windows.FAR * apart.float().numpy(), stored)


def test_positions_tell_column_then_row() -> None:
    grid = sinusoids(5, 16)
    frequency = math.exp(-2 * math.log(10_000) / 3)
    assert grid[1, 3, 2].item() == pytest.approx(math.sin(4 * frequency), abs=1e-6)
    assert grid[1, 3, 4 + 2].item() == pytest.approx(math.cos(4 * frequency), abs=1e-6)
    assert grid[1, 3, 8].item() == pytest.approx(math.sin(2), abs=1e-6)
    assert grid[1, 3, 8 + 4].item() == pytest.approx(math.cos(2), abs=1e-6)


def test_sizes_that_no_grid_fits_are_refused() -> None:
    with pytest.raises(OptionError, match="resolution must be a multiple of 128, not 192"):
        _registry.create("cmt", resolution=192)
    with pytest.raises(OptionError, match="refine_width must be a multiple of 16, not 8"):
        _registry.create("cmt", refine_width=8)


def test_the_published_size_is_read_off_the_keys() -> None:
    network = _registry.from_official("cmt", official_tensors())
    assert network.options == {
        "resolution": 256,
        "width": 768,
        "depth": 15,
        "heads": 16,
        "hidden": 1024,
        "refine_width": 32,
    }
    assert sum(p.numel() for p in network.parameters()) == 143_104_135
    assert sum(p.numel() for p in network.coarse.parameters()) == 72_613_632


def test_wrappers_and_derived_constants_do_not_matter() -> None:
    tensors = official_tensors()
    derived = [key for key in tensors if key.rpartition(".")[2] in DERIVED]
    assert len(derived) == 71
    _registry.from_official("cmt", {f"module.{key}": t for key, t in tensors.items()})
    _registry.from_official(
        "cmt", {key.replace(".", ".module.", 1): t for key, t in tensors.items()}
    )
    _registry.from_official("cmt", without(tensors, *derived))


DERIVED = ("relative_coords_table", "relative_position_index", "attn_mask", "_float_tensor")


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    tensors = official_tensors()
    with pytest.raises(CheckpointError, match=r"coarse\.pos_embedding"):
        refused({})
    block = "refine.decoder_blocks.2.0.blocks.1"
    with pytest.raises(CheckpointError, match=r"decoder_blocks\.2\.0\.blocks\.1\.attn\.q_bias"):
        refused(without(tensors, f"{block}.attn.q_bias"))
    with pytest.raises(CheckpointError, match=r"missing refinement\.up\.1\.0\.1\.mlp_norm\.bias"):
        refused(without(tensors, f"{block}.norm2.bias"))
    with pytest.raises(CheckpointError, match="discriminator"):
        refused({**tensors, "discriminator.w": torch.zeros(1)})


def small_stage(side: int = 4, depth: int = 1) -> CoarseStage:
    stage = CoarseStage(16 * side, width=16, depth=depth, heads=1, hidden=16)
    return stage.double().eval()


def refused(tensors: dict[str, Tensor]) -> None:
    _registry.from_official("cmt", tensors)


def official_tensors() -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("cmt", "manifest.json")
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def without(tensors: dict[str, Tensor], *keys: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name not in keys}
