"""Figures, plots, BibTeX and results for the hub, out of a run's folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from facemask_inpaint import models
from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.report import Samples, bibtex, eval_results, image_figure
from facemask_inpaint.benchmark.report.figures import score_figure
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import CaseRecord, MethodEntry, write_records
from facemask_inpaint.benchmark.store.settings import Settings, write_settings
from facemask_inpaint.cli import main
from facemask_inpaint.errors import OptionError, UnknownNameError
from tests.benchmark.runs import Counted, portraits, small_run
from tests.benchmark.test_tables import CLASSES

pytest.importorskip("matplotlib")
PSNR = {"1": 20.0, "2": 10.0, "3": 30.0, "4": 25.0, "5": 15.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    methods = {"harmonic": "harmonic", "a-long-name": Counted()}
    return small_run(methods, tmp_path_factory.mktemp("figures") / "run", portraits(3))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run without images, whose cases were written by hand."""
    layout = Layout(tmp_path_factory.mktemp("judged"))
    entries = tuple(MethodEntry(name, name) for name in ("up", "down"))
    settings = Settings("faces", tuple(PSNR), 0, "float32", {}, CLASSES, (64,), entries, ("fid",))
    write_settings(settings, layout)
    values = {"up": PSNR, "down": {key: -value for key, value in PSNR.items()}}
    write_records(
        layout.cases,
        [
            CaseRecord(method, "full_mouth", 64, key, 0.1, {"psnr_hole": value})
            for method, by_key in values.items()
            for key, value in by_key.items()
        ],
    )
    return Run.open(layout.folder)


@pytest.mark.parametrize(
    ("pick", "expected"), [("worst", ["2", "5"]), ("best", ["3", "4"]), ("median", ["4", "1"])]
)
def test_portraits_are_picked_by_how_they_came_out(
    judged: Run, pick: str, expected: list[str]
) -> None:
    samples = Samples(("full_mouth",), pick=pick, count=2)  # type: ignore[arg-type]
    assert [row.key for row in samples.rows(judged, ["up"])] == expected
    turned = {"worst": "3", "best": "2", "median": "5"}
    assert samples.rows(judged, ["down"])[0].key == turned[pick]


def test_random_portraits_follow_the_seed_and_keys_come_as_they_are_given(judged: Run) -> None:
    draws = {
        tuple(row.key for row in Samples(("full_mouth",), count=3, seed=seed).rows(judged, ["up"]))
        for seed in (0, 0, 1, 2)
    }
    assert 2 <= len(draws) <= 3
    named = Samples(("full_mouth",), keys=("5", "1")).rows(judged, ["up"])
    assert [row.key for row in named] == ["5", "1"]
    with pytest.raises(OptionError, match="of portrait 9"):
        Samples(("full_mouth",), keys=("9",)).rows(judged, ["up"])
    with pytest.raises(UnknownNameError, match="full_mouth"):
        Samples(("mouth",)).rows(judged, ["up"])
    with pytest.raises(OptionError, match="has 64 pixels, not 512"):
        Samples(("full_mouth",), resolution=512).rows(judged, ["up"])
    with pytest.raises(OptionError, match="pick is one of"):
        Samples(("full_mouth",), pick="nicest")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_figures_are_the_same_bytes_each_time(run: Run, tmp_path: Path, suffix: str) -> None:
    samples = Samples(("eyes", "hair"), count=2, pick="worst")
    first, again = (
        image_figure(run, tmp_path / f"{name}{suffix}", samples, zoom=2).read_bytes()
        for name in "ab"
    )
    assert first == again
    assert first[:4] in (b"%PDF", b"<?xm", b"\x89PNG")
    plots = [
        score_figure(run, tmp_path / f"{name}{suffix}", "psnr_hole", 64).read_bytes()
        for name in "cd"
    ]
    assert plots[0] == plots[1]


def test_a_figure_has_the_width_asked_for(run: Run, tmp_path: Path) -> None:
    samples = Samples(("eyes",), keys=(run.keys[0],))
    path = image_figure(run, tmp_path / "a.png", samples, methods=["harmonic"], width=240)
    with Image.open(path) as figure:
        assert abs(figure.width - 240 / 72.27 * 300) <= 1
        assert figure.width > 2.5 * figure.height  # one row of three columns
    with pytest.raises(OptionError, match=r"\.pdf, \.png, \.svg"):
        image_figure(run, tmp_path / "a.tiff", samples)
    with pytest.raises(OptionError, match="no method lama"):
        image_figure(run, tmp_path / "a.pdf", samples, methods=["lama"])
    with pytest.raises(OptionError, match="1 to 16"):
        image_figure(run, tmp_path / "a.pdf", samples, zoom=0.5)


