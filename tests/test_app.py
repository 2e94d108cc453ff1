"""The page: its work, without a browser."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.app import InpaintingRequest, Studio, model_choices, serve
from facemask_inpaint.app.studio import painted_area, read_portrait, without_folders
from facemask_inpaint.cli.app import app as app_command
from facemask_inpaint.errors import (
    LabelMapError,
    MaskError,
    MissingDependencyError,
    OptionError,
    UnknownNameError,
)
from tests.models.reduced import build

HAIR = fmi.masks.components.LABEL_IDS["hair"]

needs_gradio = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="Gradio is not installed: the app extra"
)
needs_small_parser = pytest.mark.skipif(
    not (resources.files("facemask_inpaint.parsing") / "weights/small.safetensors").is_file(),
    reason="the weights of the small parser are not in this checkout",
)


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio("cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with portrait.png and labels.png, 256 x 256."""
    folder = tmp_path_factory.mktemp("portrait")
    sample = fmi.data.sample(256)
    sample.image.save(folder / "portrait.png")
    Image.fromarray(sample.label_map).save(folder / "labels.png")
    return folder


def ask(files: Path, **changes: Any) -> InpaintingRequest:
    """A request for the sample portrait with its label map, and ``changes``."""
    known = {"portrait": files / "portrait.png", "label_map": files / "labels.png"}
    return InpaintingRequest(**{**known, "models": ("harmonic",), **changes})


def expected(hole: np.ndarray, **options: Any) -> np.ndarray:
    """The sample portrait filled without the app."""
    inpainter = fmi.Inpainter.from_pretrained("harmonic", device="cpu")
    return np.asarray(inpainter(fmi.data.sample(256).image, hole, **options))


def test_ticks_fill_the_union_of_the_components(studio: Studio, files: Path) -> None:
    answer = studio.inpaint(ask(files, classes=("eyes", "C"), dilate=3, blend="poisson"))
    hole = fmi.SemanticMasker(3)(fmi.data.sample(256).label_map, ["eyes", "full_mouth"])
    filled = np.asarray(answer.composites["harmonic"])
    np.testing.assert_array_equal(filled, expected(hole, blend="poisson"))
    preview = studio.preview(ask(files, classes=("eyes", "C"), dilate=3), 256)
    differs = (np.asarray(preview.image) != np.asarray(answer.portrait)).any(axis=-1)
    np.testing.assert_array_equal(differs, hole)
    assert answer.hole_share == hole.mean()
    assert answer.report() == f"{hole.mean():.1%} of the image inpainted with harmonic"


def test_strokes_are_stretched_and_added_to_the_components(studio: Studio, files: Path) -> None:
    painted = np.zeros((64, 64), dtype=bool)
    painted[50:60, 5:20] = True
    hole = fmi.SemanticMasker()(fmi.data.sample(256).label_map, "nose")
    assert not hole[200:240, 20:80].any()
    hole[200:240, 20:80] = True
    answer = studio.inpaint(ask(files, classes=("nose",), painted=painted))
    np.testing.assert_array_equal(np.asarray(answer.composites["harmonic"]), expected(hole))


def test_strokes_alone_ask_for_no_label_map(studio: Studio, files: Path) -> None:
    painted = np.zeros((256, 256), dtype=bool)
    painted[100:120, 100:140] = True
    answer = studio.inpaint(ask(files, label_map=None, painted=painted))
    np.testing.assert_array_equal(np.asarray(answer.composites["harmonic"]), expected(painted))


def test_painted_area_is_where_some_layer_is_opaque() -> None:
    first, second = np.zeros((2, 4, 6, 4), dtype=np.uint8)
    first[0, 0, 3], first[1, 1, 3], second[2, 5, 3] = 255, 100, 128
    layers = [Image.fromarray(first), Image.fromarray(second)]
    assert np.argwhere(painted_area(layers)).tolist() == [[0, 0], [2, 5]]
    assert painted_area(layers[1:] * 2) is not None
    assert painted_area([Image.new("RGBA", (6, 4))]) is None
    assert painted_area([]) is None


