"""LaMa on large pictures: sizes beyond training, and refinement against its own procedure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import OptionError
from facemask_inpaint.models.lama import LaMa, refinement
from facemask_inpaint.models.lama.refinement import Refinement
from tests.models.reduced import build

HALF_ROWS = [0, 4, 5, 6, 6, 7, 7, 7, 7, 7, 6, 6, 5, 4, 0]
"""Half widths of the rows of a 15 x 15 ellipse as OpenCV draws it."""


@pytest.fixture
def network() -> LaMa:
    """A small network whose answer depends on its maps as strongly as a trained one's."""
    network = build("lama")
    with torch.no_grad():
        network.head.weight.mul_(20)
    return network


def portrait(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Part of the sample portrait with the eyes' region as hole."""
    picture = np.asarray(fmi.data.sample(512).image, dtype=np.float32)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    image = F.interpolate(image, size=(height, width), mode="area")
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
    return image * (1 - mask), mask


@torch.inference_mode()
def answer(network: LaMa, image: Tensor, mask: Tensor, refinement: Refinement | None) -> Tensor:
    network.refinement = refinement
    return network(image, mask)


TWO_SCALES = Refinement(steps=3, smallest_side=48)


def by_the_book(network: LaMa, image: Tensor, mask: Tensor, steps: int, rate: float) -> Tensor:
    """Two scales of a picture whose larger one needs no border, in plain PyTorch and SciPy."""
    picture = (image + 1) / 2 * (1 - mask)
    h, w = mask.shape[2:]
    small_hole = torch.from_numpy(smoothed(mask) > 1e-9).float()
    border = (0, -(w // 2) % 8, 0, -(h // 2) % 8)
    pair = [torch.from_numpy(smoothed(picture)).float() * (1 - small_hole), small_hole]
    bordered = [F.pad(part, border, mode="reflect") for part in pair]
    small = network.decode(network.blocks(network.encode(*bordered)))[..., : h // 2, : w // 2]
    goal = torch.where(small_hole == 1, small, pair[0]).detach()
    inner = (F.avg_pool2d(mask, 2) == 1)[0, 0].numpy()
    inner = torch.from_numpy(ndimage.binary_erosion(inner, ellipse(), border_value=1))
    z = network.encode(picture, mask).detach()
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, steps):
        z.requires_grad_()
        out = network.decode(network.blocks(z))
        known = (out - picture).abs()[(mask == 0).expand_as(out)].mean()
        shrunk = refinement._downsample(out)
        loss = known + (shrunk - goal).abs()[inner.expand_as(goal)].mean()
        (slope,) = torch.autograd.grad(loss, z)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        size = (square / (1 - 0.999**step)).sqrt() + 1e-8
        z = (z - rate * mean / (1 - 0.9**step) / size).detach()
    return 2 * network.decode(network.blocks(z)).detach() - 1


def smoothed(x: Tensor) -> np.ndarray:
    """5 x 5 Gaussian of deviation 1 and halving of even sides, in double precision."""
    blurred = ndimage.gaussian_filter(x.double().numpy(), (0, 0, 1, 1), mode="mirror", radius=2)
    return sum(blurred[..., i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def ellipse() -> np.ndarray:
    offset = np.abs(np.arange(-7, 8))
    return offset <= np.array(HALF_ROWS)[:, None]


@pytest.mark.parametrize("size", [(96, 96), (104, 128)])
def test_refined_answer_follows_the_published_procedure(
    network: LaMa, size: tuple[int, int]
) -> None:
    image, mask = portrait(*size)
    plain = answer(network, image, mask, None)
    refined = answer(network, image, mask, Refinement(steps=4, smallest_side=48))
    expected = by_the_book(network, image, mask, steps=4, rate=2e-3)
    assert (refined - plain).abs().max() > 1e-2
    torch.testing.assert_close(refined, expected, atol=2e-4, rtol=0)


def test_more_steps_come_closer_to_the_smaller_scale(network: LaMa) -> None:
    image, mask = portrait(128, 96)
    inner = refinement._inner_hole(mask)
    assert inner.any()
    small = answer(network, *portrait(64, 48), None)
    apart = []
    for steps in (1, 5, 15):
        refined = answer(network, image, mask, Refinement(steps=steps, smallest_side=48))
        apart.append(((refinement._downsample(refined) - small).abs() * inner).sum().item())
    assert apart[0] > apart[1] > apart[2]


@pytest.mark.parametrize(
    "refinement", [Refinement(), Refinement(steps=1, smallest_side=32), Refinement(max_scales=1)]
)
def test_nothing_to_refine_is_the_plain_answer(network: LaMa, refinement: Refinement) -> None:
    pair = portrait(64, 72)
    assert torch.equal(answer(network, *pair, refinement), answer(network, *pair, None))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((724, 3000), [(659, 2731)]),
        ((512, 724), [(512, 724)]),
        ((726, 800), [(363, 400), (726, 800)]),
        ((1024, 1024), [(512, 512), (1024, 1024)]),
        ((1536, 1024), [(768, 512), (1536, 1024)]),
        ((2048, 2048), [(670, 670), (1341, 1341)]),
    ],
)
def test_scales_of_the_official_settings(
    size: tuple[int, int], expected: list[tuple[int, int]]
) -> None:
    assert Refinement().sizes(*size) == expected


def test_scales_end_at_the_limit() -> None:
    roomy = Refinement(pixel_budget=10**8)
    assert roomy.sizes(2048, 2050) == [(512, 512), (1024, 1025), (2048, 2050)]
    assert roomy.sizes(4096, 4096)[0] == (1024, 1024)


def test_halving_is_blur_and_mean_of_four() -> None:
    x = torch.rand(1, 2, 10, 14, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(refinement._downsample(x), smoothed(x), atol=1e-6)


def test_inner_hole_is_eroded_by_the_ellipse_but_not_at_the_border() -> None:
    hole = torch.ones(1, 1, 60, 80)
    hole[..., 30, 41] = 0
    inner = refinement._inner_hole(hole)[0, 0].bool().numpy()
    expected = np.ones((30, 40), dtype=bool)
    expected[8:23, 13:28] = ~ellipse()
    np.testing.assert_array_equal(inner, expected)


def test_pictures_in_a_batch_do_not_meet(network: LaMa) -> None:
    image, mask = portrait(96, 104)
    images, masks = torch.cat([image, image.flip(3) * 0.5]), torch.cat([mask, mask.roll(9, 2)])
    images = images * (1 - masks)
    together = answer(network, images, masks, TWO_SCALES)
    for i in range(2):
        alone = answer(network, images[i : i + 1], masks[i : i + 1], TWO_SCALES)
        assert torch.equal(together[i : i + 1], alone)


def test_network_is_left_as_it_was(network: LaMa) -> None:
    network.stem.conv.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    answer(network, *portrait(96, 96), TWO_SCALES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen == ["stem.conv.weight"]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_training_is_not_refined(network: LaMa) -> None:
    network.train().refinement = TWO_SCALES
    network(*portrait(96, 96)).mean().backward()
    assert network.stem.conv.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_networks_are_refined_too(network: LaMa, dtype: torch.dtype) -> None:
    image, mask = (part.to(dtype) for part in portrait(96, 96))
    network.to(dtype)
    plain, refined = (answer(network, image, mask, r) for r in (None, TWO_SCALES))
    assert refined.dtype == dtype
    assert torch.isfinite(refined).all()
    assert (refined - plain).abs().max() > 5e-3


@pytest.mark.parametrize("thin", [True, False])
def test_holes_that_leave_nothing_to_compare_are_answered(network: LaMa, thin: bool) -> None:
    image, mask = portrait(96, 96)
    mask = torch.ones_like(mask)
    if thin:
        mask[..., 4:, :] = 0
    assert torch.isfinite(answer(network, image, mask, TWO_SCALES)).all()


def test_beyond_the_budget_the_answer_is_enlarged(network: LaMa) -> None:
    refinement = Refinement(steps=2, smallest_side=48, pixel_budget=100 * 100)
    assert refinement.sizes(160, 200) == [(44, 55), (89, 111)]
    out = answer(network, *portrait(160, 200), refinement)
    assert out.shape == (1, 3, 160, 200)
    assert torch.isfinite(out).all()


def test_the_inpainter_refines_when_its_network_is_told_to(network: LaMa) -> None:
    sample = fmi.data.sample(256)
    mask = fmi.SemanticMasker()(sample.label_map, "nose")
    inpainter = fmi.Inpainter(network, device="cpu")
    plain = np.asarray(inpainter(sample.image, mask))
    inpainter.network.refinement = Refinement(steps=3, smallest_side=128)
    refined = np.asarray(inpainter(sample.image, mask))
    hole = np.asarray(mask) > 0
    np.testing.assert_array_equal(refined[~hole], np.asarray(sample.image)[~hole])
    assert (refined != plain)[hole].any()


def test_large_transforms_keep_their_precision(network: LaMa) -> None:
    pair = portrait(1024, 640)
    single = answer(network, *pair, None)
    double = answer(network.double(), *(part.double() for part in pair), None)
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=0)


def test_large_picture_is_refined_under_the_official_settings(network: LaMa) -> None:
    pair = portrait(1024, 1024)
    plain, refined = (answer(network, *pair, r) for r in (None, Refinement(steps=2)))
    assert (refined - plain).abs().max() > 2e-3


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"smallest_side": 31},
        {"max_scales": 0},
        {"pixel_budget": 1000},
    ],
)
def test_senseless_settings_are_refused_by_name(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=name):
        Refinement(**options)
