"""Faces anywhere in a photo: framed as the network knows them, filled, and put back."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint import models
from facemask_inpaint.errors import ComponentAbsentError, ImageError, LabelMapError, OptionError
from facemask_inpaint.inpainting.face_crop import FaceCrop
from facemask_inpaint.inpainting.framing import FRAMINGS, fills_image
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.parsing import FiveLandmarks, read_landmarks
from facemask_inpaint.parsing.crops import Crop
from tests.models.reduced import build


class Watched(InpaintingNetwork):
    """Paints the hole grey, and remembers what it was shown."""

    native_resolution = 128
    any_size = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def fill(self, visible: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        self.seen += zip(visible, hole)
        return torch.where(hole > 0, 0.1, visible)


def _published(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Centre, side and angle of the square of Karras et al. 2018, appendix C, as they write it.

    e0, e1 are the eyes and m0, m1 the corners of the mouth, from left to right in the image.
    """
    e0, e1, _, m0, m1 = points
    x = e1 - e0
    y = (e0 + e1) / 2 - (m0 + m1) / 2
    c = (e0 + e1) / 2 - 0.1 * y
    s = max(4.0 * math.hypot(*x), 3.6 * math.hypot(*y))
    # Rotate90 there takes (x, y) to (-y, x); with y pointing up the face it is subtracted.
    axis = x - np.array([y[1], -y[0]])
    return c, s, math.atan2(axis[1], axis[0])


def _scene(
    label_map: NDArray[np.uint8], crop: Crop, size: tuple[int, int] = (500, 700)
) -> NDArray[np.uint8]:
    """An empty label map with a portrait's over a turned square of it."""
    side = label_map.shape[0]
    scale = side / crop.width
    cos, sin = scale * math.cos(crop.roll), scale * math.sin(crop.roll)
    back = (
        *(cos, sin, side / 2 - cos * crop.x - sin * crop.y),
        *(-sin, cos, side / 2 + sin * crop.x - cos * crop.y),
    )
    image = Image.fromarray(label_map).transform(size[::-1], Image.Transform.AFFINE, back)
    return np.asarray(image)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    """Label map of the bundled portrait, cropped with the margin of a portrait."""
    return fmi.data.sample(256).label_map[19:198, 39:218]


def _photo(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """A smooth photo of nothing."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    smooth = ndimage.gaussian_filter(noise, (9, 9, 0))
    return (128 + smooth * 100 / np.abs(smooth).max()).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_frames_are_those_of_the_published_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    upright = np.array([(-30, 0), (30, 0), (0, 30), (-20, 65), (20, 65)]) + rng.normal(0, 6, (5, 2))
    angle = rng.uniform(-2, 2)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = upright @ turn * rng.uniform(0.3, 4) + rng.uniform(0, 500, 2)
    centre, side, roll = _published(points)
    for name in ("celebahq", "ffhq"):
        crop = FRAMINGS[name].crop(FiveLandmarks.of(points))
        np.testing.assert_allclose((crop.x, crop.y), centre)
        assert crop.width == crop.height == pytest.approx(side)
        assert math.remainder(crop.roll - roll, math.tau) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["mat-celebahq-512", "lama-celebahq-256"])
@pytest.mark.parametrize("roll", [-0.5, 0.3])
def test_the_network_gets_the_face_where_its_data_have_it(
    name: str, roll: float, labels: NDArray[np.uint8]
) -> None:
    """Dots on eyes and mouth arrive to half a pixel at the places of the card's framing."""
    scene = _scene(labels, Crop(390, 230, 210, 210, roll))
    landmarks = read_landmarks(scene)
    photo = np.zeros((*scene.shape, 3), np.float32)
    rows, columns = np.mgrid[: scene.shape[0], : scene.shape[1]] + 0.5
    marks = landmarks.points[[0, 1, 3, 4]]
    for x, y in marks:
        photo += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)[..., None]
    card = models.card(name)
    network = build(card.architecture).eval()
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    hole = np.zeros(scene.shape, bool)
    hole[tuple(np.int64(landmarks.points[2][::-1]))] = True
    fmi.Inpainter(network, card=card)(photo.clip(0, 1), hole, label_map=scene)
    centre, side, angle = _published(landmarks.points)
    resolution = seen[0].shape[-1]
    assert resolution == network.native_resolution
    expected = (marks - centre) @ [
        [math.cos(angle), -math.sin(angle)],
        [math.sin(angle), math.cos(angle)],
    ] * (resolution / side) + resolution / 2
    brightness = seen[0][0].mean(0).numpy() + 1
    for x, y in expected:
        near = np.s_[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6]
        row, column = ndimage.center_of_mass(brightness[near])
        found = (int(x) + column - 4.5, int(y) + row - 4.5)
        np.testing.assert_allclose(found, (x, y), atol=0.5)


