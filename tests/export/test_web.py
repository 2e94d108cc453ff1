"""The page of examples/web in a real browser, against the same image filled in Python.

Needs the built page: `make web-test` builds it first.
"""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import Inpainter, data
from tests.benchmark.browser import PROGRAM, Page, browser

BUILT = Path(__file__).parents[2] / "build" / "web"

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no browser on this machine"),
    pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="`make web` builds the page"),
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(BUILT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        page.send("Page.navigate", url=address + "index.html")
        page.wait("globalThis.state && globalThis.state.ready")
        yield page


def _choose(page: Page, selector: str, path: Path) -> None:
    root = page.send("DOM.getDocument")["root"]["nodeId"]
    node = page.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


def _bytes(page: Page, name: str) -> NDArray[np.uint8]:
    """Return an array of the page's state."""
    text = page.run(
        f"(bytes => {{ let text = ''; for (const byte of bytes) text += String.fromCharCode(byte);"
        f" return btoa(text); }})(state.{name})"
    )
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


@pytest.mark.parametrize("size", [(256, 256), (300, 240)])
def test_page_fills_as_python_does(page: Page, size: tuple[int, int], tmp_path: Path) -> None:
    photo = data.sample(256).image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    photo.save(tmp_path / "photo.png")
    page.run("document.querySelectorAll('#classes input').forEach(box => box.checked = false)")
    page.run("state.labels = null")
    _choose(page, "#photo", tmp_path / "photo.png")
    page.wait("state.labels !== null && state.mask !== null")
    page.click("#classes input[value=eyes]")
    page.wait("!document.querySelector('#fill').disabled")
    page.click("#fill")
    page.wait("document.querySelector('#status').textContent.startsWith('Filled')")
    width, height = size
    shape = (height, width, 3)
    image, filled = _bytes(page, "rgb").reshape(shape), _bytes(page, "filled").reshape(shape)
    hole = _bytes(page, "mask").reshape(height, width) == 255
    assert np.array_equal(image, np.asarray(photo))
    assert 0.01 < hole.mean() < 0.2
    expected = Inpainter.from_pretrained("lite", device="cpu")(image, hole, seed=0)
    assert np.array_equal(filled[~hole], image[~hole])
    assert np.abs(filled.astype(int) - expected).max() <= 1
    assert page.run("document.querySelector('#download').href").startswith("blob:")


def test_photo_never_leaves_the_browser(page: Page, address: str) -> None:
    foreign = [url for url in page.requests() if not url.startswith((address, "blob:"))]
    assert not foreign
    sent = [event for event in page.events if event.get("method") == "Network.requestWillBeSent"]
    assert {event["params"]["request"]["method"] for event in sent} == {"GET"}


def test_file_that_is_no_pipeline_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no graph")
    _choose(page, "#network", tmp_path / "other.onnx")
    page.wait("document.querySelector('#status').textContent.startsWith('That did not work')")
    assert page.run("document.querySelector('#status').textContent")
