"""Every kind of picture and mask in and out: round trips, files, sizes, seams, clear errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint.errors import ImageError, OptionError
from tests.images.samples import (
    HEIGHT,
    MODES,
    NUMPY_DTYPES,
    SIZE,
    TORCH_DTYPES,
    WIDTH,
    array_of,
    block,
    noise,
    pil_of,
    same_bits,
)

# --- round trips -----------------------------------------------------------------------------


@given(
    dtype=st.sampled_from(NUMPY_DTYPES),
    shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    channels=st.sampled_from([(), (1,), (2,), (3,), (4,)]),
    signed=st.booleans(),
    data=st.data(),
)
def test_arrays_keep_every_known_bit(
    dtype: str, shape: tuple[int, int], channels: tuple[int, ...], signed: bool, data: Any
) -> None:
    source = array_of(dtype, shape + channels, data.draw(st.integers(0, 99)))
    if signed and source.dtype.kind == "f":
        source = source * 2 - 1
    before = source.copy()
    hole = data.draw(hnp.arrays(np.bool_, shape))
    picture = images.decode_image(source)
    filled = noise(3, *shape) * 1.2
    result = picture.compose(filled, torch.from_numpy(hole))
    assert isinstance(result, np.ndarray)
    assert picture.size == shape
    assert same_bits(source, before)
    assert same_bits(result[~hole], source[~hole])
    if channels in [(2,), (4,)]:
        assert same_bits(result[..., -1], source[..., -1])
    if channels in [(3,), (4,)] and source.dtype.kind == "u":
        half = np.float32(np.iinfo(dtype).max / 2)
        wanted = np.rint((filled.clamp(-1, 1).numpy() + np.float32(1)) * half)
        np.testing.assert_array_equal(result[hole][:, :3], wanted[:, hole].T)


@given(
    dtype=st.sampled_from(TORCH_DTYPES),
    shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    channels=st.sampled_from([(), (1,), (3,), (4,)]),
    data=st.data(),
)
def test_tensors_keep_every_known_bit(
    dtype: torch.dtype, shape: tuple[int, int], channels: tuple[int, ...], data: Any
) -> None:
    source = noise(*channels, *shape)
    source = (source.abs() * 255).byte() if dtype == torch.uint8 else source.to(dtype)
    before = source.clone()
    hole = torch.from_numpy(data.draw(hnp.arrays(np.bool_, shape)))
    result = images.decode_image(source).compose(noise(3, *shape, seed=1), hole)
    assert isinstance(result, Tensor)
    assert result.dtype == dtype
    assert torch.equal(source, before)
    assert torch.equal(result[..., ~hole], source[..., ~hole])
    if channels == (4,):
        assert torch.equal(result[3], source[3])


@pytest.mark.parametrize("mode", MODES)
def test_pil_modes_keep_every_known_bit(mode: str) -> None:
    source, hole = pil_of(mode), block()
    result = images.decode_image(source).compose(noise(3, *SIZE), hole)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (source.mode, source.size)
    known, inside = ~hole.numpy(), hole.numpy()
    before, after = np.asarray(source), np.asarray(result)
    assert same_bits(after[known], before[known])
    assert (after[inside] != before[inside]).mean() > 0.4, "the hole must be filled"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16", "I"])
def test_what_decode_sees_composes_to_the_source(mode: str) -> None:
    source = pil_of(mode)
    picture = images.decode_image(source)
    result = picture.compose(picture.rgb, torch.ones(SIZE, dtype=torch.bool))
    assert same_bits(np.asarray(result), np.asarray(source))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_sample_value_survives_the_network_range(dtype: str) -> None:
    source = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 64)
    picture = images.decode_image(source)
    assert picture.rgb.min() == -1
    assert picture.rgb.max() == 1
    result = picture.compose(picture.rgb, torch.ones(source.shape, dtype=torch.bool))
    assert same_bits(np.asarray(result), source)


def test_colours_of_other_spaces_come_out_right() -> None:
    skin = (204, 153, 120)
    filled = (torch.tensor(skin) / 127.5 - 1)[:, None, None].expand(3, *SIZE)
    for mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        result = images.decode_image(pil_of(mode)).compose(filled, block())
        assert isinstance(result, Image.Image)
        pixel = result.convert("RGB").getpixel((10, 10))
        assert np.abs(np.subtract(pixel, skin)).max() <= 3, mode


def test_palettes_and_colour_keys_come_back_in_modes_that_hold_any_colour() -> None:
    colourful = pil_of("RGB").quantize(16)
    keyed, transparent = pil_of("L"), colourful.copy()
    transparent.info["transparency"] = keyed.info["transparency"] = 5
    for source, mode in [(colourful, "RGB"), (transparent, "RGBA"), (keyed, "LA")]:
        result = images.decode_image(source).compose(noise(3, *SIZE), block())
        assert isinstance(result, Image.Image)
        assert result.mode == mode
        known = ~block().numpy()
        assert same_bits(np.asarray(result)[known], np.asarray(source.convert(mode))[known])


def test_colour_profile_stays_and_exif_goes() -> None:
    source = pil_of("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source.info.update(icc_profile=profile, exif=Image.Exif().tobytes())
    result = images.decode_image(source).compose(noise(3, *SIZE), block())
    assert isinstance(result, Image.Image)
    assert result.info == {"icc_profile": profile}


def test_alpha_blends_outside_the_hole_and_hides_what_was_inside() -> None:
    source = array_of("uint8", (*SIZE, 3))
    hole, filled = block(), noise(3, *SIZE)
    alpha = torch.zeros(SIZE)
    alpha[:, :8] = 0.5
    picture = images.decode_image(source)
    result = np.asarray(picture.compose(filled, hole, alpha))
    exact = np.asarray(picture.compose(filled, hole))
    assert same_bits(result[hole.numpy()], exact[hole.numpy()])
    untouched = ~hole.numpy() & (alpha.numpy() == 0)
    assert same_bits(result[untouched], source[untouched])
    middle = ((picture.rgb + filled) / 2 + 1) * 127.5
    assert np.abs(result[20, :8] - middle.permute(1, 2, 0)[20, :8].numpy()).max() <= 0.51


def test_nan_in_the_filling_is_refused_only_where_it_would_be_used() -> None:
    picture, hole = images.decode_image(array_of("uint8", (*SIZE, 3))), block()
    picture.compose(torch.where(hole, 0.0, torch.nan).expand(3, -1, -1), hole)
    with pytest.raises(ImageError, match="NaN"):
        picture.compose(torch.full((3, *SIZE), torch.nan), hole)


# --- ranges and arrangements -----------------------------------------------------------------


def test_float_ranges_are_inferred_or_given() -> None:
    ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    for source, value_range in [
        (ramp, None),
        (ramp * 2 - 1, None),
        (ramp - np.float32(1e-6), None),
        (ramp * 255, (0, 255)),
        (np.rint(ramp * 4095).astype(np.uint16), (0, 4095)),
    ]:
        rgb = images.decode_image(source, value_range=value_range).rgb
        np.testing.assert_allclose(rgb[1].numpy(), ramp * 2 - 1, atol=3e-4)


def test_a_batch_shares_one_range_and_comes_back_stacked() -> None:
    dark, bright = torch.full((3, 4, 5), -0.5), torch.full((3, 4, 5), 0.5)
    pictures, regroup = images.decode_images(torch.stack([dark, bright]).double())
    assert [float(picture.rgb.mean()) for picture in pictures] == [-0.5, 0.5]
    nothing = torch.zeros(4, 5, dtype=torch.bool)
    result = regroup([picture.compose(picture.rgb, nothing) for picture in pictures])
    assert torch.equal(result, torch.stack([dark, bright]).double())
    source = array_of("uint16", (2, 4, 5, 4))
    pictures, regroup = images.decode_images(source)
    result = regroup([picture.compose(picture.rgb, nothing) for picture in pictures])
    assert same_bits(result, source)


def test_lists_hold_mixed_kinds_and_single_pictures_stay_single() -> None:
    mixed = (pil_of("L"), noise(3, 4, 5), array_of("uint8", (6, 7, 3)))
    pictures, regroup = images.decode_images(mixed)
    assert [picture.size for picture in pictures] == [SIZE, (4, 5), (6, 7)]
    assert regroup([1, 2, 3]) == (1, 2, 3)
    assert images.decode_images(list(mixed)).regroup([1, 2, 3]) == [1, 2, 3]
    assert images.decode_images(mixed[2]).regroup(["only"]) == "only"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((3, 40, 40), np.uint8), "(H, W, C)"),
        (torch.zeros(40, 40, 3), "(C, H, W)"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (torch.zeros(3, 4, 4, dtype=torch.int32), "int32"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (torch.zeros(0, 3, 4, 4), "no pixels"),
        (Image.new("RGB", (0, 3)), "no pixels"),
        (torch.full((3, 4, 4), torch.nan), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "NaN or infinity"),
        (np.full((4, 4, 3), 200, np.float32), "value_range"),
        (Image.fromarray(np.full((4, 4), 70000, np.int32)), "value_range"),
        (object(), "object"),
        (None, "NoneType"),
        ([], "empty"),
    ],
)
def test_pictures_that_are_none_get_one_sentence(image: Any, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        images.decode_images(image)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="value_range"):
        images.decode_image(torch.zeros(3, 4, 4), value_range=(1, 0))
    with pytest.raises(ImageError, match=r"images\[1\]"):
        images.decode_images([torch.zeros(3, 4, 4), torch.full((3, 4, 4), 9.0)])


# --- what arrays and tensors are made of -----------------------------------------------------

LAYOUTS: dict[str, Any] = {
    "flipped": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda a: np.asfortranarray(a),
    "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f2", ">f4", ">f8", "g"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_any_byte_order_and_layout(dtype: str, layout: str, channels: tuple[int, ...]) -> None:
    plain = array_of(dtype, (*SIZE, *channels))
    source, hole = LAYOUTS[layout](plain), block()
    picture = images.decode_image(source)
    assert torch.equal(
        picture.rgb, images.decode_image(plain.astype(plain.dtype.newbyteorder("="))).rgb
    )
    result = picture.compose(noise(3, *SIZE), hole)
    assert isinstance(result, np.ndarray)
    assert result.dtype == plain.dtype
    np.testing.assert_array_equal(result[~hole.numpy()], plain[~hole.numpy()])
    assert images.to_rgb(source).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float8_e5m2])
def test_rare_tensors_come_back_as_they_were(dtype: torch.dtype) -> None:
    whole = dtype == torch.uint16
    source = (noise(3, *SIZE).abs() * (65535 if whole else 1)).to(dtype)
    hole = block()
    for sent in (source, source.expand(2, -1, -1, -1)):
        pictures, regroup = images.decode_images(sent)
        result = regroup([picture.compose(noise(3, *SIZE), hole) for picture in pictures])
        assert result.dtype == dtype
        assert result.shape == sent.shape
        assert torch.equal(result.float()[..., ~hole], sent.float()[..., ~hole])
        assert not torch.equal(result.float()[..., hole], sent.float()[..., hole])


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 4, 4, device="meta"),
        torch.eye(4).expand(3, 4, 4).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(3, 4, 4), 0.1, 0, torch.quint8),
        torch.zeros(2, 3, 4, 4, device="meta"),
        torch.zeros(3, 4, 4, dtype=torch.complex64),
        torch.zeros(3, 4, 4, dtype=torch.bool),
        np.zeros((4, 4, 3), bool),
        np.zeros((4, 4, 3), np.int16),
        np.zeros((4, 4, 3), complex),
        np.zeros((4, 4, 3), object),
        np.full((4, 4, 3), "a"),
        np.zeros((2, 4, 4, 3), "datetime64[s]"),
    ],
)
def test_what_holds_no_pixels_gets_one_sentence(image: Any) -> None:
    with pytest.raises(ImageError) as caught:
        images.decode_images(image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [*MODES, "P", "PA", "La", "RGBa"])
def test_one_way_to_rgb(mode: str) -> None:
    if mode in ("La", "RGBa"):
        source = pil_of({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    else:
        source = pil_of(mode)
    picture = images.decode_image(source)
    seen = ((picture.rgb + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    rgb = images.to_rgb(source)
    assert rgb.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(rgb), seen)
    result = picture.compose(noise(3, *SIZE), block())
    assert isinstance(result, Image.Image)
    held = {"P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
    assert result.mode == held.get(mode, mode)


def test_an_rgb_image_of_ones_own_can_be_painted_on() -> None:
    given = Image.new("RGB", (3, 2))
    images.to_rgb(given).putpixel((0, 0), (1, 2, 3))
    assert given.getpixel((0, 0)) == (0, 0, 0)
