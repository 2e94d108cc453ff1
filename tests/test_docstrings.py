"""Examples in docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import io
import pkgutil
from pathlib import Path

import pytest

import facemask_inpaint

MODULES = [
    module.name
    for module in pkgutil.walk_packages(facemask_inpaint.__path__, "facemask_inpaint.")
    if not module.name.endswith("__main__") and module.name != "facemask_inpaint.app.page"
]
"""All modules but the command and the local page, which needs an extra."""

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.usefixtures("usual_metrics")
def test_examples_give_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    count = 0
    for name in MODULES:
        for example in doctest.DocTestFinder().find(importlib.import_module(name), name):
            printed = io.StringIO()
            runner = doctest.DocTestRunner(optionflags=_FLAGS)
            count += bool(example.examples)
            if runner.run(example, out=printed.write).failed:
                wrong.append(f"{example.name}\n{printed.getvalue()}")
    assert count > 100
    assert not wrong, "\n".join(wrong)
