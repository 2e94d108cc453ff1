"""Image files in and out: orientation, damage, formats, saving."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from facemask_inpaint import images
from facemask_inpaint.errors import ImageError
from tests.images.samples import HEIGHT, SIZE, WIDTH, block, noise, pil_of, same_bits


def encoded(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "TIFF"])
def test_exif_orientation_is_applied_once(
    tmp_path: Path, picture_format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{picture_format.lower()}"
    path.write_bytes(encoded(pil_of("RGB"), picture_format, exif=exif))
    with Image.open(path) as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened))
    with Image.open(path) as opened:
        sources: list[Any] = [path, str(path), opened, images.read_image(path)]
        for source in sources:
            picture = images.decode_image(source)
            result = picture.compose(picture.rgb, torch.zeros(picture.size, dtype=torch.bool))
            assert isinstance(result, Image.Image)
            assert same_bits(np.asarray(result), wanted)
            assert 0x0112 not in result.getexif()


def test_a_mask_with_exif_orientation_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    hole = block().numpy()
    Image.fromarray(hole).save(tmp_path / "mask.png", exif=exif)
    turned = images.decode_mask(tmp_path / "mask.png", (WIDTH, HEIGHT))
    np.testing.assert_array_equal(turned.numpy(), np.rot90(hole, -1))


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_half_a_file_is_refused(tmp_path: Path, picture_format: str) -> None:
    whole = encoded(pil_of("RGB").resize((200, 150)), picture_format)
    for share in (0.0, 0.05, 0.3, 0.5, 0.9):
        path = tmp_path / "cut.bin"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"cut\.bin") as caught:
            images.read_image(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_picture_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    for path in (tmp_path / "notes.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageError, match=path.name):
            images.decode_image(path)


@pytest.mark.parametrize(("side", "words"), [(10_000, "truncated"), (15_000, "pixels")])
def test_bombs_are_refused_by_their_header_and_without_warnings(
    tmp_path: Path, side: int, words: str
) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=words):
            images.read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp"])
def test_saving_is_exact_where_the_format_can_be(tmp_path: Path, suffix: str) -> None:
    source = pil_of("RGB")
    images.save_image(source, tmp_path / f"new/picture{suffix.upper()}")
    loaded = images.read_image(tmp_path / f"new/picture{suffix.upper()}")
    assert same_bits(np.asarray(loaded), np.asarray(source))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "I;16"])
def test_png_keeps_every_mode_a_path_can_give(tmp_path: Path, mode: str) -> None:
    images.save_image(pil_of(mode), tmp_path / "picture.png")
    picture = images.decode_image(tmp_path / "picture.png")
    result = picture.compose(noise(3, *SIZE), torch.zeros(SIZE, dtype=torch.bool))
    assert isinstance(result, Image.Image)
    assert same_bits(np.asarray(result), np.asarray(pil_of(mode)))


def test_jpeg_is_saved_in_good_quality_with_its_profile(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64] * 2
    source = Image.fromarray(np.stack([y, x, 255 - x], axis=2).astype(np.uint8))
    source.info["icc_profile"] = b"profile" * 40
    images.save_image(source, tmp_path / "picture.jpg")
    loaded = images.read_image(tmp_path / "picture.jpg")
    assert loaded.info["icc_profile"] == source.info["icc_profile"]
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(source)).max() <= 4


def test_a_failed_save_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"picture\.jpg.*RGBA"):
        images.save_image(pil_of("RGBA"), path)
    assert path.read_bytes() == b"old"
    for name in ("picture", "picture.xyz"):
        with pytest.raises(ImageError, match="suffix"):
            images.save_image(pil_of("RGB"), tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.jpg"]


def test_a_folder_of_heic_photos_names_what_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.folders, "image_suffixes", lambda: frozenset({".png"}))
    (tmp_path / "IMG_1.HEIC").touch()
    with pytest.raises(ImageError, match="pip install pillow-heif"):
        images.folders.list_images(tmp_path)
