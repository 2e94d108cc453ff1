"""PSNR, SSIM, L1 and LPIPS: closed forms, hole-only versions, pairing, masks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from facemask_inpaint import metrics
from facemask_inpaint.errors import (
    CheckpointError,
    ImageError,
    MaskError,
    OptionError,
    UnknownNameError,
)
from facemask_inpaint.metrics import PairReader, l1, load_perceptual_distance, lpips, psnr, ssim
from facemask_inpaint.metrics.features.perceptual import BACKBONES, PerceptualDistance

from . import synth
from .conftest import write_folder

QUIET = PairReader("cpu", progress=False)
SKIPPING = PairReader("cpu", on_error="skip", progress=False)
REAL = synth.pictures(3, 40, 32)
FAKE = synth.pictures(3, 40, 32, "other")
MASKS = np.zeros((3, 40, 32), np.uint8)
MASKS[0, 5:20, 3:17] = 255
MASKS[1, 30:, :] = 255
MASKS[2, 0, 0] = 255


def unit(pictures: np.ndarray) -> np.ndarray:
    return pictures.astype(np.float64) / 255


def test_l1_and_psnr_are_their_definitions() -> None:
    difference = unit(REAL) - unit(FAKE)
    found = l1(REAL, FAKE, reader=QUIET)
    np.testing.assert_allclose(found.values, np.abs(difference).mean((1, 2, 3)), rtol=1e-12)
    assert float(found) == pytest.approx(np.mean(found.values), rel=1e-12)
    decibels = -10 * np.log10(np.square(difference).mean((1, 2, 3)))
    np.testing.assert_allclose(psnr(REAL, FAKE, reader=QUIET).values, decibels, rtol=1e-12)


def test_over_the_hole() -> None:
    difference = unit(REAL) - unit(FAKE)
    hole = MASKS > 0
    expected = [np.abs(difference[i][hole[i]]).mean() for i in range(3)]
    found = l1(REAL, FAKE, MASKS, reader=QUIET)
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    expected = [-10 * np.log10(np.square(difference[i][hole[i]]).mean()) for i in range(3)]
    found = psnr(REAL, FAKE, MASKS, reader=QUIET)
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert (found.name, found.label) == ("psnr_hole", "PSNR (hole)")
    assert found.provenance["region"] == "hole"


def test_what_is_outside_the_hole_does_not_count() -> None:
    composite = np.where(MASKS[..., None] > 0, FAKE, REAL)
    for metric in (l1, psnr):
        inside = metric(REAL, FAKE, MASKS, reader=QUIET)
        assert inside.values == metric(REAL, composite, MASKS, reader=QUIET).values
        assert inside.values != metric(REAL, composite, reader=QUIET).values


def naive_ssim_map(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """The published formula with scipy's Gaussian (radius 5), per channel."""

    def blur(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, (1.5, 1.5, 0), mode="mirror", radius=(5, 5, 0))

    x, y = blur(real), blur(fake)
    xx, yy, xy = blur(real**2) - x**2, blur(fake**2) - y**2, blur(real * fake) - x * y
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * x * y + c1) * (2 * xy + c2)) / ((x**2 + y**2 + c1) * (xx + yy + c2))


def test_ssim_is_its_definition() -> None:
    maps = [naive_ssim_map(unit(a), unit(b)) for a, b in zip(REAL, FAKE)]
    expected = [values[5:-5, 5:-5].mean() for values in maps]
    np.testing.assert_allclose(ssim(REAL, FAKE, reader=QUIET).values, expected, rtol=1e-9)
    expected = [values[mask > 0].mean() for values, mask in zip(maps, MASKS)]
    np.testing.assert_allclose(ssim(REAL, FAKE, MASKS, reader=QUIET).values, expected, rtol=1e-9)
    assert float(ssim(REAL, REAL, reader=QUIET)) == pytest.approx(1, abs=1e-12)
    with pytest.raises(ImageError, match="11 pixels each way"):
        ssim(REAL[:, :10], FAKE[:, :10], reader=QUIET)


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_lpips_is_defined_from_the_size_on_that_its_pools_leave_something_of(name: str) -> None:
    network = PerceptualDistance.from_official(name, *made_up(name))
    for side in (network.min_side - 1, network.min_side):
        pictures = np.zeros((1, side, 40, 3), np.uint8)
        if side < network.min_side:
            with pytest.raises(ImageError, match=f"LPIPS .* needs {side + 1} pixels each way"):
                lpips(pictures, pictures, network=network, reader=QUIET)
        else:
            assert float(lpips(pictures, pictures, network=network, reader=QUIET)) == 0
    assert metrics.METRICS["lpips"].min_side == BACKBONES["alex"].min_side  # type: ignore[union-attr]


