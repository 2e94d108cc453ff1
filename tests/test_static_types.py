"""The types of the front door: what an editor knows about a call is what comes out of it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
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


SAY_ANY = {
    ("_internal/settings.py", "as_type"),  # the type that a hint names
    ("cli/exit_status.py", "main"),  # click's own signature
    ("masks/datasets.py", "__call__"),  # whatever else the items hold
    ("masks/semantic.py", "__call__"),  # bool or, feathered, float32
    ("masks/semantic.py", "all"),
}


def test_public_functions_say_their_types() -> None:
    saying_any = {
        (path.relative_to(PACKAGE).as_posix(), node.name)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and (node.name[0] != "_" or node.name in ("__init__", "__call__"))
        and any(isinstance(part, ast.Name) and part.id == "Any" for part in _annotations(node))
    }
    assert saying_any == SAY_ANY


def _annotations(function: ast.FunctionDef) -> Iterator[ast.AST]:
    arguments = [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    for annotation in (function.returns, *(argument.annotation for argument in arguments)):
        yield from ast.walk(annotation) if annotation else ()
