"""Photos as people have them, in one call and in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngImageFile

import facemask_inpaint as fmi
from facemask_inpaint.cli import main
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.images.pixels import PilPixels, Region
from facemask_inpaint.parsing import PhotoParser

PORTRAITS = Path(__file__).parent / "data_portraits/images"
FAR = {"device": "cpu"}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ground(width: int, height: int) -> Image.Image:
    """A ground without a face."""
    coarse = np.random.default_rng(3).integers(60, 180, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def placed(photo: Image.Image, key: str, side: int, corner: tuple[int, int]) -> Image.Image:
    """A photo with one of the bundled portraits in it."""
    photo.paste(Image.open(PORTRAITS / f"{key}.jpg").resize((side, side)), corner)
    return photo


@pytest.fixture(scope="module")
def group() -> Image.Image:
    """Two people, the larger one on the left."""
    photo = placed(ground(900, 450), "B000490", 380, (30, 40))
    return placed(photo, "J000293", 300, (540, 60))


def changed(photo: Image.Image, result: fmi.inpainting.Filled[Image.Image]) -> np.ndarray:
    """Which pixels are others than before, all of them in the mask."""
    differs = (np.asarray(photo) != np.asarray(result.image)).any(axis=-1)
    assert not (differs & ~result.mask).any()
    return differs


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([PORTRAITS / "B000490.jpg"] * 2, "eyes"), "Inpainter.inpaint"),
        ((np.zeros((2, 64, 64, 3), np.uint8), "eyes"), "Inpainter.inpaint"),
        ((PORTRAITS / "B000490.jpg", None), "mask_class"),
        ((PORTRAITS / "B000490.jpg", 5), "mask_class"),
        ((PORTRAITS / "B000490.jpg", ["eyes", 5]), "mask_class"),
    ],
)
def test_what_is_not_one_photo_and_its_classes_is_refused(
    given: tuple[Any, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        fmi.fill(*given, model="harmonic", **FAR)


def test_several_samples_and_no_model_are_refused() -> None:
    photo = PORTRAITS / "B000490.jpg"
    with pytest.raises(OptionError, match="num_samples"):
        fmi.fill(photo, "eyes", **{"num_samples": 2})
    with pytest.raises(OptionError, match="model"):
        fmi.fill(photo, "eyes", **{"model": None})


def test_group_photo(group: Image.Image) -> None:
    everybody = fmi.fill(group, "eyes", model="harmonic", **FAR)
    assert str(everybody) == "2 faces, filled"
    assert changed(group, everybody)[:, :450].any()
    second = fmi.fill(group, ["eyes", "full_mouth"], model="harmonic", faces=1, **FAR)
    assert str(second).startswith("2 faces, filled 1: at (")
    assert not changed(group, second)[:, :450].any()
    with pytest.raises(ImageError, match="face 2"):
        fmi.fill(group, "eyes", model="harmonic", faces=2, **FAR)


def test_photo_without_a_face() -> None:
    photo = ground(640, 480)
    with pytest.raises(ImageError, match=r'no face was found in this image.*strategy="crop"'):
        fmi.fill(photo, "eyes", **FAR)
    hole = np.zeros((480, 640), dtype=bool)
    hole[200:240, 300:360] = True
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    result = np.asarray(inpainter(photo, hole, strategy="crop"))
    np.testing.assert_array_equal(result[~hole], np.asarray(photo)[~hole])


TURNS = {
    "sideways": Image.Transpose.ROTATE_90,
    "upside down": Image.Transpose.ROTATE_180,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
}


@pytest.fixture(scope="module")
def tilted() -> tuple[Image.Image, fmi.inpainting.Filled[Image.Image]]:
    """A photo of a face that is small and tilted, and the same with its eyes filled."""
    face = Image.open(PORTRAITS / "M001172.jpg").resize((300, 300)).convert("RGBA")
    face = face.rotate(-12, expand=True, resample=Image.Resampling.BICUBIC)
    photo = ground(900, 600)
    photo.paste(face, (420, 150), face)
    return photo, fmi.fill(photo, "eyes", model="harmonic", strategy="face", **FAR)


@pytest.mark.parametrize("turn", TURNS)
def test_a_photo_is_filled_alike_however_it_is_turned(
    turn: str, tilted: tuple[Image.Image, fmi.inpainting.Filled[Image.Image]]
) -> None:
    """By the shipped parser, with a network that knows no up, down, left or right."""
    photo, filled = tilted
    turned = fmi.fill(
        photo.transpose(TURNS[turn]), "eyes", model="harmonic", strategy="face", **FAR
    )
    back = {"sideways": Image.Transpose.ROTATE_270}.get(turn, TURNS[turn])
    mask = np.asarray(Image.fromarray(turned.mask).transpose(back))
    assert (mask & filled.mask).sum() / (mask | filled.mask).sum() > 0.8
    both = mask & filled.mask
    first, second = (
        np.asarray(image, float)[both] for image in (filled.image, turned.image.transpose(back))
    )
    assert np.abs(first - second).mean() < 6
    assert abs(turned.faces[0].frame.width / filled.faces[0].frame.width - 1) < 0.05


def cartoon() -> Image.Image:
    """A face as children draw it."""
    image = Image.new("RGB", (400, 400), "skyblue")
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 60, 320, 360), fill="yellow", outline="black", width=4)
    for x in (150, 250):
        draw.ellipse((x - 22, 150, x + 22, 200), fill="white", outline="black", width=3)
        draw.ellipse((x - 6, 170, x + 6, 190), fill="black")
    draw.arc((140, 220, 260, 310), 20, 160, fill="red", width=8)
    return image


def test_cartoon_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageError, match="no face was found in this image"):
        fmi.fill(cartoon(), "full_mouth", **FAR)


def test_twelve_megapixels_are_decoded_around_the_face_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = placed(ground(4000, 3000), "M001172", 420, (2900, 400))
    decoded: list[int] = []
    read = PilPixels.rgb

    def counting(self: PilPixels, region: Region) -> object:
        rgb = read(self, region)
        decoded.append(rgb[0].numel())
        return rgb

    monkeypatch.setattr(PilPixels, "rgb", counting)
    result = fmi.fill(photo, "eyes", **FAR)
    assert str(result) == "1 face, filled"
    assert max(decoded) < 1_000_000
    rows, columns = np.nonzero(changed(photo, result))
    assert len(rows) > 500
    assert 400 <= rows.min() <= rows.max() < 820
    assert 2900 <= columns.min() <= columns.max() < 3320


def test_a_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fmi.data.sample(256).image.save(tmp_path / "face.png")
    loads: list[str] = []
    load = PngImageFile.load

    def counted(image: PngImageFile) -> object:
        loads.extend(["tile"] * bool(image.tile))
        return load(image)

    monkeypatch.setattr(PngImageFile, "load", counted)
    fmi.fill(tmp_path / "face.png", "eyes", device="cpu")
    assert loads == ["tile"]


def test_thumbnail() -> None:
    thumbnail = Image.open(PORTRAITS / "B000490.jpg").resize((64, 64))
    result = fmi.fill(thumbnail, "full_mouth", **FAR)
    assert result.image.size == (64, 64)
    assert changed(thumbnail, result).sum() > 20


def test_samples_of_any_range_are_shown_to_the_parser_as_they_are_meant() -> None:
    image = np.asarray(fmi.data.sample(256).image)
    inpainter = fmi.Inpainter.from_pretrained("harmonic", **FAR)
    expected = inpainter.inpaint(image, mask_class="eyes")
    samples = image.astype(np.float32) * (4095 / 255)
    given = inpainter.inpaint(samples, mask_class="eyes", value_range=(0, 4095))
    assert (given.masks[0] == expected.masks[0]).all()


def test_results_are_of_the_given_type_and_can_be_saved(tmp_path: Path) -> None:
    sample = fmi.data.sample(256)
    inpainter = fmi.Inpainter.from_pretrained("harmonic", device="cpu")
    result = fmi.fill(np.asarray(sample.image) / np.float32(255), "nose", model=inpainter)
    assert result.image.dtype == np.float32
    result.save(tmp_path / "nose.png")
    sample.image.save(tmp_path / "face.png")
    again = fmi.fill(tmp_path / "face.png", "nose", model="harmonic", **FAR)
    np.testing.assert_array_equal(
        np.asarray(again.image), np.asarray(Image.open(tmp_path / "nose.png"))
    )


@pytest.fixture
def photos(tmp_path: Path, group: Image.Image) -> Path:
    """A folder of a group photo, a bald portrait and a photo without a face."""
    (tmp_path / "photos").mkdir()
    group.save(tmp_path / "photos/group.png")
    Image.open(PORTRAITS / "B001279.jpg").save(tmp_path / "photos/bald.png")
    ground(320, 240).save(tmp_path / "photos/empty.png")
    return tmp_path / "photos"


def test_folder_of_photos_says_a_line_each_and_goes_on_where_it_was(photos: Path) -> None:
    out = photos.parent / "out"
    arguments = ("inpaint", photos, "--classes", "hair", "--model", "harmonic", "--out", out)
    first = call(*arguments)
    assert first.exit_code == 1
    assert f"group.png, hair: 2 faces, filled; {out / 'group.png'}" in first.output
    assert "bald.png, hair: " in first.output
    assert "1 failed: empty.png: no face was found" in first.output
    before = (out / "group.png").stat().st_mtime_ns
    again = call(*arguments)
    assert "group.png, hair" not in again.output
    assert (out / "group.png").stat().st_mtime_ns == before
    more = call(*arguments, "--faces", 0, "--match", "tone")
    assert "group.png, hair: 2 faces, filled 1: at" in more.output


def test_one_photo_needs_nothing_but_its_classes(
    photos: Path, group: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    parsed: list[object] = []
    search = PhotoParser._labelled_faces
    with monkeypatch.context() as patched:
        patched.setattr(
            PhotoParser,
            "_labelled_faces",
            lambda self, photo: parsed.append(photo) or search(self, photo),
        )
        result = call("inpaint", "group.png", "--classes", "eyes,lips", "--model", "harmonic")
    assert result.exit_code == 0, result.output
    assert len(parsed) == 1
    for name in ("eyes", "lips"):
        filled = fmi.fill(group, name, model="harmonic", **FAR)
        with Image.open(photos / "inpainted" / name / "group.png") as image:
            np.testing.assert_array_equal(np.asarray(image), np.asarray(filled.image))


def test_faces_are_framed_by_label_maps_that_are_given(tmp_path: Path) -> None:
    sample = fmi.data.sample(256)
    photo, labels = ground(700, 500), np.zeros((500, 700), np.uint8)
    photo.paste(sample.image, (300, 150))
    labels[150:406, 300:556] = sample.label_map
    photo.save(tmp_path / "photo.png")
    Image.fromarray(labels).save(tmp_path / "labels.png")
    arguments = ("inpaint", tmp_path / "photo.png", "--labels", tmp_path / "labels.png")
    result = call(*arguments, "--classes", "nose", "--out", tmp_path / "filled.png")
    assert result.exit_code == 0, result.output
    hole = fmi.SemanticMasker()(labels, "nose")
    inpainter = fmi.Inpainter.from_pretrained("lite")
    framed, unframed = inpainter(photo, hole, label_map=labels), inpainter(photo, hole)
    with Image.open(tmp_path / "filled.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(framed))
        assert (np.asarray(image) != np.asarray(unframed)).any()


def test_demo_of_an_own_photo(photos: Path) -> None:
    out = photos.parent / "demo"
    result = call(
        *("demo", "--image", photos / "group.png", "--classes", "eyes,nose"),
        *("--model", "harmonic", "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert "2 mask classes inpainted with harmonic" in result.output
    assert {path.name for path in out.iterdir()} >= {"eyes_filled.png", "contact_sheet.png"}
