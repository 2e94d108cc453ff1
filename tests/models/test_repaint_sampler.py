"""RePaint's sampler, where the right answer is known, and where numbers leave all bounds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.models.layers.diffusion import alphas_cumprod, linear_betas
from facemask_inpaint.models.repaint import PRESETS, RePaint, Sampling
from facemask_inpaint.models.repaint.schedule import Levels


@pytest.fixture
def tiny() -> RePaint:
    """A network for stand-ins of the U-Net, which takes pictures of any size."""
    return RePaint(width=32, multipliers=[1]).eval()


def square() -> tuple[Tensor, Tensor]:
    """A small picture, and a mask with a hole in the middle."""
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:4, 2:4] = 1
    return torch.rand(1, 3, 8, 8, generator=seeded(1)) * 2 - 1, mask


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Normal(nn.Module):
    """Best denoiser of normal pictures, and what they hold in a hole.

    Pixels have covariance ``variance * exp(-distance / 3)``; colours are independent.
    """

    def __init__(self, side: int, levels: Levels, variance: float = 0.3) -> None:
        super().__init__()
        self.side, self.levels = side, levels
        at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
        self.covariance = variance * torch.exp(-torch.cdist(at, at) / 3)
        self.spread, self.axes = torch.linalg.eigh(self.covariance)
        self.shares = alphas_cumprod(linear_betas())
        self.level = {int(time): level for level, time in enumerate(levels.timesteps)}
        self.calls = 0

    def forward(self, x: Tensor, time: int) -> Tensor:
        self.calls += 1
        share = float(self.shares[time])
        total = share * self.spread + 1 - share
        rows = x.double().flatten(2) @ self.axes
        clean = (rows * (share**0.5 * self.spread / total)) @ self.axes.T
        epsilon = (x.double().flatten(2) - share**0.5 * clean) / (1 - share) ** 0.5
        doubt = self.axes.square() @ (self.spread * (1 - share) / total)
        logit = self.logit(doubt, self.level[time]).expand_as(epsilon)
        answer = torch.cat([epsilon, logit], 1).to(x.dtype)
        return answer.unflatten(2, (self.side, self.side))

    def logit(self, doubt: Tensor, level: int) -> Tensor:
        if level == 0:
            return torch.zeros_like(doubt)
        least, largest = self.levels.log_variances(level)
        wanted = np.exp(least) + self.levels.posterior(level)[0] ** 2 * doubt
        return 2 * (wanted.log() - least) / (largest - least) - 1

    def filling(self, known: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(3, k)`` and covariance ``(k, k)`` of hidden pixels given ``known`` ones."""
        across = self.covariance[~hole][:, hole]
        weights = torch.linalg.solve(self.covariance[~hole][:, ~hole], across).T
        return known.double() @ weights.T, self.covariance[hole][:, hole] - weights @ across


SAMPLINGS: dict[str, Sampling] = {
    **PRESETS,
    "no jumps": Sampling(steps=30, jump_samples=1),
    "solver": Sampling(steps=30, jump_length=1, jump_samples=4, first_guess=14, solver="dpm"),
}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_fillings_have_the_right_distribution(tiny: RePaint, name: str) -> None:
    bias, spread = _errors(tiny, SAMPLINGS[name])
    # The mean of so few exact draws is off by 0.07.
    assert (bias < 0.1) == (name != "no jumps"), f"off by {bias:.2f} deviations"
    assert 0.9 < spread < 1.15, f"{spread:.2f} times the right deviation"


def _errors(network: RePaint, sampling: str | Sampling, n: int = 192) -> tuple[float, float]:
    """Error of the mean, and the spread, of hidden pixels in units of the right deviation."""
    network.sampling = sampling
    network.unet = normal = Normal(8, network.sampling.levels)
    image, mask = square()
    image = (image.roll(1, 2) + image) / 4
    with torch.no_grad():
        answer = network(
            image.expand(n, -1, -1, -1), mask.expand(n, -1, -1, -1), generator=seeded(0)
        )
    assert normal.calls == network.evaluations
    hole = mask.flatten() > 0
    mean, covariance = normal.filling(image[0].flatten(1)[:, ~hole], hole)
    hidden, deviation = answer.double().flatten(2)[..., hole], covariance.diagonal().mean().sqrt()
    bias = (hidden.mean(0) - mean).square().mean().sqrt() / deviation
    return float(bias), float(hidden.var(0).mean().sqrt() / deviation)


def test_second_order_solver_follows_the_flow(tiny: RePaint) -> None:
    image, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    start = torch.randn(1, 3, 8, 8, generator=seeded(3), dtype=torch.float64)
    apart = []
    for steps in (160, 320):
        tiny.sampling = Sampling(steps=steps, jump_samples=1, solver="dpm")
        levels = tiny.sampling.levels
        tiny.unet = normal = Normal(8, levels, variance=0.01)
        known = torch.zeros(1, steps - 1, 3, 8, 8)
        with torch.no_grad():
            answer = tiny(image, mask, latents={"start": start.float(), "known": known})
        # Along the flow every axis keeps its place in the normal distribution.
        first, last = levels.alpha_cumprod(steps - 1), levels.alpha_cumprod(0)
        scale = (last * normal.spread + 1 - last) / (first * normal.spread + 1 - first)
        noisy = (start.flatten(2) @ normal.axes) * scale.sqrt()
        gain = last**0.5 * normal.spread / (last * normal.spread + 1 - last)
        expected = (noisy * gain) @ normal.axes.T
        apart.append(float((answer.flatten(2) - expected).norm() / expected.norm()))
    assert apart[1] < 0.02
    # Of first order it would be 1.9 there.
    assert apart[0] / apart[1] > 2.5


class Constant(nn.Module):
    """Answers no noise, and one variance logit."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, x: Tensor, time: int) -> Tensor:
        return torch.cat([torch.zeros_like(x), torch.full_like(x, self.logit)], 1)


@pytest.mark.parametrize("logit", [300.0, 1e30, float("inf")])
def test_variance_that_overflows_is_held_and_reported(tiny: RePaint, logit: float) -> None:
    tiny.sampling = Sampling(steps=15, jump_length=3, jump_samples=2)
    tiny.unet = Constant(logit)
    with pytest.warns(RuntimeWarning, match="more than 15 steps"):
        answer = tiny(*square(), generator=seeded(0))
    assert torch.isfinite(answer).all()
    assert answer.abs().max() <= 1


@pytest.mark.parametrize("logit", [-float("inf"), -3.0, 0.0, 1.0])
def test_variance_within_bounds_is_not_reported(tiny: RePaint, logit: float) -> None:
    tiny.sampling = "fast"
    tiny.unet = Constant(logit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.isfinite(tiny(*square())).all()


def test_answers_that_are_not_finite_are_an_error(tiny: RePaint) -> None:
    tiny.sampling = "fast"
    tiny.unet = Constant(float("nan"))
    with pytest.raises(FacemaskInpaintError, match=r"overflowed in torch\.float32.*bfloat16"):
        tiny(*square())
