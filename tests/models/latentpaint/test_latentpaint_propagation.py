"""LatentPaint's propagation: what one vector per block carries into the hole, and its training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models.latentpaint import BLOCKS, LatentPaint, Propagation
from tests.models.small_latentpaint import GRID, known_cells, latents_of, made


@pytest.fixture(scope="module")
def spreading() -> LatentPaint:
    """A network whose propagation has an effect."""
    network = made()
    for module in network.propagation.values():
        module.strength.data.fill_(0.5)
    return network


class OneByOne(nn.Module):
    """A U-Net that mixes no positions: one block, one layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Module()
        self.net.down_blocks = nn.ModuleList([nn.Conv2d(3, channels, 1)])
        self.net.mid_block, self.net.up_blocks = nn.Identity(), nn.ModuleList()
        self.net.leave = nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.net.leave(self.net.mid_block(self.net.down_blocks[0](x)))


@torch.no_grad()
@pytest.mark.parametrize(("strength", "reaches"), [(0.0, False), (0.7, True)])
def test_one_known_cell_reaches_the_whole_hole_by_propagation_only(
    strength: float, reaches: bool, hole: Tensor
) -> None:
    network = made(fused=("down0",))
    network.unet = toy = OneByOne(network.propagation["down0"].transform[0].in_features)
    network.propagation["down0"].strength.fill_(strength)
    x = torch.randn(1, 3, GRID, GRID)
    # Far away, and beyond all others in the direction of the first channel.
    loud = x.clone()
    loud[..., 0, 0] += 50 * toy.net.down_blocks[0].weight[0, :, 0, 0]
    before, after = (network.fused_epsilon(one, one, 401, hole) for one in (x, loud))
    moved = (after - before).abs().amax(1, keepdim=True)[~known_cells(hole)[:, :1]]
    assert bool((moved > 0).all()) is reaches
    assert bool((moved > 0).any()) is reaches


@pytest.mark.parametrize("masked_max", [False, True])
def test_propagation_is_its_formula(masked_max: bool) -> None:
    module = Propagation(4, masked_max).double()
    module.strength.data.fill_(-0.3)
    features, keep = torch.randn(2, 4, 5, 6).double() - 2, torch.rand(2, 1, 5, 6).double().round()
    keep[1, :, 2:] = 0.5
    keep[0, 0, 0, 0] = keep[1, 0, 0, 0] = 1
    ours = module(features, keep)
    first, second = module.transform[0], module.transform[2]
    for n in range(2):
        whole = keep[n, 0] == 1
        known = features[n][:, whole].amax(1) if masked_max else (features * keep)[n].amax((1, 2))
        hidden = F.relu(known @ first.weight.T + first.bias)
        a, b = (hidden @ second.weight.T + second.bias).chunk(2)
        spread = a[:, None, None] * (1 - keep[n]) + b[:, None, None] * keep[n]
        torch.testing.assert_close(ours[n], features[n] - 0.3 * spread)


def test_where_nothing_is_known_propagation_stays_finite() -> None:
    module = Propagation(4, masked_max=True)
    module.strength.data.fill_(1)
    assert torch.isfinite(module(torch.randn(1, 4, 3, 3), torch.zeros(1, 1, 3, 3))).all()


def test_an_untrained_propagation_changes_nothing(picture: Tensor, hole: Tensor) -> None:
    bare, equipped = made(propagation=False), made(propagation=True)
    missing, unexpected = equipped.load_state_dict(bare.state_dict(), strict=False)
    assert unexpected == []
    assert {key.split(".")[0] for key in missing} == {"propagation"}
    assert len(equipped.propagation) == len(BLOCKS)
    latents = latents_of(bare)
    assert torch.equal(
        bare(picture, hole, latents=latents), equipped(picture, hole, latents=latents)
    )


def test_a_trained_propagation_changes_the_hole(
    spreading: LatentPaint, network: LatentPaint, picture: Tensor, hole: Tensor
) -> None:
    latents = latents_of(network)
    ours, plain = (one(picture, hole, latents=latents) for one in (spreading, network))
    assert ((ours - plain).abs() * hole).max() > 1e-3


@pytest.mark.parametrize("fused", [BLOCKS, ("down1", "middle", "up3")])
def test_only_the_propagation_is_trained(
    fused: tuple[str, ...], picture: Tensor, hole: Tensor
) -> None:
    network = made(fused=fused).train()
    pictures, holes = torch.cat([picture, -picture]), torch.cat([hole, hole.flip(2)])
    noise = torch.randn(2, 3, GRID, GRID)
    for module in network.propagation.values():
        module.strength.data.fill_(0.1)
    loss = network.denoising_loss(pictures, holes, torch.tensor([3, 700]), noise)
    loss.backward()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in network.named_parameters() if "propagation" in name}
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert gradients.keys() == trained
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients.values())


def test_training_lowers_the_loss(picture: Tensor, hole: Tensor) -> None:
    network = made(fused=("up3",))
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-2)
    noise, time = torch.randn(1, 3, GRID, GRID), torch.tensor([300])
    losses = []
    for _ in range(6):
        loss = network.denoising_loss(picture, hole, time, noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.99 * losses[0]


def test_there_is_nothing_to_train_without_it(
    network: LatentPaint, picture: Tensor, hole: Tensor
) -> None:
    with pytest.raises(OptionError, match="propagation=True"):
        network.denoising_loss(picture, hole, torch.tensor([5]), torch.zeros(1, 3, GRID, GRID))
