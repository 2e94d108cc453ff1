"""What ``lite`` draws, and the colours and patterns that it must not make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint import data, models
from facemask_inpaint.errors import SizeError
from facemask_inpaint.models.lite.blocks import from_blocks
from facemask_inpaint.models.lite.colour_range import in_known_colours, muted
from facemask_inpaint.models.lite.face_prior import FacePrior


def hole(side: int, low: int, high: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., low:high, low:high] = 1
    return mask


def pictures_of_a_prior(count: int) -> tuple[FacePrior, torch.Tensor]:
    """A prior, and pictures ``(count, 3, 64, 64)`` that it was not fitted to."""
    draws = torch.Generator().manual_seed(0)
    ways = torch.randn(3, 3, 64, 64, generator=draws)
    amounts = torch.randn(60 + count, 3, generator=draws)
    noise = torch.randn(60 + count, 3, 64, 64, generator=draws)
    pictures = 0.1 * torch.einsum("nk,kchw->nchw", amounts, ways) + 0.02 * noise
    prior = FacePrior(64, components=3)
    prior.fit(pictures[:60])
    return prior, pictures[60:]


def test_no_draws_are_the_most_probable_picture() -> None:
    prior, pictures = pictures_of_a_prior(4)
    mask = hole(64, 10, 50).expand(4, -1, -1, -1)
    visible = pictures * (1 - mask)
    assert torch.equal(prior(visible, mask), prior(visible, mask, torch.zeros(4, 3)))


def test_the_draws_of_a_picture_lead_back_to_it() -> None:
    prior, pictures = pictures_of_a_prior(4)
    mask = torch.ones(4, 1, 64, 64)  # nothing is known
    draws = prior.draws_of(pictures, mask)
    answer = prior(pictures * (1 - mask), mask, draws)
    assert float((answer - pictures).abs().mean()) < 0.03
    assert float((prior(pictures * (1 - mask), mask) - pictures).abs().mean()) > 0.06


def test_draws_spread_as_the_hidden_pictures_do() -> None:
    prior, pictures = pictures_of_a_prior(300)
    mask = torch.ones(300, 1, 64, 64)  # nothing is known
    draws = prior.draws_of(pictures, mask)
    assert draws.mean(dim=0).abs().max() < 0.35
    assert draws.std(dim=0).tolist() == pytest.approx([1, 1, 1], abs=0.25)


def test_blocks_of_one_colour_leave_no_lattice() -> None:
    torch.manual_seed(0)
    blocks = torch.randn(1, 48, 1, 1).expand(-1, -1, 8, 8)
    pixels = from_blocks(blocks)[..., 4:-4, 4:-4]
    assert float((pixels - pixels[..., :1, :1]).abs().max()) < 1e-5


def test_a_flat_picture_is_filled_without_a_lattice() -> None:
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    picture = Image.new("RGB", (256, 256), (176, 140, 122))
    mask = np.zeros((256, 256), bool)
    mask[64:192, 64:192] = True
    filled = np.asarray(inpainter(picture, mask), float)[80:176, 80:176].mean(axis=2)
    line = np.hanning(96)
    spectrum = np.abs(np.fft.fft2((filled - filled.mean()) * np.outer(line, line))) ** 2
    for row, column in ((24, 0), (0, 24), (24, 24), (48, 0), (0, 48)):
        around = [
            spectrum[(row + a) % 96, (column + b) % 96]
            for a in range(-6, 7)
            for b in range(-6, 7)
            if max(abs(a), abs(b)) > 2
        ]
        assert spectrum[row, column] < 8 * np.mean(around), (row, column)


def test_several_samples_differ_and_one_seed_gives_one_answer() -> None:
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    sample = data.sample(256)
    mask = np.asarray(fmi.SemanticMasker()(sample.label_map, "hair")).astype(bool)
    first, second = inpainter(sample.image, mask, num_samples=2, seed=3)
    alone = np.asarray(inpainter(sample.image, mask, seed=3), int)
    assert np.abs(np.asarray(first, int) - alone).max() <= 1  # a batch of two rounds otherwise
    apart = np.abs(np.asarray(first, float) - np.asarray(second, float))[mask].mean()
    assert apart > 2


@pytest.mark.parametrize("name", ["full_mouth", "face", "head"])
def test_grey_photographs_stay_grey(name: str) -> None:
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    sample = data.sample(256)
    grey = sample.image.convert("L").convert("RGB")
    mask = np.asarray(fmi.SemanticMasker()(sample.label_map, name)).astype(bool)
    filled = np.asarray(inpainter(grey, mask), int)
    assert np.ptp(filled, axis=2).max() <= 1


def test_colours_beyond_those_around_the_hole_are_brought_back() -> None:
    torch.manual_seed(0)
    skin = torch.tensor([0.4, 0.1, -0.1])[None, :, None, None] + 0.02 * torch.randn(1, 3, 128, 128)
    mask = hole(128, 40, 90)
    neon = skin.clone()
    neon[..., 60:70, 60:70] = torch.tensor([-1.0, 1.0, -1.0])[None, :, None, None]
    kept = in_known_colours(neon, skin * (1 - mask), mask)
    colour = kept - kept.mean(dim=1, keepdim=True)
    assert float(colour[:, 1].max()) < 0.4
    assert torch.allclose(kept.mean(dim=1), neon.mean(dim=1), atol=1e-5)
    assert torch.allclose(kept[..., :60, :], neon[..., :60, :], atol=0.02)


def test_with_nothing_known_all_colours_are_in_reach() -> None:
    torch.manual_seed(0)
    answer = torch.rand(1, 3, 64, 64) * 2 - 1
    kept = in_known_colours(answer, torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64))
    assert torch.allclose(kept, answer, atol=1e-6)


def test_a_side_of_its_own_has_latents_that_fit() -> None:
    network = models.create("lite", resolution=64, widths=(8, 8, 64), depth=1, detail=6)
    picture, mask = torch.rand(2, 3, 64, 64), hole(64, 20, 40).expand(2, -1, -1, -1)
    spec = network.latent_spec(2, 64, 64)
    assert {name: shape[-1] for name, shape in spec.items()} == {
        "face": 64, "deep": 2, "fine": 8, "blocks": 16, "half": 32, "full": 64,
    }  # fmt: skip
    assert network(picture, mask).shape == picture.shape


def test_pictures_of_twice_the_side_are_taken_as_they_are() -> None:
    network = models.create("lite", resolution=64, widths=(8, 8, 64), depth=1, detail=6).eval()
    picture, mask = torch.rand(1, 3, 128, 128) * 2 - 1, hole(128, 40, 90)
    spec = network.latent_spec(1, 128, 128)
    assert spec["full"][-1] == 64
    assert spec["larger_full"][-1] == 128
    assert network(picture, mask).shape == picture.shape
    with pytest.raises(SizeError, match="64x64 and 128x128"):
        network(picture[..., :96, :96], mask[..., :96, :96])


def test_without_a_detail_stage_there_is_one_side() -> None:
    network = models.create("lite", resolution=64, widths=(8, 8, 64), depth=1, detail=0)
    with pytest.raises(SizeError, match="64x64 images only"):
        network(torch.zeros(1, 3, 128, 128), hole(128, 40, 90))


@pytest.mark.parametrize("ground", [(20, 230, 30), (250, 20, 220)])
def test_a_saturated_ground_leaves_no_neon_in_the_face(ground: tuple[int, int, int]) -> None:
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    sample = data.sample(256)
    pixels = np.array(sample.image)
    pixels[sample.label_map == 0] = ground
    mask = np.asarray(fmi.SemanticMasker()(sample.label_map, "face")).astype(bool)
    filled = np.asarray(inpainter(Image.fromarray(pixels), mask), float)[mask]
    excess = filled[:, 1] - (filled[:, 0] + filled[:, 2]) / 2  # green, or magenta below zero
    assert np.quantile(excess, 0.01) > -60
    assert np.quantile(excess, 0.99) < 40


def test_usual_colours_pass_unmuted_and_strange_ones_keep_their_hue() -> None:
    skin = torch.tensor([0.6, 0.2, 0.0])[None, :, None, None].expand(1, 3, 2, 2)
    assert torch.allclose(muted(skin), skin)
    assert not muted(torch.zeros(1, 3, 2, 2)).any()
    green = torch.tensor([-0.8, 0.8, -0.8])[None, :, None, None].expand(1, 3, 2, 2)
    less = muted(green)
    assert torch.allclose(less.mean(dim=1), green.mean(dim=1))
    assert float(less[0, 1, 0, 0] - less[0, 0, 0, 0]) == pytest.approx(0.135, abs=1e-3)
