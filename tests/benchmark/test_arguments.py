"""Arguments and run folders that make no sense: one sentence at once, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from facemask_inpaint import benchmark
from facemask_inpaint.benchmark import Run
from facemask_inpaint.cli import main
from facemask_inpaint.errors import FacemaskInpaintError, OptionError

from .runs import Counted, portraits, small_run

ONE: dict[str, Any] = {"classes": "eyes", "metrics": ("psnr_hole",), "reader": None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": None}, "NoneType is no method"),
        ({"methods": 7}, "int is no method"),
        ({"methods": []}, "at least one method"),
        ({"methods": {}}, "at least one method"),
        ({"methods": [("a", "harmonic", "b")]}, "pair"),
        ({"methods": {3: "harmonic"}}, "pair"),
        ({"resolutions": None}, "resolutions are numbers"),
        ({"resolutions": "64"}, "resolutions are numbers"),
        ({"resolutions": (64, "128")}, "resolutions are numbers"),
        ({"resolutions": ()}, "resolutions are numbers"),
        ({"resolutions": 64.5}, "resolutions are numbers"),
        ({"resolutions": -64}, "resolutions are numbers"),
        ({"resolutions": (7,)}, "from 16 to 8192, such as 256, 512, 1024, not"),
        ({"dtype": "foo"}, "dtype must be"),
        ({"dtype": "int8"}, "dtype must be"),
        ({"dtype": None}, "dtype must be"),
        ({"dtype": "float8_e4m3fn"}, "dtype must be"),
        ({"seed": "one"}, "seed must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": "8"}, "batch_size must be a whole number"),
        ({"classes": 5}, "classes are names"),
        ({"classes": None}, "classes are names"),
        ({"masker": "small"}, "masker is a SemanticMasker"),
        ({"reader": "inception"}, "reader is a FeatureReader"),
        ({"parser": 5}, "parser must be"),
        ({"dataset": None}, "dataset is a folder"),
        ({"dataset": 5}, "dataset is a folder"),
        ({"dataset": "no/such/folder"}, "no data set"),
        ({"out": None}, "out is the folder"),
        ({"device": "tpu9"}, "device"),
    ],
)
def test_arguments_are_refused_at_once(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    method = Counted()
    given = {"methods": {"grey": method}, "dataset": portraits(2), "out": tmp_path / "run", **ONE}
    with pytest.raises(FacemaskInpaintError, match=words) as refused:
        benchmark.run(**{**given, **changes}, progress=False)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    assert method.calls == 0


@pytest.mark.parametrize("below", ["", "below"])
def test_out_is_no_file(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OptionError, match="file"):
        small_run(["harmonic"], tmp_path / "file" / below, portraits(2), **ONE)
    assert (tmp_path / "file").read_text() == "precious"


def test_one_alone_will_do(tmp_path: Path) -> None:
    run = small_run("harmonic", tmp_path / "run", portraits(2), **(ONE | {"resolutions": 64}))
    assert run.resolutions == (64,)
    assert [one.name for one in run.methods] == ["harmonic"]
    run = small_run(Counted(), tmp_path / "two", portraits(2), **ONE)
    assert [one.name for one in run.methods] == ["Counted"]


def test_a_method_that_changes_the_folder_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def wanders(image: Any, mask: Any) -> Any:
        os.chdir("/")
        return image

    run = small_run({"wanders": wanders}, Path("run"), portraits(2), **ONE)
    assert len(run.cases) == 2
    assert (tmp_path / "run" / "run.json").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    small_run(["harmonic"], out, portraits(2), **ONE)
    return out


def edited(**changes: Any) -> Callable[[Path], object]:
    """A change of ``run.json``; ``None`` takes an entry away."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / "run.json").read_text())
        content |= changes
        kept = {name: value for name, value in content.items() if value is not None}
        (folder / "run.json").write_text(json.dumps(kept))

    return edit


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda folder: (folder / "run.json").write_text(""),
    "half": lambda folder: (folder / "run.json").write_bytes(
        (folder / "run.json").read_bytes()[:99]
    ),
    "list": lambda folder: (folder / "run.json").write_text("[]"),
    "bytes": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
    "nested": lambda folder: (folder / "run.json").write_text("[" * 100_000),
    "no methods": edited(methods=None),
    "methods of numbers": edited(methods=[1, 2]),
    "method without source": edited(methods=[{"name": "a"}]),
    "a method that leads out": edited(methods=[{"name": "../../x", "source": "harmonic"}]),
    "keys that lead out": edited(dataset={"name": "faces", "keys": ["../x"]}),
    "no data set": edited(dataset=None),
    "data set of text": edited(dataset="faces"),
    "resolutions of text": edited(resolutions=["64"]),
    "no seed": edited(seed=None),
    "seed of text": edited(seed="0"),
    "classes without ids": edited(classes=[{"name": "eyes", "letter": "A"}]),
    "masker of text": edited(masker="default"),
    "other format": edited(format=99),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_stranger_s_damaged_run(kind: str, finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    DAMAGES[kind](out)
    before = (out / "run.json").read_bytes()
    for attempt in (
        lambda: Run.open(out),
        lambda: small_run(["harmonic"], out, portraits(2), **ONE),
    ):
        with pytest.raises(OptionError, match=r"run\.json") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    result = CliRunner().invoke(main, ["report", str(out)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert (out / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["cases.jsonl", "scores.jsonl", "comparison.json", "failures.jsonl"]
)
@pytest.mark.parametrize("content", ['{"resolution": 1}\n', "[]", "null", '{"a": {}}', "\x00\xff"])
def test_damaged_results_are_one_sentence_and_written_again(
    name: str, content: str, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    right = (out / name).read_bytes()
    (out / name).write_text(content)
    result = CliRunner().invoke(main, ["report", str(out)])
    assert result.exit_code == 0 or result.output.startswith("Error: "), result.output
    assert "a failure of this program" not in result.output
    small_run(["harmonic"], out, portraits(2), **ONE)
    assert (out / name).read_bytes() == right


@pytest.mark.parametrize("name", ["prepared-0", "cases-0", "timings-0", "scores-0", "failures-0"])
def test_damaged_notes_of_the_work_cost_work_only(
    name: str, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    right = (out / "cases.jsonl").read_bytes()
    for content in ("{}\n", "[]\n", '{"resolution": 64}\nhalf', ""):
        (out / "work" / f"{name}.jsonl").write_text(content)
        small_run(["harmonic"], out, portraits(2), **ONE)
        assert (out / "cases.jsonl").read_bytes() == right
