"""Latent diffusion: noise levels, codes, masks, and that runs can be watched and stopped."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import facemask_inpaint as fmi
from facemask_inpaint.errors import OptionError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.layers.diffusion import DDIMSchedule, exact_alphas_cumprod
from facemask_inpaint.models.layers.diffusion_unet import SteadyGroupNorm
from facemask_inpaint.models.layers.latent_diffusion import FIRST_BETA, LAST_BETA, unet_shape
from facemask_inpaint.models.layers.vector_autoencoder import Codebook
from facemask_inpaint.models.ldm import LDM
from tests.models.largest import LargestTensor
from tests.models.reduced import REDUCED, build


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def inpainting() -> LDM:
    return cast(LDM, build("ldm"))


@pytest.fixture(scope="module")
def faces() -> LDM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {**REDUCED["ldm"].options, "conditioned": False}
        return cast(LDM, _registry.create("ldm", **options))


def square(n: int = 1, side: int = 64) -> tuple[Tensor, Tensor]:
    """Pictures, and masks with a hole in the middle."""
    mask = torch.zeros(n, 1, side, side)
    mask[..., 16:48, 16:48] = 1
    return torch.rand(n, 3, side, side) * 2 - 1, mask


# Parts


def test_heads_are_those_of_the_published_networks() -> None:
    published, faces = unet_shape(256, True), unet_shape(224, False)
    assert [published.heads_at(width) for width in published.widths[1:]] == [8, 8, 8]
    assert [faces.heads_at(width) for width in faces.widths[1:]] == [14, 21, 28]
    layers = [m for m in unet_shape(32, True).build().modules() if hasattr(m, "to_q")]
    assert len(layers) == 16
    assert {layer.heads for layer in layers} == {8}


def test_codes_are_the_nearest_and_the_first_of_equals() -> None:
    codebook, latent = Codebook(100, 3), torch.randn(2, 3, 9, 7)
    codebook.vectors.weight.data[50:] = codebook.vectors.weight.data[:50]
    cells = latent.permute(0, 2, 3, 1).double()
    apart = (cells[..., None, :] - codebook.vectors.weight.double()).square().sum(-1)
    assert torch.equal(codebook(latent), apart[..., :50].argmin(-1))
    vectors = codebook.of(codebook(latent))
    assert torch.equal(codebook(vectors), codebook(latent))


def test_codes_of_large_maps_need_little_memory() -> None:
    codebook, watched = Codebook(2048, 3), LargestTensor()
    latent = torch.randn(4, 3, 64, 64)
    with watched, torch.no_grad():
        codes = codebook(latent)
    assert watched.nbytes <= 4 * 4096 * 2048
    assert torch.equal(codes[3:], codebook(latent[3:]))


def test_half_precision_spares_norms_and_codebook() -> None:
    network = cast(LDM, build("ldm")).to(torch.bfloat16)
    spared = [m for m in network.modules() if isinstance(m, SteadyGroupNorm | Codebook)]
    assert len(spared) > 50
    assert {p.dtype for module in spared for p in module.parameters()} == {torch.float32}
    assert not [m for m in network.modules() if type(m) is nn.GroupNorm]
    assert network.unet.net.conv_out.weight.dtype == torch.bfloat16
    image, mask = (part.to(torch.bfloat16) for part in square())
    latents = network.draw_latents(1, 64, 64)
    states = list(network.inpainted(network.condition(image * (1 - mask), mask), latents))
    assert {state.dtype for state in states} == {torch.float32}


def test_noise_levels_are_those_of_the_paper() -> None:
    betas = FIRST_BETA, LAST_BETA[True]
    table = exact_alphas_cumprod(*betas)
    schedule = DDIMSchedule(50, *betas, eta=1.0, ends_clean=False, steps_offset=1, table=table)
    assert schedule.timesteps == list(range(981, 0, -20))
    roots = np.linspace(np.sqrt(0.0015), np.sqrt(0.0205), 1000)
    shares = np.cumprod(1 - roots**2)
    np.testing.assert_allclose(schedule.alphas_cumprod.numpy(), shares, rtol=1e-6)
    x, epsilon, noise = torch.randn(3, 2, 3, 4, 4, dtype=torch.float64)
    for time, below in ((981, 961), (21, 1), (1, 0)):
        a, b = shares[time], shares[below]
        sigma = np.sqrt((1 - b) / (1 - a) * (1 - a / b))
        clean = (x - np.sqrt(1 - a) * epsilon) / np.sqrt(a)
        expected = np.sqrt(b) * clean + np.sqrt(1 - b - sigma**2) * epsilon + sigma * noise
        torch.testing.assert_close(
            schedule.step(x, epsilon, time, noise), expected, atol=1e-5, rtol=1e-5
        )


def test_the_condition_is_a_black_hole_and_its_mask() -> None:
    network = cast(LDM, build("ldm"))
    image, mask = square()
    mask[..., 1, 1] = 1
    condition = network.condition(image * (1 - mask), mask)
    black = torch.where(mask > 0, -1.0, image)
    torch.testing.assert_close(condition[:, :3], network.encode(black))
    assert torch.equal(condition[:, 3:], mask[..., ::4, ::4] * 2 - 1)
    network.mask_reduction = "cover"
    assert network.condition(image * (1 - mask), mask)[0, 3, 0, 0] == 1


@pytest.mark.parametrize("reduction", ["nearest", "cover"])
def test_only_covering_finds_thin_holes(reduction: str) -> None:
    options = {**REDUCED["ldm"].options, "mask_reduction": reduction}
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 30:32, 5:60] = 1
    hidden = cast(LDM, _registry.create("ldm", **options)).hidden_cells(hole)
    assert hidden.sum() == (14 if reduction == "cover" else 0)


# Runs


class PointMass(nn.Module):
    """The perfect denoiser of data that are all equal to one latent map."""

    def __init__(self, centre: Tensor, shares: Tensor) -> None:
        super().__init__()
        self.centre, self.shares, self.calls = centre, shares, 0

    def forward(self, x: Tensor, time: int) -> Tensor:
        self.calls += 1
        share = self.shares[time].double()
        return (x[:, :3] - share.sqrt() * self.centre) / (1 - share).sqrt()


@pytest.mark.parametrize("conditioned", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_a_perfect_denoiser_is_followed_in_any_number_of_steps(
    conditioned: bool, steps: int
) -> None:
    options = {**REDUCED["ldm"].options, "conditioned": conditioned, "steps": steps}
    network = cast(LDM, _registry.create("ldm", **options)).double()
    schedule = network.schedule()
    centre, known = torch.randn(2, 1, 3, 16, 16, dtype=torch.float64)
    network.unet = toy = PointMass(centre, schedule.alphas_cumprod)
    latents = {k: v.double() for k, v in tensors_of(network, 1, 64).items()}
    keep = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    keep[..., 8:] = 1
    if conditioned:
        *_, last = network.inpainted(torch.zeros(1, 4, 16, 16, dtype=torch.float64), latents)
    else:
        *_, last = network.completed(known, keep, latents)
    # Its noise never turns, so the run is a straight line from the start to the last level.
    first, end = (float(schedule.alphas_cumprod[time]) for time in (schedule.timesteps[0], 0))
    noise = (latents["start"] - first**0.5 * centre) / (1 - first) ** 0.5
    expected = end**0.5 * centre + (1 - end) ** 0.5 * noise
    hidden = slice(None) if conditioned else slice(8)
    torch.testing.assert_close(last[..., hidden], expected[..., hidden], atol=1e-5, rtol=1e-5)
    assert toy.calls == steps


def test_known_latents_enter_every_step_at_its_noise_level(faces: LDM) -> None:
    seen: list[Tensor] = []
    hook = faces.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    known, keep = torch.randn(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    keep[..., :5, :] = 1
    latents = tensors_of(faces, 1, 64)
    with torch.no_grad():
        list(faces.completed(known, keep, latents))
    hook.remove()
    schedule = faces.schedule()
    for index, (x, time) in enumerate(zip(seen, schedule.timesteps)):
        share = schedule.alphas_cumprod[time]
        expected = share.sqrt() * known + (1 - share).sqrt() * latents["known"][:, index]
        torch.testing.assert_close(x[..., :5, :], expected[..., :5, :])
    assert torch.equal(seen[0][..., 5:, :], latents["start"][..., 5:, :])


def test_eta_adds_draws_and_they_matter(inpainting: LDM) -> None:
    assert inpainting.latent_spec(2, 64, 96) == {"start": (2, 3, 16, 24)}
    network = cast(LDM, _registry.create("ldm", **REDUCED["ldm"].options, eta=1.0))
    network.load_state_dict(inpainting.state_dict())
    assert network.latent_spec(2, 64, 96)["posterior"] == (2, 3, 3, 16, 24)
    image, mask = square()
    latents = tensors_of(network, 1, 64)
    first = network(image, mask, latents=latents)
    other = network(image, mask, latents={**latents, "posterior": -latents["posterior"]})
    assert not torch.allclose(first, other)
    network.eta = 0.0
    still = network(image, mask, latents={"start": latents["start"]})
    assert torch.equal(still, inpainting(image, mask, latents={"start": latents["start"]}))


def test_steps_count_calls_and_can_be_changed(inpainting: LDM) -> None:
    calls: list[int] = []
    hook = inpainting.unet.register_forward_hook(lambda *call: calls.append(1))
    try:
        for steps in (1, 5):
            inpainting.steps, before = steps, len(calls)
            inpainting(*square())
            assert len(calls) - before == steps
    finally:
        hook.remove()
        inpainting.steps = 3


def test_a_run_can_be_watched_and_cancelled(inpainting: LDM) -> None:
    reports: list[tuple[int, int]] = []
    image, mask = square()
    expected = inpainting(image, mask, generator=torch.Generator().manual_seed(2))

    def watch(done: int, total: int) -> None:
        reports.append((done, total))
        if len(reports) == 5:
            raise KeyboardInterrupt

    try:
        inpainting.on_step = watch
        inpainting(image, mask)
        with pytest.raises(KeyboardInterrupt):
            inpainting(image, mask)
    finally:
        inpainting.on_step = None
    assert reports == [(1, 3), (2, 3), (3, 3), (1, 3), (2, 3)]
    again = inpainting(image, mask, generator=torch.Generator().manual_seed(2))
    assert torch.equal(again, expected)


def test_a_bar_counts_the_steps(
    inpainting: LDM, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facemask_inpaint._internal.progress.is_visible", lambda: True)
    inpainting(*square())
    assert capsys.readouterr().err == ""
    inpainting.progress = True
    inpainting(*square())
    inpainting.progress = False
    assert "/3" in capsys.readouterr().err


@pytest.mark.parametrize("which", ["inpainting", "faces"])
def test_same_seed_same_picture_in_a_batch_of_one_and_of_eight(
    which: str, request: pytest.FixtureRequest
) -> None:
    network = request.getfixturevalue(which)
    images, masks = square(8)
    generators = [torch.Generator().manual_seed(i) for i in range(8)]
    together = network(images, masks, generator=generators)
    for i in (0, 5):
        generator = torch.Generator().manual_seed(i)
        alone = network(images[i : i + 1], masks[i : i + 1], generator=[generator])
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("which", ["inpainting", "faces"])
@pytest.mark.parametrize("strategy", ["pad", "resize"])
def test_pictures_of_any_size_are_filled(
    which: str, strategy: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = request.getfixturevalue(which)
    # At the published size this takes too long.
    monkeypatch.setattr(network, "native_resolution", 64)
    image = np.random.RandomState(0).randint(0, 256, (75, 50, 3), np.uint8)
    mask = np.zeros((75, 50), bool)
    mask[30:50, 10:41] = True
    first, other = fmi.Inpainter(network)(image, mask, num_samples=2, strategy=strategy)
    assert first.shape == image.shape
    assert np.array_equal(first[~mask], image[~mask])
    assert not np.array_equal(first[mask], image[mask])
    assert not np.array_equal(first, other)


def test_no_gradient_is_kept_through_a_run(inpainting: LDM) -> None:
    assert torch.is_grad_enabled()
    assert not inpainting(*square()).requires_grad


def test_nothing_known_is_an_answer_too(faces: LDM) -> None:
    image, mask = square()
    assert torch.isfinite(faces(image, torch.ones_like(mask))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 48}, "width must be a multiple of 32, not 48"),
        ({"autoencoder_width": 0}, "autoencoder_width must be a multiple of 32, not 0"),
        ({"codes": 0}, "codes must be at least 1"),
        ({"steps": 0}, "1 to 999, not 0"),
        ({"steps": 1000}, "1 to 999, not 1000"),
        ({"eta": 1.5}, "0 to 1, not 1.5"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        _registry.create("ldm", **{**REDUCED["ldm"].options, **options})


def test_unknown_mask_reduction_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mask_reduction is one of nearest, cover, not 'average'"):
        _registry.create("ldm", **REDUCED["ldm"].options, mask_reduction="average")


def tensors_of(network: LDM, n: int, side: int) -> dict[str, Tensor]:
    """All latents of a run, as tensors."""
    return {name: torch.randn(shape) for name, shape in network.latent_spec(n, side, side).items()}
