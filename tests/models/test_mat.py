"""MAT's own parts: masked attention, random draws, the discriminator, official tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.errors import CheckpointError, OptionError, SizeError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.mat import MAT, Discriminator, official
from facemask_inpaint.models.mat.attention import PartialConv2d, WindowAttention, region_bias
from tests.parity import recipe
from tests.parity.cases import Case

SIDE = 128
SMALL: dict[str, Any] = {
    "resolution": SIDE,
    "width": 12,
    "channel_base": 1024,
    "channel_max": 16,
    "latent_dim": 32,
    "noise_mode": "random",
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def network() -> MAT:
    network = _registry.create("mat", **SMALL)
    assert isinstance(network, MAT)
    network.mapping.w_avg.normal_()
    return network


@pytest.fixture(scope="module")
def picture() -> tuple[Tensor, Tensor]:
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) * 2 - 1
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 20:90, 40:100] = 1
    return image, mask


@torch.inference_mode()
def answer(network: MAT, image: Tensor, mask: Tensor, seed: int = 0) -> Tensor:
    return network(image, mask, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("resolution", 64, "at least 128"),
        ("resolution", 384, "power of two"),
        ("width", 100, "multiple of 6"),
        ("noise_mode", "fixed", "noise_mode is one of"),
    ],
)
def test_impossible_options_are_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _registry.create("mat", **{option: value})


def test_known_pixels_come_back_bit_for_bit(network: MAT, picture: tuple[Tensor, Tensor]) -> None:
    image, mask = picture
    out = answer(network, image, mask)
    assert torch.equal(out * (1 - mask), image * (1 - mask))
    assert ((out - image).abs() * mask).max() > 0


def test_draws_are_named_after_what_they_are(network: MAT) -> None:
    spec = network.latent_spec(2, SIDE, SIDE)
    assert list(spec)[:3] == ["z", "keep1", "keep2"]
    assert spec["z"] == (2, 32)
    assert spec["keep1"] == (2, 256, 12)
    assert spec["keep2"] == (2, 16, 16, 16)
    assert [spec[f"noise_{i}"][-1] for i in range(7)] == [16, 32, 32, 64, 64, 128, 128]
    assert len(spec) == 10
    network.noise_mode = "const"
    assert list(network.latent_spec(2, SIDE, SIDE)) == ["z", "keep1", "keep2"]


def test_features_are_kept_with_even_odds(network: MAT) -> None:
    for name in ("keep1", "keep2"):
        drawn = network.draw(name, (1, 256, 180), torch.Generator().manual_seed(0))
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)


def test_every_draw_changes_the_hole(network: MAT, picture: tuple[Tensor, Tensor]) -> None:
    nn.init.ones_(network.refinement.decoder.inner.noise_strength)
    spec = network.latent_spec(1, SIDE, SIDE)
    draws = {
        name: network.draw(name, shape, torch.Generator().manual_seed(7))
        for name, shape in spec.items()
    }
    with torch.inference_mode():
        first = network(*picture, latents=draws)
        for name in ("z", "keep1", "keep2", "noise_0"):
            other = network.draw(name, spec[name], torch.Generator().manual_seed(8))
            changed = network(*picture, latents={**draws, name: other})
            assert (changed - first).abs().max() > 1e-6, name


def test_without_noise_strength_all_noise_modes_agree(
    network: MAT, picture: tuple[Tensor, Tensor]
) -> None:
    """Layers start with strength 0, so that the modes can only differ in the noise itself."""
    answers = []
    for network.noise_mode in ("const", "random", "none"):
        answers.append(answer(network, *picture))
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_full_truncation_makes_z_idle(network: MAT, picture: tuple[Tensor, Tensor]) -> None:
    network.truncation = 0.0
    keeps = {
        name: network.draw(name, shape, None)
        for name, shape in network.latent_spec(1, SIDE, SIDE).items()
    }
    with torch.inference_mode():
        first, second = (
            network(*picture, latents={**keeps, "z": torch.randn(1, 32)}) for _ in range(2)
        )
    assert torch.equal(first, second)


def test_stored_noise_ties_the_network_to_its_size(network: MAT) -> None:
    network.noise_mode = "const"
    assert not network.any_size
    with pytest.raises(SizeError, match="128x128 images only, got 128x256"):
        network(torch.zeros(1, 3, 128, 256), torch.ones(1, 1, 128, 256))
    network.noise_mode = "none"
    assert network.any_size


def test_both_stages_are_composited(network: MAT, picture: tuple[Tensor, Tensor]) -> None:
    image, mask = picture
    latents = {
        name: network.draw(name, shape, torch.Generator().manual_seed(0))
        for name, shape in network.latent_spec(1, SIDE, SIDE).items()
    }
    with torch.inference_mode():
        ws = network.mapping(latents["z"])[:, None].expand(-1, network.refinement.decoder.rows, -1)
        final, coarse = network.both_stages(image * (1 - mask), mask, ws, latents)
        assert torch.equal(final, network(image, mask, latents=latents))
    assert torch.equal(coarse * (1 - mask), image * (1 - mask))
    assert (coarse - final).abs().max() > 1e-3


def test_partial_convolution_reweights_by_what_is_known() -> None:
    layer = PartialConv2d(2, 3)
    x, keep = torch.randn(1, 2, 6, 6), (torch.rand(1, 1, 6, 6) < 0.3).float()
    keep[..., :3, :3] = 0
    out, moved = layer(x, keep)
    counts = F.conv2d(keep, torch.ones(1, 1, 3, 3), padding=1)
    assert {0.0, 1.0} < set(counts.unique().tolist())
    expected = layer.conv(x) * torch.where(counts > 0, 9 / counts, torch.zeros(()))
    torch.testing.assert_close(out, expected)
    assert torch.equal(moved, (counts > 0).float())
    assert layer(x, None)[1] is None
    assert torch.equal(layer(x, None)[0], layer.conv(x))


def test_partial_convolution_counts_the_border_as_unknown() -> None:
    layer = PartialConv2d(2, 3, "down")
    x = torch.randn(1, 2, 6, 6)
    out, _ = layer(x, torch.ones(1, 1, 6, 6))
    ratio = out / layer.conv(x)
    expected = torch.full((3, 3), 1.0)
    expected[0], expected[:, 0], expected[0, 0] = 9 / 6, 9 / 6, 9 / 4
    torch.testing.assert_close(ratio, expected.expand_as(ratio))


def windows(h: int, w: int, window: int, shift: int) -> Iterator[list[tuple[int, int]]]:
    """Positions of each window after rolling by ``-shift``."""
    for top in range(0, h, window):
        for left in range(0, w, window):
            yield [
                ((top + i + shift) % h, (left + j + shift) % w)
                for i in range(window)
                for j in range(window)
            ]


@pytest.mark.parametrize("shift", [0, 2])
def test_regions_are_torn_where_the_picture_ends(shift: int) -> None:
    h, w, window = 8, 12, 4
    bias = region_bias(h, w, window, shift)
    for part, places in zip(bias, windows(h, w, window, shift)):
        last_row = any(y < shift for y, _ in places) and any(y >= h - window for y, _ in places)
        last_column = any(x < shift for _, x in places) and any(x >= w - window for _, x in places)
        for i, (y, x) in enumerate(places):
            for j, (v, u) in enumerate(places):
                torn = (last_row and (y < shift) != (v < shift)) or (
                    last_column and (x < shift) != (u < shift)
                )
                assert part[i, j] == (-100 if torn else 0)


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_follows_its_definition(shift: int, masked: bool) -> None:
    """Plain softmax per window and head, with -100 added for keys that are shut out."""
    h, w, window, heads, width = 8, 12, 4, 2, 6
    layer = WindowAttention(width, heads, window=window, shift=shift, side=8).double()
    x = torch.randn(2, h, w, width, dtype=torch.float64)
    keep = (torch.rand(2, h, w, 1, dtype=torch.float64) < 0.4).double()
    keep[0, :6, :6] = 0
    regions = region_bias(h, w, window, shift).double()
    expected, moved = torch.empty_like(x), keep.clone()
    for n in range(2):
        for part, places in zip(regions, windows(h, w, window, shift)):
            rows, columns = map(list, zip(*places))
            tokens, valid = x[n, rows, columns], keep[n, rows, columns, 0]
            bias = part + (100 * (valid - 1) if masked else 0)
            expected[n, rows, columns] = naive_attention(layer, tokens, bias, heads)
            moved[n, rows, columns] = valid.sum().clamp(max=1)
    out, answered = layer(x, keep if masked else None)
    torch.testing.assert_close(out, expected)
    if masked:
        assert torch.equal(answered, moved)
    else:
        assert answered is None


def naive_attention(layer: WindowAttention, tokens: Tensor, bias: Tensor, heads: int) -> Tensor:
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    query, key = layer.query_key(unit).chunk(2, -1)
    parts = (query, key, layer.value(tokens))
    query, key, value = (rearrange(part, "n (h c) -> h n c", h=heads) for part in parts)
    logits = query @ key.mT / value.shape[-1] ** 0.5 + bias
    return layer.proj(rearrange(logits.softmax(-1) @ value, "h n c -> n (h c)"))


def test_half_precision_survives_empty_tokens() -> None:
    """Partial convolutions leave exact zeros, whose length must not be divided by."""
    layer = WindowAttention(12, 6, window=4, shift=2, side=8).half()
    out, _ = layer(torch.zeros(1, 8, 8, 12).half(), torch.zeros(1, 8, 8, 1).half())
    assert torch.isfinite(out).all()


@pytest.fixture(scope="module")
def verdicts() -> Case:
    archive = recipe.DATA / "mat" / "discriminator_cases.npz"
    return Case("mat", archive, 0)


@pytest.fixture(scope="module")
def critics() -> dict[str, Tensor]:
    return recipe.official_tensors("mat", "manifest.discriminator.256.json")


@pytest.mark.parametrize("group_size", [8, 2])
def test_discriminator_judges_like_the_official_one(
    verdicts: Case, critics: dict[str, Tensor], group_size: int
) -> None:
    options = Discriminator.official_options(critics)
    assert options == {"resolution": 256, "channel_base": 32768, "channel_max": 512}
    discriminator = Discriminator(**options, group_size=group_size)
    discriminator.load_state_dict(Discriminator.translate_official(critics))
    arrays = {name: torch.tensor(array) for name, array in verdicts.arrays.items()}
    final, coarse = (
        rearrange(arrays[name], "(n h) w c -> n c h w", n=4) / 127.5 - 1
        for name in ("images", "images_stage1")
    )
    hole = rearrange(arrays["masks"], "(n h) w -> n 1 h w", n=4) / 255
    with torch.inference_mode():
        logits = discriminator(final, coarse, hole)
    for ours, name in zip(logits, ("logits", "logits_stage1")):
        torch.testing.assert_close(ours, arrays[f"{name}_group{group_size}"], atol=1e-5, rtol=0)


def test_discriminator_at_512_takes_the_official_tensors() -> None:
    shapes = recipe.official_shapes("mat", "manifest.discriminator.json")
    with torch.device("meta"):
        tensors = {key: torch.empty(shape) for key, shape in shapes.items()}
        discriminator = Discriminator(**Discriminator.official_options(tensors))
        state = Discriminator.translate_official(tensors)
    own = discriminator.state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in state.items()}
    assert sum(p.numel() for p in discriminator.parameters()) == 36_231_618


def test_discriminator_has_a_gradient_penalty() -> None:
    discriminator = Discriminator(resolution=16, channel_base=128, channel_max=8)
    final, coarse = (torch.randn(2, 3, 16, 16, requires_grad=True) for _ in range(2))
    logits = sum(discriminator(final, coarse, torch.ones(2, 1, 16, 16)))
    slopes = torch.autograd.grad(logits.sum(), [final, coarse], create_graph=True)
    sum(slope.square().sum() for slope in slopes).backward()
    weights = [p for name, p in discriminator.named_parameters() if name.endswith("conv0.weight")]
    assert len(weights) == 4
    assert all(weight.grad.abs().max() > 0 for weight in weights)


SHRUNK = {180: 12, 360: 24, 540: 36, 128: 4, 256: 8, 512: 16, 1024: 32, 1536: 48}
"""Widths of the official network to those of a small one with the same keys."""


@pytest.fixture(scope="module")
def snapshot() -> dict[str, Tensor]:
    """Random tensors under all official keys of the 256 network, at small widths."""
    generator = torch.Generator().manual_seed(0)
    shapes = recipe.official_shapes("mat", "manifest.256.json")
    return {
        key: torch.randn(shrunk(key, shape), generator=generator) for key, shape in shapes.items()
    }


def shrunk(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if key.endswith(("noise_const", "attn_mask", "resample_filter")):
        return shape
    small = [SHRUNK.get(size, size) for size in shape]
    if ".to_square." in key:
        small[0] = 256
    return tuple(small)


def test_a_small_snapshot_tells_its_own_widths(snapshot: dict[str, Tensor]) -> None:
    network = _registry.from_official("mat", snapshot)
    assert network.options == {
        "resolution": 256,
        "width": 12,
        "channel_base": 1024,
        "channel_max": 16,
        "latent_dim": 16,
    }


def test_half_precision_snapshots_are_loaded_as_float32(snapshot: dict[str, Tensor]) -> None:
    rounded = {key: tensor.half() for key, tensor in snapshot.items()}
    ours = _registry.from_official("mat", rounded).state_dict()
    for key, tensor in _registry.from_official("mat", snapshot).state_dict().items():
        assert ours[key].dtype == torch.float32
        assert torch.equal(ours[key], tensor.half().float()), key


def test_constants_and_leftovers_may_be_there_or_not(snapshot: dict[str, Tensor]) -> None:
    derived = ("attn_mask", "resample_filter")
    bare = {key: tensor for key, tensor in snapshot.items() if not key.endswith(derived)}
    assert len(bare) < len(snapshot)
    index = "synthesis.first_stage.tran.0.blocks.1.attn.relative_position_index"
    expected = official.translate_generator(snapshot)
    for tensors in (bare, {**snapshot, index: torch.zeros(1)}):
        ours = official.translate_generator(tensors)
        assert ours.keys() == expected.keys()
        assert all(torch.equal(ours[key], expected[key]) for key in ours)


def test_a_snapshot_must_be_complete_and_nothing_else(snapshot: dict[str, Tensor]) -> None:
    query = "synthesis.first_stage.tran.2.blocks.3.attn.q.weight"
    with pytest.raises(CheckpointError, match=r"tran\.2\.blocks\.3\.attn\.q\.weight"):
        official.translate_generator({k: v for k, v in snapshot.items() if k != query})
    with pytest.raises(CheckpointError, match="embed"):
        official.translate_generator({**snapshot, "mapping.embed.weight": torch.zeros(1)})
    noise = "synthesis.dec.Dec_32x32.conv1.noise_const"
    with pytest.raises(CheckpointError, match=r"blocks\.0\.merge\.noise_const"):
        _registry.from_official("mat", {k: v for k, v in snapshot.items() if k != noise})
    with pytest.raises(CheckpointError, match="no checkpoint of MAT"):
        _registry.from_official("mat", {"encoder.weight": torch.zeros(3)})
