"""Lines of the README and the guides that name published models run, against replicas."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.cli import main
from facemask_inpaint.models import Card, _cards, card
from tests.checkpoints.hub_server import Site
from tests.data.official import write_dataset
from tests.published import replicas
from tests.published.test_other_networks import CASES, put
from tests.test_docs import PAGES, ROOT

_BLOCK = re.compile(r"^```python\n(# no-run: (?:needs|downloads) weights\n.*?)^```", re.M | re.S)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
_COMMAND = re.compile(r"^\$ facemask-inpaint (.+?)(?:\s+#.*)?$", re.M)
_NAMED = re.compile(r'from_pretrained\(\s*"([^"]+)"')
_OPENED = re.compile(r'from_checkpoint\([^()]*?,\s*"([\w-]+)"\s*[,)]')
_FILE = re.compile(r'"([\w./-]+\.(?:bin|ckpt|pkl|pth?))"')
_LOADS = re.compile(r"import|files = |from_pretrained|from_checkpoint")


DOWNLOADED = {name for name, one in _cards._by_name().items() if one.downloadable and not one.ships}
"""Names and aliases of cards whose weights the suite must serve."""


def pages() -> Iterator[object]:
    """What each page says about loading, as one script: later blocks lean on earlier ones."""
    for page in PAGES:
        blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
        script = "".join(one for one in blocks if _NAMED.search(one) or _OPENED.search(one))
        if script:
            yield pytest.param(script, id=str(page.relative_to(ROOT)))


def commands() -> Iterator[object]:
    for page in (ROOT / "README.md", ROOT / "docs" / "quickstart.md"):
        for command in _COMMAND.findall(page.read_text(encoding="utf-8")):
            words = shlex.split(command)
            if DOWNLOADED & set(words):
                slow = [pytest.mark.slow] if words[0] == "benchmark" else []
                yield pytest.param(words, id=f"{page.name} {command}".replace(" ", "_"), marks=slow)


@pytest.fixture
def published(
    site: Site, expect: Callable[[Card], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Puts replicas of all files of a card where it is looked for; the test runs beside them."""
    monkeypatch.chdir(tmp_path)

    def put(name: str) -> None:
        case = next(one for one in replicas.cases() if one.card.name == card(name).name)
        replica = replicas.write(case)
        contents = {source: replica.contents[role] for role, source in case.sources.items()}
        for source, content in contents.items():
            replicas.publish(site, tmp_path / "weights", source, content)
        expect(replicas.pinned(case.card, contents))

    return put


def write_file(name: str, file: str) -> None:
    """A replica as a user has it: of the card's file of that name, else of its first file."""
    borrowed = {"latentpaint": "ldm-celebahq-256"}
    owner = card(borrowed.get(name, name)).name
    known = [one for one in replicas.cases() if one.card.name == owner]
    wanted = [
        (case, role)
        for case in (*known, *replicas.cases())
        for role, source in case.sources.items()
        if source.filename.endswith(file)
    ]
    case, role = [*wanted, (known[0], next(iter(known[0].sources)))][0]
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(replicas.write(case).contents[role])


@pytest.mark.parametrize("script", list(pages()))
def test_models_of_the_pages_load(script: str, published: Callable[[str], None]) -> None:
    for name in _NAMED.findall(script):
        published(name)
    architectures = _OPENED.findall(script)
    for number, file in enumerate(_FILE.findall(script)):
        write_file(architectures[min(number, len(architectures) - 1)], file)
    names: dict[str, object] = {"fmi": fmi}
    for statement in ast.parse(script).body:
        text = ast.unparse(statement).replace("device='cuda'", "device='cpu'")
        if _LOADS.search(text):
            exec(text, names)
    assert any(isinstance(value, fmi.Inpainter) for value in names.values())


def prepare_benchmark(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set that the pages name, with few portraits, and Inception's weights."""
    write_dataset(folder / "CelebAMask-HQ", range(9))
    inception = next(case for case in CASES if case.name == "inception")
    put(inception, site, folder, monkeypatch)


@pytest.mark.parametrize("words", list(commands()))
def test_commands_of_the_pages_run(
    words: list[str],
    published: Callable[[str], None],
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = fmi.data.sample(256)
    for folder, picture in (("faces", sample.image), ("labels", Image.fromarray(sample.label_map))):
        (tmp_path / folder).mkdir()
        picture.save(tmp_path / folder / "one.png")
    for name in DOWNLOADED & set(words):
        published(name)
    if words[0] == "benchmark":
        prepare_benchmark(site, tmp_path, monkeypatch)
    write_file("lama", "best.ckpt")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    if "--out" in words:
        assert any(Path(words[words.index("--out") + 1]).rglob("*"))


@pytest.mark.slow
def test_the_benchmark_of_the_readme_runs(
    published: Callable[[str], None], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = _PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    statements = [ast.unparse(one) for block in blocks for one in ast.parse(block).body]
    (statement,) = (one for one in statements if "benchmark.run(" in one)
    for name in ("lama", "mat"):
        published(name)
    prepare_benchmark(site, tmp_path, monkeypatch)
    names: dict[str, object] = {"fmi": fmi}
    exec(statement, names)
    table = (tmp_path / "runs" / "celebahq" / "tables" / "scores-512.md").read_text()
    assert all(name in table for name in ("lite", "lama", "mat"))
    assert not (tmp_path / "runs" / "celebahq" / "failures.jsonl").read_text()
