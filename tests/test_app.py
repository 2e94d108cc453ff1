"""The page: its work without a browser, and the page itself in a headless one."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import sys
import tempfile
import time
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
from tests.benchmark import browser
from tests.models.reduced import build

HAIR = fmi.masks.components.LABEL_IDS["hair"]

needs_gradio = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="Gradio is not installed: the app extra"
)
needs_browser = pytest.mark.skipif(
    browser.PROGRAM is None, reason="no Chromium on this machine to open the page with"
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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A window in which the page is opened."""
    with (
        serve(["harmonic"], device="cpu") as (address,),
        browser.browser(tmp_path_factory.mktemp("browser")) as tab,
    ):
        tab.send("Page.navigate", url=address)
        tab.wait("document.querySelector('#easel canvas') !== null")
        yield tab


def opened(page: browser.Page, width: int, height: int) -> None:
    """Show the page anew in a window of some size, with the sample portrait and its mask."""
    page.resize(width, height)
    page.send("Page.navigate", url=page.run("location.href"))
    page.wait("document.querySelector('#easel canvas') !== null")
    page.wait("document.querySelector('#classes input')?.checked")
    shown(page)


def shown(page: browser.Page, *, unlike: np.ndarray | None = None) -> np.ndarray:
    """Return what the photo's tab shows, ``(h, w, 3)``, once it has stopped changing."""
    settle(page, "#easel canvas")
    deadline = time.monotonic() + 60
    before, now = None, part(page, "#easel")
    while before is None or (before != now).any() or np.ptp(now) < 50 or is_like(now, unlike):
        assert time.monotonic() < deadline, "the photo does not change"
        time.sleep(1)
        before, now = now, part(page, "#easel")
    return now


def is_like(now: np.ndarray, before: np.ndarray | None) -> bool:
    """Whether two views of the photo differ by no more than a cursor."""
    return before is not None and (now != before).any(axis=-1).sum() < 1000


def part(page: browser.Page, selector: str) -> np.ndarray:
    """What the window shows of an element."""
    left, top, width, height = map(int, box(page, selector))
    return page.screenshot()[top : top + height, left : left + width]


def box(page: browser.Page, selector: str) -> list[float]:
    """Left, top, width and height of an element in the window."""
    place = f"document.querySelector({selector!r}).getBoundingClientRect()"
    return page.run(f"(box => [box.x, box.y, box.width, box.height])({place})")


def is_in_window(page: browser.Page, selector: str) -> bool:
    """Whether all of an element is seen without scrolling."""
    left, top, width, height = box(page, selector)
    inner = page.run("[innerWidth, innerHeight]")
    return left >= 0 and top >= 0 and left + width <= inner[0] and top + height <= inner[1]


def tick(page: browser.Page, mask_class: str) -> None:
    """Press the mouse on the box of a mask class."""
    page.click(f"#classes input[name={mask_class!r}]")


def inpainted(page: browser.Page, words: str) -> None:
    """Press the button, and return once the report says something."""
    settle(page, "#fill")
    page.click("#fill")
    page.wait(f"document.querySelector('#report')?.innerText.includes({words!r})")


def drop(page: browser.Page, file: Path) -> None:
    """Replace the photo by another file."""
    page.click("#portrait button[aria-label='Clear']")
    page.wait("document.querySelector('#portrait input[type=file]') !== null")
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    chooser = page.send("DOM.querySelector", nodeId=root, selector="#portrait input[type=file]")
    page.send("DOM.setFileInputFiles", files=[str(file)], **chooser)
    page.wait(f"document.querySelector('#portrait')?.innerText.includes({file.stem!r})")


def picture(page: browser.Page, selector: str) -> np.ndarray:
    """Pixels of the picture file behind an element."""
    data = page.run(
        f"fetch(document.querySelector({selector!r}).src).then(answer => answer.blob())"
        ".then(blob => new Promise(done => {"
        "const reader = new FileReader(); reader.onload = () => done(reader.result);"
        "reader.readAsDataURL(blob)}))"
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))))


