"""Python blocks of the README and the guides run, in order, and print what the page shows."""

from __future__ import annotations

import doctest
import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRITTEN = [path for path in (ROOT / "docs").rglob("*.md") if "/_" not in path.as_posix()]
PAGES = [ROOT / "README.md", *sorted(WRITTEN)]
_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\s*^```output\n(?P<shown>.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.usefixtures("usual_metrics")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run_and_print_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if "# no-run" not in block["code"]:
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(block["code"], str(page), "exec"), names)
            if block["shown"]:
                compare(block["shown"], printed.getvalue())


def compare(shown: str, printed: str) -> None:
    """Hold what a block printed to what its page shows; ``...`` stands for anything."""
    example = doctest.Example("", shown)
    checker = doctest.OutputChecker()
    if not checker.check_output(shown, printed, _FLAGS):
        pytest.fail(checker.output_difference(example, printed, _FLAGS))
