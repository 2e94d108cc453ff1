"""``models --check`` takes a file of every published layout and says that it works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from facemask_inpaint.cli import main
from tests.published import replicas
from tests.published.replicas import Case


def one_of_each_layout() -> Iterator[object]:
    """The first case of each layout whose model is a single file."""
    seen: set[str] = set()
    for case in replicas.cases():
        if len(case.sources) == 1 and case.layout not in seen:
            seen.add(case.layout)
            yield pytest.param(case, id=case.layout.replace(" ", "_"))


@pytest.mark.parametrize("case", list(one_of_each_layout()))
def test_a_file_of_each_layout_passes_its_check(case: Case, tmp_path: Path) -> None:
    (content,) = replicas.write(case).contents.values()
    (source,) = case.sources.values()
    path = tmp_path / source.basename
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["models", case.card.name, "--check", "--file", str(path)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{case.card.name}: works: {path.name} (")
