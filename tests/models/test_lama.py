"""LaMa's own parts: the portable inverse transform, sizes, checkpoints that do not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError, SizeError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.lama.generator import FourierUnit, inverse_rfft2
from tests.models.reduced import build
from tests.parity import recipe


def summed_inverse(spectrum: Tensor, h: int, w: int) -> np.ndarray:
    """The sum that defines the inverse: inner columns count twice, real parts are kept."""
    u, v, k, q = np.ogrid[:h, :w, :h, : w // 2 + 1]
    weight = np.where((q == 0) | (2 * q == w), 1.0, 2.0)
    waves = np.exp(2j * np.pi * (k * u / h + q * v / w))
    return (weight * spectrum.numpy() * waves).real.sum(axis=(2, 3)) / math.sqrt(h * w)


@pytest.mark.parametrize(("h", "w"), [(4, 6), (5, 7), (3, 8), (2, 2)])
def test_inverse_transform_of_spectra_without_symmetry(h: int, w: int) -> None:
    parts = torch.rand(h, w // 2 + 1, 2, dtype=torch.float64)
    spectrum = torch.view_as_complex(parts)
    expected = torch.from_numpy(summed_inverse(spectrum, h, w))
    torch.testing.assert_close(inverse_rfft2(spectrum, h, w), expected)


def test_inverse_transform_undoes_rfft2() -> None:
    x = torch.rand(2, 3, 6, 9, dtype=torch.float64)
    torch.testing.assert_close(inverse_rfft2(torch.fft.rfft2(x, norm="ortho"), 6, 9), x)


def test_fourier_unit_stays_in_float32_in_half_networks() -> None:
    network = build("lama").to(torch.bfloat16)
    units = [module for module in network.modules() if isinstance(module, FourierUnit)]
    assert units
    assert {p.dtype for unit in units for p in unit.parameters()} == {torch.float32}
    assert network.head.weight.dtype == torch.bfloat16


def test_sides_below_sixteen_are_refused() -> None:
    with pytest.raises(SizeError, match="at least 16"):
        build("lama")(torch.zeros(1, 3, 8, 32), torch.ones(1, 1, 8, 32))


@pytest.mark.parametrize("manifest", ["manifest.json", "manifest.big.json"])
def test_block_count_is_read_off_the_keys(manifest: str) -> None:
    tensors = official_tensors(manifest)
    blocks = {"manifest.json": 9, "manifest.big.json": 18}[manifest]
    options = _registry.network_class("lama").official_options(tensors)
    assert options == {"width": 64, "blocks": blocks}


def test_checkpoints_that_do_not_fit_are_refused_by_key() -> None:
    tensors = official_tensors("manifest.json")
    with pytest.raises(CheckpointError, match=r"model\.1\.ffc\.convl2l\.weight"):
        _registry.from_official("lama", {})
    with pytest.raises(CheckpointError, match=r"model\.9\.conv2\.bn_g\.bias"):
        _registry.from_official("lama", without(tensors, "model.9.conv2.bn_g.bias"))
    with pytest.raises(CheckpointError, match=r"head\.weight"):
        _registry.from_official("lama", without(tensors, "model.25.weight"))
    with pytest.raises(CheckpointError, match="discriminator"):
        _registry.from_official("lama", {**tensors, "discriminator.w": torch.zeros(1)})


def official_tensors(manifest: str) -> dict[str, Tensor]:
    """Tensors of the right shapes without memory behind them."""
    shapes = recipe.official_shapes("lama", manifest)
    return {k.removeprefix("generator."): torch.zeros(()).expand(s) for k, s in shapes.items()}


def without(tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != key}