def stroke(page: browser.Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse over the easel between two points, given as shares of its canvas."""
    left, top, width, height = box(page, "#easel canvas")
    points = [(left + width * x, top + height * y) for x, y in np.linspace(begin, end, 12)]
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=points[0][0], y=points[0][1])
    for kind, (x, y) in [
        ("mousePressed", points[0]),
        *(("mouseMoved", point) for point in points),
        ("mouseReleased", points[-1]),
    ]:
        page.send(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
        )


def settle(page: browser.Page, selector: str) -> None:
    """Return once an element is there and has stopped moving, so that a click hits it."""
    place = f"JSON.stringify(document.querySelector({selector!r})?.getBoundingClientRect())"
    page.wait(
        f"(before => before && new Promise(done => setTimeout(() => done(before === {place}), 500))"
        f")({place})"
    )


@needs_gradio
@needs_browser
@pytest.mark.parametrize("size", [(1400, 1000), (400, 850)], ids=["desk", "telephone"])
def test_photo_button_and_result_are_seen_without_scrolling(
    page: browser.Page, size: tuple[int, int], tmp_path: Path
) -> None:
    opened(page, *size)
    assert is_in_window(page, "#easel canvas")
    assert is_in_window(page, "#fill")
    assert is_in_window(page, "#classes label:last-child")
    inpainted(page, "inpainted with harmonic")
    page.wait("document.querySelectorAll('#compare img').length === 2")
    settle(page, "#compare")
    assert page.run("scrollY") == 0
    assert is_in_window(page, "#compare")
    before, after = (picture(page, f"#compare img{which}") for which in (":not(.fixed)", ".fixed"))
    sample = fmi.data.sample(512)
    sample.image.save(tmp_path / "sample.png")
    request = InpaintingRequest(
        portrait=tmp_path / "sample.png", models=("harmonic",), classes=("eyes",)
    )
    np.testing.assert_array_equal(before, np.asarray(sample.image))
    expected = Studio("cpu").inpaint(request).composites["harmonic"]
    np.testing.assert_array_equal(after, np.asarray(expected))


@needs_gradio
@needs_browser
def test_ticks_show_at_once_and_strokes_stay(page: browser.Page, tmp_path: Path) -> None:
    opened(page, 1400, 1000)
    eyes = shown(page)
    stroke(page, (0.4, 0.85), (0.6, 0.85))
    painted = shown(page, unlike=eyes)
    tick(page, "nose")
    with_nose = shown(page, unlike=painted)
    height = len(eyes)
    strip, face = slice(int(0.8 * height), height), slice(0, int(0.7 * height))
    strokes = (painted[strip] != eyes[strip]).any(axis=-1).sum()
    assert strokes > 1000
    differs = np.ptp([with_nose[strip], painted[strip]], axis=0).max(axis=-1) > 40
    assert differs.sum() < 0.1 * strokes
    assert (with_nose[face] != painted[face]).any(axis=-1).sum() > 1000
    inpainted(page, "inpainted with harmonic")
    page.wait("document.querySelectorAll('#compare img').length === 2")
    changed = (picture(page, "#compare img.fixed") != np.asarray(fmi.data.sample().image)).any(-1)
    assert changed[400:].sum() > 1000
    assert changed[:400].sum() > 1000


@needs_gradio
@needs_browser
def test_wide_photos_are_shown_whole(page: browser.Page, tmp_path: Path) -> None:
    opened(page, 1400, 1000)
    wide = Image.new("RGB", (1200, 300), (40, 90, 160))
    wide.paste((200, 30, 30), (0, 0, 20, 300))
    wide.paste((30, 200, 30), (1180, 0, 1200, 300))
    wide.save(tmp_path / "wide.png")
    tick(page, "eyes")
    drop(page, tmp_path / "wide.png")
    page.wait("document.querySelector('#note')?.innerText === ''")
    photo = shown(page).reshape(-1, 3)
    assert (abs(photo - np.int16([200, 30, 30])).max(axis=1) < 9).any()
    assert (abs(photo - np.int16([30, 200, 30])).max(axis=1) < 9).any()
    stroke(page, (0.4, 0.5), (0.6, 0.5))
    inpainted(page, "inpainted with harmonic")
    page.wait("document.querySelector('#compare img.fixed')?.naturalWidth === 1200")
    settle(page, "#compare")
    width, height = box(page, "#compare img.fixed")[2:]
    assert page.run("getComputedStyle(document.querySelector('#compare img')).objectFit") == (
        "contain"
    )
    assert is_in_window(page, "#compare")
    assert width / height <= 4.1


@needs_gradio
@needs_browser
def test_errors_stand_where_the_result_was(page: browser.Page, tmp_path: Path) -> None:
    opened(page, 1400, 1000)
    inpainted(page, "inpainted with harmonic")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    drop(page, tmp_path / "broken.png")
    page.wait("document.querySelector('#note')?.innerText.includes('broken.png: not an image')")
    inpainted(page, "broken.png: not an image")
    assert page.run("document.querySelector('#compare img')") is None
    assert is_in_window(page, "#report")


@needs_gradio
@needs_browser
@needs_small_parser
def test_one_face_of_a_group_can_be_chosen(page: browser.Page, tmp_path: Path) -> None:
    group = Image.new("RGB", (900, 400), (90, 110, 130))
    portraits = Path(__file__).parent / "data_portraits/images"
    group.paste(Image.open(portraits / "B000490.jpg").resize((360, 360)), (20, 20))
    group.paste(Image.open(portraits / "J000293.jpg").resize((300, 300)), (500, 40))
    group.save(tmp_path / "group.png")
    opened(page, 1400, 1000)
    drop(page, tmp_path / "group.png")
    page.wait("document.querySelectorAll('#faces input').length === 3")
    everybody = shown(page)
    page.click("#faces label:nth-of-type(3) input")
    shown(page, unlike=everybody)
    inpainted(page, "inpainted with harmonic")
    page.wait("document.querySelector('#compare img.fixed')?.naturalWidth === 900")
    changed = (picture(page, "#compare img.fixed") != np.asarray(group)).any(axis=(0, 2))
    assert not changed[:450].any()
    assert changed[450:].sum() > 40


@needs_gradio
@needs_browser
def test_page_asks_nobody_else(page: browser.Page) -> None:
    own = page.run("location.origin")
    assert page.requests()
    assert [url for url in page.requests() if not url.startswith((own, f"blob:{own}"))] == []
