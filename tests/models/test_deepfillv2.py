"""DeepFill v2's own parts: attention by its definition, the three behaviours, two key layouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, OptionError
from facemask_inpaint.models import InpaintingNetwork, _registry
from facemask_inpaint.models.layers import contextual_attention
from facemask_inpaint.models.layers.contextual_attention import ContextualAttention, nearest
from tests.models.reduced import build
from tests.parity import adapters, recipe

H, W = 3, 5
"""Attention grid of the tests below; neither square nor even."""


@pytest.fixture(scope="module")
def features() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 2 * H, 2 * W, dtype=torch.float64, generator=generator)


@pytest.fixture(scope="module")
def usable() -> Tensor:
    cells = torch.ones(2, 1, H, W, dtype=torch.bool)
    cells[0, :, 1:, 1:3] = False
    cells[1, :, 0] = False
    return cells


def by_definition(x: np.ndarray, usable: np.ndarray, *, fuse: bool, rows: list[int]) -> np.ndarray:
    """Attention of one sample with every score, neighbour and patch spelled out."""
    columns = [0, 2, 5, 7, 9] if rows[-1] == 5 else [0, 2, 4, 6, 8]
    small = np.pad(x[:, rows][:, :, columns], ((0, 0), (1, 1), (1, 1)))
    cells = [(y, x) for y in range(H) for x in range(W)]
    around = [small[:, y : y + 3, x : x + 3] for y, x in cells]
    scores = {
        (b, f): float((patch * place).sum() / max(np.linalg.norm(patch), 1e-4))
        for b, patch in zip(cells, around)
        for f, place in zip(cells, around)
    }
    if fuse:
        scores = diagonals(scores, cells)
        scores = diagonals(scores, sorted(cells, key=lambda cell: cell[::-1]))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    total = np.zeros_like(padded)
    for f in cells:
        logits = np.array([10 * scores[b, f] * usable[b] for b in cells])
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        for (y, x_), weight in zip(cells, weights):
            patch = padded[:, 2 * y : 2 * y + 4, 2 * x_ : 2 * x_ + 4] * weight * usable[y, x_]
            total[:, 2 * f[0] : 2 * f[0] + 4, 2 * f[1] : 2 * f[1] + 4] += patch
    return total[:, 1:-1, 1:-1] / 4


def diagonals(scores: dict, order: list[tuple[int, int]]) -> dict:
    """Sums over the predecessors and successors of both cells in the order given."""
    count = range(len(order))
    return {
        (order[b], order[f]): sum(
            scores[order[b + step], order[f + step]]
            for step in (-1, 0, 1)
            if b + step in count and f + step in count
        )
        for b in count
        for f in count
    }


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize(("sampling", "rows"), [("corners", [0, 3, 5]), ("floor", [0, 2, 4])])
def test_attention_follows_its_definition_for_each_sample(
    features: Tensor, usable: Tensor, fuse: bool, sampling: str, rows: list[int]
) -> None:
    ours = ContextualAttention(sampling=sampling, fuse=fuse)(features, usable)
    for x, mask, answer in zip(features.numpy(), usable.numpy(), ours.numpy()):
        expected = by_definition(x, mask[0], fuse=fuse, rows=rows)
        np.testing.assert_allclose(answer, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("budget", [1, 2 * H * W * 4, 2 * H * W * 7])
def test_working_in_turns_changes_nothing(
    features: Tensor, usable: Tensor, fuse: bool, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = ContextualAttention(sampling="corners", fuse=fuse)
    at_once = attention(features, usable)
    monkeypatch.setattr(contextual_attention, "SCORE_BUDGET", budget)
    torch.testing.assert_close(attention(features, usable), at_once)


def test_attention_without_usable_cells_is_zero(features: Tensor) -> None:
    nothing = torch.zeros(2, 1, H, W, dtype=torch.bool)
    nothing[1] = True
    answer = ContextualAttention(sampling="floor", fuse=True)(features, nothing)
    assert not answer[0].any()
    assert answer[1].abs().max() > 0.1


def test_attention_stays_in_float32_in_half_networks(features: Tensor, usable: Tensor) -> None:
    x = features.to(torch.bfloat16)
    attention = ContextualAttention(sampling="corners", fuse=True)
    with torch.autocast("cpu", torch.bfloat16):
        answer = attention(x, usable)
    assert answer.dtype == torch.bfloat16
    assert torch.equal(answer, attention(x.float(), usable).to(torch.bfloat16))


def test_nearest_sampling_with_corners_aligned_or_not() -> None:
    x = torch.arange(16.0).expand(1, 1, 8, 16)
    assert nearest(x, 4, "floor")[0, 0].tolist() == [[0, 4, 8, 12]] * 2
    assert nearest(x, 4, "corners")[0, 0].tolist() == [[0, 5, 10, 15]] * 2
    assert nearest(x, 8, "corners")[0, 0].tolist() == [[0, 15]]


def test_shrinking_in_two_steps_meets_other_pixels_than_in_one() -> None:
    x = torch.arange(256.0).expand(1, 1, 256, 256)
    one, two = nearest(x, 8, "corners"), nearest(nearest(x, 4, "corners"), 2, "corners")
    assert torch.equal(nearest(x, 8, "floor"), nearest(nearest(x, 4, "floor"), 2, "floor"))
    assert (one - two).abs().max() == 2


def test_no_switch_alone_turns_the_port_into_the_authors_network() -> None:
    adapter = adapters.adapter("deepfillv2")
    archive = recipe.DATA / "deepfillv2" / "cases.official_tf.npz"
    case = adapter.cases(archive, "")[0]
    network = adapter.build(case)
    for fuse, mask_steps in ((True, 1), (False, 2)):
        network.attention.fuse, network.mask_steps = fuse, mask_steps
        with torch.inference_mode():
            (raw, *_) = adapter.answers(network, case)
        assert raw.difference > 0.1


def test_blue_first_is_the_same_network_on_swapped_colours() -> None:
    network = build("deepfillv2")
    image = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(1, 1, 32, 40)
    mask[..., 8:20, 4:30] = 1
    with torch.inference_mode():
        expected = network(image.flip(1), mask).flip(1)
        network.bgr = True
        assert torch.equal(network(image, mask), expected)
        assert not torch.allclose(network(image.flip(1), mask), expected)


def test_smallest_picture_and_whole_hole_are_answered() -> None:
    answer = build("deepfillv2")(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize(
    "options",
    [{"padding": "reflect"}, {"sampling": "ceil"}, {"mask_steps": 3}, {"width": 5}, {"width": 0}],
)
def test_unknown_options_are_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=name):
        _registry.create("deepfillv2", **options)


@pytest.mark.parametrize(
    ("manifest", "padding", "sampling"),
    [("manifest.json", "same", "corners"), ("manifest.pt.json", "symmetric", "floor")],
)
def test_layout_is_read_off_the_keys(manifest: str, padding: str, sampling: str) -> None:
    network = from_shapes(official(manifest))
    assert network.options == {"width": 24, "padding": padding, "sampling": sampling}
    assert sum(p.numel() for p in network.parameters()) == 4_052_478


def test_the_fusion_constant_may_be_missing() -> None:
    tensors = official("manifest.pt.json")
    del tensors["stage2.contextual_attention.fuse_weight"]
    assert from_shapes(tensors).options["padding"] == "symmetric"


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    with pytest.raises(CheckpointError, match=r"conv2_downsample\.conv\.weight"):
        _registry.from_official("deepfillv2", {})
    tensors = official("manifest.json")
    with pytest.raises(CheckpointError, match=r"discriminator\.w"):
        from_shapes({**tensors, "discriminator.w": torch.zeros(1)})
    del tensors["pmconv10.conv.weight"]
    with pytest.raises(CheckpointError, match=r"pmconv10\.conv\.weight"):
        from_shapes(tensors)


def official(manifest: str) -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("deepfillv2", manifest)
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def from_shapes(tensors: dict[str, Tensor]) -> InpaintingNetwork:
    return _registry.from_official("deepfillv2", tensors)
