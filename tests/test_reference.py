"""The reference pages hold every public name, every command and every option."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import click
import pytest
import yaml

import facemask_inpaint
from facemask_inpaint.cli import main
from tests.extensions import ROOT, load_extension

DOCS = ROOT / "docs"


def test_every_name_of_a_stub_is_on_a_page() -> None:
    reference = load_extension("reference")
    names = {name for page in reference.pages().values() for name in reference.documented(page)}
    exported = {
        export.public
        for package in reference.packages()
        for export in reference.exports(package)
        if not export.is_module
    }
    assert len(exported) > 100
    assert exported <= names


def test_every_public_name_says_what_it_is() -> None:
    reference = load_extension("reference")
    rows = [row for page in reference.pages().values() for row in page.splitlines()]
    assert [row for row in rows if re.fullmatch(r"\| \{py:obj\}.*> *` \|\s*\|", row)] == []


def test_every_part_of_the_reference_has_a_page_that_includes_it() -> None:
    index = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    for stem in load_extension("reference").pages():
        page = (DOCS / "api" / f"{stem}.md").read_text(encoding="utf-8")
        assert f"{{include}} ../_generated/api/{stem}.md" in page
        assert re.search(rf"^(.* <)?{stem}>?$", index, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_command_line_page_has_every_option(name: str) -> None:
    page = load_extension("commands").reference()
    section = page.split(f"## {name}\n")[1].split("\n## ")[0]
    options = [one for one in main.commands[name].params if isinstance(one, click.Option)]
    for option in options:
        spelled = option.opts[-1]
        assert re.search(rf"^`[^`]*{re.escape(spelled)}\b[^`]*`$", section, re.MULTILINE), spelled
    assert f"$ facemask-inpaint {name}" in section, "an example"


def test_the_citation_names_the_study_and_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == facemask_inpaint.__version__
    (study,) = citation["references"]
    assert study["doi"] == "10.3390/ai7040119"
    assert [author["family-names"] for author in study["authors"]] == [
        *("Sharadga", "Hayajneh", "Serpedin")
    ]


def test_the_readme_shows_a_small_image() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (path,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme)
    assert (ROOT / path).stat().st_size <= 300_000


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [target for target in targets if not Path(ROOT, target).exists()] == []


def test_worked_examples_name_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:src|tests|docs)/[\w/]+\.\w+)`", text))
    assert len(paths) >= 8
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []


def test_every_public_class_and_function_has_an_example() -> None:
    reference = load_extension("reference")
    without = []
    for package in reference.packages():
        for export in reference.exports(package):
            if export.is_module:
                continue
            value = getattr(importlib.import_module(package), export.public.rpartition(".")[2])
            is_error = inspect.isclass(value) and issubclass(value, Exception)
            if (inspect.isfunction(value) or inspect.isclass(value)) and not is_error:
                without += [] if ">>>" in (value.__doc__ or "") else [export.public]
    assert without == []