def test_a_missing_prediction_leaves_its_place_empty(run: Run, tmp_path: Path) -> None:
    samples = Samples(("eyes",), keys=(run.keys[0],))
    prediction = run.prediction(64, "harmonic", "eyes", run.keys[0])
    away = prediction.rename(tmp_path / "away.png")
    try:
        assert "no image" in image_figure(run, tmp_path / "a.svg", samples).read_text("utf-8")
    finally:
        away.rename(prediction)


def test_every_card_with_a_paper_has_an_entry() -> None:
    for card in models.list_cards():
        entry = models.bibtex(card)
        if card.paper.startswith("none"):
            assert entry is None
            continue
        assert entry is not None, card.name
        assert entry.count("{") == entry.count("}")
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
        assert fields["title"].strip("{}") == re.sub(r", [^,]*(19|20)\d\d$", "", card.paper)
        assert {"author", "year"} <= fields.keys()
    mat = models.bibtex(models.card("mat-ffhq-512"))
    assert mat is not None
    assert mat.startswith("@inproceedings{mat,")
    assert "eprint = {2203.15270}" in mat


def test_bibtex_has_each_paper_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    names = ("mat-celebahq-512", "mat-ffhq-512", "lama-celebahq-256", "harmonic")
    entries = (*(MethodEntry(name, name) for name in names), MethodEntry("ours", "runs/ours"))
    write_settings(Settings("faces", ("1",), 0, "float32", {}, (), (64,), entries, ()), layout)
    text = bibtex([Run.open(tmp_path)])
    assert re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE) == ["mat", "lama"]
    assert "% ours (runs/ours): no paper is recorded" in text


def test_results_are_those_that_the_hub_reads(run: Run) -> None:
    """Against https://huggingface.co/docs/hub/eval-results: required and known fields."""
    results = yaml.safe_load(eval_results(run, "harmonic", "someone/faces"))
    assert len(results) == 2 * len(
        {score.metric for score in run.scores} - {"seam", "colour_shift", "asymmetry", "agreement"}
    )
    for result in results:
        assert set(result) == {"dataset", "value", "notes"}
        assert set(result["dataset"]) == {"id", "task_id"}
        assert isinstance(result["value"], float)
        assert re.search(r"\bn=[23]\b", result["notes"])
    fid = next(result for result in results if result["dataset"]["task_id"] == "hair_64_fid")
    assert "not comparable with published numbers" in fid["notes"]
    with pytest.raises(OptionError, match="owner/name"):
        eval_results(run, "harmonic", "faces")
    with pytest.raises(OptionError, match="no scores of 'lama'"):
        eval_results(run, "lama", "someone/faces")
    with pytest.raises(OptionError, match=r"scores 'lpips' at 64 pixels; there are .*psnr_hole"):
        score_figure(run, "plot.pdf", "lpips", 64)


def _said(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    return f"{result.exit_code} {result.output}"


def test_the_command_writes_each_of_them(run: Run, tmp_path: Path) -> None:
    wanted = {
        "figure.pdf": ("--figure", "eyes,hair", "--rows", 1, "--zoom", 2, "--methods", "harmonic"),
        "plot.pdf": ("--plot", "psnr_hole"),
        "table.tex": ("--table", "psnr_hole,fid", "--intervals", "--width", 252),
        "methods.bib": ("--bibtex",),
        "faces.yaml": ("--eval-results", "harmonic", "--hub-dataset", "a/b"),
    }
    for name, options in wanted.items():
        assert _said(run.folder, *options, "--out", tmp_path / name).startswith("0 written")
        assert (tmp_path / name).stat().st_size > 40
    table = (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert table.count(r"\begin{table}") == 2
    assert "±" not in table
    both = _said(run.folder, run.folder, "--table", "fid", "--out", tmp_path / "both.tex")
    assert both.startswith("0")


def test_the_command_refuses_what_does_not_go_together(run: Run, tmp_path: Path) -> None:
    assert "--plot and --table" in _said(run.folder, "--plot", "fid", "--table", "fid")
    assert "--plot needs --out" in _said(run.folder, "--plot", "fid")
    assert "take several runs" in _said(run.folder, run.folder)
    refused = _said(run.folder, "--figure", "nose", "--out", tmp_path / "a.pdf")
    assert refused.startswith("1 Error: ")
    assert refused.count("\n") == 1
