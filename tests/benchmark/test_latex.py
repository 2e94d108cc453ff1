"""Tables in LaTeX: they compile, and nothing sticks out of the column."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from facemask_inpaint import models
from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark._entries import entry_of_source
from facemask_inpaint.benchmark.metrics import metric_row
from facemask_inpaint.benchmark.report import PaperStyle, paper_table
from facemask_inpaint.benchmark.report.latex import PACKAGES, escaped, text_width
from facemask_inpaint.benchmark.report.paper_tables import row_decimals
from facemask_inpaint.benchmark.report.tables import write_tables
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import Score, Timing, write_records
from facemask_inpaint.benchmark.store.settings import Settings, class_entries, write_settings
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import MASK_CLASSES
from facemask_inpaint.masks.semantic import SemanticMasker

METRICS = ("fid", "pids", "uids", "psnr_hole", "seam")
AWKWARD = r"a_b & 50% of <i>: $#{}~^\| " "ü…"
PDFLATEX = shutil.which("pdflatex")

needs_latex = pytest.mark.skipif(PDFLATEX is None, reason="needs pdflatex")


def made_up(folder: Path, count: int, **settings: object) -> Run:
    """A run of twelve classes and so many methods of the registry, its scores made up."""
    layout = Layout(folder)
    methods = tuple(
        entry_of_source(None, name) for name in sorted(models.list_pretrained(), key=len)[-count:]
    )
    chosen = {"dataset": AWKWARD, "seen": {"none": 0}} | settings
    written = Settings(
        keys=("1", "2"),
        seed=0,
        dtype="float32",
        masker={},
        classes=class_entries(SemanticMasker(), map(str, MASK_CLASSES)),
        resolutions=(256,),
        methods=methods,
        metrics=METRICS[:4],
        extractors={"features": "inception-2015 (stylegan)"},
        **chosen,  # type: ignore[arg-type]
    )
    write_settings(written, layout)
    scores = []
    for row, entry in enumerate(written.classes):
        for column, method in enumerate(methods):
            value = 0.02 * 2**row * (1 + 0.1 * math.sin(7 * column + row))
            sizes = {"fid": value, "pids": 0.2, "uids": 0.31, "psnr_hole": 21.4, "seam": 3.0}
            scores += [
                Score(
                    *(method.name, entry.name, 256, metric, size + 0.001 * column, 2824 - row),
                    *(size - 0.01, size + 0.02),
                    warnings=("fewer than 50 % of <the> images",) if row else (),
                )
                for metric, size in sizes.items()
            ]
    write_records(layout.scores, scores)
    write_records(
        layout.timings, [Timing(each.name, 256, "a CPU", 0.1, 9.0, 9) for each in methods]
    )
    write_tables(Run.open(folder))
    return Run.open(folder)


def compiled(folder: Path, body: str, width: float = 345.0) -> str:
    """What pdflatex says about a document."""
    document = [r"\documentclass{article}", PACKAGES.removeprefix("% ")]
    document += [rf"\setlength{{\textwidth}}{{{width}pt}}", r"\begin{document}", body]
    (folder / "paper.tex").write_text("\n".join([*document, r"\end{document}"]), encoding="utf-8")
    done = subprocess.run(
        [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "paper.log").read_text(encoding="latin-1")


@needs_latex
@pytest.mark.parametrize("count", [3, 13])
def test_every_table_of_a_run_compiles_and_stays_in_its_column(tmp_path: Path, count: int) -> None:
    run = made_up(tmp_path, count)
    texts = [path.read_text(encoding="utf-8") for path in run.layout.tables.glob("*.tex")]
    log = compiled(tmp_path, "\n\\clearpage\n".join(texts))
    assert "Overfull" not in log
    assert "LaTeX Warning: Float too large" not in log
    assert "multiply defined" not in log


@needs_latex
@pytest.mark.parametrize("width", [252.0, 345.0, 516.0])
def test_intervals_fit_the_stated_width(tmp_path: Path, width: float) -> None:
    run = made_up(tmp_path, 13)
    style = PaperStyle(width=width, spans_columns=width > 345, intervals=True)
    texts = [paper_table([run], metric, 256, style).text for metric in METRICS]
    assert "Overfull" not in compiled(tmp_path, "\n".join(texts), width)


@needs_latex
def test_widths_are_those_of_computer_modern(tmp_path: Path) -> None:
    texts = ["latentcode-celebahq-256", "FID (clean) 12.34", "Wave, QUICK jumps; fox (x+y=z)"]
    boxes = [rf"\sbox0{{{escaped(text)}}}\typeout{{width \the\wd0}}" for text in texts]
    log = compiled(tmp_path, "\n".join(boxes))
    measured = [float(width) for width in re.findall(r"^width ([\d.]+)pt", log, re.MULTILINE)]
    for text, width in zip(texts, measured, strict=True):
        assert width <= text_width(text) <= 1.06 * width + 3


@pytest.mark.parametrize("count", [3, 13])
def test_tables_are_well_formed(tmp_path: Path, count: int) -> None:
    """Without pdflatex: braces and environments close, and rows have as many cells as columns."""
    run = made_up(tmp_path, count)
    for path in run.layout.tables.glob("*.tex"):
        text = path.read_text(encoding="utf-8")
        plain = re.sub(r"\\[{}%&$#_]", "", text)
        assert plain.count("{") == plain.count("}")
        assert plain.count("$") % 2 == 0
        opened = re.findall(r"\\begin\{(\w+\*?)\}", text)
        assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+\*?)\}", text))
        for table in text.split("\\toprule")[1:]:
            rows = table.split("\\bottomrule")[0].splitlines()
            cells = {len(re.findall(r"(?<!\\)&", row)) for row in rows if row.endswith("\\\\")}
            assert len(cells) == 1, path.name


def test_a_table_says_what_a_paper_needs(tmp_path: Path) -> None:
    text = paper_table([made_up(tmp_path, 3)], "pids", 256).text
    assert r"\begin{table}" + "\n" + r"\centering" in text
    assert r"\label{tab:pids-256}" in text
    assert r"P-IDS (\%) $\uparrow$ at 256 x 256, a\_b \& 50\% of \textless{}i\textgreater{}" in text
    assert "C full mouth & 2822 & \\textit{20.0} & \\underline{20.1} & \\textbf{20.2}" in text
    assert text.count(r"\parbox") == 1
    starred = paper_table(
        [Run.open(tmp_path)], "fid", 256, PaperStyle(spans_columns=True, intervals=True)
    )
    assert r"\end{table*}" in starred.text
    assert re.search(r"C full mouth & 2822 & .*\\pm", starred.text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.25, 11.5, 40.0], 1),
        ([0.021, 0.014], 3),
        ([0.0021, 0.4], 4),
        ([123.4, 98.1], 0),
        ([0.0], 1),
        ([9.96, 1.2], 2),
    ],
)
def test_fid_has_two_or_three_significant_digits(values: list[float], expected: int) -> None:
    assert row_decimals(values, metric_row("fid")) == expected


def test_runs_of_different_protocols_are_warned_about(tmp_path: Path) -> None:
    protocol = {"name": "mine", "version": 1, "sha256": "0" * 64, "deviations": []}
    first = made_up(tmp_path / "first", 3, protocol=protocol)
    again = made_up(tmp_path / "again", 3, protocol=protocol)
    other = made_up(tmp_path / "other", 3, protocol=protocol | {"version": 2})
    assert paper_table([first, again], "fid", 256).warnings == ()
    table = paper_table([first, other], "fid", 256)
    assert table.warnings == (
        "Not comparable: the runs have different protocols: mine v1 (SHA-256 000000000000); "
        "mine v2 (SHA-256 000000000000)",
    )
    assert "Not comparable: the runs have different protocols" in table.text
    names = [method.name for method in first.methods]
    assert f"{names[0]} (other)" in table.text
    with pytest.raises(OptionError, match="no scores 'kid' at 256 pixels; there are fid"):
        paper_table([first], "kid", 256, methods=["lama"])
    with pytest.raises(OptionError, match=r"at 64 pixels; there are scores at 256$"):
        paper_table([first], "fid", 64)
    with pytest.raises(OptionError, match="no scores of lama"):
        paper_table([first], "fid", 256, methods=["lama"])