def test_two_models_are_the_two_sides(studio: Studio, files: Path, tmp_path: Path) -> None:
    own = str(fmi.Inpainter(fmi.models.create("lite")).save_pretrained(tmp_path / "own"))
    answer = studio.inpaint(ask(files, classes=("nose",), models=("harmonic", own, own)))
    assert [title for title, _ in answer.comparison] == ["harmonic", own]
    alone = studio.inpaint(ask(files, classes=("nose",), models=(own,)))
    assert [title for title, _ in alone.comparison] == ["original", own]
    assert alone.comparison[1][1].tobytes() == answer.comparison[1][1].tobytes()


def test_absent_components_are_reported(studio: Studio, files: Path, tmp_path: Path) -> None:
    labels = fmi.data.sample(256).label_map.copy()
    labels[labels == HAIR] = 0
    Image.fromarray(labels).save(tmp_path / "bald.png")
    bald = ask(files, label_map=tmp_path / "bald.png", classes=("nose", "hair"))
    answer = studio.inpaint(bald)
    assert answer.absent == ("hair",)
    assert answer.report().endswith("; not in this portrait: hair")
    with pytest.raises(MaskError, match="not in this portrait: hair"):
        studio.inpaint(ask(files, label_map=tmp_path / "bald.png", classes=("hair",)))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({}, MaskError, "nothing to inpaint"),
        ({"classes": ("nose",), "models": ()}, OptionError, "not 0"),
        ({"classes": ("nose",), "models": ("harmonic", "mat", "lama")}, OptionError, "not 3"),
        ({"classes": ("noes",)}, UnknownNameError, "nose"),
        ({"classes": ("nose",), "models": ("harmonics",)}, UnknownNameError, "harmonic"),
        ({"classes": ("nose",), "label_map": None, "parser": "smal"}, UnknownNameError, "small"),
    ],
)
def test_bad_requests(
    studio: Studio, files: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        studio.inpaint(ask(files, **changes))


def test_label_map_of_another_size_is_refused(studio: Studio, files: Path, tmp_path: Path) -> None:
    Image.fromarray(fmi.data.sample(512).label_map).save(tmp_path / "large.png")
    with pytest.raises(LabelMapError, match=r"512 x 512 pixels, its portrait 256 x 256"):
        studio.inpaint(ask(files, label_map=tmp_path / "large.png", classes=("nose",)))


@needs_small_parser
def test_without_a_label_map_a_parser_looks(studio: Studio, files: Path) -> None:
    answer = studio.inpaint(ask(files, label_map=None, classes=("face_oval",)))
    labels = fmi.parsing.load_parser("small", device="cpu")(fmi.data.sample(256).image)
    hole = fmi.SemanticMasker()(labels, "face_oval")
    np.testing.assert_array_equal(np.asarray(answer.composites["harmonic"]), expected(hole))


def test_portraits_become_what_png_holds(tmp_path: Path) -> None:
    sample = fmi.data.sample(256).image.crop((0, 0, 200, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    sample.convert("CMYK").save(tmp_path / "press.tif")
    sample.save(tmp_path / "turned.jpg", exif=exif)
    sample.convert("RGBA").save(tmp_path / "clear.png")
    assert read_portrait(tmp_path / "press.tif").mode == "RGB"
    assert read_portrait(tmp_path / "turned.jpg").size == (120, 200)
    assert read_portrait(tmp_path / "clear.png").mode == "RGBA"


def test_models_that_need_no_download_come_first() -> None:
    choices = model_choices(("my/own",))
    names = [name for _, name in choices]
    assert names[:3] == ["my/own", "harmonic", "lite"]
    assert len(set(names)) == len(names)
    for caption, name in choices[1:]:
        card = fmi.models.card(name)
        assert ("fetched" in caption) == (card.needs_weights and not card.ships)
        assert card.ships or not card.needs_weights or card.downloadable


def test_missing_gradio_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    advice = r"pip install 'facemask-inpaint\[app\]'"
    with pytest.raises(MissingDependencyError, match=advice), serve(["harmonic"]):
        pass


def test_bad_options_end_the_command_before_anything_is_served() -> None:
    three = CliRunner().invoke(app_command, ["--model", "a", "--model", "b", "--model", "c"])
    assert isinstance(three.exception, OptionError)
    parser = CliRunner().invoke(app_command, ["--parser", "smal"])
    assert isinstance(parser.exception, UnknownNameError)


@needs_gradio
def test_command_says_where_the_page_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["facemask_inpaint.cli.app"], "_wait", lambda: None)
    result = CliRunner().invoke(app_command, ["--model", "harmonic"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("open http://127.0.0.1:")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/x/uploads/ab12/me.png: truncated", "me.png: truncated"),
        ("put it into /home/me/.cache/weights/best.ckpt, or", "put it into best.ckpt, or"),
        ("'/srv/data/a.png' and /srv/b.png", "'a.png' and b.png"),
        ("C:\\Users\\me\\a.png is damaged", "a.png is damaged"),
        ("get https://host.example/files/a.pth or 3/4 of it", None),
        ("the label map is 64 x 64 pixels, its portrait 256 x 256 (width x height)", None),
        ("known: lama-celebahq-256, hub/repository", None),
    ],
)
def test_messages_name_no_places_of_this_machine(text: str, shown: str | None) -> None:
    assert without_folders(text) == (text if shown is None else shown)


def test_weights_that_change_are_loaded_again(studio: Studio, files: Path, tmp_path: Path) -> None:
    own, answers = str(tmp_path / "own"), []
    for seed in (1, 1, 2):
        fmi.Inpainter(build("migan", seed=seed), device="cpu").save_pretrained(own)
        answers.append(studio.inpaint(ask(files, classes=("nose",), models=(own,))).composites[own])
    assert answers[0].tobytes() == answers[1].tobytes() != answers[2].tobytes()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve(["harmonic"], device="cpu") as (address,):
        yield address


@needs_gradio
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:7860", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example:7860", 400),
        ("192.168.1.7:7860", 400),
        ("", 400),
    ],
)
def test_foreign_hosts_are_refused(address: str, host: str, status: int) -> None:
    for path in ("", "config", "gradio_api/info"):
        request = urllib.request.Request(address + path, headers={"Host": host})
        try:
            found = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            found = error.code
        assert found == status


