"""What the guides name exists: options of commands and scripts, files, and Python names."""

from __future__ import annotations

import functools
import pkgutil
import re
from pathlib import Path

import click
import pytest

from facemask_inpaint.cli import main
from tests.extensions import ROOT
from tests.test_vocabulary import guides

FOREIGN = {"--nproc-per-node", "--no-run", "--version", "--help", "--debug"}
"""Options of torchrun, and those of every command."""

_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_PACKAGES = "masks|models|metrics|data|images|training|benchmark|parsing|verification|inpainting"
_NAME = re.compile(rf"(?:fmi\.|facemask_inpaint\.)?((?:{_PACKAGES})(?:\.[A-Za-z]\w*)+)(?:\(.*\))?")
_FILE = re.compile(r"(?:docs|examples|src|tests)/[\w./-]+\.\w+")


@functools.cache
def options() -> set[str]:
    """Every option of the commands, and those that example scripts and the suite define."""
    own = {name for command in main.commands.values() for name in _names(command)}
    scripts = [*(ROOT / "examples").rglob("*.py"), ROOT / "tests" / "conftest.py"]
    texts = [path.read_text(encoding="utf-8") for path in scripts]
    return own | FOREIGN | {name for text in texts for name in re.findall(r'"(--[\w-]+)"', text)}


def _names(command: click.Command) -> list[str]:
    """Options of a command and of the commands below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    given = [one for one in command.params if isinstance(one, click.Option)]
    return [name for one in below for name in _names(one)] + [
        name for option in given for name in (*option.opts, *option.secondary_opts)
    ]


def exists(dotted: str) -> bool:
    """Whether a dotted name can be had from the package."""
    try:
        pkgutil.resolve_name(f"facemask_inpaint.{dotted}")
    except (AttributeError, ImportError):
        return False
    return True


@pytest.mark.parametrize("page", guides(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_guide_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = _INLINE.findall(text)
    named = {name for part in (*code, *_BLOCK.findall(text)) for name in _OPTION.findall(part)}
    assert sorted(named - options()) == []
    dotted = [match[1] for part in code if (match := _NAME.fullmatch(part))]
    assert [name for name in dotted if not exists(name)] == []
    files = {path for part in code for path in _FILE.findall(part)}
    assert [path for path in sorted(files) if not (ROOT / path).is_file()] == []
