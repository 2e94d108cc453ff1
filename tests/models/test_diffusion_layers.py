"""What diffusion models share: draws by the step, the U-Net's variants, norms."""

from __future__ import annotations

import pytest
import torch

from facemask_inpaint.models.layers.diffusion import add_noise
from facemask_inpaint.models.layers.diffusion_unet import SteadyGroupNorm, UNetShape
from facemask_inpaint.models.layers.step_draws import StepDraws


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_step_draws_stand_for_their_tensor() -> None:
    draws, whole = (StepDraws((2, 5, 3, 4), seeded(1, 2)) for _ in range(2))
    stacked = whole.stacked()
    assert stacked.shape == draws.shape
    for step in (0, 1, 4, 2, 2, 0):
        assert torch.equal(draws[:, step], stacked[:, step])
    assert len(stacked.unique()) == stacked.numel()
    assert abs(float(StepDraws((1, 4, 500, 5), seeded(0)).stacked().std()) - 1) < 0.02


def test_step_draws_of_a_picture_ignore_its_neighbours_and_other_draws() -> None:
    together = StepDraws((3, 4, 6), seeded(7, 8, 9))
    alone = StepDraws((1, 4, 6), seeded(8))
    generator = seeded(8)[0]
    late = StepDraws((1, 4, 6), [generator])
    torch.randn(100, generator=generator)
    for step in range(4):
        assert torch.equal(together[:, step][1:2], alone[:, step])
        assert torch.equal(late[:, step], alone[:, step])


def test_step_draws_of_one_generator_differ_between_uses() -> None:
    generator = seeded(3)[0]
    first, second = (StepDraws((2, 1, 6), [generator])[:, 0] for _ in range(2))
    assert first.shape == (2, 6)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    unnamed = StepDraws((2, 1, 6), [None])[:, 0]
    torch.manual_seed(3)
    assert torch.equal(StepDraws((2, 1, 6), [None])[:, 0], unnamed)


def test_there_is_no_step_past_the_last_one() -> None:
    draws = StepDraws((1, 2, 3), seeded(0))
    for step in (2, -1):
        with pytest.raises(IndexError, match=f"no step {step} among 2"):
            draws[:, step]
    assert StepDraws((1, 0, 3), seeded(0)).stacked().shape == (1, 0, 3)


def test_noise_keeps_the_variance_of_standard_pictures() -> None:
    clean, noise = torch.randn(2, 100_000, generator=seeded(0)[0])
    for share in (1.0, 0.7, 0.0):
        mixed = add_noise(clean, noise, share)
        assert mixed.var() == pytest.approx(1, abs=0.02)
        assert (mixed * clean).mean() == pytest.approx(share**0.5, abs=0.02)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("scale_shift", [True, False])
def test_every_variant_of_the_unet_answers_alike_in_any_memory_format(
    residual: bool, scale_shift: bool
) -> None:
    shape = UNetShape(
        in_channels=5,
        out_channels=2,
        widths=(32, 64),
        attention_from=1,
        heads=4,
        scale_shift=scale_shift,
        residual_resampling=residual,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = shape.build().eval()
    x = torch.randn(2, 5, 16, 24, generator=seeded(0)[0])
    with torch.no_grad():
        expected = unet(x, torch.tensor([3, 900]))
        alone = unet(x[1:], 900)
        last = unet.to(memory_format=torch.channels_last)
        ours = last(x.contiguous(memory_format=torch.channels_last), torch.tensor([3, 900]))
    assert expected.shape == (2, 2, 16, 24)
    torch.testing.assert_close(alone, expected[1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    attention = [module for module in unet.modules() if hasattr(module, "to_q")]
    assert {module.heads for module in attention} == {4}


def test_norm_is_precise_with_channels_last() -> None:
    norm = SteadyGroupNorm(32, 64)
    x = 3 + 1e-2 * torch.randn(1, 64, 128, 128, generator=seeded(0)[0])
    exact = torch.nn.functional.group_norm(x.double(), 32).float()
    ours = norm(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(ours, exact, atol=2e-4, rtol=0)
    assert norm.to(torch.bfloat16).weight.dtype == torch.float32
    assert norm(x.bfloat16()).dtype == torch.bfloat16
