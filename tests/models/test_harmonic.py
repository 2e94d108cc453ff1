"""The harmonic network keeps the contract of all networks and is what it says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models import create
from facemask_inpaint.models.harmonic import Harmonic


@pytest.fixture
def network() -> Harmonic:
    network = create("harmonic")
    assert isinstance(network, Harmonic)
    return network


def batch(n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Noise with another hole in every picture, the first at the border."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(n, 3, height, width, generator=generator) * 2 - 1
    mask = torch.zeros(n, 1, height, width)
    for i in range(n):
        mask[i, :, i : height // 2 + i, 2 * i : width // 2 + i] = 1
    return image, mask


@pytest.mark.parametrize(("height", "width"), [(32, 32), (17, 41), (65, 64)])
def test_fills_each_hole_with_its_membrane(network: Harmonic, height: int, width: int) -> None:
    image, mask = batch(3, height, width)
    out = network(image, mask)
    known = mask.expand_as(image) == 0
    assert torch.equal(out[known], image[known])
    assert out.abs().max() <= 1
    for picture, hole, answer in zip(image, mask[:, 0].bool(), out):
        assert torch.equal(answer, fill_harmonically(picture, hole))


def test_batch_equals_single_and_repeats(network: Harmonic) -> None:
    image, mask = batch(3, 24, 20)
    out = network(image, mask)
    assert torch.equal(out, network(image, mask))
    for i in range(3):
        assert torch.equal(out[i : i + 1], network(image[i : i + 1], mask[i : i + 1]))


def test_hidden_pixels_have_no_influence(network: Harmonic) -> None:
    image, mask = batch(2, 24, 20)
    assert torch.equal(network(image, mask), network(image * (1 - mask) + 0.7 * mask, mask))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_answers_in_the_dtype_it_was_asked_in(network: Harmonic, dtype: torch.dtype) -> None:
    image, mask = (tensor.to(dtype) for tensor in batch(2, 16, 16))
    out = network(image, mask)
    assert out.dtype == dtype
    assert out.isfinite().all()


@pytest.mark.cuda
def test_answers_on_the_device_it_was_asked_on(network: Harmonic) -> None:
    image, mask = batch(2, 16, 16)
    out = network(image.cuda(), mask.cuda())
    assert out.is_cuda
    assert torch.equal(out.cpu(), network(image, mask))


def test_nothing_known_is_mid_grey_and_no_hole_is_the_picture(network: Harmonic) -> None:
    image, mask = batch(2, 16, 16)
    mask[0], mask[1] = 1, 0
    out = network(image, mask)
    assert not out[0].any()
    assert torch.equal(out[1], image[1])


def test_has_no_weights_and_no_draws(network: Harmonic) -> None:
    assert network.state_dict() == {}
    assert network.latent_spec(2, 16, 16) == {}
    assert network.native_resolution is None