def test_known_pixels_are_exact_and_hidden_ones_without_influence(
    labels: NDArray[np.uint8],
) -> None:
    scene = _scene(labels, Crop(300, 200, 180, 180, 0.4))
    photo, hole = _photo(scene.shape), np.isin(scene, (4, 5, 10))
    inpainter = fmi.Inpainter(Watched(), device="cpu")
    filled = inpainter(photo, hole, label_map=scene)
    np.testing.assert_array_equal(filled[~hole], photo[~hole])
    assert (filled[hole] != photo[hole]).any()
    other = np.where(hole[..., None], 255 - photo, photo)
    np.testing.assert_array_equal(inpainter(other, hole, label_map=scene), filled)
    first, second = inpainter.network.seen
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    feathered = inpainter(photo, hole, label_map=scene, blend="feather", border=3)
    near = ndimage.distance_transform_edt(~hole) <= 3
    np.testing.assert_array_equal(feathered[~near], photo[~near])
    assert (feathered != photo)[near & ~hole].any()


def test_framed_portraits_are_filled_as_without_a_label_map(labels: NDArray[np.uint8]) -> None:
    portrait = np.asarray(Image.fromarray(labels).resize((256, 256), Image.Resampling.NEAREST))
    photo, hole = _photo((256, 256)), portrait == 10
    for model in ("lite", "harmonic"):
        inpainter = fmi.Inpainter.from_pretrained(model, device="cpu")
        as_ever = inpainter(photo, hole)
        np.testing.assert_array_equal(inpainter(photo, hole, label_map=portrait), as_ever)
        again = inpainter(photo, hole, label_map=portrait, strategy="face")
        np.testing.assert_array_equal(again, as_ever)
        masked = inpainter.inpaint(photo, mask_class="nose", label_map=portrait)
        expected = fmi.SemanticMasker()(portrait, "nose")
        np.testing.assert_array_equal(masked.masks[0], expected)


def test_all_faces_the_largest_or_one(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(170, 200, 220, 220, 0.2))
    scene = np.maximum(scene, _scene(labels, Crop(500, 250, 140, 140, -0.3)))
    photo = _photo(scene.shape)
    inpainter = fmi.Inpainter(Watched(), device="cpu")
    both = inpainter.inpaint(photo, mask_class="eyes", label_map=scene)
    assert str(both) == "2 faces, filled"
    assert [face.filled for face in both.faces] == [True, True]
    assert both.faces[0].frame.width > both.faces[1].frame.width
    xs, _ = zip(*both.faces[0].corners)
    assert 30 < min(xs) < 90 < 250 < max(xs) < 310
    assert len(inpainter.network.seen) == 2, "one crop holds both eyes"
    one = inpainter.inpaint(photo, mask_class="eyes", label_map=scene, faces=1)
    assert [face.filled for face in one.faces] == [False, True]
    frame = one.faces[1].frame
    assert str(one) == f"2 faces, filled 1: at ({frame.x:.0f}, {frame.y:.0f})"
    assert not one.masks[0][:, :350].any()
    largest = inpainter.inpaint(photo, mask_class="eyes", label_map=scene, faces="largest")
    np.testing.assert_array_equal(largest.masks[0] | one.masks[0], both.masks[0])
    with pytest.raises(ImageError, match="this image has 2"):
        inpainter(photo, mask_class="eyes", label_map=scene, faces=2)


def test_a_small_face_in_a_large_label_map_is_framed(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(900, 400, 60, 60, 0.3), (1200, 1600))
    inpainter = fmi.Inpainter(Watched(), device="cpu")
    result = inpainter.inpaint(_photo((1200, 1600)), mask_class="eyes", label_map=scene)
    (face,) = result.faces
    assert face.frame.width == pytest.approx(60, rel=0.2)


