"""The command: the example in its help, names of methods, and one clear line on bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from facemask_inpaint.benchmark import Run
from facemask_inpaint.cli.benchmark import benchmark
from facemask_inpaint.errors import OptionError, WeightsNotFoundError
from facemask_inpaint.metrics.features import efficientnet
from facemask_inpaint.metrics.features.extractors import WEIGHTS_VARIABLE

from .runs import PORTRAITS, write_model


def _call(*arguments: object, data: Path = PORTRAITS) -> Result:
    given = ["--data", data, "--size", 64, "--limit", 3, "--device", "cpu", *arguments]
    return CliRunner().invoke(benchmark, [str(argument) for argument in given])


def test_a_run_says_what_there_is_and_where(tmp_path: Path) -> None:
    write_model(tmp_path / "net", "migan")
    out = tmp_path / "out"
    result = _call(
        *("--model", "baseline=harmonic", "--model", tmp_path / "net", "--classes", "A,hair"),
        *("--extractor", "random-convolutions", "--no-compare", "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert "cases: 10; methods: 2; classes: 2; failures: 0" in result.output
    assert str(out / "report.html") in result.output
    run = Run.open(out)
    assert [one.name for one in run.methods] == ["baseline", "net"]
    assert run.methods[1].source == str(tmp_path / "net")
    assert not run.comparison


def test_results_of_others_take_part(tmp_path: Path) -> None:
    common = ("--classes", "eyes", "--metrics", "psnr_hole", "--no-report", "--out")
    assert _call(*common, tmp_path / "first").exit_code == 0
    made = tmp_path / "first" / "predictions" / "64" / "lite-portraits-256"
    result = _call("--predictions", f"theirs={made}", *common, tmp_path / "second")
    assert result.exit_code == 0, result.output
    run = Run.open(tmp_path / "second")
    assert [one.name for one in run.methods] == ["theirs"]
    assert [one.value for one in run.scores] == [
        one.value for one in Run.open(tmp_path / "first").scores
    ]


def test_check_counts_and_writes_nothing(tmp_path: Path) -> None:
    result = _call("--check", "--classes", "hair", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "3 portraits" in result.output
    assert "about 0.0 GB" in result.output
    assert not (tmp_path / "out").exists()


def test_failures_are_listed_and_a_run_of_nothing_but_failures_fails(tmp_path: Path) -> None:
    common = ("--model", "tformer", "--classes", "eyes", "--metrics", "psnr_hole", "--no-report")
    result = _call(*common, "--out", tmp_path / "none")
    assert result.exit_code == 1
    assert "failed: load tformer" in result.output
    assert "no case was predicted" in result.output
    result = _call(*common, "--model", "harmonic", "--out", tmp_path / "some")
    assert result.exit_code == 1
    assert "failures: 1" in result.output


def test_without_inception_weights_it_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "none.pth"))
    monkeypatch.setattr(efficientnet, "installed", lambda: False)
    result = _call("--out", tmp_path / "out")
    assert isinstance(result.exception, WeightsNotFoundError)
    assert "random-convolutions" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    result = _call("--out", tmp_path / "out", data=tmp_path)
    assert isinstance(result.exception, OptionError)
    assert "no data set" in str(result.exception)


def test_help_shows_an_example() -> None:
    text = CliRunner().invoke(benchmark, ["--help"]).output
    assert "facemask-inpaint benchmark --data CelebAMask-HQ" in text
