"""Prose says one word per thing: the words that the glossary retires appear nowhere."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extensions import ROOT

RETIRED = {
    r"pictures?": "image",
    r"contenders?": "method",
    r"faults?": "failure",
    r"faulty": "damaged, wrong",
    r"critics?": "discriminator",
    r"verdicts?|judgements?": "what the discriminator or a check returns",
    r"fillings|(?:a|each|every|one|the) filling": "prediction",
    r"untold": "class-conditional, condition",
    r"noised": "with noise added",
    r"album": "assets",
    r"notices": "warnings",
    r"membranes?": "harmonic inpainting",
    r"ladders?": "noise schedule",
}
"""What is not said, as regular expressions, and the word that is."""

ALLOWED = {
    "docs/glossary.md": ("a membrane",),
    "docs/models/harmonic.md": ("membrane interpolation",),
    "src/facemask_inpaint/images/harmonic.py": ("membrane interpolation", "a thin membrane"),
    "src/facemask_inpaint/models/published/baseline.py": ("the membrane that solves",),
}
"""Phrases that may stand in one file: where a synonym is explained."""

PACKAGE = ROOT / "src" / "facemask_inpaint"

_PAGES = ("README.md", "CONTRIBUTING.md")
_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(RETIRED)})(?![\w-])", re.IGNORECASE)


def guides() -> list[Path]:
    """Pages that people wrote."""
    written = (path for path in (ROOT / "docs").rglob("*.md") if "/_" not in path.as_posix())
    notes = (ROOT / "src").rglob("README.md")
    return sorted([*written, *notes, *(ROOT / name for name in _PAGES)])


def retired(text: str, path: Path) -> list[str]:
    """Retired words in a text, with a few words around each."""
    for phrase in ALLOWED.get(path.relative_to(ROOT).as_posix(), ()):
        text = text.replace(phrase, "")
    found = _WORD.finditer(text)
    return [" ".join(text[max(0, m.start() - 30) : m.end() + 20].split()) for m in found]


def prose(source: str) -> Iterator[str]:
    """Docstrings, messages and comments of a module: strings that hold a space, and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@pytest.mark.parametrize("page", guides(), ids=lambda path: str(path.relative_to(ROOT)))
def test_guides_use_the_words_of_the_glossary(page: Path) -> None:
    assert retired(page.read_text(encoding="utf-8"), page) == []


@pytest.mark.parametrize("part", sorted(path.name for path in PACKAGE.glob("[!.]*")))
def test_code_speaks_with_the_words_of_the_glossary(part: str) -> None:
    """Docstrings, messages and comments, by package."""
    paths = [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"))
    found = {}
    for path in paths:
        text = "\n".join(prose(path.read_text(encoding="utf-8")))
        if words := retired(text, path):
            found[path.relative_to(ROOT).as_posix()] = words
    assert found == {}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.stem
)
def test_examples_speak_with_the_words_of_the_glossary(path: Path) -> None:
    text = "\n".join(prose(path.read_text(encoding="utf-8")))
    assert retired(text, path) == []
