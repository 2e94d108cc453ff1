"""The page in a headless browser, at a desk and on a telephone."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.app import InpaintingRequest, Studio, serve
from tests.benchmark import browser
from tests.test_app import needs_gradio, needs_small_parser

needs_browser = pytest.mark.skipif(
    browser.PROGRAM is None, reason="no Chromium on this machine to open the page with"
)


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
