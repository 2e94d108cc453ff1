"""The types of the front door: what an editor knows about a call is what comes out of it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "facemask_inpaint"


def test_mypy_agrees_with_what_is_asserted() -> None:
    api = pytest.importorskip("mypy.api")
    said, errors, status = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "static_types.py")]
    )
    assert status == 0, said + errors


def _exported(stub: Path) -> set[tuple[str, str]]:
    """Public names of a package's stub, with the module that each comes from."""
    package = stub.parent.relative_to(PACKAGE).parts
    names = set()
    for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {(alias.name, ".".join([*package, node.module])) for alias in node.names}
    return names


def test_no_two_public_classes_share_a_name() -> None:
    classes = defaultdict(set)
    for stub in PACKAGE.rglob("__init__.pyi"):
        for name, module in _exported(stub):
            source = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
            if source.is_file() and _defines_class(source, name):
                classes[name].add(module)
    assert len(classes) > 20
    assert {name: modules for name, modules in classes.items() if len(modules) > 1} == {}


def _defines_class(source: Path, name: str) -> bool:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body)
