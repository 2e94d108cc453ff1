"""The page on the architecture lists the folders that exist; files and functions stay short."""

from __future__ import annotations

import ast
import re

from facemask_inpaint import models
from tests.extensions import ROOT

PACKAGE = ROOT / "src" / "facemask_inpaint"
_BLOCK = re.compile(r"^## Repository layout\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


def listed() -> list[str]:
    """Folders of the page's list, relative to the repository, in its order."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in _BLOCK.findall(page)[0].splitlines():
        depth, name = len(line) - len(line.lstrip()), line.split()[0].rstrip("/")
        parents = [(level, folder) for level, folder in parents if level < depth]
        path = "/".join([folder for _, folder in parents[-1:]] + [name])
        parents.append((depth, path))
        folders.append(path)
    return folders


def test_listed_folders_exist() -> None:
    assert [folder for folder in listed() if not (ROOT / folder).is_dir()] == []


def test_every_folder_of_examples_is_listed() -> None:
    folders = {path.parent for path in (ROOT / "examples").rglob("*") if path.is_file()}
    tracked = {path for path in folders if "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in tracked} <= set(listed())


def test_every_package_is_listed() -> None:
    architectures = {PACKAGE / "models" / name for name in models.list_architectures()}
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")} - architectures
    assert {path.relative_to(ROOT).as_posix() for path in packages} <= set(listed())


def test_files_and_functions_are_short() -> None:
    long = []
    for folder in ("src", "tests", "examples", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if len(text.splitlines()) > 400:
                long.append(path.name)
            long += [
                f"{path.name}: {node.name}"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
            ]
    assert long == []
