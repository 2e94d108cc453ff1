"""The page of a run: made from a real run, opened and used in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from markupsafe import escape
from PIL import Image, ImageEnhance, ImageOps

from facemask_inpaint import benchmark, data
from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.report import Selection, write_report
from facemask_inpaint.benchmark.report.warnings import gathered, spanning
from facemask_inpaint.cli.report import report as report_command
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import flip_label_map
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.metrics.features.random_convolutions import random_convolutions
from tests.benchmark import browser
from tests.benchmark.runs import run_of_many_images

CLASSES = ("eyes", "full_mouth", "nose")


def grey(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Fills holes with one colour."""
    return Image.composite(Image.new("RGB", image.size, (128, 128, 128)), image, mask)


def fussy(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Raises on holes below the middle of the image, as mouths are."""
    if np.nonzero(np.asarray(mask))[0].mean() > 0.52 * image.height:
        raise ValueError("no <mouths> & no chins")
    return grey(image, mask)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run: three variants of the sample portrait, three methods, one of which raises."""
    folder = tmp_path_factory.mktemp("run")
    faces = _portraits(folder / "faces")
    return benchmark.run(
        {"harmonic": "harmonic", "grey": grey, "fussy": fussy},
        faces,
        out=folder / "out",
        classes=",".join(CLASSES),
        resolutions=(128,),
        metrics=("fid", "uids", "l1_hole", "psnr_hole"),
        reader=FeatureReader(extractor=random_convolutions("cpu"), cache=None),
        device="cpu",
        report=False,
        progress=False,
    )


def _portraits(folder: Path) -> data.Faces:
    sample = data.sample(256)
    labels = Image.fromarray(sample.label_map)
    mirrored = Image.fromarray(np.ascontiguousarray(flip_label_map(sample.label_map)))
    variants = {
        "a": (sample.image, labels),
        "b": (ImageOps.mirror(sample.image), mirrored),
        "c": (ImageEnhance.Brightness(sample.image).enhance(0.7), labels),
    }
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for key, (image, ids) in variants.items():
        image.save(folder / "images" / f"{key}.png")
        ids.save(folder / "labels" / f"{key}.png")
    return data.labelled_folder(folder)


@pytest.fixture(scope="module")
def page_file(run: Run) -> Path:
    return write_report(run)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    if browser.PROGRAM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with browser.browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(chromium: browser.Page, page_file: Path) -> browser.Page:
    """The report, freshly opened in a wide window."""
    chromium.prefer("light")
    chromium.resize(1280, 900)
    chromium.events.clear()
    chromium.open(page_file)
    return chromium


class TestFile:
    def test_names_everything(self, run: Run, page_file: Path) -> None:
        text = page_file.read_text(encoding="utf-8")
        assert page_file == run.folder / "report.html"
        for word in (*CLASSES, "harmonic", "grey", "fussy", "Full mouth", "random-convolutions"):
            assert word in text
        for score in run.scores:
            assert repr(score.value) in text

    def test_shows_failures_escaped(self, run: Run, page_file: Path) -> None:
        text = page_file.read_text(encoding="utf-8")
        assert any(failure.method == "fussy" for failure in run.failures)
        assert "no &lt;mouths&gt; &amp; no chins" in text
        assert "<mouths>" not in text

    def test_shows_every_warning(self, run: Run, page_file: Path) -> None:
        text = page_file.read_text(encoding="utf-8")
        found = gathered(run.scores)
        assert found
        for warning in found:
            assert f"<span>{escape(spanning(warning.texts))}</span>" in text

    def test_what_changes_the_meaning_stands_beside_the_headline(self, page_file: Path) -> None:
        text = page_file.read_text(encoding="utf-8")
        head = text[: text.index('class="teaser"')]
        caveats = re.findall(r'<p class="lede caveat">(.*?)</p>', head)
        assert "stand-in" in caveats[0]
        assert caveats[1].startswith("harmonic learns nothing")

    def test_same_run_gives_same_bytes(self, run: Run, page_file: Path, tmp_path: Path) -> None:
        again = write_report(Run.open(run.folder), tmp_path / "again.html")
        assert again.read_bytes() == page_file.read_bytes()

    def test_nothing_is_fetched(self, page_file: Path) -> None:
        text = page_file.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text
        assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", text)

    def test_images_are_the_runs(self, run: Run, page_file: Path) -> None:
        images = _images(page_file)
        shown = images["prediction/128/harmonic/nose/a"]
        copy = np.asarray(shown.convert("RGB"), dtype=float)
        saved = np.asarray(Image.open(run.prediction(128, "harmonic", "nose", "a")), dtype=float)
        assert copy.shape == saved.shape
        assert np.abs(copy - saved).mean() < 4
        hole = np.asarray(images["hole/128/nose/a"].convert("RGBA"))[..., 3] > 0
        assert np.array_equal(hole, np.asarray(Image.open(run.mask(128, "nose", "a"))) > 127)

    def test_budget_is_kept_and_told(self, run: Run, tmp_path: Path) -> None:
        whole = write_report(run, tmp_path / "whole.html", selection=Selection(megabytes=40))
        small = write_report(run, tmp_path / "small.html", selection=Selection(megabytes=0.05))
        told = r"[\d,]+ rows? did not fit the page's size limit"
        assert not re.search(told, whole.read_text(encoding="utf-8"))
        assert re.search(told, small.read_text(encoding="utf-8"))
        data_size = sum(len(uri) for uri in _uris(small).values())
        assert 0 < data_size <= 50_000
        assert set(_uris(small)) < set(_uris(whole))

    def test_without_images(self, run: Run, tmp_path: Path) -> None:
        bare = write_report(run, tmp_path / "bare.html", selection=Selection(rows=0, extremes=0))
        assert _uris(bare) == {}
        assert 'id="scores"' in bare.read_text(encoding="utf-8")

    def test_damaged_image_costs_only_itself(self, run: Run, tmp_path: Path) -> None:
        damaged = run.prediction(128, "grey", "nose", "a")
        kept = damaged.read_bytes()
        damaged.write_bytes(kept[:50])
        try:
            report = write_report(run, tmp_path / "damaged.html")
        finally:
            damaged.write_bytes(kept)
        images = _uris(report)
        assert "prediction/128/grey/nose/a" not in images
        assert "prediction/128/harmonic/nose/a" in images
        assert "no image" in report.read_text(encoding="utf-8")

    def test_unfinished_run(self, run: Run, tmp_path: Path) -> None:
        settings = dict(run.settings)
        (tmp_path / "run.json").write_text(json.dumps(settings), encoding="utf-8")
        report = write_report(Run.open(tmp_path))
        assert run.dataset in report.read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_large_study_stays_small(self, run: Run, tmp_path: Path) -> None:
        """Twelve classes and four methods, every image full of noise: default size limits."""
        folder = run_of_many_images(run, tmp_path / "many")
        report = write_report(Run.open(folder))
        assert 11e6 < report.stat().st_size < 15e6
        assert "did not fit the page's size limit" in report.read_text(encoding="utf-8")


def _uris(report: Path) -> dict[str, str]:
    text = report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="image-data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def _images(report: Path) -> dict[str, Image.Image]:
    return {
        name: Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        for name, uri in _uris(report).items()
    }


class TestBrowser:
    def test_opens_without_complaint_or_request(self, page: browser.Page, page_file: Path) -> None:
        page.wait("[...document.images].some(image => image.naturalWidth)")
        assert page.complaints() == []
        assert page.requests() == [page_file.resolve().as_uri()]

    @pytest.mark.parametrize("width", [1280, 390])
    def test_fits_the_window(self, page: browser.Page, width: int) -> None:
        page.resize(width, 900)
        assert page.run("document.documentElement.scrollWidth") <= width

    @pytest.mark.parametrize("width", [400, 1300])
    def test_captions_stand_below_their_pictures(self, page: browser.Page, width: int) -> None:
        page.resize(width, 900)
        offsets = page.run(
            "[...document.querySelectorAll('.teaser figure')].map((figure) => {"
            "  const middle = (part) => { const box = figure.querySelector(part)"
            "    .getBoundingClientRect(); return box.left + box.width / 2; };"
            "  return middle('figcaption') - middle('.shot'); })"
        )
        assert len(offsets) == len(CLASSES)
        assert all(abs(offset) <= 1 for offset in offsets)

    @pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
    def test_is_painted_in_both_schemes(self, page: browser.Page, scheme: str, dark: bool) -> None:
        page.prefer(scheme)
        _settle(page)
        shot = page.screenshot()
        ground = np.median(shot.reshape(-1, 3), axis=0)
        assert (ground.mean() < 60) if dark else (ground.mean() > 230)
        # Portraits, text and marks: many colours, and not only at the margin.
        colours = np.unique((shot // 16).astype(int) @ (256, 16, 1))
        assert len(colours) > 100
        assert shot[300:800, 200:1000].std() > 20

    def test_theme_button_turns_the_scheme_round(self, page: browser.Page) -> None:
        before = page.run("getComputedStyle(document.documentElement).backgroundColor")
        page.click("#theme")
        after = page.run("getComputedStyle(document.documentElement).backgroundColor")
        assert before == "rgb(255, 255, 255)"
        assert after != before
        page.press("d")
        assert page.run("getComputedStyle(document.documentElement).backgroundColor") == before

    def test_click_sorts_a_table(self, page: browser.Page, run: Run) -> None:
        table = "#scores .panel:not([hidden]) table"
        head = f"{table} th[data-method=harmonic]"
        column = (
            f"[...document.querySelectorAll('{table} td[data-method=harmonic]')]"
            ".map(cell => Number(cell.dataset.value))"
        )
        fids = [
            score.value
            for score in run.scores
            if (score.metric, score.method) == ("fid", "harmonic")
        ]
        assert len(set(fids)) == len(CLASSES)
        page.click(f"{head} button")
        assert page.run(column) == sorted(fids)
        assert page.run(f"document.querySelector('{head}').ariaSort") == "ascending"
        page.click(f"{head} button")
        assert page.run(column) == sorted(fids, reverse=True)
        assert page.run(f"document.querySelector('{head}').ariaSort") == "descending"

    def test_keys_open_use_and_close_the_zoom(self, page: browser.Page) -> None:
        page.run("document.querySelector('#images .row [data-method=grey]').focus()")
        assert not page.run("document.getElementById('zoom').open")
        page.press("Enter")
        page.wait("document.getElementById('zoom').open")
        assert _zoomed(page) == ("grey", "eyes, portrait a")
        page.press("ArrowLeft")
        assert _zoomed(page) == ("harmonic", "eyes, portrait a")
        page.press("ArrowDown")
        assert _zoomed(page) == ("harmonic", "eyes, portrait b")
        page.press("Escape")
        page.wait("!document.getElementById('zoom').open")
        # The dialog's close event, which gives the focus back, is queued by the browser.
        focused = "document.activeElement.getAttribute('aria-label')"
        page.wait(f"({focused} || '').startsWith('harmonic, eyes, portrait b')")

    def test_zoom_shows_the_prediction_then_the_original(self, page: browser.Page) -> None:
        page.click("#images .row [data-method=grey]")
        _settle(page)
        filled = page.screenshot()
        page.hold("o")
        _settle(page)
        original = page.screenshot()
        page.release("o")
        _settle(page)
        assert np.abs(filled.astype(int) - original).max() > 60
        stage = _box(page, "#zoom .stage img")
        assert np.array_equal(page.screenshot()[stage], filled[stage])

    def test_wipe_uncovers_the_original(self, page: browser.Page) -> None:
        page.click("#images .row [data-method=grey]")
        page.run("document.getElementById('zoom-wipe').focus()")
        for _ in range(3):
            page.press("ArrowRight")
        assert page.run("document.getElementById('zoom-wipe').value") == "3"
        clip = "getComputedStyle(document.querySelector('.stage .predicted')).clipPath"
        assert "3%" in page.run(clip)
        assert page.run("document.getElementById('zoom').open")

    def test_held_key_flips_all_predictions(self, page: browser.Page) -> None:
        page.run("document.querySelector('#images').scrollIntoView({behavior: 'instant'})")
        image = "document.querySelector('#images .row [data-method=grey] img').src"
        original = "document.querySelector('#images .row .shot img').src"
        # An image gets its content when the browser reports it near the window.
        page.wait(f"{image} && {original} && {image} !== {original}")
        page.hold("o")
        page.wait(f"{image} === {original}")
        page.release("o")
        page.wait(f"{image} !== {original}")

    def test_filters_hide_classes_and_methods(self, page: browser.Page) -> None:
        visible = (
            "[...document.querySelectorAll('{}')].filter(e => e.getClientRects().length).length"
        )
        grids = visible.format("#images .class")
        predictions = visible.format("#images .row [data-method=grey]")
        assert page.run(grids) == len(CLASSES)
        assert page.run(predictions) == 3 * len(CLASSES)
        page.run(
            "(box => {box.value = 'nose'; box.dispatchEvent(new Event('change', {bubbles: true}))})"
            "(document.querySelector('select[name=class]'))"
        )
        assert page.run(grids) == 1
        page.click("input[name=method][value=grey]")
        assert page.run(predictions) == 0
        assert page.run(visible.format("#scores .panel [data-method=grey]")) == 0
        assert page.run(visible.format("#images .row [data-method=harmonic]")) == 3

    def test_another_metric_shows_another_panel(self, page: browser.Page) -> None:
        shown = "document.querySelector('#scores .panel:not([hidden])').dataset.metric"
        assert page.run(shown) == "fid"
        page.run("document.querySelector('input[name=metric][value=fid]').focus()")
        page.press("ArrowRight")
        assert page.run(shown) == "uids"

    def test_prints_with_all_images_and_metrics(self, page: browser.Page) -> None:
        printed = base64.b64decode(page.send("Page.printToPDF")["data"])
        assert printed.startswith(b"%PDF")
        assert printed.count(b"/Subtype /Image") > 20
        assert page.run('document.querySelectorAll("img[data-image]:not([src])").length') == 0

    def test_every_control_has_a_name_and_a_visible_focus(self, page: browser.Page) -> None:
        nameless = (
            "[...document.querySelectorAll('button, select, input, a')].filter(control =>"
            " !(control.ariaLabel || control.textContent.trim() || control.labels?.length))"
            ".map(control => control.outerHTML)"
        )
        assert page.run(nameless) == []
        page.press("Tab")
        page.wait("getComputedStyle(document.activeElement).outlineStyle === 'solid'")


def _zoomed(page: browser.Page) -> tuple[str, str]:
    words = "['title', 'about'].map(part => document.getElementById(`zoom-${part}`).textContent)"
    title, about = page.run(words)
    return title, about


def _box(page: browser.Page, selector: str) -> tuple[slice, slice]:
    """Where an element is in a screenshot, a rim of its pixels left out."""
    x, y, width, height = page.run(
        "(box => [box.x, box.y, box.width, box.height].map(Math.round))"
        f"(document.querySelector('{selector}').getBoundingClientRect())"
    )
    return slice(y + 20, y + height - 20), slice(x + 20, x + width - 20)


def _settle(page: browser.Page) -> None:
    """Wait until images near the window are decoded and painted."""
    page.wait("[...document.images].every(image => !image.src || image.complete)")
    page.run(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    )


class TestCommand:
    def test_rebuilds_from_what_is_there(self, run: Run, tmp_path: Path) -> None:
        target = tmp_path / "page.html"
        result = CliRunner().invoke(report_command, [str(run.folder), "--out", str(target)])
        assert result.exit_code == 0, result.output
        assert str(target) in result.output
        assert target.read_bytes() == write_report(run, tmp_path / "same.html").read_bytes()

    def test_refuses_what_is_no_run(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(report_command, [str(tmp_path)])
        assert isinstance(result.exception, OptionError)
        assert "holds no benchmark run" in str(result.exception)
