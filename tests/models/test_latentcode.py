"""The latent-code network's own parts: what counts as seen, sampling, its stages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.latentcode import VQGAN, LatentCode
from facemask_inpaint.models.latentcode.autoencoder import Composer
from facemask_inpaint.models.latentcode.blocks import GroupNorm
from facemask_inpaint.models.latentcode.encoder import Known, PartialConv, PartialEncoder
from facemask_inpaint.models.latentcode.sampling import complete, schedule
from facemask_inpaint.models.latentcode.transformer import Block, CodeTransformer
from tests.models.reduced import build

CELLS, CODES = 9, 5


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def network() -> LatentCode:
    network = build("latentcode")
    assert isinstance(network, LatentCode)
    return network


class Predictor:
    """Fixed logits for every cell; counts the pictures it was asked about."""

    def __init__(self, logits: Tensor) -> None:
        self.logits, self.asked = logits, 0

    def __call__(self, codes: Tensor, known: Tensor) -> Tensor:
        self.asked += len(codes)
        return self.logits.expand(len(codes), -1, -1)


def sampled(predict: Predictor, known: Tensor, race: Tensor, rounds: int = 3) -> Tensor:
    codes = torch.full(known.shape, 4).masked_fill(~known, -7)
    return complete(predict, codes, known, race, rounds=rounds, temperature=1.0)


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [(37, [2, 6, 8, 10, 11]), (65, [4, 9, 14, 18, 20]), (2, [1, 1, 0, 0, 0])],
)
def test_schedule_follows_the_cosine(unknown: int, expected: list[int]) -> None:
    assert schedule(unknown, 5) == expected


@pytest.mark.parametrize("rounds", [1, 2, 5, 10, 300])
def test_schedule_fills_every_cell_and_does_not_pause(rounds: int) -> None:
    for unknown in range(257):
        counts = schedule(unknown, rounds)
        assert len(counts) == rounds
        assert sum(counts) == unknown
        assert all(count > 0 for count in counts[: min(rounds, unknown) // 2])
        assert sorted(counts, key=bool, reverse=True) == counts


def test_equal_racers_take_the_likeliest_code_and_known_ones_stay() -> None:
    predict = Predictor(torch.randn(CELLS, CODES))
    known = torch.rand(4, CELLS) < 0.4
    codes = sampled(predict, known, torch.ones(4, CELLS, CODES))
    assert torch.equal(codes[known], torch.full_like(codes[known], 4))
    likeliest = predict.logits.argmax(-1).expand(4, -1)
    assert torch.equal(codes[~known], likeliest[~known])


def test_a_pictures_codes_ignore_its_neighbours_and_no_work_is_wasted() -> None:
    logits = torch.randn(CELLS, CODES)
    known = torch.arange(CELLS).expand(4, -1) >= torch.tensor([[0], [1], [4], [CELLS]])
    race = torch.empty(4, CELLS, CODES).exponential_()
    together = Predictor(logits)
    codes = sampled(together, known, race)
    for i in range(4):
        alone = sampled(Predictor(logits), known[i : i + 1], race[i : i + 1])
        assert torch.equal(codes[i : i + 1], alone)
    # Nothing for the picture without a hole, one round for one cell, three for the others.
    assert together.asked == 0 + 1 + 3 + 3


def test_certain_cells_come_first_and_take_the_first_rows_of_the_race() -> None:
    certainty = torch.tensor([0.1, 3.0, 0.5, 2.0, 0.0, 1.0, 0.2, 4.0, 0.3])
    logits = certainty[:, None] * torch.eye(CODES)[0]
    race = torch.ones(1, CELLS, CODES)
    # Row i makes code i % CODES win, whatever the logits.
    race[0, torch.arange(CELLS), torch.arange(CELLS) % CODES] = 1e-6
    codes = sampled(Predictor(logits), torch.zeros(1, CELLS, dtype=torch.bool), race)
    rank = certainty.argsort(descending=True).argsort()
    assert torch.equal(codes[0], rank % CODES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_codes_are_drawn_with_their_probabilities(dtype: torch.dtype) -> None:
    n, logits = 4000, torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5])
    race = torch.empty(n, CELLS, CODES).exponential_().to(dtype)
    known = torch.zeros(n, CELLS, dtype=torch.bool)
    codes = sampled(Predictor(logits.expand(CELLS, -1)), known, race, rounds=1)
    share = torch.bincount(codes.flatten(), minlength=CODES) / codes.numel()
    torch.testing.assert_close(share, logits.softmax(0), atol=0.01, rtol=0)


def test_a_draw_that_half_precision_rounds_to_zero_does_not_beat_what_is_likely() -> None:
    race = torch.ones(1, CELLS, CODES, dtype=torch.float16)
    race[..., :2] = 0
    logits = torch.tensor([30.0, -30.0, 0.0, 0.0, 0.0]).expand(CELLS, -1)
    codes = sampled(Predictor(logits), torch.zeros(1, CELLS, dtype=torch.bool), race)
    assert torch.equal(codes, torch.zeros_like(codes))


def test_low_temperature_makes_rare_codes_rarer() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5]).expand(CELLS, -1)
    race = torch.empty(500, CELLS, CODES).exponential_()
    codes, known = torch.zeros(500, CELLS, dtype=torch.int64), torch.zeros(500, CELLS) > 0
    likeliest = [
        (complete(Predictor(logits), codes, known, race, rounds=1, temperature=t) == 3).sum()
        for t in (0.25, 1.0, 4.0)
    ]
    assert likeliest[0] > likeliest[1] > likeliest[2]


def test_unknown_cells_see_known_ones_and_themselves_only() -> None:
    transformer = CodeTransformer(CELLS, CODES, width=16, depth=3, heads=2)
    known = torch.tensor([[True, False, False, True, False, True, True, True, False]])
    codes = torch.randint(CODES, (1, CELLS))
    logits = transformer(codes, known)
    (gradient,) = torch.autograd.grad(logits[0, 1].square().sum(), transformer.places)
    touched = gradient[0].abs().sum(1) > 0
    # First comes the word that opens the sequence.
    assert touched.tolist() == [True, True, True, False, True, False, True, True, True, False]
    other = torch.where(known, codes, (codes + 1) % CODES)
    assert torch.equal(transformer(other, known), logits)


def test_attention_equals_its_definition() -> None:
    block, x = Block(12, 3).double(), torch.randn(2, 4, 12, dtype=torch.float64)
    look = torch.rand(2, 1, 4, 4) < 0.5
    look |= torch.eye(4, dtype=torch.bool)
    mixed = block.attend(x, look)
    query, key, value = block.qkv(x).chunk(3, dim=-1)
    for n, head, i in np.ndindex(2, 3, 4):
        own = slice(4 * head, 4 * head + 4)
        seen = look[n, 0, i]
        weight = (key[n, seen, own] @ query[n, i, own] / 2).softmax(0)
        torch.testing.assert_close(mixed[n, i, own], weight @ value[n, seen, own])


def test_known_territory_shrinks_by_votes_of_four() -> None:
    keep = torch.zeros(1, 1, 4, 4)
    keep[0, 0] = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 0]])
    weight, half = Known.of(keep).downsampled()
    assert half.mask[0, 0].tolist() == [[0, 1], [1, 1]]
    # Windows around (0, 2), (2, 0) and (2, 2); what lies beyond the border is not known.
    assert weight[0, 0].tolist() == [[0, 9 / 2], [9 / 4, 9 / 4]]
    assert Known.of(torch.ones(1, 1, 2, 2)).weight[0, 0].tolist() == [[9 / 4] * 2] * 2


def test_partial_convolution_reweights_after_the_activation() -> None:
    conv, x = PartialConv(3, 2).double(), torch.randn(1, 3, 6, 6, dtype=torch.float64)
    conv.conv.bias.data.normal_()
    keep = (torch.rand(1, 1, 6, 6) < 0.5).double()
    plain = F.conv2d(x, conv.conv.weight / 27**0.5, conv.conv.bias, padding=1)
    known = F.conv2d(keep, torch.ones(1, 1, 3, 3, dtype=torch.float64), padding=1)
    expected = F.relu(plain) * 2**0.5 * keep * 9 / (known + 1e-8)
    torch.testing.assert_close(conv(x, Known.of(keep).weight), expected)


def test_hidden_cells_have_no_scores() -> None:
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., :32, 16:48] = 1
    scores, clear = PartialEncoder(32, CODES, 32)(torch.rand(1, 3, 64, 64) * (1 - hole), hole)
    assert clear[0, 0].tolist() == [[1, 0, 0, 1]] * 2 + [[1] * 4] * 2
    assert not scores[(clear == 0).expand_as(scores)].any()
    assert scores[(clear == 1).expand_as(scores)].any()


def test_only_hidden_cells_lean_on_code_vectors() -> None:
    composer = Composer(4, 32, 32)
    latents: list[Tensor] = []
    composer.stretch.register_forward_pre_hook(lambda _, inputs: latents.append(inputs[0]))
    x, vectors = torch.rand(1, 4, 32, 32), torch.randn(1, 32, 2, 2)
    clear = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, None]
    composer(x, vectors, clear)
    own = composer.to_latent(x)
    expected = torch.where(clear > 0, own, (own + vectors) / 2)
    torch.testing.assert_close(latents[0], expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalisation_is_precise_in_any_layout(layout: torch.memory_format) -> None:
    x = torch.randn(1, 64, 128, 128) + 5
    expected = F.group_norm(x.double(), 32, eps=1e-6)
    ours = GroupNorm(64)(x.contiguous(memory_format=layout))
    torch.testing.assert_close(ours.double(), expected, atol=5e-6, rtol=0)


def test_vqgan_takes_the_nearest_words() -> None:
    vqgan = VQGAN(width=32, codes=20, code_dim=32)
    vqgan.codebook.weight.data *= 0.3
    picture = torch.rand(2, 3, 64, 64) * 2 - 1
    latent = vqgan.to_latent(picture).flatten(2).transpose(1, 2)
    nearest = torch.cdist(latent, vqgan.codebook.weight).argmin(-1)
    assert len(nearest.unique()) > 1
    assert torch.equal(vqgan.encode(picture).flatten(1), nearest)
    assert torch.equal(vqgan(picture), vqgan.decode(nearest.view(2, 4, 4)))


@torch.inference_mode()
def test_seeds_differ_where_a_cell_is_hidden_and_only_there(network: LatentCode) -> None:
    image, wide, thin = (
        torch.rand(1, 3, 64, 64),
        torch.zeros(1, 1, 64, 64),
        torch.zeros(1, 1, 64, 64),
    )
    wide[..., 16:48, 16:48] = 1
    thin[..., 20:22, :] = 1

    def answers(mask: Tensor) -> Iterator[Tensor]:
        for seed in (0, 0, 1):
            yield network(image, mask, generator=torch.Generator().manual_seed(seed))

    first, again, other = answers(wide)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    first, _, other = answers(thin)
    assert torch.equal(first, other)


@torch.inference_mode()
def test_float16_runs() -> None:
    half = build("latentcode").half()
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.float16)
    mask[..., 16:48, 16:48] = 1
    out = half(torch.rand(1, 3, 64, 64).half(), mask)
    assert out.dtype == torch.float16
    assert torch.isfinite(out).all()


def test_each_part_can_be_trained_on_its_own(network: LatentCode) -> None:
    hole = torch.zeros(2, 1, 64, 64)
    hole[..., 16:48, 16:48] = 1
    visible = torch.rand(2, 3, 64, 64) * (1 - hole)
    codes, clear = network.see(visible, hole)
    known = clear.flatten(1) > 0
    losses = {
        network.encoder: network.encoder(visible, hole)[0].square().mean(),
        network.transformer: network.transformer(codes.flatten(1), known).square().mean(),
        network.composer: network.compose(visible, hole, codes, clear).square().mean(),
        network.refiner: network.refiner(visible).square().mean(),
    }
    for part, loss in losses.items():
        gradients = torch.autograd.grad(loss, list(part.parameters()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 100}, "multiple of 16, not 100"),
        ({"width": 48}, "multiple of 32, not 48"),
        ({"transformer_width": 100}, r"divisor of transformer_width \(100\), not 16"),
        ({"rounds": 0}, "at least 1, not 0"),
        ({"temperature": 0.0}, "above 0, not 0.0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _registry.create("latentcode", **options)


def test_impossible_settings_are_refused_when_they_are_used() -> None:
    network = build("latentcode")
    network.temperature = -1.0
    with pytest.raises(OptionError, match="temperature"):
        network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
