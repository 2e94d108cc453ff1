"""Membrane interpolation against closed forms and a dense solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from facemask_inpaint.images.harmonic import fill_harmonically

holes = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def coordinates(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows = torch.linspace(-1, 1, height, dtype=torch.float64)
    columns = torch.linspace(-1, 1, width, dtype=torch.float64)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return y, x


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def neighbours(y: int, x: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return [(a, b) for a, b in around if 0 <= a < shape[0] and 0 <= b < shape[1]]


def dense_solution(plane: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Every hole pixel is the mean of its neighbours: written out in full and solved densely."""
    numbers = {place: i for i, place in enumerate(zip(*np.nonzero(hole)))}
    system, right_side = np.zeros((len(numbers), len(numbers))), np.zeros(len(numbers))
    for place, i in numbers.items():
        for near in neighbours(*place, hole.shape):
            system[i, i] += 1
            if near in numbers:
                system[i, numbers[near]] -= 1
            else:
                right_side[i] += plane[near]
    filled = plane.copy()
    filled[hole] = np.linalg.solve(system, right_side)
    return filled


@given(holes.filter(lambda hole: hole.any() and not hole.all()), st.integers(0, 99))
def test_agrees_with_a_dense_solver(hole: np.ndarray, seed: int) -> None:
    values = noise(2, *hole.shape, seed=seed)
    filled = fill_harmonically(values, torch.from_numpy(hole)).numpy()
    for plane, answer in zip(values.numpy(), filled):
        np.testing.assert_allclose(answer, dense_solution(plane, hole), atol=1e-8)


@given(holes.filter(lambda hole: not hole.all()), st.integers(0, 99))
def test_known_values_stay_and_bound_the_hole(hole: np.ndarray, seed: int) -> None:
    values, inside = noise(3, *hole.shape, seed=seed).float(), torch.from_numpy(hole)
    filled = fill_harmonically(values, inside)
    assert torch.equal(filled[:, ~inside], values[:, ~inside])
    known = values[:, ~inside]
    assert (filled <= known.amax(1)[:, None, None] + 1e-6).all()
    assert (filled >= known.amin(1)[:, None, None] - 1e-6).all()


@pytest.mark.parametrize(("height", "width"), [(40, 30), (121, 160), (260, 131)])
def test_exact_on_discrete_harmonic_functions(height: int, width: int) -> None:
    y, x = (axis * 50 for axis in coordinates(height, width))
    step_y, step_x = y[1, 0] - y[0, 0], x[0, 1] - x[0, 0]
    # Quadratics have exact second differences, so this one is harmonic on the grid too.
    saddle = (x / step_x) ** 2 - (y / step_y) ** 2
    values = torch.stack([x, y, x * y, saddle, torch.full_like(x, 0.3), torch.zeros_like(x)])
    values /= values.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[3:-5, 4:-3] = True
    hole[height // 2, width // 2] = False
    assert (fill_harmonically(values, hole) - values).abs().max() < 1e-8


def test_large_ragged_hole_at_the_border_satisfies_the_equation() -> None:
    hole = noise(150, 140, seed=3) < 0.5
    hole[:90, :60] = True
    filled = fill_harmonically(noise(1, 150, 140), hole)[0]
    worst = 0.0
    for y, x in hole.nonzero().tolist():
        near = [filled[place] for place in neighbours(y, x, (150, 140))]
        worst = max(worst, abs(float(filled[y, x] - sum(near) / len(near))))
    assert worst < 1e-8


def test_the_picture_border_is_free() -> None:
    y, _ = coordinates(64, 80)
    hole = torch.zeros(64, 80, dtype=torch.bool)
    hole[10:50] = True
    assert torch.allclose(fill_harmonically(y[None], hole)[0], y, atol=1e-9)


def test_what_is_under_the_hole_is_ignored() -> None:
    hole = torch.zeros(20, 20, dtype=torch.bool)
    hole[5:15, 5:20] = True
    values = noise(3, 20, 20)
    poisoned = torch.where(hole, torch.nan, values)
    assert torch.equal(fill_harmonically(values, hole), fill_harmonically(poisoned, hole))
    assert poisoned[:, 7, 7].isnan().all(), "the input must not be written to"


def test_nothing_known_gives_the_middle_and_no_hole_changes_nothing() -> None:
    values = noise(3, 6, 5)
    assert not fill_harmonically(values, torch.ones(6, 5, dtype=torch.bool)).any()
    assert torch.equal(fill_harmonically(values, torch.zeros(6, 5, dtype=torch.bool)), values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_batch_equals_single_in_every_float_type(dtype: torch.dtype) -> None:
    values = noise(2, 3, 70, 60).to(dtype)
    hole = noise(70, 60, seed=1) < 0.4
    filled = fill_harmonically(values, hole)
    assert filled.dtype == dtype
    singles = torch.stack([fill_harmonically(one, hole) for one in values])
    assert torch.allclose(filled, singles, rtol=0, atol=max(1e-9, torch.finfo(dtype).eps))


def test_input_that_does_not_fit_is_refused() -> None:
    hole = torch.ones(4, 5, dtype=torch.bool)
    hole[0] = False
    with pytest.raises(TypeError, match="uint8"):
        fill_harmonically(torch.zeros(3, 4, 5, dtype=torch.uint8), hole)
    with pytest.raises(TypeError, match="float32"):
        fill_harmonically(torch.zeros(3, 4, 5), hole.float())
    with pytest.raises(ValueError, match="do not fit"):
        fill_harmonically(torch.zeros(3, 5, 4), hole)
    with pytest.raises(ValueError, match="NaN"):
        fill_harmonically(torch.full((3, 4, 5), torch.nan), hole)
