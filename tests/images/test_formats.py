"""Files as people have them: formats, names that lie, metadata that is broken, sixteen bits."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import threading
import types
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin, features

from facemask_inpaint import images
from facemask_inpaint.errors import ImageError
from facemask_inpaint.images import folders, formats, opening
from tests.bad_files import BAD, encoded, photo, png_chunk

GREY_PROFILE = b"\0" * 16 + b"GRAY" + b"\0" * 108
RGB_PROFILE = b"\0" * 16 + b"RGB " + b"\0" * 108
CMYK_PROFILE = b"\0" * 16 + b"CMYK" + b"\0" * 108


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


# --- what is read ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", BAD)
def test_every_failure_of_reading_names_the_file(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PIPE_SECONDS", 0.05)
    path = tmp_path / f"{fault}.png"
    BAD[fault](path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=rf"{fault}\.png") as caught:
            images.decode_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM"])
def test_damage_anywhere_is_read_or_is_an_image_error(tmp_path: Path, picture_format: str) -> None:
    whole = encoded(photo(24), picture_format)
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    for _ in range(150):
        content = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 200), 4):
            content[at] = rng.integers(256)
        path.write_bytes(bytes(content[: rng.integers(1, len(whole) + 1)]))
        with contextlib.suppress(ImageError):
            assert images.to_rgb(path).mode == "RGB"


def text_chunks(name: str) -> dict[str, object]:
    notes = PngImagePlugin.PngInfo()
    long = "x" * 2_000_000
    if name == "text":
        notes.add_text("note", long, zip=True)
    elif name == "xmp":
        notes.add_itxt("XML:com.adobe.xmp", long, zip=True)
    elif name == "late":
        notes.add(b"zTXt", b"note\0\0" + zlib.compress(long.encode()), after_idat=True)
    elif name == "many":
        for index in range(80):
            notes.add_text(f"note {index}", "x" * 1_000_000, zip=True)
    else:
        return {"icc_profile": os.urandom(1_500_000)}
    return {"pnginfo": notes}


@pytest.mark.parametrize("name", ["text", "xmp", "late", "many", "profile"])
def test_a_png_with_much_beside_its_pixels_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "noted.png"
    path.write_bytes(encoded(photo(), **text_chunks(name)))
    np.testing.assert_array_equal(pixels(images.read_image(path)), np.asarray(photo()))


def test_a_png_keeps_profile_and_orientation_beside_broken_text(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = tmp_path / "noted.png"
    noted = text_chunks("text") | {"exif": exif, "icc_profile": RGB_PROFILE}
    path.write_bytes(encoded(photo(), **noted))
    read = images.read_image(path)
    assert read.info["icc_profile"] == RGB_PROFILE
    np.testing.assert_array_equal(pixels(read), np.asarray(photo())[::-1, ::-1])


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nonsense" * 9])
@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "WEBP"])
def test_broken_exif_costs_nothing(tmp_path: Path, picture_format: str, exif: bytes) -> None:
    path = tmp_path / "photo"
    path.write_bytes(encoded(photo(), picture_format, exif=exif))
    assert images.read_image(path).size == (64, 64)


@pytest.mark.parametrize(
    "broken", [b"", b"ICC_PROFILE\0\1\2", b"JFIF\0", b"Adobe", b"MPF\0II*\0\1"]
)
@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xFE])
def test_broken_segments_of_a_jpeg_cost_nothing(tmp_path: Path, marker: int, broken: bytes) -> None:
    whole = encoded(photo(), "JPEG")
    segment = bytes((0xFF, marker)) + struct.pack(">H", len(broken) + 2) + broken
    path = tmp_path / "photo.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:])
    np.testing.assert_array_equal(
        pixels(images.read_image(path)), pixels(Image.open(io.BytesIO(whole)))
    )


def test_reading_leaves_pillow_and_warnings_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    photo().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    before = list(warnings.filters)
    threads = [threading.Thread(target=images.read_image, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert images.read_image(path).size == (64, 64)
    assert warnings.filters == before
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_named_pipe_is_read_once_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(encoded(photo(512)),))
    writer.start()
    np.testing.assert_array_equal(np.asarray(images.read_image(path)), np.asarray(photo(512)))
    writer.join()


# --- sixteen bits ----------------------------------------------------------------------------


def deep_png(colour: int, channels: int) -> bytes:
    rows = np.random.default_rng(0).integers(0, 65536, (8, 8 * channels), np.uint16).astype(">u2")
    header = struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", lines), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def deep_tiff() -> bytes:
    strip = bytes(8 * 8 * 6)
    bits_at = 8 + len(strip)
    fields = {256: 8, 257: 8, 259: 1, 262: 2, 273: 8, 277: 3, 278: 8, 279: len(strip)}
    entries = {tag: (3, 1, value) for tag, value in fields.items()} | {258: (3, 3, bits_at)}
    directory = b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries))
    head = struct.pack("<2sHI", b"II", 42, bits_at + 6)
    bits = struct.pack("<3H", 16, 16, 16)
    return head + strip + bits + struct.pack("<H", len(entries)) + directory + bytes(4)


DEEP = {
    "rgb.png": deep_png(2, 3),
    "rgba.png": deep_png(6, 4),
    "grey_alpha.png": deep_png(4, 2),
    "rgb.ppm": b"P6 8 8 65535\n" + bytes(8 * 8 * 6),
    "rgb.tif": deep_tiff(),
    "rgb_of_12_bits.ppm": b"P6 8 8 4095\n" + bytes(8 * 8 * 6),
}


@pytest.mark.parametrize("name", DEEP)
def test_lost_bits_are_said_before_anything_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(DEEP[name])
    with pytest.warns(UserWarning, match=rf"{name} holds colours of 16 bits"):
        picture = images.decode_image(path)
    with pytest.warns(UserWarning, match=rf"{name} holds colours of 16 bits"):
        images.decode_image(images.read_image(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.to_rgb(path)
        result = picture.compose(picture.rgb, torch.zeros(8, 8, dtype=torch.bool))
        again = images.decode_image(result)
    assert again.size == (8, 8)


@pytest.mark.parametrize("name", ["I;16", "I;16B", "I", "F"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".ppm"])
def test_deep_grey_files_look_as_they_do_in_8_bits(tmp_path: Path, name: str, suffix: str) -> None:
    grey = np.asarray(photo().convert("L"))
    samples = {
        "I;16": grey.astype(np.uint16) * 257,
        "I;16B": (grey.astype(np.uint16) * 257).astype(">u2"),
        "I": grey.astype(np.int32) * 257,
        "F": grey.astype(np.float32) / 255,
    }[name]
    picture = Image.fromarray(samples)
    np.testing.assert_array_equal(pixels(images.to_rgb(picture))[..., 0], grey)
    path = tmp_path / f"grey{suffix}"
    if not formats.holds(formats.written_under(suffix) or "", name):
        with pytest.raises(ImageError, match="cannot hold an image of mode"):
            images.save_image(picture, path)
        return
    images.save_image(picture, path)
    np.testing.assert_array_equal(pixels(images.to_rgb(path))[..., 0], grey)


def test_almost_black_samples_of_16_bits_are_questioned() -> None:
    grey = np.arange(200, dtype=np.uint16).reshape(10, 20)
    for source in (grey, Image.fromarray(grey), Image.fromarray(grey.astype(np.int32))):
        with pytest.warns(UserWarning, match="almost black"):
            images.decode_image(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.decode_image(grey, value_range=(0, 255))
        images.decode_image(grey * 0)
        images.decode_image(grey * 300)


# --- what is written -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "picture_format", "mode", "expected"),
    [
        ("a.png", "PNG", "RGBA", "a.png"),
        ("a.jpg", "PNG", "RGBA", "a.png"),
        ("a.jpg", "PNG", "RGB", "a.png"),
        ("a.png", "JPEG", "RGB", "a.png"),
        ("a.png", "JPEG", "CMYK", "a.jpg"),
        ("a.JPG", "JPEG", "RGB", "a.JPG"),
        ("a.jfif", "JPEG", "L", "a.jfif"),
        ("a.gif", "GIF", "P", "a.png"),
        ("a.png", "GIF", "P", "a.png"),
        ("a.b.c.tiff", "TIFF", "F", "a.b.c.tiff"),
        ("a.png", "TIFF", "F", "a.tif"),
        ("a.bmp", "BMP", "RGB", "a.bmp"),
        ("a.tga", "TGA", "RGBA", "a.tga"),
        ("a.webp", "WEBP", "RGBA", "a.webp"),
        ("a", "PNG", "RGB", "a.png"),
        ("a.ico", "ICO", "RGBA", "a.png"),
    ],
)
def test_results_go_into_a_file_that_holds_them(
    tmp_path: Path, name: str, picture_format: str, mode: str, expected: str
) -> None:
    source = Image.fromarray(np.ones((32, 32), np.float32)) if mode == "F" else photo(32)
    source = source if source.mode == mode else source.convert(mode)
    (tmp_path / name).write_bytes(encoded(source, picture_format))
    assert images.result_name(tmp_path / name) == expected
    picture = images.decode_image(tmp_path / name)
    result = picture.compose(picture.rgb, torch.zeros(32, 32, dtype=torch.bool))
    assert isinstance(result, Image.Image)
    (tmp_path / "out").mkdir()
    images.save_image(result, tmp_path / "out" / expected)
    if Path(expected).suffix.lower() not in (".jpg", ".jfif"):
        before, after = (
            images.read_image(tmp_path / name),
            images.read_image(tmp_path / "out" / expected),
        )
        np.testing.assert_array_equal(
            np.asarray(before.convert(result.mode)), np.asarray(after.convert(result.mode))
        )


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("I;16", ".webp"), ("F", ".avif"), ("RGB", ".gif"), ("RGBA", ".bmp"), ("RGBA", ".ppm")],
)
def test_formats_that_would_quietly_lose_something_are_refused(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    with pytest.raises(ImageError, match=rf"cannot hold an image of mode {mode}; use \.(png|tif)"):
        images.save_image(Image.new(mode, (8, 8)), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mode", "profile", "stays"),
    [
        ("RGB", RGB_PROFILE, True),
        ("RGB", CMYK_PROFILE, False),
        ("RGB", GREY_PROFILE, False),
        ("L", GREY_PROFILE, True),
        ("L", RGB_PROFILE, False),
        ("CMYK", CMYK_PROFILE, True),
        ("CMYK", RGB_PROFILE, False),
    ],
)
def test_a_profile_never_outlives_its_colour_space(
    tmp_path: Path, mode: str, profile: bytes, stays: bool
) -> None:
    source = photo().convert(mode)
    source.info["icc_profile"] = profile
    for path in (tmp_path / "a.tif", tmp_path / "a.jpg"):
        images.save_image(source, path)
        assert ("icc_profile" in images.read_image(path).info) == stays
    picture = images.decode_image(source)
    result = picture.compose(picture.rgb, torch.zeros(64, 64, dtype=torch.bool))
    assert isinstance(result, Image.Image)
    assert ("icc_profile" in result.info) == stays
    assert ("icc_profile" in images.to_rgb(source).info) == (profile is RGB_PROFILE and stays)


# --- folders and names -----------------------------------------------------------------------


def test_a_folder_lists_what_pillow_reads_and_names_what_is_left_out(tmp_path: Path) -> None:
    names = ["a.PNG", "b.jfif", "c.gif", "d.ppm", "e.tga", "f.jp2", "g.bmp"]
    names += ["h.avif"] if features.check("avif") else []
    for name in names:
        photo().save(tmp_path / name, formats.written_under(Path(name).suffix))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [path.name for path in folders.list_images(tmp_path)] == names
    for name in ("notes.txt", "raw.cr2", "Thumbs.db", ".hidden", "page.eps"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    with pytest.warns(UserWarning, match=r"left out.*: notes\.txt, page\.eps, raw\.cr2$"):
        assert len(folders.list_images(tmp_path)) == len(names)


def test_nothing_but_other_files_is_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "photo.heics").write_bytes(b"")
    with pytest.raises(ImageError, match=r"no images here; 1 other files: photo\.heics"):
        folders.list_images(tmp_path)


def test_heic_asks_for_its_package_and_is_registered_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    if "HEIF" not in formats.readable():
        with pytest.raises(ImageError, match=r"photo\.heic: a HEIC image; `pip install"):
            images.read_image(path)
    asked = []
    plugin = types.ModuleType("pillow_heif")
    plugin.register_heif_opener = lambda: asked.append(True)  # type: ignore[attr-defined]
    plugin.__spec__ = types.SimpleNamespace(name="pillow_heif")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    formats.readable.cache_clear()
    try:
        formats.readable()
    finally:
        formats.readable.cache_clear()
    assert asked == [True]


COMPOSED, DECOMPOSED = "Zo\u00eb.v2", "Zoe\u0308.v2"


@pytest.mark.parametrize("first", [COMPOSED, DECOMPOSED])
def test_both_spellings_of_an_accent_are_one_name(tmp_path: Path, first: str) -> None:
    second = DECOMPOSED if first == COMPOSED else COMPOSED
    for side, stem in (("one", first), ("two", second)):
        (tmp_path / side).mkdir()
        photo().save(tmp_path / side / f"{stem}.png")
    pairs = folders.pair_by_stem(tmp_path / "one", tmp_path / "two")
    assert [(a.stem, b.stem) for a, b in pairs.matched] == [(first, second)]
    assert not pairs.only_first
    assert not pairs.only_second
    assert folders.pair_by_stem(tmp_path / "one" / f"{first}.png", tmp_path / "two").matched
    assert folders.find_image(tmp_path / "one", COMPOSED) == tmp_path / "one" / f"{first}.png"
    assert folders.find_image(tmp_path / "one", "Zoe") is None


def test_names_that_are_no_text_are_left_out_and_named(tmp_path: Path) -> None:
    photo().save(tmp_path / "good.png")
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(encoded(photo()))
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.warns(UserWarning, match=r"names must be text .*'\\udcff\.png'"):
        assert [path.name for path in folders.list_images(tmp_path)] == ["good.png"]
