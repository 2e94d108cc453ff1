"""Other sizes and soft seams: the any-pixel rule, antialiasing, feathering, Poisson blending."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from facemask_inpaint.images import feather_alpha, poisson_blend, resample_hole, resize

sides = st.integers(1, 13)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sources_of(target: int, have: int, want: int) -> range:
    """Source pixels on one axis that a target pixel must ask, in whole numbers."""
    if want >= have:
        middle = (2 * target + 1) * have // (2 * want)
        return range(middle, middle + 1)
    return range(target * have // want, -(-(target + 1) * have // want))


@given(
    hole=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=13)),
    height=sides,
    width=sides,
)
def test_no_hole_pixel_is_lost_at_any_ratio(hole: np.ndarray, height: int, width: int) -> None:
    resized = resample_hole(torch.from_numpy(hole), (height, width))
    assert resized.shape == (height, width)
    assert resized.dtype == torch.bool
    covered = np.zeros_like(hole)
    for y in range(height):
        rows = sources_of(y, hole.shape[0], height)
        for x in range(width):
            columns = sources_of(x, hole.shape[1], width)
            asked = np.ix_(list(rows), list(columns))
            assert bool(resized[y, x]) == hole[asked].any()
            covered[asked] |= bool(resized[y, x])
    assert (covered | ~hole).all()


def test_holes_keep_leading_axes() -> None:
    holes = noise(2, 1, 20, 30) > 0.9
    resized = resample_hole(holes, (7, 45))
    assert resized.shape == (2, 1, 7, 45)
    assert torch.equal(resized[1, 0], resample_hole(holes[1, 0], (7, 45)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(20, 30), (7, 11), (50, 12), (64, 90)])
def test_resize_keeps_constants_and_dtype(dtype: torch.dtype, size: tuple[int, int]) -> None:
    flat = torch.full((2, 4, 20, 30), 0.25, dtype=dtype)
    resized = resize(flat, size)
    assert resized.shape == (2, 4, *size)
    assert resized.dtype == dtype
    assert torch.allclose(resized, flat[..., :1, :1], atol=1e-3)


def test_resize_is_antialiased_and_keeps_ramps() -> None:
    checkers = (torch.arange(74)[:, None] + torch.arange(74)) % 2 * 2.0 - 1
    assert resize(checkers[None, None], (20, 20)).abs().max() < 0.05
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    shrunk, grown = resize(ramp, (16, 16))[0, 0, 8], resize(ramp, (64, 256))[0, 0, 8]
    middles = (torch.arange(16) * 4 + 1.5) / 63 * 2 - 1
    assert torch.allclose(shrunk[2:-2], middles[2:-2], atol=1e-5)
    assert torch.allclose(grown[8:-8].diff(), torch.full((239,), 2 / 63 / 4), atol=1e-5)


def disc(side: int = 41, radius: int = 9) -> Tensor:
    y, x = torch.meshgrid(*[torch.arange(side) - side // 2] * 2, indexing="ij")
    return y.square() + x.square() <= radius * radius


@pytest.mark.parametrize("radius", [0, 1, 4, 8])
def test_feather_is_one_inside_and_falls_to_zero_outside(radius: int) -> None:
    alpha = feather_alpha(disc(), radius)
    assert alpha.dtype == torch.float32
    assert (alpha[disc()] == 1).all()
    reached = disc(radius=9 + radius)
    assert (alpha[~reached] == 0).all()
    ray = alpha[20, 20 + 9 : 20 + 9 + radius + 2]
    assert (ray.diff() < 0).all(), "from the hole's last pixel to the first beyond the radius"
    assert ray[-1] == 0


def test_feather_of_no_hole_is_nothing_and_needs_a_radius() -> None:
    assert not feather_alpha(torch.zeros(5, 6, dtype=torch.bool), 3).any()
    with pytest.raises(ValueError, match="radius"):
        feather_alpha(disc(), -1)


def test_poisson_removes_an_offset_and_leaves_the_known_alone() -> None:
    picture, hole = noise(3, 41, 41) * 0.4, disc()
    offset = torch.tensor([0.3, -0.2, 0.1])[:, None, None]
    blended = poisson_blend(picture, picture + offset, hole)
    assert torch.allclose(blended, picture, atol=1e-6)
    assert torch.equal(blended[:, ~hole], picture[:, ~hole])


def laplacian(picture: Tensor) -> Tensor:
    inner = picture[:, 1:-1, 1:-1] * 4
    near = picture[:, :-2, 1:-1] + picture[:, 2:, 1:-1]
    return inner - near - picture[:, 1:-1, :-2] - picture[:, 1:-1, 2:]


def test_poisson_keeps_the_gradients_of_the_filling() -> None:
    picture, filled, hole = noise(3, 41, 41) * 0.2, noise(3, 41, 41, seed=1) * 0.2, disc()
    blended = poisson_blend(picture, filled, hole)
    assert blended.abs().max() < 1, "nothing may have been clamped"
    deep = disc(radius=7)[1:-1, 1:-1]
    assert torch.allclose(laplacian(blended)[:, deep], laplacian(filled)[:, deep], atol=1e-5)
    assert not torch.allclose(blended[:, hole], filled[:, hole], atol=1e-2)


def test_poisson_ignores_what_was_hidden() -> None:
    picture, filled, hole = noise(3, 41, 41), noise(3, 41, 41, seed=1), disc()
    hidden = torch.where(hole, 0.9, picture)
    assert torch.equal(poisson_blend(picture, filled, hole), poisson_blend(hidden, filled, hole))