def test_holes_beyond_the_frame_are_filled_too(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(200, 250, 180, 180, 0.2))
    photo, hole = np.zeros((*scene.shape, 3), np.uint8), scene == 10
    hole[400:480, 500:650] = True
    network = Watched()
    filled = fmi.Inpainter(network, device="cpu")(photo, hole, label_map=scene, blend="none")
    assert len(network.seen) == 2
    inner = ndimage.binary_erosion(hole, iterations=2)
    assert (filled[inner] > 130).all()
    assert (filled[hole] > 70).all()  # its edge is antialiased: more than half of the grey


def test_a_face_at_the_border_goes_on_by_mirroring(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(60, 60, 240, 240, -0.2))
    photo, hole = _photo(scene.shape), scene == 10
    network = Watched()
    filled = fmi.Inpainter(network, device="cpu")(photo, hole, label_map=scene)
    np.testing.assert_array_equal(filled[~hole], photo[~hole])
    visible, masked = network.seen[0]
    assert visible[:, masked[0] == 0].std() > 0.1


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_is_filled_alike(turns: int, labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(330, 240, 230, 230, 0.25))
    photo, hole = _photo(scene.shape), np.isin(scene, (4, 5))
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    filled = inpainter(photo, hole, label_map=scene)
    sideways = [np.rot90(each, turns) for each in (photo, hole, scene)]
    back = np.rot90(inpainter(*sideways[:2], label_map=sideways[2]), -turns)
    np.testing.assert_array_equal(back[~hole], photo[~hole])
    difference = np.abs(back[hole].astype(float) - filled[hole])
    assert difference.mean() < 1
    assert difference.max() < 16


def test_a_photo_turned_by_exif_is_filled_alike(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(330, 240, 230, 230, 0.25))
    upright = Image.fromarray(_photo(scene.shape))
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.getexif()[0x0112] = 6
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    arguments = {"mask_class": "eyes", "label_map": scene}
    first, second = (inpainter(image, **arguments) for image in (upright, stored))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_a_mirrored_photo_is_framed_and_filled_mirrored(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(330, 240, 230, 230, 0.25))
    photo, hole = _photo(scene.shape), np.isin(scene, (4, 5))
    network = Watched()
    inpainter = fmi.Inpainter(network, device="cpu")
    filled = inpainter(photo, hole, label_map=scene)
    mirrored = inpainter(photo[:, ::-1], hole[:, ::-1], label_map=scene[:, ::-1])
    np.testing.assert_allclose(mirrored[:, ::-1], filled, atol=1)
    (first, _), (second, _) = network.seen
    assert (first - second.flip(-1)).abs().mean() < 0.01
    inpainter = fmi.Inpainter.from_pretrained("harmonic", device="cpu")  # knows no left nor right
    arguments = {"strategy": "face", "blend": "none"}
    filled = inpainter(photo, hole, label_map=scene, **arguments)
    mirrored = inpainter(photo[:, ::-1], hole[:, ::-1], label_map=scene[:, ::-1], **arguments)
    assert np.abs(mirrored[:, ::-1][hole].astype(float) - filled[hole]).max() < 8


def test_what_is_no_face_is_said_so(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(300, 200, 180, 180))
    photo, hole = _photo(scene.shape), scene == 10
    inpainter = fmi.Inpainter(Watched(), device="cpu")
    empty = np.zeros_like(scene)
    with pytest.raises(ImageError, match=r'no face was found.*strategy="crop"'):
        inpainter(photo, hole, label_map=empty, strategy="face")
    with pytest.raises(ImageError, match="no face was found"):
        inpainter(photo, mask_class="eyes", parser=lambda image: empty)
    with pytest.raises(ImageError, match="covers nothing of the faces"):
        inpainter(photo, np.roll(hole, 300, axis=1), label_map=scene, strategy="face")
    with pytest.raises(ComponentAbsentError, match="hat does not occur"):
        inpainter(photo, mask_class="hat", label_map=scene)
    with pytest.raises(LabelMapError, match="of one size"):
        inpainter(photo, mask_class="eyes", label_map=scene[1:])
    with pytest.raises(OptionError, match="mask_class"):
        inpainter(photo, label_map=scene)
    with pytest.raises(OptionError, match="faces must be"):
        inpainter(photo, hole, faces="some")
    with pytest.raises(OptionError, match="choose one of pad, resize, crop, face"):
        inpainter(photo, hole, strategy="stretch")
    assert inpainter(photo, hole, label_map=empty).shape == photo.shape, "as without one"


