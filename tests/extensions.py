"""The documentation's own Sphinx extensions, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load_extension(name: str) -> ModuleType:
    """A module of ``docs/_extensions``; Sphinx, which they import, is an extra."""
    pytest.importorskip("sphinx", reason="needs the extra [docs]")
    path = ROOT / "docs" / "_extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
