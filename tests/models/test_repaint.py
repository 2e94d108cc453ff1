"""RePaint: schedules, files, draws, watching, and pictures of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import facemask_inpaint as fmi
from facemask_inpaint.errors import CheckpointError, FacemaskInpaintError, OptionError
from facemask_inpaint.images.harmonic import fill_harmonically
from facemask_inpaint.models import _registry
from facemask_inpaint.models.layers.diffusion import alphas_cumprod, linear_betas
from facemask_inpaint.models.layers.diffusion_unet import SteadyGroupNorm
from facemask_inpaint.models.repaint import PRESETS, RePaint, Sampling
from facemask_inpaint.models.repaint.schedule import Levels
from tests.models.reduced import build
from tests.parity import recipe
from tests.parity.cases import Case

BUNDLED = Case("repaint", recipe.DATA / "repaint" / "cases.npz", 0)


@pytest.fixture(scope="module")
def network() -> RePaint:
    return cast(RePaint, build("repaint"))


def square(n: int = 1, side: int = 32) -> tuple[Tensor, Tensor]:
    """Pictures, and masks with a hole in the middle."""
    mask = torch.zeros(n, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1, mask


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


# Schedules


def test_official_face_schedule_is_reproduced_exactly() -> None:
    official = PRESETS["official"]
    assert np.array_equal(official.moves, BUNDLED.arrays["official_face_pairs"])
    assert len(official.moves) == 4570
    assert (official.evaluations, official.renoisings) == (2410, 2160)


@pytest.mark.parametrize(("preset", "calls"), [("official", 2410), ("balanced", 295), ("fast", 57)])
def test_presets_cost_what_the_documentation_says(preset: str, calls: int) -> None:
    assert RePaint(width=32, multipliers=[1], sampling=preset).evaluations == calls


@pytest.mark.parametrize(
    ("sampling", "levels"),
    [
        (Sampling(steps=5, jump_samples=1), [4, 3, 2, 1, 0, -1]),
        (
            Sampling(steps=6, jump_length=2, jump_samples=2),
            [5, 4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0, -1],
        ),
        (
            Sampling(steps=6, jump_length=2, jump_samples=2, jumps_below=3),
            [5, 4, 3, 2, 1, 0, 1, 2, 1, 0, -1],
        ),
        (Sampling(steps=9, jump_length=1, jump_samples=3, first_guess=1), [1, 0, 1, 0, 1, 0, -1]),
        (Sampling(steps=9, jump_samples=4, first_guess=0), [0, -1]),
    ],
)
def test_jumps_go_back_and_the_end_is_clean(sampling: Sampling, levels: list[int]) -> None:
    assert list(sampling.moves) == list(pairwise(levels))
    assert sampling.evaluations == sum(after < before for before, after in pairwise(levels))


def test_constants_are_the_official_ones() -> None:
    levels, official = Levels.spread(250), BUNDLED.arrays
    assert np.array_equal(levels.timesteps, official["official_timestep_map"])
    np.testing.assert_allclose(
        levels.alphas_cumprod, official["official_alphas_cumprod"], rtol=1e-12
    )
    betas = [levels.beta(level) for level in range(250)]
    np.testing.assert_allclose(betas, official["official_betas"], rtol=1e-9)
    means = np.transpose([levels.posterior(level) for level in range(250)])
    for ours, name in zip(means, ("mean_coef1", "mean_coef2")):
        np.testing.assert_allclose(ours, official[f"official_posterior_{name}"], rtol=1e-8)
    least = [levels.log_variances(level)[0] for level in range(1, 250)]
    expected = official["official_posterior_log_variance_clipped"][1:]
    np.testing.assert_allclose(least, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ("quick", "unknown preset 'quick'.*official"),
        ({"stride": 3}, "unknown attribute of a sampling 'stride'.*steps"),
        ({"steps": 1}, "steps must be 2 to 1000, not 1"),
        ({"jump_samples": 0}, "at least 1"),
        ({"solver": "heun"}, "unknown solver 'heun'"),
        ({"steps": 20, "first_guess": 20}, "first_guess must be 0 to 19, not 20"),
    ],
)
def test_impossible_samplings_are_refused(sampling: Any, message: str) -> None:
    with pytest.raises(FacemaskInpaintError, match=message):
        RePaint(sampling=sampling)


# Files


@pytest.mark.parametrize(
    ("manifest", "width"), [("manifest.json", 256), ("manifest.small.json", 32)]
)
def test_options_are_read_off_the_tensors(manifest: str, width: int) -> None:
    shapes = recipe.official_shapes("repaint", manifest)
    tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    options = RePaint.official_options(tensors)
    expected = {"width": width, "multipliers": [1, 1, 2, 2, 4, 4], "attention_from": 3}
    assert options == expected
    with torch.device("meta"):
        own = RePaint(**options).state_dict()
    state = RePaint.translate_official(tensors)
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in own.items()}


def test_files_of_other_networks_are_refused_by_key() -> None:
    tensors = recipe.official_tensors("repaint", "manifest.small.json")
    with pytest.raises(CheckpointError, match=r"label_emb\.weight"):
        _registry.from_official("repaint", {**tensors, "label_emb.weight": torch.zeros(1000, 128)})
    del tensors["middle_block.1.qkv.bias"]
    with pytest.raises(CheckpointError, match=r"mid_block\.attentions\.0\.to_q\.bias"):
        _registry.from_official("repaint", tensors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 48}, "multiple of 32, not 48"),
        ({"multipliers": []}, "multipliers"),
        ({"width": 160, "multipliers": [1]}, "multiple of 64"),
    ],
)
def test_impossible_shapes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RePaint(**options)


# Runs


def test_known_pixels_enter_every_call_at_its_noise_level(network: RePaint) -> None:
    seen: list[tuple[Tensor, int]] = []
    hook = network.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    image, mask = square()
    latents = _tensors(network)
    network(image, mask, latents=latents)
    hook.remove()
    assert len(seen) == network.evaluations
    levels, keep = network.sampling.levels, (mask == 0).expand_as(image)
    for index, (x, time) in enumerate(seen[1:]):
        share = float(alphas_cumprod(linear_betas())[time])
        expected = share**0.5 * image + (1 - share) ** 0.5 * latents["known"][:, index]
        torch.testing.assert_close(x[keep], expected[keep])
    guess = fill_harmonically(image[0] * (1 - mask[0]), mask[0, 0] > 0)
    share = levels.alpha_cumprod(network.sampling.top)
    expected = share**0.5 * guess + (1 - share) ** 0.5 * latents["start"][0]
    torch.testing.assert_close(seen[0][0][0], expected)


# Draws


def test_every_draw_matters_and_none_is_left_out(network: RePaint) -> None:
    image, mask = square()
    spec, latents = network.latent_spec(1, 32, 32), _tensors(network)
    assert {name: shape[1] for name, shape in spec.items()} == {
        "start": 3,
        "posterior": 4,
        "known": 4,
        "renoise": 2,
    }
    expected = network(image, mask, latents=latents)
    for name in spec:
        steps = [None] if name == "start" else range(spec[name][1])
        for step in steps:
            other = {key: value.clone() for key, value in latents.items()}
            (other[name] if step is None else other[name][:, step]).neg_()
            assert not torch.equal(network(image, mask, latents=other), expected), (name, step)


def test_a_run_holds_one_step_of_draws_at_a_time() -> None:
    official = RePaint(width=32, multipliers=[1])
    drawn = official.draw_latents(2, 256, 256, generator=seeded(1, 2))
    assert drawn["renoise"].shape == (2, 2160, 3, 256, 256)
    first = drawn["renoise"][:, 0]
    alone = official.draw_latents(1, 256, 256, generator=seeded(2))
    assert torch.equal(first[1:], alone["renoise"][:, 0])
    assert not torch.equal(first, drawn["known"][:, 0])


def test_same_seed_same_picture_in_a_batch_of_one_and_of_eight(network: RePaint) -> None:
    images, masks = square(8)
    together = network(images, masks, generator=seeded(*range(8)))
    for index in (0, 5):
        one = slice(index, index + 1)
        alone = network(images[one], masks[one], generator=seeded(index))
        torch.testing.assert_close(alone, together[one], atol=1e-5, rtol=1e-5)
    assert (together[0] - network(images[:1], masks[:1], generator=seeded(9))[0]).abs().max() > 0.01


# Half precision


def test_half_precision_spares_norms_and_the_state() -> None:
    network = cast(RePaint, build("repaint")).to(torch.bfloat16)
    norms = [module for module in network.modules() if isinstance(module, SteadyGroupNorm)]
    assert {p.dtype for norm in norms for p in norm.parameters()} == {torch.float32}
    assert not [module for module in network.modules() if type(module) is nn.GroupNorm]
    image, mask = (part.to(torch.bfloat16) for part in square())
    with torch.no_grad():
        states = list(network.states(image * (1 - mask), mask, network.draw_latents(1, 32, 32)))
    assert {state.dtype for state in states} == {torch.float32}


def test_bfloat16_answers_much_like_float32(network: RePaint) -> None:
    image, mask = square()
    latents = _tensors(network)
    half = cast(RePaint, build("repaint")).to(torch.bfloat16)
    ours = half(image.bfloat16(), mask.bfloat16(), latents=latents)
    apart = (ours.float() - network(image, mask, latents=latents)).abs() * mask
    assert 0 < apart.max() < 0.05


# Watching, cancelling, pictures


def test_a_run_can_be_watched_and_cancelled(network: RePaint) -> None:
    image, mask = square()
    expected = network(image, mask, generator=seeded(2)[0])
    reports: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        reports.append((done, total))
        if len(reports) == 11:
            raise KeyboardInterrupt

    network.on_step = watch
    try:
        assert torch.equal(network(image, mask, generator=seeded(2)[0]), expected)
        with pytest.raises(KeyboardInterrupt):
            network(image, mask, generator=seeded(2)[0])
    finally:
        network.on_step = None
    total = len(network.sampling.moves)
    assert reports == [(n, total) for n in (*range(1, total + 1), *range(1, 12 - total))]
    assert torch.equal(network(image, mask, generator=seeded(2)[0]), expected)


def test_a_bar_counts_the_steps(
    network: RePaint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facemask_inpaint._internal.progress.is_visible", lambda: True)
    network.progress = True
    try:
        network(*square())
    finally:
        network.progress = False
    assert f"/{len(network.sampling.moves)}" in capsys.readouterr().err


def test_preset_can_be_changed_by_name(network: RePaint) -> None:
    before = network.sampling
    try:
        network.sampling = "balanced"
        assert network.evaluations == 295
        with pytest.raises(FacemaskInpaintError, match="unknown preset"):
            network.sampling = "quick"
    finally:
        network.sampling = before


@pytest.mark.parametrize("strategy", ["pad", "resize", "crop"])
def test_pictures_of_any_size_are_filled(network: RePaint, strategy: str) -> None:
    network.native_resolution = 32
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (45, 70, 3), dtype=np.uint8)
    mask = np.zeros((45, 70), bool)
    mask[10:25, 30:52] = True
    inpainter = fmi.Inpainter(network, device="cpu")
    one, other = inpainter(picture, mask, strategy=strategy, num_samples=2)
    assert one.shape == picture.shape
    assert np.array_equal(one[~mask], picture[~mask])
    assert (one[mask] != other[mask]).any()
    assert (one[mask] != picture[mask]).any()


def test_saved_network_keeps_its_sampling(network: RePaint, tmp_path: Any) -> None:
    folder = fmi.Inpainter(network, device="cpu").save_pretrained(tmp_path / "saved")
    again = fmi.Inpainter.from_pretrained(folder, device="cpu").network
    assert cast(RePaint, again).sampling == network.sampling
    assert again.options == network.options
    cast(RePaint, again).sampling = "balanced"
    fmi.Inpainter(again, device="cpu").save_pretrained(folder)
    changed = fmi.Inpainter.from_pretrained(folder, device="cpu").network
    assert cast(RePaint, changed).sampling == PRESETS["balanced"]


def test_no_gradient_is_kept_through_a_run_but_through_a_call(network: RePaint) -> None:
    image, mask = square()
    assert not network(image, mask).requires_grad
    network.unet(image, 7).square().mean().backward()
    gradients = {name: p.grad for name, p in network.unet.named_parameters()}
    network.zero_grad()
    assert not [name for name, gradient in gradients.items() if gradient is None]


def _tensors(network: RePaint, seed: int = 0) -> dict[str, Tensor]:
    """All draws of one picture, as tensors."""
    shapes = network.latent_spec(1, 32, 32)
    return {name: network.draw(name, shape, seeded(seed)[0]) for name, shape in shapes.items()}
