"""Hidden pixels change no answer, bit for bit; the official way of starting fails the same test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.layers.latent_categories import LatentCategoryNetwork
from facemask_inpaint.verification.hidden_pixels import hidden_pixel_influence
from tests.models.reduced import REDUCED, build

LEAKING = ("moebius", "pixelhacker")


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return fmi.data.sample(256).image


def _scene(portrait: Image.Image, side: int) -> tuple[Image.Image, np.ndarray]:
    """A portrait that is a little larger than the network's own size, and a hole in it."""
    mask = np.zeros((side, side), dtype=bool)
    mask[side // 3 : 2 * side // 3, side // 4 : side // 2] = True
    return portrait.resize((side, side)), mask


@pytest.mark.parametrize("architecture", _registry.list_architectures())
def test_no_network_lets_hidden_pixels_through(architecture: str, portrait: Image.Image) -> None:
    inpainter = fmi.Inpainter(build(architecture), device="cpu")
    image, mask = _scene(portrait, REDUCED[architecture].side)
    assert hidden_pixel_influence(partial(inpainter, strategy="pad"), image, mask).none


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_no_border_lets_hidden_pixels_through(blend: str, portrait: Image.Image) -> None:
    inpainter = fmi.Inpainter(build("lama"), device="cpu")
    fill = partial(inpainter, strategy="pad", blend=blend)
    assert hidden_pixel_influence(fill, *_scene(portrait, REDUCED["lama"].side)).none


@pytest.mark.parametrize("strategy", ["resize", "crop", "pad"])
def test_no_strategy_lets_hidden_pixels_through(strategy: str, portrait: Image.Image) -> None:
    inpainter = fmi.Inpainter(build("mat"), device="cpu")
    image, mask = _scene(portrait, 120 if strategy == "pad" else 200)
    assert hidden_pixel_influence(partial(inpainter, strategy=strategy), image, mask).none


def test_what_is_no_number_has_no_influence_either() -> None:
    network = build("moebius")
    image, mask = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 16:40] = 1
    answers = [
        network(
            image.masked_fill(mask == 1, hidden), mask, generator=torch.Generator().manual_seed(0)
        )
        for hidden in (0.0, float("nan"), float("inf"))
    ]
    assert all(torch.equal(one, answers[0]) for one in answers)


@pytest.mark.parametrize("architecture", LEAKING)
@pytest.mark.parametrize("strength", [0.999, 0.5])
def test_less_strength_does_not_leak_here(
    architecture: str, strength: float, portrait: Image.Image
) -> None:
    network = build(architecture)
    network.steps, network.strength = 4, strength
    image, mask = _scene(portrait, REDUCED[architecture].side)
    fill = partial(fmi.Inpainter(network, device="cpu"), strategy="pad")
    assert hidden_pixel_influence(fill, image, mask).none


@pytest.mark.parametrize("architecture", LEAKING)
def test_the_official_way_of_starting_fails(architecture: str, portrait: Image.Image) -> None:
    network = build(architecture)
    network.steps, network.strength = 4, 0.999
    image, mask = _scene(portrait, REDUCED[architecture].side)
    inpainter = fmi.Inpainter(network, device="cpu")

    def official(image: Image.Image, mask: Image.Image) -> Image.Image:
        with _started_from(network, image):
            return inpainter(image, mask, strategy="pad")

    influence = hidden_pixel_influence(official, image, mask)
    assert influence.largest > 2
    assert influence.mean > 0.05


def test_an_inpainter_that_answers_by_chance_is_refused(portrait: Image.Image) -> None:
    rng = np.random.default_rng(0)

    def fill(image: Image.Image, mask: Image.Image) -> Image.Image:
        return Image.fromarray(rng.integers(0, 256, (*image.size, 3), dtype=np.uint8))

    with pytest.raises(OptionError, match="fix its seed"):
        hidden_pixel_influence(fill, *_scene(portrait, 32))


@contextmanager
def _started_from(network: LatentCategoryNetwork, image: Image.Image) -> Iterator[None]:
    """Let runs start from the latents of the whole image, as the official samplers do."""
    whole = torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1)
    whole = whole.permute(2, 0, 1)[None].contiguous()

    def leaked(visible: Tensor, condition: Tensor, latents: Mapping[str, Any]) -> Tensor:
        return network.encode(whole, None)

    network.known_latents = leaked  # type: ignore[method-assign]
    try:
        yield
    finally:
        del network.known_latents
