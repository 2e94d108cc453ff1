"""Places, digits and the three forms of a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.report.tables import ranks, write_tables
from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table, decimals
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import (
    ClassEntry,
    MethodEntry,
    Score,
    Timing,
    read_lines,
    write_records,
)
from facemask_inpaint.benchmark.store.settings import Settings, write_settings

CLASSES = (ClassEntry("full_mouth", "C", (10, 11, 12), True), ClassEntry("moles_50%", "", (1,)))
FIDS = {
    "full_mouth": {"a": 3.25, "b": 11.5, "c": 3.25, "d": 40.0, "e": 50.0},
    "moles_50%": {"a": 0.02, "b": 0.01, "c": 0.03, "d": 0.04},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose scores were written by hand."""
    layout = Layout(tmp_path_factory.mktemp("run"))
    write_settings(
        Settings(
            dataset="portraits",
            keys=("1", "2"),
            seed=0,
            dtype="float32",
            masker={},
            classes=CLASSES,
            resolutions=(256,),
            methods=tuple(MethodEntry(name, name) for name in "abcde"),
            metrics=("fid",),
            extractors={"features": "random-convolutions: a stand-in"},
        ),
        layout,
    )
    scores = [
        Score(method, name, 256, "fid", value, 80, warnings=("few images",))
        for name, values in FIDS.items()
        for method, value in values.items()
    ]
    write_records(layout.scores, scores)
    write_records(layout.timings, [Timing("a", 256, "a GPU", 0.0123, None, 160)])
    run = Run.open(layout.folder)
    write_tables(run)
    return run


def _rows(run: Run, name: str) -> list[dict[str, str]]:
    text = (run.layout.tables / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_equal_values_share_a_place_and_equal_columns_have_none() -> None:
    fid, pids = metric_row("fid"), metric_row("pids")
    assert ranks({"a": 3.0, "b": 1.0, "c": 3.0, "d": 9.0}, fid) == {"b": 1, "a": 2, "c": 2, "d": 4}
    assert ranks({"a": 0.1, "b": 0.2}, pids) == {"b": 1, "a": 2}
    assert ranks({"a": 0.0, "b": 0.0}, pids) == {}
    assert ranks({"a": 1.0}, fid) == {}


def test_markdown_marks_the_best_three_and_names_the_stand_in(run: Run) -> None:
    text = (run.layout.tables / "scores-256.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert [cell.strip() for cell in rows["a"].split("|")[2:4]] == ["**3.25**", "0.02000 ²"]
    assert [cell.strip() for cell in rows["b"].split("|")[2:4]] == ["11.50 ³", "**0.01000**"]
    assert [cell.strip() for cell in rows["d"].split("|")[2:4]] == ["40.00", "0.04000"]
    assert rows["e"].split("|")[3].strip() == MISSING
    assert [cell.strip() for cell in rows["n"].split("|")[2:4]] == ["80", "80"]
    assert "C full mouth" in rows["method"]
    assert "not comparable with published numbers" in text.splitlines()[0]
    assert text.count("few images") == 1


def test_latex_is_marked_and_escaped(run: Run) -> None:
    text = (run.layout.tables / "scores-256.tex").read_text(encoding="utf-8")
    assert (
        r"C full mouth & 80 & \textbf{3.2} & \textit{11.5} & \textbf{3.2} & 40.0 & 50.0 \\" in text
    )
    assert r"moles 50\% & 80 & \underline{0.020} & \textbf{0.010}" in text
    assert r"FID $\downarrow$ at 256" in text


def test_csv_holds_every_number_with_its_place(run: Run) -> None:
    rows = _rows(run, "scores-256.csv")
    assert len(rows) == 9
    assert rows[0] == {
        **{"metric": "fid", "method": "a", "class": "full_mouth", "letter": "C", "n": "80"},
        **{"value": "3.25", "low": "", "high": "", "rank": "1"},
    }


def test_ranking_counts_classes(run: Run) -> None:
    counts = {
        r["method"]: (r["top_three"], r["best"], r["classes"]) for r in _rows(run, "ranking.csv")
    }
    assert counts == {
        "a": ("2", "1", "2"),
        "b": ("2", "1", "2"),
        "c": ("2", "1", "2"),
        "d": ("0", "0", "2"),
        "e": ("0", "0", "1"),
    }


@pytest.mark.parametrize("metric", ["seam", "colour_shift", "asymmetry", "agreement"])
def test_diagnostics_crown_nobody(metric: str) -> None:
    assert not metric_row(metric).ranks
    assert ranks({"harmonic": 0.1, "lama": 3.0, "mat": 5.0}, metric_row(metric)) == {}


def _ranked(folder: Path, methods: str) -> str:
    """The table of ranks of made-up scores by FID and of a diagnostic."""
    layout = Layout(folder)
    entries = tuple(MethodEntry(name, name) for name in methods)
    settings = Settings("faces", ("1",), 0, "float32", {}, CLASSES, (64,), entries, ("fid",))
    write_settings(settings, layout)
    scores = [
        Score(method, entry.name, 64, metric, float(index), 8)
        for metric in ("fid", "seam")
        for entry in CLASSES
        for index, method in enumerate(methods)
    ]
    write_records(layout.scores, scores)
    write_tables(Run.open(folder))
    return (folder / "tables" / "ranking.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("methods", ["ab", "abc", "abcd"])
def test_few_methods_have_no_top_three(tmp_path: Path, methods: str) -> None:
    text = _ranked(tmp_path, methods)
    assert "top three" not in text
    assert "seam" not in text
    assert "2 of 2" in next(line for line in text.splitlines() if "FID at 64" in line)


def test_five_methods_have_a_top_three(tmp_path: Path) -> None:
    text = _ranked(tmp_path, "abcde")
    assert "top three in" in text
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "FID at 64", "c", "2 of 2", "0 of 2", ""] in cells


def test_times_have_their_device(run: Run) -> None:
    (row,) = _rows(run, "timings.csv")
    assert row["seconds"] == "0.0123"
    assert row["device"] == "a GPU"
    assert MISSING in (run.layout.tables / "timings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "expected"), [([1234.5], 0), ([12.3, 0.001], 2), ([0.0123], 5), ([0.0, 0.0], 1)]
)
def test_four_digits_of_the_largest_value_show(values: list[float], expected: int) -> None:
    assert decimals(values) == expected


def test_bars_in_names_do_not_break_markdown() -> None:
    table = Table("t", ("method",), ((Cell("a|b"),),))
    assert "a\\|b" in table.markdown()


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 3, "b')
    assert [line["a"] for line in read_lines(path)] == [1, 2]
