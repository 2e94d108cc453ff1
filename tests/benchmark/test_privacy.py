"""Face scores of a run, and its privacy report."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facemask_inpaint import metrics
from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.report.privacy import CAUTIONS, PrivacyEntry, PrivacyReport
from facemask_inpaint.cli.benchmark import benchmark
from facemask_inpaint.cli.privacy import privacy
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.metrics.faces import dlib_networks
from facemask_inpaint.metrics.faces.scores import FaceComparison
from facemask_inpaint.metrics.table import IDENTITY_METRICS, LANDMARK_METRICS
from tests.benchmark.runs import PORTRAITS, Counted, portraits, small_run

needs_dlib = pytest.mark.skipif(
    not dlib_networks.installed(), reason="dlib is not installed: the extra [identity]"
)


def test_a_recogniser_of_ones_own_scores_a_run(tmp_path: Path) -> None:
    recogniser = metrics.embedder(
        lambda images: images.float().flatten(1)[:, ::61], "pixels", threshold=0.001
    )
    run = small_run(
        {"grey": Counted()},
        tmp_path,
        portraits(3),
        metrics="recognised@mine,reidentified@mine",
        reader={"mine": FeatureReader(recogniser)},
    )
    scores = {score.metric: score for score in run.scores if score.mask_class == "hair"}
    assert scores["recognised@mine"].value == 0
    assert scores["recognised@mine"].low == 0
    assert (scores["recognised@mine"].high or 0) > 0.3
    assert 0 <= scores["reidentified@mine"].value <= 1
    assert not run.failures


def test_an_entry_keeps_portraits_with_a_face_and_names_the_hidden() -> None:
    nan = np.nan
    faces = FaceComparison(
        distance=np.array([0.2, nan, nan]),
        cosine=np.array([0.1, nan, nan]),
        recognised=np.array([1, 0, nan]),
        reidentified=np.array([1, 0, nan]),
        found=np.array([1, 0, nan]),
    )
    entry = PrivacyEntry.of((64, "dlib", "lama", "eyes"), ["a", "b", "c"], faces)
    assert entry.keys == ("a", "b")
    assert entry.hidden == ["b"]
    assert entry.distance == 0.2
    text = str(PrivacyReport("faces", (entry,)))
    assert all(caution in text for caution in CAUTIONS)
    line = next(line for line in text.splitlines() if line.startswith("| eyes"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:5] == ["lama", "2", "50%", "9% to 91%"]
    assert cells[-2:] == ["1", "0.20"]
    assert "- eyes, lama, dlib at 64: 1 of 2: b" in text


@needs_dlib
def test_commands_show_identity_landmarks_and_privacy(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [
        *("--data", PORTRAITS, "--limit", 2, "--classes", "eyes,face_oval", "--model", "harmonic"),
        *("--metrics", "psnr_hole", "--identity", "dlib", "--landmarks", "dlib-68"),
        *("--landmarks", "dlib-5", "--device", "cpu", "--out", out),
    ]
    called = CliRunner().invoke(benchmark, list(map(str, arguments)))
    assert called.exit_code == 0, called.output
    run = Run.open(out)
    with (run.layout.tables / "scores-256.csv").open(encoding="utf-8") as file:
        columns = dict.fromkeys(row["metric"] for row in csv.DictReader(file))
    assert {*IDENTITY_METRICS, *LANDMARK_METRICS, "landmark_error@dlib-5"} < set(columns)
    assert "rank-1 re-identified" in run.layout.report.read_text(encoding="utf-8")
    scores = {(score.metric, score.mask_class): score.value for score in run.scores}
    assert scores["recognised", "eyes"] == 1
    assert scores["recognised", "face_oval"] == scores["faces_found", "face_oval"] == 0
    told = CliRunner().invoke(privacy, [str(out)])
    assert told.exit_code == 0, told.output
    text = (out / "privacy.md").read_text(encoding="utf-8")
    assert text.strip() in told.output
    assert "One recogniser is not all" in text
    assert "Recognised: euclidean distance to the own original below 0.6" in text


@needs_dlib
def test_a_run_without_predictions_is_refused(tmp_path: Path) -> None:
    run = small_run({"grey": Counted()}, tmp_path, portraits(2), metrics="psnr_hole")
    for path in tmp_path.glob("predictions/**/*.png"):
        path.unlink()
    with pytest.raises(OptionError, match="finish the benchmark"):
        PrivacyReport.of_run(run)
