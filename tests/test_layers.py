"""Who imports whom: every import of the package goes down the table that the guide draws."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from facemask_inpaint.models._registry import ARCHITECTURES
from tests.extensions import load_extension

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "facemask_inpaint"
FACE = {"Inpainter": "inpainting", "MaskClass": "masks", "MixedMaskSampler": "masks"}
FACE["SemanticMasker"] = "masks"


def imports(path: Path) -> Iterator[str]:
    """Dotted names inside the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [f"{node.module}.{one.name}" for one in node.names] if _is_from(node) else []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        for name in names:
            if name.startswith("facemask_inpaint."):
                yield name.removeprefix("facemask_inpaint.")


def _is_from(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and not node.level


def part(dotted: str) -> str:
    """Top module of a dotted name; names of the package's face count as what they come from."""
    head = dotted.partition(".")[0]
    return FACE.get(head, head)


def test_the_table_names_every_module_once() -> None:
    named = [
        module for row in load_extension("layers").LAYERS for box in row for module in box.modules
    ]
    there = {path.stem for path in PACKAGE.iterdir() if path.name[:2] != "__"}
    assert sorted(named) == sorted(there - {"py"})


def test_imports_go_down() -> None:
    layers = load_extension("layers")
    at = {
        module: (depth, box.name)
        for depth, row in enumerate(layers.LAYERS)
        for box in row
        for module in box.modules
    }
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        importer = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for name in imports(path):
            imported = part(name)
            if imported == "__version__" or not {importer, imported} <= at.keys():
                continue
            below = at[imported][0] > at[importer][0] or at[imported] == at[importer]
            if not below:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_networks_know_nothing_of_each_other() -> None:
    networks = {target.partition(":")[0].rpartition(".")[2] for target in ARCHITECTURES.values()}
    assert {"lama", "mat", "harmonic"} <= networks
    wrong = []
    for path in sorted((PACKAGE / "models").rglob("*.py")):
        importer = path.relative_to(PACKAGE / "models").with_suffix("").parts[0]
        if importer in networks | {"layers"}:
            used = {name.split(".")[1] for name in imports(path) if name.startswith("models.")}
            wrong += [f"{importer} imports {one}" for one in (used & networks) - {importer}]
    assert not wrong
