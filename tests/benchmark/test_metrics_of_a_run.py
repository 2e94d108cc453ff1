"""What a run can measure: one entry adds a metric, whole images, LPIPS, several extractors."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from facemask_inpaint import metrics
from facemask_inpaint.benchmark import Run
from facemask_inpaint.cli.benchmark import benchmark as command
from facemask_inpaint.errors import WeightsNotFoundError
from facemask_inpaint.metrics import FeatureReader, custom
from facemask_inpaint.metrics.features import perceptual
from facemask_inpaint.metrics.table import METRICS

from .runs import PORTRAITS, Counted, portraits, small_run


def _shift(pair: metrics.FeaturePair) -> metrics.MetricResult:
    shift = pair.real.values.mean(0) - pair.fake.values.mean(0)
    return metrics.MetricResult("shift", float(shift.norm()), pair.real.n)


@pytest.fixture
def added() -> Iterator[None]:
    """One metric of images and one of features, each by one entry."""
    metrics.register(
        metrics.ImageMetric(
            name="largest",
            label="largest error",
            better="lower",
            meaning="largest difference of two samples",
            function=lambda pair: float((pair.real - pair.fake).abs().max()),
        )
    )
    metrics.register(
        metrics.FeatureMetric(
            name="shift",
            label="mean shift",
            better="lower",
            meaning="distance of the mean features",
            function=_shift,
        )
    )
    yield
    for name in ("largest", "shift"):
        METRICS.pop(name)


def _scores(run: Run) -> list[str]:
    with (run.layout.tables / "scores-64.csv").open(encoding="utf-8") as file:
        return list(dict.fromkeys(row["metric"] for row in csv.DictReader(file)))


@pytest.mark.usefixtures("added")
def test_one_entry_shows_in_tables_page_and_command(tmp_path: Path) -> None:
    arguments = [
        *("--data", PORTRAITS, "--limit", 3, "--size", 64, "--classes", "eyes", "--device", "cpu"),
        *("--model", "harmonic", "--model", "again=harmonic", "--metrics", "largest_hole,shift"),
        *("--extractor", "random-convolutions", "--no-compare", "--out", tmp_path / "run"),
    ]
    called = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert called.exit_code == 0, called.output
    run = Run.open(tmp_path / "run")
    assert _scores(run)[:2] == ["shift", "largest_hole"]
    table = (run.layout.tables / "scores-64.md").read_text(encoding="utf-8")
    assert "largest error (hole) ↓ at 64 x 64" in table
    assert "Distance of the mean features" in table
    page = run.layout.report.read_text(encoding="utf-8")
    assert "largest error (hole)" in page
    assert "mean shift" in page


def test_metrics_of_whole_images_join_a_run_that_is_there(tmp_path: Path) -> None:
    method = Counted()
    first = small_run({"grey": method}, tmp_path, portraits(3), metrics="psnr_hole")
    calls = method.calls
    run = small_run({"grey": method}, tmp_path, portraits(3), metrics="psnr,ssim,l1,psnr_hole")
    assert method.calls == calls
    assert [name for name in _scores(first) if "_" not in name] != []
    assert _scores(run)[:4] == ["psnr_hole", "l1", "psnr", "ssim"]
    (score,) = [one for one in run.scores if (one.metric, one.mask_class) == ("psnr", "eyes")]
    pairs = [
        (run.layout.original(64, case.key), run.layout.prediction(64, "grey", "eyes", case.key))
        for case in run.cases
        if case.mask_class == "eyes"
    ]
    reader = metrics.PairReader("cpu", progress=False)
    whole = metrics.psnr([real for real, _ in pairs], [fake for _, fake in pairs], reader=reader)
    assert score.value == pytest.approx(float(whole), rel=1e-5)


def test_lpips_is_computed_or_refused_before_anything_is_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(**options: object) -> None:
        raise WeightsNotFoundError("no weights of LPIPS")

    perceptual.shared_perceptual_distance.cache_clear()
    monkeypatch.setattr(perceptual, "load_perceptual_distance", missing)
    method = Counted()
    with pytest.raises(WeightsNotFoundError, match="LPIPS"):
        small_run({"grey": method}, tmp_path, portraits(2), metrics="lpips")
    assert method.calls == 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = perceptual.PerceptualDistance(perceptual.BACKBONES["alex"])
    network = network.eval().requires_grad_(False)
    monkeypatch.setattr(perceptual, "load_perceptual_distance", lambda **options: network)
    run = small_run({"grey": method}, tmp_path, portraits(2), metrics="lpips,lpips_hole")
    assert _scores(run)[:2] == ["lpips_hole", "lpips"]
    perceptual.shared_perceptual_distance.cache_clear()


def test_several_extractors_have_a_table_each(tmp_path: Path) -> None:
    mean = custom(lambda images: images.float().mean((2, 3)), "mean colour")
    readers = {
        "colour": FeatureReader(mean),
        "convolutions": FeatureReader(metrics.random_convolutions("cpu")),
    }
    methods = {"grey": Counted(), "white": Counted(shade=255)}
    options = {"metrics": "fid,kid", "compare": True, "report": True, "exchanges": 19}
    run = small_run(methods, tmp_path / "two", reader=readers, classes="eyes", **options)
    names = ["fid@colour", "fid@convolutions", "kid@colour", "kid@convolutions"]
    assert _scores(run)[:4] == names
    assert run.settings["extractors"]["colour"] == "mean colour"
    table = (run.layout.tables / "scores-64.md").read_text(encoding="utf-8")
    assert "FID (colour) ↓" in table
    assert "stand-in" not in table.split("FID (convolutions)")[0]
    assert "KID (convolutions)" in run.layout.report.read_text(encoding="utf-8")
    assert run.comparison[64]["provenance"]["extractor"] == "mean colour"
    alone = small_run(
        methods, tmp_path / "one", reader=readers["colour"], classes="eyes", metrics="fid"
    )
    values = [
        [one.value for one in each.scores if one.metric.startswith(name)]
        for each, name in ((run, "fid@colour"), (alone, "fid"))
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize("further", ["kid@random-convolutions", "bound"])
def test_extractors_that_metrics_bring_themselves_see_no_other_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, further: str
) -> None:
    bound = metrics.FeatureMetric(
        name="bound",
        label="bound",
        better="lower",
        meaning="distance of the mean features",
        function=_shift,
        extractor="random-convolutions",
    )
    monkeypatch.setitem(METRICS, "bound", bound)
    methods = {"grey": Counted(), "white": Counted(shade=255)}
    colour = FeatureReader(custom(lambda images: images.float().mean((2, 3)), "mean colour"))
    options = {"reader": {"colour": colour}, "compare": True, "exchanges": 19}
    run = small_run(methods, tmp_path, portraits(3), metrics="fid,pids", **options)
    alone = [score for score in run.scores if score.metric in ("fid", "pids")]
    run = small_run(methods, tmp_path, portraits(3), metrics=f"fid,pids,{further}", **options)
    names = {name.partition("@")[0]: name for name in _scores(run)}
    assert names["fid"] == "fid"
    assert names["pids"] == "pids"
    assert names[further.partition("@")[0]] == further
    assert len(names) == len(_scores(run))
    assert [score for score in run.scores if score.metric in ("fid", "pids")] == alone
    assert run.comparison[64]["provenance"]["extractor"] == "mean colour"


def test_metrics_without_a_score_say_why_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = metrics.ImageMetric(
        name="never", label="never", better="lower", meaning="", function=lambda pair: None
    )
    monkeypatch.setitem(METRICS, "never", never)
    given = {"metrics": "precision,recall,fid_infinity,fid,never", "report": True}
    few = "precision and recall need 6 images; eyes has 3, hair has 2"
    with pytest.warns(UserWarning, match="FID∞") as warned:
        run = small_run({"grey": Counted()}, tmp_path / "run", portraits(3), **given)
    texts = [str(warning.message) for warning in warned]
    assert texts == [
        "FID∞ needs 20 images; eyes has 3, hair has 2",
        few,
        "never is not defined for eyes, hair",
    ]
    page = run.layout.report.read_text(encoding="utf-8")
    tables = [run.layout.tables / f"scores-64.{suffix}" for suffix in ("md", "tex")]
    for text in (page, *(path.read_text(encoding="utf-8") for path in tables)):
        assert few in text
    methods = {"grey": Counted(), "fails": Counted(frozenset({1, 2}))}
    with pytest.warns(UserWarning, match=r"^FID needs 2 images; eyes \(fails\) has 1$"):
        small_run(methods, tmp_path / "two", portraits(2), metrics="fid", classes="eyes")


def test_enough_images_are_not_spoken_of(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    small_run({"grey": Counted()}, tmp_path, portraits(6), metrics="fid,precision", classes="eyes")
    assert not recwarn
