"""The documentation builds without a warning, and every page fits a window of 400 pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmark import browser
from tests.extensions import ROOT, load_extension

WIDTHS = (400, 1400)

pytestmark = pytest.mark.slow

_OVERFLOWING = """
[...document.querySelectorAll("article pre, article table, article img, article svg, article dt")]
  .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
  .filter(part => !scrolls(part))
  .map(part => part.tagName + ": " + part.textContent.trim().slice(0, 60))

function scrolls(part) {
  for (let box = part; box.tagName != "ARTICLE"; box = box.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true;
  return false;
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; warnings of the build are errors."""
    for name in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(name, reason="needs the extra [docs]")
    folder = tmp_path_factory.mktemp("site")
    command = ["-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", folder / "html"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-d", folder / "trees", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    """A browser's tab."""
    if browser.PROGRAM is None:
        pytest.skip("needs a Chromium")
    with browser.browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def test_every_public_name_can_be_linked_to(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    reference = load_extension("reference")
    with open(site / "objects.inv", "rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    names = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    exported = {
        export.public
        for package in reference.packages()
        for export in reference.exports(package)
        if not export.is_module
    }
    assert exported <= names


def test_no_page_is_wider_than_its_window(site: Path, page: browser.Page) -> None:
    wide, cut = [], []
    for path in sorted(site.rglob("*.html")):
        if path.relative_to(site).parts[0] == "_modules":
            continue  # listings of source code
        page.open(path)
        for width in WIDTHS:
            page.resize(width, 900)
            if (measured := page.run("document.body.scrollWidth")) > width:
                wide.append(f"{path.relative_to(site)}: {measured} of {width} pixels")
            cut += [f"{path.relative_to(site)} at {width}: {one}" for one in page.run(_OVERFLOWING)]
    assert not wide
    assert not cut


def test_code_can_be_copied(site: Path, page: browser.Page) -> None:
    page.resize(1400, 900)
    page.open(site / "quickstart.html")
    console = 'document.querySelector(".highlight-console pre").innerText'
    parent = 'document.querySelector(".highlight-console")'
    copied = page.run(f"commands({console}, {parent})").splitlines()
    assert [line.partition("#")[0].rstrip() for line in copied] == [
        "make demo",
        ".venv/bin/facemask-inpaint inpaint photo.jpg --classes eyes,hair",
    ]
    assert page.run('document.querySelectorAll(".highlight-python button.copy").length') > 1
    assert page.run('document.querySelectorAll(".highlight-output button.copy").length') == 0