@needs_gradio
@pytest.mark.parametrize("kind", ["text", "half", "odd", "labels", "small", "coloured", "none"])
def test_refusals_are_sentences_without_folders(
    address: str, kind: str, files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = importlib.import_module("gradio_client")
    portrait, labels = files / "portrait.png", files / "labels.png"
    bad = tmp_path / f"{kind}.png"
    whole = portrait.read_bytes()
    content = {
        "text": b"no picture",
        "half": whole[: len(whole) // 2],
        "odd": whole[:8] + bytes(50),
    }
    bad.write_bytes(content.get(kind, b"no picture"))
    if kind == "small":
        Image.new("L", (64, 64), 2).save(bad)
    if kind == "coloured":
        fmi.data.sample(256).image.save(bad)
    given = (portrait, bad) if kind in ("labels", "small", "coloured") else (bad, labels)
    classes = [] if kind == "none" else ["nose"]
    if kind == "none":
        given = (portrait, labels)
    sent = [client.handle_file(str(path)) for path in given]
    page = client.Client(address, verbose=False)
    arguments = (*sent, "small", "all", classes, None, ["harmonic"], 0, 0.01, "none", False)
    said, *results = page.predict(*arguments, api_name="/inpaint")
    assert "/" not in said
    assert kind in said or kind in ("none", "small", "coloured")
    assert not any(shown["visible"] for shown in results)
    assert "Traceback" not in capfd.readouterr().err


@needs_gradio
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(os.environ)
    with serve(["harmonic"]):
        assert list(tmp_path.rglob("sample.png"))
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before
