"""Windows: where a network looks, and that nothing is lost on the way back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask_inpaint.errors import OptionError, SizeError
from facemask_inpaint.inpainting import strategies
from facemask_inpaint.inpainting.strategies import STRATEGIES, choose_crop, default_strategy


def _sizing(
    native: int, multiple: int, any_size: bool, smallest: int = 1, larger: int | None = None
) -> SimpleNamespace:
    return SimpleNamespace(
        native_resolution=native,
        larger_resolution=larger,
        size_multiple=multiple,
        smallest_size=smallest,
        any_size=any_size,
        preferred_strategy=None,
    )


FREE = _sizing(256, 8, any_size=True, smallest=16)
FIXED = _sizing(64, 1, any_size=False)
STEPPED = _sizing(64, 64, any_size=True)


def _scene(height: int, width: int, top: int, left: int, size: int) -> tuple:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    rgb = torch.rand((3, height, width), generator=generator) * 2 - 1
    hole = torch.zeros((height, width), dtype=torch.bool)
    hole[top : top + size, left : left + size] = True
    return rgb, hole


@pytest.mark.parametrize(
    ("sizing", "name"), [(FREE, "pad"), (FIXED, "resize"), (STEPPED, "resize")]
)
def test_default(sizing: SimpleNamespace, name: str) -> None:
    assert default_strategy(sizing) == name


def test_a_network_may_prefer_another_strategy() -> None:
    picky = SimpleNamespace(**{**vars(FREE), "preferred_strategy": "resize"})
    assert default_strategy(picky) == "resize"


@given(
    st.integers(9, 150),
    st.integers(9, 150),
    st.sampled_from(STRATEGIES),
    st.sampled_from([FREE, FIXED, STEPPED]),
    st.floats(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_window_gives_a_legal_size_and_holds_the_hole(height, width, strategy, sizing, margin):
    _, hole = _scene(height, width, height // 2, width // 3, 5)
    if strategy == "pad" and sizing is FIXED and max(height, width) > 64:
        with pytest.raises(SizeError, match="resize"):
            choose_crop(strategy, sizing, hole, margin)
        return
    window = choose_crop(strategy, sizing, hole, margin)
    assert all(side % sizing.size_multiple == 0 for side in window.padded)
    assert sizing is not FIXED or window.padded == (64, 64)
    assert min(window.padded) >= sizing.smallest_size
    rows = slice(window.top, window.top + window.size[0])
    columns = slice(window.left, window.left + window.size[1])
    assert hole[rows, columns].sum() == hole.sum()
    assert window.top + window.size[0] <= height
    assert window.left + window.size[1] <= width


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sizing", [FREE, STEPPED], ids=["free", "stepped"])
def test_hidden_pixels_never_reach_the_network(strategy: str, sizing: SimpleNamespace) -> None:
    rgb, hole = _scene(90, 123, 30, 41, 20)
    window = choose_crop(strategy, sizing, hole, 0.5)
    other = torch.where(hole, 1.0, rgb)
    seen, masked = window.crop(rgb, hole)
    assert torch.equal(seen, window.crop(other, hole)[0])
    assert (seen[:, masked[0]] == 0).all()


def test_padding_mirrors_and_repeats_the_border() -> None:
    rgb, hole = _scene(10, 13, 4, 4, 2)
    seen, _ = choose_crop("pad", FREE, hole, 0.5).crop(rgb, hole)
    assert seen.shape == (3, 16, 16)
    assert torch.equal(seen[:, 10], seen[:, 9])
    assert torch.equal(seen[:, :10, 13:16], seen[:, :10, 10:13].flip(-1))


def test_both_eyes_share_one_crop() -> None:
    hole = torch.zeros((400, 400), dtype=torch.bool)
    hole[100:110, 50:70] = hole[100:110, 150:170] = True
    window = choose_crop("crop", FIXED, hole, 0.25)
    assert window.size == (180, 180)
    assert window.left <= 50
    assert window.left + 180 >= 170


def test_paste_is_exact_without_resampling() -> None:
    rgb, hole = _scene(40, 50, 10, 10, 8)
    window = choose_crop("crop", FREE, hole, 0.5)
    seen, _ = window.crop(rgb, torch.zeros_like(hole))
    assert torch.equal(window.uncrop(seen, rgb), rgb)
    part = (slice(0, 25), slice(15, 50))
    assert torch.equal(window.within(part).uncrop(seen, rgb[:, *part]), rgb[:, *part])


def test_resampled_known_pixels_stay_close_to_a_plain_resize() -> None:
    rows = torch.linspace(-0.9, 0.9, 128)
    rgb = rows[None, :, None].expand(3, 128, 128).clone()
    hole = torch.zeros((128, 128), dtype=torch.bool)
    hole[40:80, 40:80] = True
    seen, masked = choose_crop("resize", FIXED, hole, 0.5).crop(rgb, hole)
    expected = rgb.reshape(3, 64, 2, 64, 2).mean(dim=(2, 4))
    assert (seen - expected)[:, ~masked[0]].abs().max() < 0.03


def test_unknown_strategy_and_negative_margin_are_refused() -> None:
    _, hole = _scene(20, 20, 5, 5, 5)
    with pytest.raises(OptionError, match="pad, resize, crop"):
        choose_crop("stretch", FREE, hole, 0.5)
    with pytest.raises(OptionError, match="margin"):
        choose_crop("crop", FREE, hole, -1.0)


@pytest.mark.parametrize(
    ("side", "seen"), [(64, 64), (90, 64), (91, 128), (128, 128), (400, 128), (40, 64)]
)
def test_of_two_sides_the_nearer_one_is_taken(side: int, seen: int) -> None:
    hole = torch.zeros(side, side, dtype=torch.bool)
    hole[10:20, 10:20] = True
    both = _sizing(64, 1, any_size=False, larger=128)
    assert choose_crop("resize", both, hole, 0.5).padded == (seen, seen)


def test_a_large_photo_is_seen_as_a_small_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, hole = _scene(300, 401, 90, 120, 55)
    crop = choose_crop("resize", FIXED, hole, 0)
    visible, small_hole = crop.crop(rgb, hole)
    monkeypatch.setattr(strategies, "_AT_ONCE", 0)
    in_strips, hole_in_strips = crop.crop(rgb, hole)
    assert torch.equal(hole_in_strips, small_hole)
    torch.testing.assert_close(in_strips, visible, rtol=0, atol=1e-4)
