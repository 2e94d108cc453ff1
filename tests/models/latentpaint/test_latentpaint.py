"""LatentPaint: the properties that follow from its definition, as nothing official can be run.

Networks here are untrained, and narrow; what is tested holds for every weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import facemask_inpaint as fmi
from facemask_inpaint.errors import CheckpointError, OptionError, UnknownNameError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.latentpaint import BLOCKS, KnownPyramid, LatentPaint
from tests.models.small_latentpaint import (
    GRID,
    SIDE,
    known_cells,
    last_state,
    latents_of,
    made,
    plain_ddim,
)
from tests.parity import recipe

# Fusion


@torch.no_grad()
@pytest.mark.parametrize("feature_mask", ["soft", "hard"])
def test_where_nothing_is_known_it_is_the_base_models_own_run(
    network: LatentPaint, feature_mask: Any
) -> None:
    network.feature_mask, latents = feature_mask, latents_of(network)
    everything = torch.ones(1, 1, SIDE, SIDE)
    ours = last_state(network, torch.randn(1, 3, GRID, GRID), everything, latents)
    torch.testing.assert_close(ours, plain_ddim(network, latents["start"]), atol=1e-5, rtol=1e-5)


def test_where_all_is_known_the_latents_are_those_of_the_picture(
    network: LatentPaint, picture: Tensor
) -> None:
    known = network.encode(picture)
    nothing = torch.zeros(1, 1, SIDE, SIDE)
    ours = last_state(network, known, nothing, latents_of(network))
    torch.testing.assert_close(ours, known, atol=1e-5, rtol=0)
    assert torch.equal(network.encode_known(picture, nothing), known)


def test_known_pixels_come_back_exactly(network: LatentPaint, monkeypatch: Any) -> None:
    monkeypatch.setattr(network, "native_resolution", SIDE)
    image = np.random.RandomState(0).randint(0, 256, (77, 50, 3), np.uint8)
    mask = np.zeros((77, 50), bool)
    mask[30:50, 10:41] = True
    for strategy in ("pad", "resize"):
        filled = fmi.Inpainter(network)(image, mask, strategy=strategy)
        assert filled.shape == image.shape
        assert np.array_equal(filled[~mask], image[~mask])
        assert not np.array_equal(filled[mask], image[mask])


@torch.no_grad()
@pytest.mark.parametrize("renoise", [False, True])
def test_every_step_starts_from_the_known_latents_at_its_noise_level(
    renoise: bool, hole: Tensor
) -> None:
    network = made(renoise=renoise)
    inputs: list[Tensor] = []
    hook = network.unet.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    known, latents = torch.randn(1, 3, GRID, GRID), latents_of(network)
    last = last_state(network, known, hole, latents)
    hook.remove()
    schedule, cells = network.schedule(), known_cells(hole)
    assert len(inputs) == network.steps
    for index, (both, time) in enumerate(zip(inputs, schedule.timesteps)):
        share = schedule.alphas_cumprod[time]
        noise = latents["known"][:, index] if renoise else latents["known"]
        seen, x = both.chunk(2)
        torch.testing.assert_close(seen, share.sqrt() * known + (1 - share).sqrt() * noise)
        assert torch.equal(x[cells], seen[cells])
        assert not (x == seen)[~cells].any()
    assert torch.equal(last[cells], known[cells])


def test_hidden_pixels_have_no_influence_on_the_condition(
    network: LatentPaint, picture: Tensor, hole: Tensor
) -> None:
    known = network.encode_known(picture, hole)
    other = network.encode_known(torch.where(hole > 0, 7.0, picture), hole)
    assert torch.equal(known, other)


@torch.no_grad()
def test_without_fused_blocks_it_is_blended_latent_diffusion(hole: Tensor) -> None:
    network = made(fused=())
    known, latents = torch.randn(1, 3, GRID, GRID), latents_of(network)
    schedule, cells, x = network.schedule(), known_cells(hole), latents["start"]
    for time in schedule.timesteps:
        share = schedule.alphas_cumprod[time]
        noised = share.sqrt() * known + (1 - share).sqrt() * latents["known"]
        x = torch.where(cells, noised, x)
        x = schedule.step(x, network.epsilon(x, time), time, None)
    x = torch.where(cells, known, x)
    torch.testing.assert_close(last_state(network, known, hole, latents), x)


@torch.no_grad()
def test_equal_branches_change_nothing(network: LatentPaint, hole: Tensor) -> None:
    x = torch.randn(1, 3, GRID, GRID)
    fused = network.fused_epsilon(x, x, 401, hole)
    torch.testing.assert_close(fused, network.epsilon(x, 401), atol=1e-5, rtol=0)


@torch.no_grad()
def test_fused_features_of_known_cells_do_not_see_the_hole(hole: Tensor) -> None:
    network = made(propagation=False, feature_mask="hard")
    seen = torch.randn(1, 3, GRID, GRID)
    cells = known_cells(hole)
    states = [torch.where(cells, seen, torch.randn(1, 3, GRID, GRID)) for _ in range(2)]
    first, other = (features_after_fusion(network, x, seen, hole) for x in states)
    keep = KnownPyramid(1 - hole, "hard")
    for name, ours, theirs in zip(BLOCKS, first, other):
        condition, mine = ours.chunk(2)
        locked = (keep.like(mine) == 1).expand_as(mine)
        assert torch.equal(mine[locked], condition[locked]), name
        assert torch.equal(mine[locked], theirs.chunk(2)[1][locked]), name
        if locked.any() and not locked.all():
            assert not torch.equal(mine[~locked], theirs.chunk(2)[1][~locked]), name
    assert any((keep.like(one) == 1).any() for one in first)


def features_after_fusion(
    network: LatentPaint, x: Tensor, seen: Tensor, hole: Tensor
) -> list[Tensor]:
    """What every block hands on, known part and state."""
    found: list[Tensor] = []
    with network._fusing(1 - hole):
        handles = [
            block.register_forward_hook(
                lambda _, inputs, out: found.append(out if isinstance(out, Tensor) else out[0])
            )
            for block in network.blocks().values()
        ]
        network.epsilon(torch.cat([seen, x]), torch.tensor([401, 401]))
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def test_what_is_handed_over_to_the_way_up_is_fused_too(hole: Tensor) -> None:
    network = made(propagation=False, feature_mask="hard")
    handed: list[Tensor] = []
    with network._fusing(1 - hole):
        hook = network.blocks()["down0"].register_forward_hook(
            lambda _, inputs, out: handed.extend(out[1])
        )
        network.epsilon(torch.randn(2, 3, GRID, GRID), torch.tensor([401, 401]))
        hook.remove()
    assert len(handed) == 3
    for one in handed:
        seen, own = one.chunk(2)
        locked = (KnownPyramid(1 - hole, "hard").like(own) == 1).expand_as(own)
        assert locked.any()
        assert torch.equal(seen[locked], own[locked])


@torch.no_grad()
def test_fusion_matters_and_leaves_no_hooks(network: LatentPaint, hole: Tensor) -> None:
    seen = torch.randn(1, 3, GRID, GRID)
    x = torch.where(known_cells(hole), seen, torch.randn(1, 3, GRID, GRID))
    plain = network.epsilon(x, 401)
    assert not torch.allclose(network.fused_epsilon(x, seen, 401, hole), plain)
    assert not any(block._forward_hooks for block in network.blocks().values())
    assert torch.equal(network.epsilon(x, 401), plain)


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (16, 16), (8, 4), (2, 2), (5, 3)])
def test_reduced_masks_stay_in_range_and_keep_the_mean(size: tuple[int, int]) -> None:
    keep = (torch.rand(2, 1, SIDE, SIDE) < 0.5).float()
    soft = KnownPyramid(keep, "soft").like(torch.zeros(2, 7, *size))
    assert soft.shape == (2, 1, *size)
    assert soft.min() >= 0
    assert soft.max() <= 1
    if size == (SIDE, SIDE):
        assert torch.equal(soft, keep)
    if not any(SIDE % side for side in size):
        torch.testing.assert_close(soft.mean((1, 2, 3)), keep.mean((1, 2, 3)))
    hard = KnownPyramid(keep, "hard").like(torch.zeros(2, 7, *size))
    assert torch.equal(hard, (soft > 1 - 1e-6).float())


# Runs


@pytest.mark.parametrize("renoise", [False, True])
def test_same_seed_same_picture_in_a_batch_of_one_and_of_eight(renoise: bool) -> None:
    network = made(renoise=renoise)
    images, masks = torch.rand(8, 3, SIDE, SIDE) * 2 - 1, torch.zeros(8, 1, SIDE, SIDE)
    for i in range(8):
        masks[i, :, 8 : 24 + 2 * i, 20:50] = 1
    together = network(
        images, masks, generator=[torch.Generator().manual_seed(i) for i in range(8)]
    )
    for i in (0, 6):
        alone = network(
            images[i : i + 1], masks[i : i + 1], generator=[torch.Generator().manual_seed(i)]
        )
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-5, rtol=1e-5)


def test_the_known_parts_noise_is_one_draw_or_one_for_each_step(network: LatentPaint) -> None:
    grid = (3, GRID, GRID)
    assert network.latent_spec(2, SIDE, SIDE) == {"start": (2, *grid), "known": (2, *grid)}
    spec = made(renoise=True, eta=1.0).latent_spec(2, SIDE, SIDE)
    assert spec["known"] == spec["posterior"] == (2, 3, *grid)


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_a_perfect_denoiser_fills_the_hole_exactly(steps: int, hole: Tensor) -> None:
    network = made(fused=(), steps=steps).double()
    centre, known = torch.randn(2, 1, 3, GRID, GRID, dtype=torch.float64)
    shares = network.schedule().alphas_cumprod.double()

    class PointMass(nn.Module):
        def forward(self, x: Tensor, time: int) -> Tensor:
            return (x - shares[time].sqrt() * centre) / (1 - shares[time]).sqrt()

    network.unet = PointMass()
    latents = {name: draw.double() for name, draw in latents_of(network).items()}
    last = last_state(network, known, hole.double(), latents)
    expected = torch.where(known_cells(hole), known, centre)
    torch.testing.assert_close(last, expected, atol=1e-4, rtol=0)


def test_a_run_can_be_watched_and_cancelled(
    network: LatentPaint, picture: Tensor, hole: Tensor
) -> None:
    reports: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        reports.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    network.on_step = watch
    with pytest.raises(KeyboardInterrupt):
        network(picture, hole)
    network.on_step = None
    assert reports == [(1, 3), (2, 3)]
    assert not any(block._forward_hooks for block in network.blocks().values())


# Files and options


def test_it_loads_the_face_models_checkpoint_and_needs_no_propagation() -> None:
    tensors = recipe.official_tensors("ldm", "manifest.celeba256.small.json")
    network, base = (_registry.from_official(name, tensors) for name in ("latentpaint", "ldm"))
    assert network.options == {"width": 32, "autoencoder_width": 32, "codes": 512}
    ours, theirs = network.state_dict(), base.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_conditioned_model_is_refused() -> None:
    shapes = recipe.official_shapes("ldm", "manifest.json")
    tensors = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    with pytest.raises(CheckpointError, match="whole images"):
        _registry.from_official("latentpaint", tensors)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown block 'middel': did you mean 'middle'"):
        made(fused=("down0", "middel"))
    with pytest.raises(OptionError, match="feature_mask is one of soft, hard, not 'softer'"):
        made(feature_mask="softer")