def test_identical_pairs_have_no_psnr() -> None:
    fake = FAKE.copy()
    fake[1] = REAL[1]
    found = psnr(REAL, fake, reader=QUIET)
    assert found.values[1] == math.inf
    assert float(found) == pytest.approx((found.values[0] + found.values[2]) / 2)
    assert found.warnings == ("1 identical pairs are not in the mean",)
    assert '"values": [' in found.to_json()
    assert float(psnr(REAL, REAL, reader=QUIET)) == math.inf


@pytest.mark.parametrize("mask", [None, MASKS])
def test_a_measure_that_is_not_a_number_names_its_pair(mask: np.ndarray | None) -> None:
    damaged = replace(metrics.METRICS["lpips"], function=lambda pair: math.nan, prepare=None)
    damaged = damaged if mask is None else damaged.in_hole()
    with pytest.raises(OptionError, match=r"LPIPS.* of #0 is not a number"):
        QUIET.measure(REAL, FAKE, [damaged], mask)


def test_masks_by_stem_by_order_and_one_for_all(tmp_path: Path) -> None:
    real, fake = write_folder(tmp_path / "real", 3), write_folder(tmp_path / "fake", 3, "x")
    masks = tmp_path / "masks"
    masks.mkdir()
    drawn = np.zeros((3, 24, 20), bool)
    for index in range(3):
        drawn[index, index : index + 4] = True
        Image.fromarray(drawn[index]).save(masks / f"00{index}.gif.png".replace(".gif", ""))
    expected = l1(real, fake, drawn, reader=QUIET)
    shuffled = [masks / f"{stem}.png" for stem in ("002", "000", "001")]
    for given in (masks, shuffled, list(drawn), torch.from_numpy(drawn)[:, None]):
        assert l1(real, fake, given, reader=QUIET).values == expected.values
    one = l1(real, fake, drawn[0], reader=QUIET)
    assert one.values[0] == expected.values[0]
    assert one.values[1] != expected.values[1]
    assert l1(real, fake, masks / "000.png", reader=QUIET).values == one.values
    (masks / "001.png").unlink()
    with pytest.raises(OptionError, match="the masks have stems twice: 002"):
        l1(real, fake, [*shuffled, masks / "002.bmp"], reader=QUIET)
    with pytest.raises(OptionError, match=r"1 images have no mask of their stem: .*001\.png"):
        l1(real, fake, masks, reader=QUIET)
    with pytest.raises(OptionError, match="2 masks for 3 images"):
        l1(real, fake, list(drawn[:2]), reader=QUIET)
    with pytest.raises(MaskError, match=r"mask of .*000\.png"):
        l1(real, fake, drawn[:, :5], reader=SKIPPING)