def test_classes_of_one_image_and_of_several(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(300, 200, 180, 180))
    photo = _photo(scene.shape)
    inpainter = fmi.Inpainter(Watched(), device="cpu")
    union = inpainter.inpaint(photo, mask_class="nose, eyes", label_map=scene).masks[0]
    listed = inpainter.inpaint(photo, mask_class=["nose", "eyes"], label_map=scene).masks[0]
    each = inpainter.inpaint([photo, photo], mask_class=["nose", "eyes"], label_map=[scene, scene])
    np.testing.assert_array_equal(union, listed)
    np.testing.assert_array_equal(each.masks[0] | each.masks[1], union)
    assert [face.image for face in each.faces] == [0, 1]
    with pytest.raises(OptionError, match="3 values for 2 images"):
        inpainter([photo, photo], mask_class=["nose"] * 3, label_map=[scene, scene])
    with pytest.raises(OptionError, match="1 label maps for 2 images"):
        inpainter([photo, photo], mask_class="nose", label_map=scene)


def test_a_parser_of_ones_own_is_asked(labels: NDArray[np.uint8]) -> None:
    scene = _scene(labels, Crop(300, 200, 180, 180, 0.2))
    photo, inpainter = _photo(scene.shape), fmi.Inpainter(Watched(), device="cpu")
    by_parser = inpainter(photo, mask_class="nose", parser=lambda image: scene)
    by_labels = inpainter(photo, mask_class="nose", label_map=scene)
    np.testing.assert_array_equal(by_parser, by_labels)


def test_a_network_is_told_the_class_that_was_cut(labels: NDArray[np.uint8]) -> None:
    class Told(Watched):
        def condition_spec(self):
            choices = tuple(map(str, fmi.MaskClass))
            condition = models.Condition(
                value_type=str, meaning="class", choices=choices, per_image=True
            )
            return {"mask_class": condition}

        def fill_conditioned(self, visible, hole, latents, conditions):
            self.classes = conditions["mask_class"]
            return self.fill(visible, hole, latents)

    scene = _scene(labels, Crop(300, 200, 180, 180))
    network = Told()
    inpainter = fmi.Inpainter(network, device="cpu")
    for given, told in (("nose", "nose"), ("nose,eyes", None)):
        inpainter(_photo(scene.shape), mask_class=given, label_map=scene)
        assert network.classes == [told]


def test_a_crop_brings_back_what_it_shows() -> None:
    rgb = torch.from_numpy(_photo((300, 400))).permute(2, 0, 1) / 127.5 - 1
    nothing = torch.zeros(300, 400, dtype=torch.bool)
    for width in (90, 200):
        crop = FaceCrop(Crop(190, 150, width, width, 0.5), 128)
        seen, hole = crop.crop(rgb, nothing)
        assert not hole.any()
        assert (crop.uncrop(seen, rgb) - rgb).abs().max() < 0.03
        inside = crop.covers((300, 400))
        assert inside.sum() == pytest.approx(width**2, rel=0.01)


@pytest.mark.parametrize("width", [60, 128, 300])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_a_hole_has_its_own_size_in_what_a_network_sees(width: int, roll: float) -> None:
    """Known pixels beside it are not hidden, which in a small face would be many."""
    rows, columns = np.mgrid[:300, :400]
    hole = torch.from_numpy(np.hypot(rows - 150, (columns - 200) / 2) < width / 12)
    crop = FaceCrop(Crop(203.3, 148.6, width, width, roll), 128)
    seen, unseen = crop.crop(torch.ones(3, 300, 400), hole)
    assert unseen.sum() * crop.to_photo.scale**2 == pytest.approx(float(hole.sum()), rel=0.1)
    assert (seen[:, ~unseen[0]] == 1).all()


@pytest.mark.parametrize("width", [60, 128, 137, 380])
def test_no_pixel_of_a_hole_is_lost_to_a_network(width: int) -> None:
    for row in range(140, 146):
        hole = torch.zeros(300, 400, dtype=torch.bool)
        hole[row, 200 - row] = True
        crop = FaceCrop(Crop(60.3, 148.6, width, width, 0.7), 128)
        assert crop.crop(torch.ones(3, 300, 400), hole)[1].any()


def test_what_counts_as_framed() -> None:
    assert fills_image(Crop(130, 120, 230, 230, 0.1), (256, 256))
    assert not fills_image(Crop(130, 120, 180, 180), (256, 256))
    assert not fills_image(Crop(130, 120, 230, 230, 0.5), (256, 256))
    assert not fills_image(Crop(180, 120, 230, 230), (256, 256))