def test_pairs_of_different_sizes_are_named(tmp_path: Path) -> None:
    real, fake = write_folder(tmp_path / "real", 3), write_folder(tmp_path / "fake", 3, "x")
    Image.fromarray(synth.picture(20, 20, "small")).save(fake / "001.png")
    (fake / "002.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"real/001\.png is 24x20 but .*fake/001\.png 20x20"):
        l1(real, fake, reader=QUIET)
    found = l1(real, fake, reader=SKIPPING)
    assert found.n == 1
    assert [Path(name).name for name in found.names] == ["000.png"]
    assert found.provenance["skipped"] == [str(real / "001.png"), str(real / "002.png")]
    assert "2 pairs were left out" in found.warnings[0]
    (fake / "000.png").unlink()
    (real / "000.png").unlink()
    with pytest.raises(ImageError, match="not one of the pairs"):
        l1(real, fake, reader=SKIPPING)


WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
SHAPES = {
    "alex": {
        0: (64, 3, 11, 11),
        3: (192, 64, 5, 5),
        6: (384, 192, 3, 3),
        8: (256, 384, 3, 3),
        10: (256, 256, 3, 3),
    },
    "vgg": {
        0: (64, 3, 3, 3),
        2: (64, 64, 3, 3),
        5: (128, 64, 3, 3),
        7: (128, 128, 3, 3),
        10: (256, 128, 3, 3),
        12: (256, 256, 3, 3),
        14: (256, 256, 3, 3),
        17: (512, 256, 3, 3),
        19: (512, 512, 3, 3),
        21: (512, 512, 3, 3),
        24: (512, 512, 3, 3),
        26: (512, 512, 3, 3),
        28: (512, 512, 3, 3),
    },
}


def made_up(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the published shapes, under the published keys."""
    random = torch.Generator().manual_seed(7)
    features: dict[str, Tensor] = {"classifier.1.weight": torch.zeros(1, 1)}
    for position, shape in SHAPES[name].items():
        scale = (2 / math.prod(shape[1:])) ** 0.5
        features[f"features.{position}.weight"] = torch.randn(shape, generator=random) * scale
        features[f"features.{position}.bias"] = torch.randn(shape[0], generator=random) * 0.1
    heads = {
        f"lin{depth}.model.1.weight": torch.rand(1, width, 1, 1, generator=random)
        for depth, width in enumerate(WIDTHS[name])
    }
    return features, heads


def naive_maps(name: str, pair: Tensor) -> list[Tensor]:
    """Torchvision's layer list walked position by position; pictures in [-1, 1]."""
    features, heads = made_up(name)
    geometry = {0: (4, 2), 3: (1, 2)} if name == "alex" else {}
    pools = (2, 5, 12) if name == "alex" else (4, 9, 16, 23, 30)
    taps = (1, 4, 7, 9, 11) if name == "alex" else (3, 8, 15, 22, 29)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = (pair - shift[:, None, None]) / scale[:, None, None]
    found = []
    for position in range(max(taps) + 1):
        if position in pools:
            x = F.max_pool2d(x, 3 if name == "alex" else 2, 2)
        elif (weight := features.get(f"features.{position}.weight")) is not None:
            stride, padding = geometry.get(position, (1, 1))
            x = F.conv2d(x, weight, features[f"features.{position}.bias"], stride, padding)
        else:
            x = x.relu()
        if position in taps:
            unit_maps = F.normalize(x, dim=1, eps=1e-10)
            difference = (unit_maps[0] - unit_maps[1]).square()
            head = heads[f"lin{len(found)}.model.1.weight"][0]
            found.append((difference * head).sum(dim=0))
    return found


@pytest.mark.parametrize("name", WIDTHS)
def test_lpips_is_its_definition(name: str) -> None:
    network = PerceptualDistance.from_official(name, *made_up(name))
    real, fake = synth.pictures(1, 64, 72), synth.pictures(1, 64, 72, "other")
    pair = torch.from_numpy(np.concatenate([real, fake])).permute(0, 3, 1, 2) / 127.5 - 1
    maps = naive_maps(name, pair)
    expected = sum(float(values.mean()) for values in maps)
    found = lpips(real, fake, network=network, reader=QUIET)
    assert float(found) == pytest.approx(expected, rel=1e-4)
    hole = np.zeros((64, 72), bool)
    hole[10:30, 20:50] = True
    enlarged = sum(
        F.interpolate(values[None, None], (64, 72), mode="bilinear")[0, 0] for values in maps
    )
    inside = lpips(real, fake, hole, network=network, reader=QUIET)
    assert float(inside) == pytest.approx(float(enlarged[hole].mean()), rel=1e-4)
    assert float(lpips(real, real, network=network, reader=QUIET)) == 0


def test_lpips_weights(tmp_path: Path) -> None:
    features, heads = made_up("alex")
    for name, tensors in (("features.pth", features), ("heads.pth", heads)):
        torch.save(tensors, tmp_path / name)
    files = {"features": tmp_path / "features.pth", "heads": tmp_path / "heads.pth"}
    network = load_perceptual_distance("alex", device="cpu", **files)
    direct = PerceptualDistance.from_official("alex", features, heads)
    for key, value in direct.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value)
    with pytest.raises(UnknownNameError, match="alex, vgg"):
        load_perceptual_distance("squeeze")
    with pytest.raises(CheckpointError, match="5 convolutions among the tensors; vgg has 13"):
        load_perceptual_distance("vgg", **files)
    del heads["lin3.model.1.weight"]
    with pytest.raises(CheckpointError, match=r"lin3\.model\.1\.weight"):
        PerceptualDistance.from_official("alex", features, heads)
